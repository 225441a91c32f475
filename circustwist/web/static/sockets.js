// The sockets, and how many connections come.

import { attr, badge, h, rebadge, text } from './dom.js';
import { bytes, count, rate } from './format.js';
import { Chart, spark } from './chart.js';
import { fill, marks, Past, recent, RANGES } from './charting.js';
import { Table } from './table.js';

const METHODS = {
  '': 'Connections cannot be counted here.',
  counted: 'The kernel tells of every connection: the numbers are exact.',
  seen: 'Connections are counted when they are seen; short ones may be missed.',
};
const LOST = 'Some were not seen: there were at least so many.';

/** What the total of a socket says. */
export function total(flow) {
  if (!flow || flow.total === null || flow.total === undefined) return '–';
  return `${flow.exact ? '' : '≥ '}${count(flow.total)}`;
}

/** How much of its queue is used. */
function share(flow) {
  return flow && flow.limit ? (flow.queue || 0) / flow.limit : 0;
}

export function socketColumns(store, brief = false) {
  const flow = (row) => store.flows.get(row.name);
  const columns = [
    { key: 'name', title: 'Socket', value: (row) => row.name, text: (row) => row.name },
    {
      key: 'state', title: 'State', value: (row) => row.state, make: (cell) => cell.append(badge('', '')),
      paint: (cell, row) => rebadge(cell.firstChild, row.state === 'failed' ? 'bad' : 'good', row.state),
    },
    { key: 'address', title: 'Address', kind: 'mono', value: (row) => row.address, text: (row) => row.address },
    { key: 'total', title: 'Connections', kind: 'num', value: (row) => flow(row)?.total ?? null, text: (row) => total(flow(row)) },
    {
      key: 'rate', title: 'per second', kind: 'num', value: (row) => flow(row)?.rate ?? null,
      make: (cell) => cell.append(h('canvas.spark', { 'aria-hidden': 'true' }), h('span.value')),
      paint: (cell, row) => {
        text(cell.lastChild, rate(flow(row)?.rate));
        const ring = store.ring(`s:${row.name}:rate`);
        if (ring) spark(cell.firstChild, ring.list());
      },
    },
    { key: 'open', title: 'Open', kind: 'num', value: (row) => flow(row)?.open ?? null, text: (row) => count(flow(row)?.open) },
    {
      key: 'queue', title: 'Waiting', kind: 'num', value: (row) => share(flow(row)),
      make: (cell) => cell.append(h('span.meter', { 'aria-hidden': 'true' }, h('i')), h('span.value')),
      paint: (cell, row) => {
        const one = flow(row);
        text(cell.lastChild, one && one.queue !== null ? `${count(one.queue)} of ${count(one.limit)}` : '–');
        const used = share(one);
        attr(cell.firstChild, 'data-kind', used > 0.8 ? 'bad' : used > 0.3 ? 'warn' : 'calm');
        cell.firstChild.firstChild.style.width = `${Math.min(100, used * 100)}%`;
      },
    },
    { key: 'drops', title: 'Dropped', kind: 'num', value: (row) => flow(row)?.drops ?? null, make: (cell) => cell.append(h('span')), paint: (cell, row) => { const n = flow(row)?.drops; text(cell.firstChild, count(n)); attr(cell.firstChild, 'class', n ? 'alarming' : ''); } },
  ];
  if (brief) return columns;
  return [...columns,
    { key: 'in', title: 'Received', kind: 'num', value: (row) => flow(row)?.received ?? null, text: (row) => bytes(flow(row)?.received) },
    { key: 'out', title: 'Sent', kind: 'num', value: (row) => flow(row)?.sent ?? null, text: (row) => bytes(flow(row)?.sent) },
    { key: 'fd', title: 'fd', kind: 'num', value: (row) => row.fd, text: (row) => count(row.fd) },
    { key: 'backlog', title: 'Backlog', kind: 'num', value: (row) => row.backlog, text: (row) => count(row.backlog) },
    { key: 'watchers', title: 'Held by', kind: 'wide', value: (row) => (row.watchers || []).join(' '), text: (row) => (row.watchers || []).join(', ') },
  ];
}

export class Sockets {
  constructor(app) {
    this.app = app;
    const { store } = app;
    this.table = new Table({
      name: 'sockets', caption: 'Sockets', id: (row) => row.name, sort: ['name', 1], empty: 'There is no socket in the configuration.',
      columns: socketColumns(store), open: (row) => app.replace('sockets', { ...app.query, of: row.name }),
    });
    this.past = new Past(store);
    this.rates = new Chart({ title: 'Connections per second', format: rate, height: 190 });
    this.queue = new Chart({ title: 'Waiting to be accepted', format: count, height: 130, whole: true });
    this.open = new Chart({ title: 'Open connections', format: count, height: 130, whole: true });
    this.title = h('h2', {}, '');
    this.method = h('p.note-line');
    this.seats = new Table({
      name: 'seats', caption: 'Sockets of the seats', id: (row) => row.name, empty: '',
      columns: [
        { key: 'name', title: 'Seat', value: (row) => row.name, text: (row) => row.name },
        { key: 'queue', title: 'Waiting', kind: 'num', value: (row) => row.queue, text: (row) => count(row.queue) },
        { key: 'drops', title: 'Dropped', kind: 'num', value: (row) => row.drops, text: (row) => count(row.drops) },
      ],
    });
    this.range = app.ranges();
    this.node = h('div.view', {},
      h('section', {}, h('div.bar', {}, h('h2', {}, 'Sockets'), this.table.savers()), this.table.node),
      this.detail = h('section.detail', {}, h('div.bar', {}, this.title, this.range.node), this.method, this.rates.node,
        h('div.pair', {}, this.queue.node, this.open.node), this.seats.node));
  }

  draw() {
    const { store } = this.app;
    const filter = this.app.filter.toLowerCase();
    const rows = [...store.sockets.values()].filter((row) => `${row.name} ${row.address}`.toLowerCase().includes(filter));
    const of = store.sockets.has(this.app.query.of) ? this.app.query.of : rows[0]?.name;
    this.table.cursor ??= of ?? null;
    this.table.update(rows);
    this.detail.hidden = !of;
    if (!of) return;
    if (this.filled !== of) {
      this.filled = of;
      fill(store, { socket: of }, [['rate', `s:${of}:rate`], ['queue', `s:${of}:queue`], ['open', `s:${of}:open`]]);
    }
    const flow = store.flows.get(of) || {};
    text(this.title, `Connections to ${of}`);
    const how = METHODS[flow.method ?? ''] || `Counted: ${flow.method}.`;
    text(this.method, !store.daemon ? '' : flow.method === 'counted' && !flow.exact ? LOST : how);
    this.range.draw();
    const [times, rates, queues, opens] = this.values(of);
    const holders = store.sockets.get(of).watchers || [];
    this.rates.update(times, [{ name: of, values: rates }], marks(store).filter((mark) => holders.includes(mark.watcher)));
    this.queue.update(times, [{ name: of, values: queues }]);
    this.open.update(times, [{ name: of, values: opens }]);
    this.seats.node.hidden = !(flow.seats || []).length;
    this.seats.update(flow.seats || []);
  }

  values(of) {
    const { store, query } = this.app;
    const range = query.range || '2m';
    if (range !== RANGES[0][0]) {
      const found = this.past.get(range, { range: RANGES.find(([key]) => key === range)?.[2] || 900, socket: of }, () => store.changed());
      if (found) return [found.times, found.rate, found.queue, found.open].map((list) => (list || []).map((v) => v ?? NaN));
    }
    const [times, series] = recent(store, [{ name: of, key: `s:${of}:rate` }, { name: of, key: `s:${of}:queue` }, { name: of, key: `s:${of}:open` }]);
    return [times, ...series.map((one) => one.values)];
  }
}
