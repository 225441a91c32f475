// How everything is, problems first.

import { attr, badge, h, rebadge, text } from './dom.js';
import { ago, bytes, count, percent, plural, rate, span, whole } from './format.js';
import { spark } from './chart.js';
import { fill } from './charting.js';
import { health } from './store.js';
import { Table } from './table.js';
import { Reloads } from './progress.js';
import { socketColumns } from './sockets.js';

/** A cell with a number and its curve. */
export function curved(store, key, shown) {
  return {
    make: (cell) => cell.append(h('canvas.spark', { 'aria-hidden': 'true' }), h('span.value')),
    paint: (cell, row) => {
      text(cell.lastChild, shown(row));
      const ring = store.ring(key(row));
      if (ring) spark(cell.firstChild, ring.list());
    },
  };
}

/** So many rows get the past of their curves; more would ask the supervisor too much at once. */
const PAST = 24;

export class Overview {
  constructor(app) {
    this.app = app;
    const { store, actions } = app;
    this.says = h('p.says', { role: 'status' });
    this.stats = h('dl.stats');
    this.values = new Map();
    this.reloads = new Reloads(app);
    this.table = new Table({
      name: 'watchers', caption: 'Watchers', id: (row) => row.name, sort: ['state', -1], select: true,
      empty: 'There is no watcher in the configuration.', open: (row) => app.go(`watcher/${encodeURIComponent(row.name)}`),
      columns: [
        { key: 'name', title: 'Watcher', value: (row) => row.name, text: (row) => row.name },
        {
          key: 'state', title: 'State', value: (row) => health(row, store.now()).rank,
          make: (cell) => cell.append(badge('', '')),
          paint: (cell, row) => { const { kind, word } = health(row, store.now()); rebadge(cell.firstChild, kind, word); },
        },
        {
          key: 'running', title: 'Running', kind: 'num', value: (row) => row.active,
          make: (cell) => cell.append(h('span.meter', { 'aria-hidden': 'true' }, h('i')), h('span.value')),
          paint: (cell, row) => {
            text(cell.lastChild, `${row.active} of ${row.wanted}`);
            attr(cell.firstChild, 'data-full', row.active >= row.wanted);
            cell.firstChild.firstChild.style.width = `${row.wanted ? Math.min(100, (row.active / row.wanted) * 100) : 0}%`;
          },
        },
        { key: 'cpu', title: 'CPU', kind: 'num', value: (row) => store.sum(row).cpu, ...curved(store, (row) => `w:${row.name}:cpu`, (row) => percent(this.known(row, 'cpu'))) },
        { key: 'memory', title: 'Memory', kind: 'num', value: (row) => store.sum(row).memory, ...curved(store, (row) => `w:${row.name}:memory`, (row) => bytes(this.known(row, 'memory'))) },
        { key: 'restarts', title: 'Restarts', kind: 'num', value: (row) => row.restarts, text: (row) => count(row.restarts) },
        {
          key: 'last', title: 'Last unplanned end', kind: 'wide', value: (row) => row.last?.at ?? null,
          text: (row) => (whole(row.problem, row.last_words) || (row.last ? `${row.last.worker} ${row.last.reason}, ${ago(store.now() - row.last.at)}` : '')),
        },
      ],
    });
    this.bulk = h('div.bulk', { hidden: true }, h('span'), actions.buttons(() => [...this.table.chosen]));
    this.table.onselect = (names) => {
      this.bulk.hidden = !names.length || !store.may('stop');
      text(this.bulk.firstChild, `${plural(names.length, 'watcher')} chosen`);
    };
    this.sockets = new Table({
      name: 'sockets', caption: 'Sockets', id: (row) => row.name, sort: ['name', 1], empty: 'There is no socket in the configuration.',
      open: (row) => app.go(`sockets?of=${encodeURIComponent(row.name)}`), columns: socketColumns(store, true),
    });
    this.node = h('div.view', {},
      h('section.lead', {}, this.says, this.stats), this.reloads.node,
      h('section', {}, h('div.bar', {}, h('h2', {}, 'Watchers'), this.bulk, this.table.savers()), this.table.node),
      this.socketPart = h('section', {}, h('div.bar', {}, h('h2', {}, 'Sockets'), this.sockets.savers()), this.sockets.node));
  }

  known(row, what) {
    return this.app.store.daemon ? this.app.store.sum(row)[what] : null;
  }

  stat(name, value, key) {
    if (!this.values.has(name)) {
      const cell = h('dd', {}, h('span.value'), key ? h('canvas.spark', { 'aria-hidden': 'true' }) : null);
      this.values.set(name, cell);
      this.stats.append(h('div', {}, h('dt', {}, name), cell));
    }
    const cell = this.values.get(name);
    text(cell.firstChild, value);
    const ring = key ? this.app.store.ring(key) : null;
    if (ring) spark(cell.lastChild, ring.list(), { width: 72, height: 20 });
  }

  sentence(watchers) {
    const { store } = this.app;
    const bad = watchers.filter((one) => health(one, store.now()).rank >= 3);
    if (store.stack.quitting) return ['busy', 'The stack is stopping.'];
    if (bad.length) {
      const first = bad.sort((a, b) => health(b, store.now()).rank - health(a, store.now()).rank)[0];
      const more = bad.length > 1 ? ` ${plural(bad.length, 'watcher')} need attention.` : '';
      const { word } = health(first, store.now());
      const why = whole(first.problem, first.last_words) || (word === 'keeps ending' ? first.last.reason : '');
      return ['bad', `${first.name} ${word === 'keeps ending' ? '' : 'is '}${word}${why ? `: ${why}` : ''}.${more}`];
    }
    const off = watchers.filter((one) => one.status === 'stopped' && !one.asleep).length;
    const running = watchers.reduce((sum, one) => sum + one.active, 0);
    const rest = off ? `; ${plural(off, 'watcher')} stopped` : '';
    return ['good', watchers.length === off && off ? 'Everything is stopped.' : `All is well: ${plural(running, 'worker')} of ${plural(watchers.length - off, 'watcher')} running${rest}.`];
  }

  /** Begin the curves with what others have seen. */
  async fill() {
    const { store } = this.app;
    await fill(store, {}, [['stack_cpu', 'all:cpu'], ['stack_memory', 'all:memory'], ['stack_rate', 'all:rate']]);
    for (const { name } of this.table.rows.slice(0, PAST)) {
      await fill(store, { name }, [['cpu', `w:${name}:cpu`], ['memory', `w:${name}:memory`]]);
    }
    for (const { name } of this.sockets.rows.slice(0, PAST)) await fill(store, { socket: name }, [['rate', `s:${name}:rate`]]);
  }

  draw() {
    const { store } = this.app;
    const filter = this.app.filter.toLowerCase();
    const watchers = store.stack.order.map((name) => store.watchers.get(name)).filter(Boolean);
    const [kind, said] = this.sentence(watchers);
    attr(this.says, 'data-kind', kind);
    text(this.says, said);
    const hour = store.now() - 3600;
    const restarts = store.events.filter((e) => e.event === 'reap' && !e.planned && e.time > hour).length;
    const numbers = store.daemon;
    this.stat('Workers', `${count(watchers.reduce((sum, one) => sum + one.active, 0))} of ${count(watchers.reduce((sum, one) => sum + one.wanted, 0))}`);
    this.stat('Unplanned ends, 1 h', count(restarts));
    this.stat('CPU', numbers ? percent(store.ring('all:cpu')?.last()) : '–', 'all:cpu');
    this.stat('Memory', numbers ? bytes(store.ring('all:memory')?.last()) : '–', 'all:memory');
    if (store.sockets.size) this.stat('Connections/s', numbers ? rate(store.ring('all:rate')?.last()) : '–', 'all:rate');
    this.stat('Supervisor', numbers ? `${percent(numbers.cpu)}, ${Math.round(numbers.lag * 1000)} ms late` : '–');
    this.stat('Up', span(store.now() - store.stack.started));
    this.reloads.draw();
    this.table.update(watchers.filter((one) => one.name.toLowerCase().includes(filter)));
    this.sockets.update([...store.sockets.values()].filter((one) => one.name.toLowerCase().includes(filter)));
    this.socketPart.hidden = !store.sockets.size;
    if (!this.filled) {
      this.filled = true;
      this.fill();
    }
  }
}
