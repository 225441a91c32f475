// What workers write, as it comes.

import { h, text } from './dom.js';
import { clock, plural } from './format.js';
import { save } from './table.js';

const MOST = 5000;
const DRAWN = 1500;
const ESCAPE = /\x1b\[([0-9;:]*)m|\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f-\x9f]/g;

/** A line with its colours, in spans; nothing in it is markup. */
export function coloured(said) {
  const out = [];
  let at = 0;
  let style = [];
  const put = (part) => { if (part) out.push(style.length ? h('span', { class: style.join(' ') }, part) : part); };
  for (const found of said.matchAll(ESCAPE)) {
    put(said.slice(at, found.index));
    at = found.index + found[0].length;
    if (found[1] === undefined) { if (!found[0].startsWith('\x1b[')) out.push(h('span.control', {}, `\\x${found[0].charCodeAt(0).toString(16).padStart(2, '0')}`)); continue; }
    for (const code of (found[1] || '0').split(/[;:]/).map(Number)) {
      if (code === 0) style = [];
      else if (code === 1) style = [...style, 'ansi-bold'];
      else if (code === 2) style = [...style, 'ansi-dim'];
      else if (code === 22) style = style.filter((s) => s !== 'ansi-bold' && s !== 'ansi-dim');
      else if (code === 39) style = style.filter((s) => !s.startsWith('ansi-3'));
      else if ((code >= 30 && code <= 37) || (code >= 90 && code <= 97)) style = [...style.filter((s) => !s.startsWith('ansi-3')), `ansi-3${code % 10}`];
    }
  }
  put(said.slice(at));
  return out;
}

const LEVELS = [['', 'All levels'], ['error', 'Errors'], ['warning', 'Warnings and errors']];
const PLAIN = /\x1b\[[0-9;:]*m/g;
const ERROR = /\b(error|exception|traceback|critical|fatal|panic|emerg|alert)\b/i;
const WARNING = /\b(warn(ing)?)\b/i;

export class Logs {
  constructor(app) {
    this.app = app;
    this.lines = [];
    this.held = [];
    this.missed = 0;
    this.widest = 6;
    const change = (key) => (event) => app.replace('logs', { ...app.query, [key]: event.target.value });
    this.of = h('select', { 'aria-label': 'Whose lines', onchange: change('of') });
    this.output = h('select', { 'aria-label': 'Output', onchange: change('stream') },
      [['', 'Both outputs'], ['stdout', 'stdout'], ['stderr', 'stderr']].map(([value, label]) => h('option', { value }, label)));
    this.level = h('select', { 'aria-label': 'Level', onchange: change('level') }, LEVELS.map(([value, label]) => h('option', { value }, label)));
    this.search = h('input', { type: 'search', placeholder: 'Search', 'aria-label': 'Search', spellcheck: 'false', oninput: () => { app.replace('logs', { ...app.query, q: this.search.value }, true); this.redraw(); } });
    this.regex = h('input', { type: 'checkbox', onchange: () => { app.replace('logs', { ...app.query, regex: this.regex.checked ? '1' : '' }, true); this.redraw(); } });
    this.wrap = h('input', { type: 'checkbox', onchange: () => this.list.classList.toggle('wrap', this.wrap.checked) });
    this.pause = h('button', { type: 'button', 'aria-pressed': 'false', onclick: () => this.hold(!this.paused) }, 'Pause');
    this.says = h('span.muted', { role: 'status' });
    this.list = h('div.log', { role: 'log', 'aria-live': 'off', 'aria-label': 'Lines', tabindex: '0' });
    this.paused = false;
    this.list.addEventListener('scroll', () => { this.stuck = this.list.scrollTop + this.list.clientHeight >= this.list.scrollHeight - 40; });
    this.stuck = true;
    this.node = h('div.view.full', {}, h('section.logs', {},
      h('div.bar', {}, h('h2', {}, 'Logs'), this.of, this.output, this.level, this.search, h('label.check', {}, this.regex, 'Regex'), h('label.check', {}, this.wrap, 'Wrap'),
        this.pause, h('button', { type: 'button', onclick: () => { this.lines = []; this.redraw(); } }, 'Clear'),
        h('button', { type: 'button', onclick: () => save('lines.log', this.matching().map((line) => `${line.time ? new Date(line.time * 1000).toISOString() : ''} ${line.who} ${line.plain}`).join('\n')) }, 'Save'), this.says),
      this.list));
    app.stream.onlog = (message) => this.took(message);
  }

  /** What the stream should bring. */
  selection() {
    const { query, store } = this.app;
    if (!store.may('tail')) return null;
    return { logs: query.of || '', output: query.stream || '' };
  }

  took(message) {
    if (message.first) this.lines = [];
    this.problem = message.problem || '';
    if (message.missed) this.missed += message.missed;
    const fresh = message.lines.map(([time, watcher, wid, output, said]) => {
      const plain = said.replace(PLAIN, '');
      const level = ERROR.test(plain) ? 'error' : WARNING.test(plain) ? 'warning' : output === 2 ? 'stderr' : '';
      return { time, output, text: said, plain, level, who: watcher ? `${watcher}${wid ? `/${wid}` : ''}` : 'supervisor' };
    });
    const widest = Math.min(24, Math.max(this.widest, ...fresh.map((line) => line.who.length)));
    if (widest !== this.widest) { this.widest = widest; this.list.style.setProperty('--who', `${widest}ch`); }
    if (this.paused) { this.held.push(...fresh); this.held.splice(0, Math.max(0, this.held.length - MOST)); return this.tell(); }
    this.add(fresh, message.first);
  }

  add(fresh, first = false) {
    this.lines.push(...fresh);
    this.lines.splice(0, Math.max(0, this.lines.length - MOST));
    if (first) return this.redraw();
    const match = this.matcher();
    const shown = fresh.filter(match).slice(-DRAWN);
    if (shown.length) this.list.append(...shown.map((line) => this.row(line)));
    while (this.list.childElementCount > DRAWN) this.list.firstChild.remove();
    if (this.stuck) this.list.scrollTop = this.list.scrollHeight;
    this.tell();
  }

  hue(who) {
    let sum = 0;
    for (const char of who) sum = (sum * 31 + char.charCodeAt(0)) % 997;
    return (sum % 6) + 1;
  }

  row(line) {
    return h('div.line', { 'data-level': line.level || null }, h('time', {}, line.time ? clock(line.time, true) : ''),
      h('span.who', { class: `k${this.hue(line.who)}` }, line.who), h('span.text', {}, coloured(line.text)));
  }

  matcher() {
    const { query } = this.app;
    let test = () => true;
    const q = query.q || '';
    this.search.setCustomValidity('');
    this.search.removeAttribute('aria-invalid');
    if (q && query.regex) {
      try {
        const pattern = new RegExp(q, 'i');
        test = (line) => pattern.test(line.plain);
      } catch {
        this.search.setAttribute('aria-invalid', 'true');
      }
    } else if (q) {
      const wanted = q.toLowerCase();
      test = (line) => line.plain.toLowerCase().includes(wanted) || line.who.toLowerCase().includes(wanted);
    }
    const level = query.level;
    return (line) => test(line) && (!level || line.level === 'error' || (level === 'warning' && line.level === 'warning'));
  }

  matching() {
    return this.lines.filter(this.matcher());
  }

  redraw() {
    this.list.replaceChildren(...this.matching().slice(-DRAWN).map((line) => this.row(line)));
    this.list.scrollTop = this.list.scrollHeight;
    this.stuck = true;
    this.jump();
    this.tell();
  }

  /** Show the lines of a certain time, if the address names one. */
  jump() {
    const at = Number(this.app.query.at);
    if (!at) return;
    const lines = this.matching().slice(-DRAWN);
    const found = lines.findIndex((line) => line.time >= at - 0.5);
    const row = this.list.children[found < 0 ? lines.length - 1 : found];
    if (!row) return;
    row.classList.add('at');
    row.scrollIntoView({ block: 'center' });
    this.stuck = false;
  }

  hold(paused) {
    this.paused = paused;
    text(this.pause, paused ? 'Go on' : 'Pause');
    this.pause.setAttribute('aria-pressed', String(paused));
    if (!paused) { const held = this.held; this.held = []; this.add(held); }
    this.tell();
  }

  tell() {
    const { store } = this.app;
    if (!store.may('tail')) return text(this.says, 'Log in as an operator to see what workers write.');
    if (this.problem) return text(this.says, this.problem);
    const parts = [plural(this.lines.length, 'line')];
    if (this.held.length) parts.push(`${this.held.length} held back`);
    if (this.missed) parts.push(`${this.missed} missed`);
    return text(this.says, parts.join(' · '));
  }

  draw() {
    const { query, store } = this.app;
    const workers = store.watchers.get((query.of || '').split('/')[0]);
    const ids = workers ? Object.values(workers.workers).map(([wid]) => `${(query.of || '').split('/')[0]}/${wid}`) : [];
    const options = ['', ...store.stack.order, ...ids, ...(query.of && query.of !== '/' && ![...store.stack.order, ...ids].includes(query.of) ? [query.of] : [])];
    const key = options.join('\n');
    if (key !== this.options) {
      this.options = key;
      this.of.replaceChildren(...options.map((name) => h('option', { value: name }, name || 'All watchers')), h('option', { value: '/' }, 'The supervisor'));
    }
    this.of.value = query.of || '';
    this.output.value = query.stream || '';
    this.level.value = query.level || '';
    if (document.activeElement !== this.search) this.search.value = query.q || '';
    this.regex.checked = Boolean(query.regex);
    const wanted = JSON.stringify([query.level]);
    if (wanted !== this.drawn) { this.drawn = wanted; this.redraw(); }
    this.app.stream.follow(this.selection());
    this.tell();
  }

  leave() {
    this.app.stream.follow(null);
    this.app.stream.onlog = () => {};
  }
}
