// The supervisor itself.

import { h, text } from './dom.js';
import { bytes, count, percent, span } from './format.js';
import { Chart } from './chart.js';
import { fill, recent } from './charting.js';

export class Daemon {
  constructor(app) {
    this.app = app;
    const { actions } = app;
    this.facts = h('dl.facts-list');
    this.cells = new Map();
    this.lag = new Chart({ title: 'Lateness of the reactor', format: (v) => `${v < 10 ? v.toFixed(1) : Math.round(v)} ms` });
    this.cpu = new Chart({ title: 'CPU of the supervisor', format: percent });
    this.node = h('div.view', {},
      h('section', {}, h('div.bar', {}, h('h2', {}, 'Supervisor'), h('div.buttons', {},
        h('button', { type: 'button', 'data-action': 'upgrade', onclick: () => actions.upgrade() }, 'Upgrade'),
        h('button.danger', { type: 'button', 'data-action': 'quit', onclick: () => actions.quit() }, 'Quit'))), this.facts),
      h('section', {}, h('div.pair', {}, this.cpu.node, this.lag.node)));
  }

  fact(name, value) {
    if (!this.cells.has(name)) {
      const cell = h('dd');
      this.cells.set(name, cell);
      this.facts.append(h('div', {}, h('dt', {}, name), cell));
    }
    text(this.cells.get(name), value);
  }

  draw() {
    const { store } = this.app;
    const { stack, daemon } = store;
    if (!this.filled) {
      this.filled = true;
      fill(store, {}, [['cpu', 'daemon:cpu'], ['lag', 'daemon:lag', 1000]]);
    }
    this.fact('Stack', stack.name);
    this.fact('Configuration', stack.path);
    this.fact('Version', stack.version);
    this.fact('pid', String(stack.pid));
    this.fact('Up', span(store.now() - stack.started));
    this.fact('CPU', daemon ? percent(daemon.cpu) : '–');
    this.fact('Memory', daemon ? bytes(daemon.memory) : '–');
    this.fact('Open files', daemon ? count(daemon.fds) : '–');
    this.fact('Threads', daemon ? count(daemon.threads) : '–');
    for (const [name, value] of Object.entries(store.links)) this.fact(name, value);
    this.fact('You are', `${store.you.name}, ${store.you.role}`);
    this.fact('Events so far', count(store.events.at(-1)?.n));
    const [times, [cpu]] = recent(store, [{ name: 'CPU', key: 'daemon:cpu' }]);
    this.cpu.update(times, [cpu]);
    this.lag.update(times, recent(store, [{ name: 'late', key: 'daemon:lag' }])[1]);
  }
}
