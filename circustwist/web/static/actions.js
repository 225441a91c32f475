// What can be done, each after a dialog that says what will happen.

import { command } from './api.js';
import { h } from './dom.js';
import { named, plural } from './format.js';

/** A dialog; resolves to what was given, or null if it was called off. */
export function ask({ title, says = [], fields = [], go, danger = false, typed = '' }) {
  return new Promise((resolve) => {
    const inputs = {};
    const act = h('button', { type: 'submit', class: danger ? 'danger' : 'primary', disabled: Boolean(typed) }, go);
    const word = typed ? h('input', {
      type: 'text', autocomplete: 'off', spellcheck: 'false', id: 'typed',
      oninput: () => { act.disabled = word.value.trim() !== typed; },
    }) : null;
    const lines = fields.map(({ name, label, value, kind = 'text', options }) => {
      const id = `field-${name}`;
      inputs[name] = options
        ? h('select', { id }, options.map((option) => h('option', { value: option, selected: option === value }, option)))
        : h('input', { id, type: kind, value: value ?? '', ...(kind === 'number' ? { min: 0, max: 100000 } : {}), autocomplete: kind === 'password' ? 'current-password' : 'off' });
      return h('p.field', {}, h('label', { for: id }, label), inputs[name]);
    });
    const done = (value) => { dialog.close(); dialog.remove(); resolve(value); };
    const dialog = h('dialog', { 'aria-labelledby': 'dialog-title' },
      h('form', { method: 'dialog', onsubmit: (event) => {
        event.preventDefault();
        done(Object.fromEntries(Object.entries(inputs).map(([name, input]) => [name, input.value])));
      } },
      h('h2', { id: 'dialog-title' }, title), says.map((said) => h('p', {}, said)), lines,
      word ? h('p.field', {}, h('label', { for: 'typed' }, 'Type ', h('strong', {}, typed), ' to go on'), word) : null,
      h('div.buttons', {}, h('button', { type: 'button', onclick: () => done(null) }, 'Cancel'), act)));
    dialog.addEventListener('cancel', (event) => { event.preventDefault(); done(null); });
    document.body.append(dialog);
    dialog.showModal();
    (Object.values(inputs)[0] || word || act).focus();
  });
}

/** Short messages at the edge, read out by screen readers. */
export class Notes {
  constructor() {
    this.node = h('div.notes', { role: 'status', 'aria-live': 'polite' });
  }

  say(said, { kind = 'info', action = null, lasts = 6000 } = {}) {
    const note = h('div.note', { 'data-kind': kind }, h('span', {}, said));
    const end = () => note.remove();
    if (action) note.append(h('button.quiet', { type: 'button', onclick: () => { end(); action.run(); } }, action.label));
    note.append(h('button.quiet.close', { type: 'button', 'aria-label': 'Close', onclick: end }, '×'));
    this.node.append(note);
    while (this.node.children.length > 4) this.node.firstChild.remove();
    if (lasts) setTimeout(end, lasts);
    return note;
  }

  /** An error, until somebody has read it. */
  fault(error) {
    this.say(error.message, { kind: 'bad', lasts: 15000 });
  }
}

export class Actions {
  constructor(store, notes) {
    this.store = store;
    this.notes = notes;
    this.waiting = new Map();
  }

  watcher(name) {
    return this.store.watchers.get(name);
  }

  /** Give a command; say what comes of it. */
  async give(name, args, said, after = null) {
    try {
      const answer = await command(name, args);
      if (answer.operation) this.waiting.set(answer.operation, { said, after });
      else if (said) this.notes.say(said, { kind: 'good', action: after });
      return answer;
    } catch (error) {
      this.notes.fault(error);
      return null;
    }
  }

  /** Events may tell the end of what was begun here. */
  happened(events) {
    for (const event of events) {
      if (event.event !== 'operation') continue;
      const mine = this.waiting.get(event.data.id);
      if (!mine || event.data.state === 'running') continue;
      this.waiting.delete(event.data.id);
      if (event.data.state === 'done') this.notes.say(mine.said, { kind: 'good', action: mine.after });
      else this.notes.say(event.data.text, { kind: event.data.state === 'failed' ? 'bad' : 'warn', lasts: 15000 });
    }
  }

  count(names) {
    return names.reduce((sum, name) => sum + Object.keys(this.watcher(name)?.workers || {}).length, 0);
  }

  queueing(names) {
    const held = [...this.store.sockets.values()]
      .filter((socket) => (socket.watchers || []).some((name) => names.includes(name)))
      .filter((socket) => !(socket.watchers || []).some((name) => !names.includes(name) && this.watcher(name)?.active));
    return held.length ? `${plural(held.length, 'socket')} (${named(held.map((s) => s.name))}) stay open: connections wait in the queue until something accepts them again.` : '';
  }

  async start(names) {
    const wanted = names.reduce((sum, name) => sum + (this.watcher(name)?.wanted || 0), 0);
    const yes = await ask({
      title: `Start ${named(names)}?`, go: 'Start',
      says: [`Starts ${plural(wanted, 'worker')} of ${named(names)}, and first whatever they depend on.`],
    });
    if (yes) for (const name of names) await this.give('start', { name, match: 'simple' }, `${name} has started.`);
  }

  async stop(names) {
    const every = names.length === this.store.watchers.size && names.length > 1;
    const yes = await ask({
      title: every ? 'Stop everything?' : `Stop ${named(names)}?`, go: 'Stop', danger: true, typed: every ? this.store.stack.name : '',
      says: [`Stops ${plural(this.count(names), 'worker')} of ${named(names)}. They are asked to end, and killed if they take too long.`, this.queueing(names)].filter(Boolean),
    });
    if (yes) for (const name of names) await this.give('stop', { name, match: 'simple' }, `${name} has stopped.`);
  }

  async restart(names) {
    const yes = await ask({
      title: `Restart ${named(names)}?`, go: 'Restart', danger: true,
      says: [`Stops ${plural(this.count(names), 'worker')} of ${named(names)} first, then starts them again: in between nothing answers.`,
        this.queueing(names), 'A reload does it without a gap.'].filter(Boolean),
    });
    if (yes) for (const name of names) await this.give('restart', { name, match: 'simple' }, `${name} has restarted.`);
  }

  async reload(names) {
    const yes = await ask({
      title: `Reload ${named(names)}?`, go: 'Reload',
      says: [`Replaces ${plural(this.count(names), 'worker')} of ${named(names)}, each only after a new one has proved itself. If none does, the old ones stay.`],
    });
    if (yes) for (const name of names) await this.give('reload', { name, match: 'simple' }, `${name} has been reloaded.`);
  }

  async scale(name) {
    const before = this.watcher(name)?.wanted ?? 0;
    const given = await ask({
      title: `How many workers of ${name}?`, go: 'Set', says: [`Now ${plural(before, 'worker')} should run. This holds until the supervisor ends; the configuration stays as it is.`],
      fields: [{ name: 'number', label: 'Workers', value: before, kind: 'number' }],
    });
    if (given) this.resize(name, Number(given.number) - before);
  }

  async resize(name, by) {
    if (!by || !Number.isInteger(by)) return;
    const before = this.watcher(name)?.wanted ?? 0;
    const undo = { label: 'Undo', run: () => this.resize(name, -by) };
    const args = { name, nb: Math.abs(by) };
    await this.give(by > 0 ? 'incr' : 'decr', args, `${name}: ${plural(Math.max(0, before + by), 'worker')} instead of ${before}.`, undo);
  }

  async signal(name, wid = 0) {
    const who = wid ? `${name}/${wid}` : `all ${plural(this.count([name]), 'worker')} of ${name}`;
    const given = await ask({
      title: `Signal ${wid ? who : name}`, go: 'Send', says: [`Sends a signal to ${who}. A worker that it ends is started again.`],
      fields: [{ name: 'signum', label: 'Signal', value: 'HUP', options: ['HUP', 'USR1', 'USR2', 'INT', 'QUIT', 'TERM', 'WINCH', 'STOP', 'CONT', 'KILL'] }],
    });
    if (given) await this.give('signal', { name, signum: given.signum, ...(wid ? { wid } : {}) }, `${given.signum} was sent to ${who}.`);
  }

  async kill(name, wid) {
    const yes = await ask({
      title: `Kill ${name}/${wid}?`, go: 'Kill', danger: true,
      says: [`Kills ${name}/${wid} at once: what it is doing is lost. Another worker takes its place.`],
    });
    if (yes) await this.give('signal', { name, signum: 'KILL', wid }, `${name}/${wid} was killed.`);
  }

  async cancel(id, what) {
    const yes = await ask({ title: `Stop the ${what}?`, go: 'Stop it', danger: true, says: [`Does no more of the ${what}; what is done stays.`] });
    if (yes) await this.give('cancel', { id }, `The ${what} was stopped.`);
  }

  async apply(items) {
    const yes = await ask({
      title: 'Apply the configuration on disk?', go: 'Apply',
      says: items.length ? [`${plural(items.length, 'change')}: ${named(items.map((item) => `${item.action} ${item.name}`), 6)}.`, 'If a step fails, everything is as before.']
        : ['Nothing differs from what runs.'],
    });
    if (yes) await this.give('reloadconfig', {}, 'The configuration has been applied.');
  }

  async upgrade() {
    const yes = await ask({
      title: 'Become the installed version?', go: 'Upgrade',
      says: ['The supervisor replaces itself in place. Processes, sockets and logs stay; this page comes back by itself.'],
    });
    if (yes) await this.give('upgrade', {}, 'The supervisor has been replaced.');
  }

  async quit() {
    const names = [...this.store.watchers.keys()];
    const yes = await ask({
      title: 'Stop everything and end the supervisor?', go: 'Quit', danger: true, typed: this.store.stack.name,
      says: [`Stops all ${plural(this.count(names), 'worker')}, closes ${plural(this.store.sockets.size, 'socket')} and ends the supervisor. Nothing here can start it again.`],
    });
    if (yes) await this.give('quit', {}, 'The supervisor has ended.');
  }

  /** Buttons for what may be done with watchers. */
  buttons(names, { small = false } = {}) {
    const list = () => (typeof names === 'function' ? names() : names);
    const size = small ? 'small' : '';
    return [
      ['reload', 'Reload'], ['restart', 'Restart'], ['start', 'Start'], ['stop', 'Stop'],
    ].map(([name, label]) => h('button', { type: 'button', class: size, 'data-action': name, onclick: () => this[name](list()) }, label));
  }
}
