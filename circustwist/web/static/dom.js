// Elements.  Text goes into text nodes only: whatever it says, it is never markup.

/**
 * Make an element.
 * @param {string} tag a name, with classes after dots
 * @param {Record<string, any>} [props] attributes; on… are listeners, false and null are left out
 * @param {...any} children nodes, text, or arrays of them
 */
export function h(tag, props = {}, ...children) {
  const [name, ...classes] = tag.split('.');
  const node = document.createElement(name);
  if (classes.length) node.className = classes.join(' ');
  for (const [key, value] of Object.entries(props)) {
    if (value === false || value === null || value === undefined) continue;
    if (key.startsWith('on')) node.addEventListener(key.slice(2), value);
    else if (key === 'class') node.className = [node.className, value].filter(Boolean).join(' ');
    else if (key in { value: 1, checked: 1, disabled: 1, hidden: 1 }) node[key] = value;
    else node.setAttribute(key, value === true ? '' : String(value));
  }
  add(node, children);
  return node;
}

function add(node, children) {
  for (const child of children) {
    if (Array.isArray(child)) add(node, child);
    else if (child !== null && child !== undefined && child !== false) node.append(child);
  }
}

/** Write a text only if it is another. */
export function text(node, value) {
  const said = value === null || value === undefined ? '' : String(value);
  if (node.textContent !== said) node.textContent = said;
}

/** Set an attribute only if it is another; null takes it away. */
export function attr(node, name, value) {
  if (value === null || value === undefined || value === false) node.removeAttribute(name);
  else if (node.getAttribute(name) !== String(value)) node.setAttribute(name, String(value));
}

/** Put these nodes into a parent in this order, moving as few as possible. */
export function arrange(parent, nodes) {
  let at = parent.firstChild;
  for (const node of nodes) {
    if (node === at) at = at.nextSibling;
    else parent.insertBefore(node, at);
  }
  while (at) {
    const next = at.nextSibling;
    at.remove();
    at = next;
  }
}

/** The mark and the word of a state. */
export function badge(kind, word) {
  return h('span.badge', { 'data-kind': kind }, h('i.mark', { 'aria-hidden': 'true' }), h('span', {}, word));
}

/** Change a badge. */
export function rebadge(node, kind, word) {
  attr(node, 'data-kind', kind);
  text(node.lastChild, word);
}
