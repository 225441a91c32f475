// The supervisor itself.

import { command } from './api.js';
import { badge, h, text } from './dom.js';
import { bytes, clock, count, day, percent, span, whole } from './format.js';
import { health } from './store.js';
import { Chart } from './chart.js';
import { fill, recent } from './charting.js';

const EVERY = 10000;
const MOST = 20;
const WORSE = /^(warn|error|critical) (.*)/s;

export class Daemon {
  constructor(app) {
    this.app = app;
    const { actions } = app;
    this.facts = h('dl.facts-list');
    this.cells = new Map();
    this.lag = new Chart({ title: 'Lateness of the reactor', format: (v) => `${v < 10 ? v.toFixed(1) : Math.round(v)} ms` });
    this.cpu = new Chart({ title: 'CPU of the supervisor', format: percent });
    this.warnings = h('ul.plan');
    this.clients = h('tbody');
    this.known = h('section', { hidden: true }, h('h2', {}, 'Connected'),
      h('div.table', { tabindex: '0', role: 'group', 'aria-label': 'Connected clients' }, h('table.data', {}, h('caption.hidden', {}, 'Connected clients'),
        h('thead', {}, h('tr', {}, ['Who', 'Role', 'By', 'Since'].map((title) => h('th', { scope: 'col' }, title)))), this.clients)),
      h('p.muted', {}, 'Of clients at the ZeroMQ endpoints nothing is known.'));
    this.logged = [];
    this.asked = 0;
    this.node = h('div.view', {},
      h('section', {}, h('div.bar', {}, h('h2', {}, 'Supervisor'), h('div.buttons', {},
        h('button', { type: 'button', 'data-action': 'upgrade', onclick: () => actions.upgrade() }, 'Upgrade'),
        h('button.danger', { type: 'button', 'data-action': 'quit', onclick: () => actions.quit() }, 'Quit'))), this.facts),
      h('section', {}, h('h2', {}, 'Warnings'), this.warnings), this.known,
      h('section', {}, h('div.pair', {}, this.cpu.node, this.lag.node)));
  }

  /** What the supervisor is asked for now and then while this is shown, and whenever somebody else is at it. */
  async look() {
    const { store } = this.app;
    const who = `${store.you.name} ${store.you.role}`;
    if (Date.now() - this.asked < EVERY && who === this.asker) return;
    this.asked = Date.now();
    this.asker = who;
    this.known.hidden = !store.may('clients');
    try {
      const { clients } = store.may('clients') ? await command('clients') : { clients: [] };
      const now = store.now();
      this.clients.replaceChildren(...clients.map((one) => h('tr', {}, [h('th', { scope: 'row' }, one.name), ...[one.role || 'none', one.way, `${day(now - one.age)} ${clock(now - one.age)}`].map((said) => h('td', {}, said))])));
      const { lines } = store.may('tail') ? await command('tail', { daemon: true, lines: 1000 }) : { lines: [] };
      this.logged = lines.map((line) => [line.time, line.text.match(WORSE)]).filter(([, found]) => found).slice(-MOST).reverse();
    } catch { /* The bar tells that the supervisor does not answer. */ }
    store.changed();
  }

  /** What is wrong now, then what the log has warned of. */
  warn() {
    const { store } = this.app;
    const wrong = [...store.watchers.values()].map((one) => [one, health(one, store.now())]).filter(([, found]) => found.rank >= 3)
      .map(([one, found]) => [found.kind, found.word, whole(`${one.name}${one.problem ? `: ${one.problem}` : ''}`, one.last_words)]);
    const sockets = [...store.sockets.values()].filter((one) => one.state === 'failed').map((one) => ['bad', 'failed', `socket ${one.name}`]);
    const logged = this.logged.map(([time, [, level, said]]) => [level === 'warn' ? 'warn' : 'bad', level === 'warn' ? 'warning' : level, `${clock(time)} ${said}`]);
    const all = [...wrong, ...sockets, ...logged];
    const key = JSON.stringify(all);
    if (key === this.warned) return;
    this.warned = key;
    this.warnings.replaceChildren(...(all.length ? all.map(([kind, word, said]) => h('li', {}, badge(kind, word), ` ${said}`)) : [h('li.muted', {}, 'There are none.')]));
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
    this.look();
    this.warn();
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
