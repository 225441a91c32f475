// Tables: real ones, sorted by their heads, in which only what has changed is written.

import { arrange, attr, h, text } from './dom.js';

const ROW = 34;
const MANY = 120;
const SPARE = 12;

/**
 * @typedef {object} Column
 * @property {string} key
 * @property {string} title
 * @property {string} [kind] num, wide, act
 * @property {(row: any) => any} [value] what is sorted by and exported
 * @property {(row: any) => string} [text] what is shown
 * @property {(cell: HTMLElement, row: any) => void} [make] once for each row
 * @property {(cell: HTMLElement, row: any) => void} [paint] at each change
 * @property {boolean} [fixed] whether it cannot be sorted by
 */

export class Table {
  /**
   * @param {{caption: string, columns: Column[], id: (row: any) => string, sort?: [string, number],
   *   open?: (row: any) => void, select?: boolean, empty?: string, name: string}} options
   */
  constructor(options) {
    Object.assign(this, { sort: null, select: false, empty: 'Nothing here.', open: null }, options);
    this.rows = [];
    this.pool = new Map();
    this.chosen = new Set();
    this.cursor = null;
    this.onselect = () => {};
    this.heads = new Map();
    this.body = h('tbody');
    this.top = h('tr.spacer', { 'aria-hidden': 'true' }, h('td', { colspan: this.columns.length + 1 }));
    this.bottom = h('tr.spacer', { 'aria-hidden': 'true' }, h('td', { colspan: this.columns.length + 1 }));
    this.nothing = h('tr.nothing', {}, h('td', { colspan: this.columns.length + 1 }, this.empty));
    this.table = h('table.data', {}, h('caption.hidden', {}, this.caption), h('thead', {}, this.head()), this.body);
    this.node = h('div.table', { tabindex: '-1' }, this.table);
    this.node.addEventListener('scroll', () => this.draw());
  }

  head() {
    return h('tr', {}, this.select ? h('th.pick', { scope: 'col' }, h('span.hidden', {}, 'Chosen')) : null,
      this.columns.map((column) => {
        const said = column.fixed ? h('span', { class: column.title ? '' : 'hidden' }, column.title || 'Actions')
          : h('button.sorter', { type: 'button', onclick: () => this.by(column.key) }, column.title, h('i', { 'aria-hidden': 'true' }));
        const cell = h('th', { scope: 'col', class: column.kind || '', 'data-column': column.key }, said);
        this.heads.set(column.key, cell);
        return cell;
      }));
  }

  by(key) {
    const same = this.sort && this.sort[0] === key;
    const number = this.columns.find((column) => column.key === key).kind === 'num';
    this.sort = same ? [key, -this.sort[1]] : [key, number ? -1 : 1];
    this.update(this.rows);
  }

  /** Show these rows. */
  update(rows) {
    this.rows = rows;
    if (this.sort) {
      const [key, sign] = this.sort;
      const column = this.columns.find((one) => one.key === key);
      if (column) {
        const keyed = rows.map((row) => [column.value(row), row]);
        keyed.sort(([a], [b]) => sign * (a === b ? 0 : a === null || a === undefined ? 1 : b === null || b === undefined ? -1
          : typeof a === 'string' ? a.localeCompare(b, undefined, { numeric: true }) : a - b));
        this.rows = keyed.map(([, row]) => row);
      }
    }
    for (const [key, cell] of this.heads) {
      const sorted = this.sort && this.sort[0] === key;
      attr(cell, 'aria-sort', sorted ? (this.sort[1] > 0 ? 'ascending' : 'descending') : null);
    }
    this.draw();
  }

  draw() {
    const many = this.rows.length > MANY;
    this.node.classList.toggle('many', many);
    attr(this.table, 'aria-rowcount', many ? this.rows.length + 1 : null);
    let [from, to] = [0, this.rows.length];
    if (many) {
      from = Math.max(0, Math.floor(this.node.scrollTop / ROW) - SPARE);
      to = Math.min(this.rows.length, from + Math.ceil(this.node.clientHeight / ROW) + 2 * SPARE);
    }
    const ids = new Set();
    const shown = this.rows.slice(from, to).map((row, at) => {
      const id = this.id(row);
      ids.add(id);
      const line = this.pool.get(id) || this.line(id, row);
      attr(line.node, 'aria-rowindex', many ? from + at + 2 : null);
      this.paint(line, row);
      return line.node;
    });
    for (const id of this.pool.keys()) if (!ids.has(id)) this.pool.delete(id);
    this.top.firstChild.style.height = `${from * ROW}px`;
    this.bottom.firstChild.style.height = `${(this.rows.length - to) * ROW}px`;
    arrange(this.body, this.rows.length ? [...(many ? [this.top] : []), ...shown, ...(many ? [this.bottom] : [])] : [this.nothing]);
  }

  line(id, row) {
    const cells = this.columns.map((column, at) => {
      const cell = h(at === 0 ? 'th' : 'td', { class: column.kind || '', scope: at === 0 ? 'row' : null, 'data-column': column.key });
      if (column.make) column.make(cell, row);
      return cell;
    });
    const box = this.select ? h('input', { type: 'checkbox', 'aria-label': `Choose ${id}`, onchange: () => this.choose(id, box.checked) }) : null;
    const node = h('tr', { 'data-id': id, tabindex: this.open ? '-1' : null }, box ? h('td.pick', {}, box) : null, cells);
    if (this.open) {
      node.addEventListener('click', (event) => {
        if (!event.target.closest('button, a, input, select') && !getSelection().toString()) this.open(this.find(id));
      });
      node.classList.add('opens');
    }
    const line = { node, cells, box };
    this.pool.set(id, line);
    return line;
  }

  find(id) {
    return this.rows.find((row) => this.id(row) === id);
  }

  paint(line, row) {
    this.columns.forEach((column, at) => {
      if (column.paint) column.paint(line.cells[at], row);
      else if (column.text) text(line.cells[at], column.text(row));
    });
    const id = this.id(row);
    if (line.box) line.box.checked = this.chosen.has(id);
    line.node.classList.toggle('cursor', this.cursor === id);
    line.node.classList.toggle('chosen', this.chosen.has(id));
  }

  choose(id, whether) {
    if (whether) this.chosen.add(id);
    else this.chosen.delete(id);
    this.draw();
    this.onselect([...this.chosen]);
  }

  /** Move the cursor by so many rows. */
  move(by) {
    if (!this.rows.length) return;
    const at = this.rows.findIndex((row) => this.id(row) === this.cursor);
    const next = Math.min(this.rows.length - 1, Math.max(0, at < 0 ? 0 : at + by));
    this.cursor = this.id(this.rows[next]);
    if (this.rows.length > MANY) this.node.scrollTop = Math.max(0, next * ROW - this.node.clientHeight / 2);
    this.draw();
    const line = this.pool.get(this.cursor);
    if (line) {
      line.node.scrollIntoView({ block: 'nearest' });
      line.node.focus({ preventScroll: true });
    }
  }

  get current() {
    return this.cursor === null ? null : this.find(this.cursor) || null;
  }

  /** Everything in it, to take along. */
  exported(kind) {
    const columns = this.columns.filter((column) => column.value && column.title);
    const rows = this.rows.map((row) => Object.fromEntries(columns.map((column) => [column.title, column.value(row) ?? null])));
    if (kind === 'json') return JSON.stringify(rows, null, 1);
    const cell = (value) => {
      const said = value === null ? '' : String(value);
      const safe = /^[=+@\-\t]/.test(said) && Number.isNaN(Number(said)) ? `'${said}` : said;
      return /[",\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
    };
    return [columns.map((column) => cell(column.title)), ...rows.map((row) => Object.values(row).map(cell))]
      .map((line) => line.join(',')).join('\r\n');
  }

  /** Two small buttons that save it. */
  savers() {
    return h('span.savers', {}, ['CSV', 'JSON'].map((kind) => h('button.quiet.small', {
      type: 'button', 'aria-label': `Save ${this.caption} as ${kind}`,
      onclick: () => save(`${this.name}.${kind.toLowerCase()}`, this.exported(kind.toLowerCase())),
    }, kind)));
  }
}

/** Let the browser save a text. */
export function save(name, content) {
  const url = URL.createObjectURL(new Blob([content], { type: 'text/plain;charset=utf-8' }));
  const link = h('a', { href: url, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}
