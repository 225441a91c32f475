// What is being done: one panel for each operation, and how far a reload is.

import { attr, h, text } from './dom.js';
import { plural } from './format.js';

const OFTEN = { start: 'Starting', stop: 'Stopping', restart: 'Restarting', reload: 'Reloading', reloadconfig: 'Applying the configuration', quit: 'Stopping everything', upgrade: 'Upgrading' };

/** The newest and the older generations of a watcher. */
export function generations(watcher) {
  const rows = Object.entries(watcher.workers).map(([id, [wid, pid, state, since, generation, said]]) => ({ id, wid, pid, state, since, generation, said }));
  const newest = Math.max(watcher.generation, ...rows.map((row) => row.generation));
  return {
    newest, fresh: rows.filter((row) => row.generation === newest), old: rows.filter((row) => row.generation !== newest),
  };
}

/** Old and new workers side by side. */
export class Sides {
  constructor() {
    this.node = h('div.sides', {}, this.old = h('div.side'), h('span.arrow', { 'aria-hidden': 'true' }, '→'), this.fresh = h('div.side'));
  }

  side(node, title, rows, kind) {
    const most = 60;
    node.replaceChildren(h('span.side-title', {}, title),
      h('span.dots', {}, rows.slice(0, most).map((row) => h('i.dot', { 'data-kind': kind(row), title: `${row.wid}: pid ${row.pid}, ${row.state}` })),
        rows.length > most ? ` +${rows.length - most}` : ''));
  }

  draw(watcher) {
    const { newest, fresh, old } = generations(watcher);
    this.side(this.old, old.length ? `${plural(old.length, 'old worker')}` : 'no old worker left', old, (row) => (row.state === 'stopping' ? 'busy' : 'off'));
    this.side(this.fresh, `${plural(fresh.length, 'worker')} of generation ${newest}`, fresh, (row) => (row.state === 'ready' || row.state === 'running' ? 'good' : 'busy'));
  }
}

export class Reloads {
  /** @param {string} [watcher] only what concerns that one */
  constructor(app, watcher = '') {
    this.app = app;
    this.watcher = watcher;
    this.node = h('section.operations', { 'aria-label': 'Being done' });
    this.panels = new Map();
    this.told = new Map();
  }

  panel(operation) {
    if (this.panels.has(operation.id)) return this.panels.get(operation.id);
    const { actions, store } = this.app;
    const panel = { title: h('h3'), says: h('span.step'), bar: h('progress', { 'aria-label': operation.command }), sides: new Sides() };
    panel.cancel = h('button.small', { type: 'button', onclick: () => actions.cancel(operation.id, operation.command) }, 'Stop');
    panel.cancel.hidden = !store.may('cancel') || ['quit', 'upgrade'].includes(operation.command);
    panel.node = h('article.operation', {}, h('div.bar', {}, panel.title, panel.says, panel.cancel), panel.bar, panel.sides.node);
    this.panels.set(operation.id, panel);
    return panel;
  }

  draw() {
    const { store } = this.app;
    for (const event of store.events.slice(-200)) {
      if (event.event === 'operation') this.told.set(event.data.id, event);
    }
    const running = [...store.operations.values()].filter((one) => one.state === 'running' && one.command !== 'plan' && (!this.watcher || one.at.includes(this.watcher)));
    const ids = new Set(running.map((one) => one.id));
    for (const [id, panel] of this.panels) if (!ids.has(id)) { panel.node.remove(); this.panels.delete(id); }
    for (const operation of running) {
      const panel = this.panel(operation);
      const event = this.told.get(operation.id);
      text(panel.title, `${OFTEN[operation.command] || operation.command} ${operation.at.slice(0, 3).join(', ')}`);
      text(panel.says, `${event ? event.data.text : ''} · asked by ${operation.by}`);
      if (event && event.data.total) { attr(panel.bar, 'max', event.data.total); attr(panel.bar, 'value', event.data.done); }
      else attr(panel.bar, 'value', null);
      const watcher = store.watchers.get(operation.at[0]);
      panel.sides.node.hidden = !watcher || !['reload', 'reloadconfig'].includes(operation.command);
      if (watcher && !panel.sides.node.hidden) panel.sides.draw(watcher);
      if (!panel.node.isConnected) this.node.append(panel.node);
    }
    this.node.hidden = !running.length;
  }
}
