// One watcher: its workers, what they use, and what has happened.

import { command } from './api.js';
import { attr, badge, h, rebadge, text } from './dom.js';
import { bytes, count, percent, span, whole } from './format.js';
import { Chart } from './chart.js';
import { fill, marks, Past, recent, RANGES } from './charting.js';
import { health } from './store.js';
import { Table } from './table.js';
import { Reloads } from './progress.js';
import { curved } from './overview.js';
import { concerning, Line } from './events.js';

const KINDS = { ready: 'good', running: 'good', starting: 'busy', stopping: 'busy' };
const CURVES = 6;

const SIZES = ['max_memory', 'max_memory_kill', 'memory_max', 'rlimit_as', 'rlimit_core', 'rlimit_data', 'rlimit_fsize', 'rlimit_memlock', 'rlimit_rss', 'rlimit_stack', 'rlimit_msgqueue'];

/** A limit as people read it. */
function limit(name, value) {
  if (typeof value !== 'number') return String(value);
  if (SIZES.includes(name)) return bytes(value);
  return name === 'max_age' ? span(value) : Number.isInteger(value) ? count(value) : String(value);
}

/** A worker and the processes that it has started. */
async function children(app, name, wid) {
  try {
    const { info } = await command('stats', { name, wid });
    const rows = typeof info === 'string' ? [] : [info, ...info.children];
    const cells = (one, at) => [h('th', { scope: 'row' }, at ? `↳ ${one.cmdline}` : one.cmdline), h('td.num', {}, String(one.pid)), h('td.num', {}, percent(one.cpu)), h('td.num', {}, one.mem_info1), h('td.num', {}, span(one.age))];
    const dialog = h('dialog', { 'aria-labelledby': 'children-title' }, h('h2', { id: 'children-title' }, `${name}/${wid} and its children`),
      h('table.data', {}, h('thead', {}, h('tr', {}, ['Program', 'pid', 'CPU', 'Memory', 'Age'].map((title, at) => h('th', { scope: 'col', class: at ? 'num' : '' }, title)))),
        h('tbody', {}, rows.map((one, at) => h('tr', {}, cells(one, at))))),
      h('div.buttons', {}, h('button', { type: 'button', onclick: () => dialog.close() }, 'Close')));
    dialog.addEventListener('close', () => dialog.remove());
    document.body.append(dialog);
    dialog.showModal();
  } catch (error) {
    app.notes.fault(error);
  }
}

export class Watcher {
  constructor(app, name) {
    this.app = app;
    this.name = name;
    const { store, actions } = app;
    this.state = badge('', '');
    this.facts = h('p.facts');
    this.problem = h('p.problem', { role: 'status' });
    this.reloads = new Reloads(app, name);
    this.past = new Past(store);
    this.cpu = new Chart({ title: 'CPU', format: percent });
    this.memory = new Chart({ title: 'Memory', format: bytes, base: 1024 });
    this.range = app.ranges();
    this.recent = h('ol.events');
    const number = (id, what) => store.workers.get(id)?.[what] ?? null;
    this.table = new Table({
      name: `${name}-workers`, caption: `Workers of ${name}`, id: (row) => row.id, sort: ['wid', 1],
      empty: 'No worker runs.',
      columns: [
        { key: 'wid', title: 'Worker', kind: 'num first', value: (row) => row.wid, text: (row) => `${name}/${row.wid}` },
        {
          key: 'state', title: 'State', value: (row) => row.state, make: (cell) => cell.append(badge('', '')),
          paint: (cell, row) => rebadge(cell.firstChild, KINDS[row.state] || 'off', row.state),
        },
        { key: 'pid', title: 'pid', kind: 'num', value: (row) => row.pid, text: (row) => (row.pid ? String(row.pid) : '–') },
        { key: 'age', title: 'Age', kind: 'num', value: (row) => store.now() - row.since, text: (row) => span(store.now() - row.since) },
        { key: 'cpu', title: 'CPU', kind: 'num', value: (row) => number(row.id, 'cpu'), ...curved(store, (row) => `p:${row.id}:cpu`, (row) => percent(number(row.id, 'cpu'))) },
        { key: 'memory', title: 'Memory', kind: 'num', value: (row) => number(row.id, 'memory'), ...curved(store, (row) => `p:${row.id}:memory`, (row) => bytes(number(row.id, 'memory'))) },
        { key: 'fds', title: 'Files', kind: 'num', value: (row) => number(row.id, 'fds'), text: (row) => count(number(row.id, 'fds')) },
        { key: 'threads', title: 'Threads', kind: 'num', value: (row) => number(row.id, 'threads'), text: (row) => count(number(row.id, 'threads')) },
        {
          key: 'children', title: 'Children', kind: 'num', value: (row) => number(row.id, 'children'),
          make: (cell, row) => cell.append(h('button.small', { type: 'button', 'aria-label': `Children of ${name}/${row.wid}`, onclick: () => children(app, name, row.wid) }, ''), h('span')),
          paint: (cell, row) => {
            const many = number(row.id, 'children');
            cell.firstChild.hidden = !many;
            text(cell.firstChild, many ? count(many) : '');
            text(cell.lastChild, many ? '' : count(many));
          },
        },
        { key: 'generation', title: 'Generation', kind: 'num', value: (row) => row.generation, text: (row) => String(row.generation) },
        { key: 'said', title: 'Says', kind: 'wide', value: (row) => row.said, text: (row) => row.said },
        {
          key: 'act', title: '', kind: 'act', fixed: true,
          make: (cell, row) => cell.append(
            h('a.button.small', { href: `#/logs?of=${encodeURIComponent(`${name}/${row.wid}`)}`, 'aria-label': `Logs of ${name}/${row.wid}`, 'data-needs': 'tail' }, 'Logs'),
            h('button.small', { type: 'button', 'data-action': 'signal', 'aria-label': `Signal ${name}/${row.wid}`, onclick: () => actions.signal(name, row.wid) }, 'Signal'),
            h('button.small.danger', { type: 'button', 'data-action': 'signal', 'aria-label': `Kill ${name}/${row.wid}`, onclick: () => actions.kill(name, row.wid) }, 'Kill')),
        },
      ],
    });
    this.limits = h('dl.facts-list');
    this.limited = h('section', { hidden: true }, h('h2', {}, 'Limits of each worker'), this.limits);
    this.wanted = h('output.wanted', { 'aria-label': 'Wanted workers' });
    this.node = h('div.view', {},
      h('header.head', {}, h('div.bar', {}, h('h1', {}, name), this.state,
        h('div.buttons', {}, h('span.scaler', {}, h('button.small', { type: 'button', 'data-action': 'decr', 'aria-label': 'One worker fewer', onclick: () => actions.resize(name, -1) }, '−'),
          this.wanted, h('button.small', { type: 'button', 'data-action': 'incr', 'aria-label': 'One worker more', onclick: () => actions.resize(name, 1) }, '+')),
        actions.buttons([name]))), this.facts, this.problem),
      this.reloads.node,
      h('section', {}, h('div.bar', {}, h('h2', {}, 'Use'), this.range.node), h('div.pair', {}, this.cpu.node, this.memory.node)),
      h('section', {}, h('div.bar', {}, h('h2', {}, 'Workers'), this.table.savers()), this.table.node),
      this.limited,
      h('section', {}, h('div.bar', {}, h('h2', {}, 'What has happened'),
        h('span.links', {}, h('a', { href: `#/events?of=${encodeURIComponent(name)}` }, 'All events'), ' ',
          h('a', { href: `#/logs?of=${encodeURIComponent(name)}` }, 'Logs'), ' ', h('a', { href: `#/config?of=${encodeURIComponent(name)}` }, 'Options'))), this.recent));
  }

  draw() {
    const { store } = this.app;
    const watcher = store.watchers.get(this.name);
    if (!watcher) {
      rebadge(this.state, 'off', 'gone');
      text(this.problem, 'There is no such watcher any more.');
      return;
    }
    if (!this.filled) {
      this.filled = true;
      fill(store, { name: this.name }, [['cpu', `w:${this.name}:cpu`], ['memory', `w:${this.name}:memory`]]);
    }
    const { kind, word } = health(watcher, store.now());
    rebadge(this.state, kind, word);
    text(this.problem, whole(watcher.problem, watcher.last_words) || watcher.waits && `waits for ${watcher.waits}` || '');
    text(this.wanted, `${watcher.active} of ${watcher.wanted}`);
    const sum = store.sum(watcher);
    const set = watcher.wanted !== watcher.configured ? `, ${watcher.configured} in the configuration` : '';
    text(this.facts, [`${count(watcher.active)} of ${count(watcher.wanted)} workers${set}`, store.daemon && `${percent(sum.cpu)} CPU`, store.daemon && bytes(sum.memory),
      store.daemon && `${count(sum.fds)} files`, `${count(watcher.restarts)} restarts`, `generation ${watcher.generation}`].filter(Boolean).join(' · '));
    this.reloads.draw();
    this.range.draw();
    const rows = Object.entries(watcher.workers).map(([id, [wid, pid, state, since, generation, said]]) => ({ id, wid, pid, state, since, generation, said }));
    this.charts(watcher, rows);
    this.table.node.classList.toggle('silent', rows.every((row) => !row.said));
    const filter = this.app.filter.toLowerCase();
    this.table.update(rows.filter((row) => `${this.name}/${row.wid} ${row.pid} ${row.state} ${row.said}`.toLowerCase().includes(filter)));
    this.bounds(Object.entries(watcher.limits));
    this.events();
  }

  bounds(limits) {
    const key = JSON.stringify(limits);
    if (key === this.bound) return;
    this.bound = key;
    this.limited.hidden = !limits.length;
    this.limits.replaceChildren(...limits.map(([name, value]) => h('div', {}, h('dt', {}, name), h('dd', {}, limit(name, value)))));
  }

  charts(watcher, rows) {
    const { store, query } = this.app;
    const range = query.range || '2m';
    const marked = marks(store, this.name);
    if (range !== RANGES[0][0]) {
      const length = RANGES.find(([key]) => key === range)?.[2] || 900;
      const found = this.past.get(range, { range: length, name: this.name }, () => store.changed());
      if (found) {
        const of = (list) => [{ name: this.name, values: (list || []).map((v) => v ?? NaN) }];
        this.cpu.update(found.times, of(found.cpu), marked);
        this.memory.update(found.times, of(found.memory), marked);
        return;
      }
    }
    const few = rows.length > 1 && rows.length <= CURVES ? rows : [];
    for (const [chart, what] of [[this.cpu, 'cpu'], [this.memory, 'memory']]) {
      const [times, series] = recent(store, few.length ? few.map((row) => ({ name: `/${row.wid}`, key: `p:${row.id}:${what}` })) : [{ name: 'together', key: `w:${this.name}:${what}` }]);
      chart.update(times, series, marked);
    }
    attr(this.cpu.node, 'data-many', few.length > 1);
  }

  events() {
    const mine = concerning(this.app.store.events, this.name).slice(-12).reverse();
    const key = mine.map((e) => e.n).join();
    if (key === this.shown) return;
    this.shown = key;
    this.recent.replaceChildren(...(mine.length ? mine.map((e) => Line(e)) : [h('li.empty', {}, 'Nothing yet.')]));
  }
}
