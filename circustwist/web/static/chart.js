// Curves on a canvas, each with a twin in words.

const ratio = () => Math.max(1, window.devicePixelRatio || 1);

let colours = {};

/** Read the colours of the theme anew. */
export function recolour() {
  const style = getComputedStyle(document.documentElement);
  colours = Object.fromEntries(
    ['text', 'muted', 'line', 'accent', 'accent-soft', 'bad', 'warn', 'good', 'c1', 'c2', 'c3', 'c4', 'c5', 'c6']
      .map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
}

function sized(canvas, width, height) {
  const scale = ratio();
  if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
  }
  const context = canvas.getContext('2d');
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.clearRect(0, 0, width, height);
  return context;
}

/** A small curve without axes. */
export function spark(canvas, values, { width = 96, height = 22, least = 0 } = {}) {
  const context = sized(canvas, width, height);
  let most = least;
  for (const value of values) if (value > most) most = value;
  if (!(most > 0)) most = 1;
  const x = (at) => (at / (values.length - 1)) * (width - 2) + 1;
  const y = (value) => height - 2 - (value / most) * (height - 4);
  context.beginPath();
  let first = -1;
  let last = -1;
  values.forEach((value, at) => {
    if (Number.isNaN(value)) return;
    if (last !== at - 1 || last < 0) context.moveTo(x(at), y(value));
    else context.lineTo(x(at), y(value));
    if (first < 0) first = at;
    last = at;
  });
  if (last < 0) return;
  context.strokeStyle = colours.accent;
  context.lineWidth = 1.25;
  context.lineJoin = 'round';
  context.stroke();
  context.lineTo(x(last), height);
  context.lineTo(x(first), height);
  context.closePath();
  context.fillStyle = colours['accent-soft'];
  context.fill();
}

/** Round steps for an axis. */
export function steps(most, wanted = 3, base = 10) {
  if (!(most > 0)) return [0, 1];
  const raw = most / wanted;
  const power = base ** Math.floor(Math.log(raw) / Math.log(base));
  const choices = base === 10 ? [1, 2, 5, 10] : [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024];
  const step = power * choices.find((choice) => choice * power >= raw - 1e-9);
  const found = [];
  for (let at = 0; at <= most + step * 0.999; at += step) found.push(at);
  return found;
}

const LEFT = 58;
const BOTTOM = 20;
const TOP = 8;
const RIGHT = 8;

/** A chart with axes. */
export class Chart {
  /**
   * @param {{title: string, format: (v: number) => string, base?: number, height?: number, whole?: boolean}} options
   */
  constructor({ title, format, base = 10, height = 160, whole = false }) {
    this.whole = whole;
    this.title = title;
    this.format = format;
    this.base = base;
    this.height = height;
    this.series = [];
    this.times = [];
    this.marks = [];
    this.hover = null;
    this.node = document.createElement('figure');
    this.node.className = 'chart';
    const head = document.createElement('figcaption');
    this.caption = document.createElement('span');
    this.caption.className = 'chart-title';
    this.caption.textContent = title;
    this.reading = document.createElement('span');
    this.reading.className = 'chart-reading';
    this.button = document.createElement('button');
    this.button.type = 'button';
    this.button.className = 'quiet small';
    this.button.textContent = 'As table';
    this.button.setAttribute('aria-label', `${title} as table`);
    this.button.setAttribute('aria-expanded', 'false');
    head.append(this.caption, this.reading, this.button);
    this.canvas = document.createElement('canvas');
    this.canvas.setAttribute('role', 'img');
    this.table = document.createElement('div');
    this.table.className = 'twin';
    this.table.hidden = true;
    this.node.append(head, this.canvas, this.table);
    this.button.addEventListener('click', () => {
      this.table.hidden = !this.table.hidden;
      this.button.setAttribute('aria-expanded', String(!this.table.hidden));
      this.draw();
    });
    this.canvas.addEventListener('pointermove', (event) => { this.hover = event.offsetX; this.draw(); });
    this.canvas.addEventListener('pointerleave', () => { this.hover = null; this.draw(); });
  }

  /**
   * @param {number[]} times in seconds, ascending
   * @param {{name: string, values: number[]}[]} series
   * @param {{time: number, kind: string, text: string}[]} [marks]
   */
  update(times, series, marks = []) {
    this.times = times;
    this.series = series;
    this.marks = marks;
    this.draw();
  }

  draw() {
    const width = Math.max(200, this.node.clientWidth || 400);
    const context = sized(this.canvas, width, this.height);
    const every = this.series.flatMap((one) => one.values.filter((v) => !Number.isNaN(v)));
    const ticks = steps(Math.max(this.whole ? 3 : 0, ...every), 3, this.base);
    const most = ticks.at(-1) || 1;
    const from = this.times[0] ?? 0;
    const to = this.times.at(-1) ?? 1;
    const x = (time) => LEFT + ((time - from) / (to - from || 1)) * (width - LEFT - RIGHT);
    const y = (value) => TOP + (1 - value / most) * (this.height - TOP - BOTTOM);
    this.axes(context, width, ticks, x, y, from, to);
    for (const mark of this.marks) this.mark(context, mark, x, from, to);
    this.series.forEach((one, at) => this.curve(context, one.values, x, y, colours[`c${(at % 6) + 1}`]));
    this.read(context, x, width);
    this.say(every);
    if (!this.table.hidden) this.rows();
  }

  axes(context, width, ticks, x, y, from, to) {
    context.font = '11px system-ui, sans-serif';
    context.fillStyle = colours.muted;
    context.strokeStyle = colours.line;
    context.lineWidth = 1;
    context.textAlign = 'right';
    context.textBaseline = 'middle';
    for (const tick of ticks) {
      const at = Math.round(y(tick)) + 0.5;
      context.beginPath();
      context.moveTo(LEFT, at);
      context.lineTo(width - RIGHT, at);
      context.stroke();
      context.fillText(this.format(tick), LEFT - 6, at);
    }
    context.textBaseline = 'alphabetic';
    const length = to - from;
    if (!(length > 0)) return;
    const every = [10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600].find((s) => length / s <= Math.max(2, width / 110)) || 7200;
    context.textAlign = 'center';
    for (let time = Math.ceil(from / every) * every; time <= to; time += every) {
      const at = x(time);
      if (at < LEFT + 20 || at > width - 24) continue;
      const d = new Date(time * 1000);
      const said = [d.getHours(), d.getMinutes(), ...(every < 60 ? [d.getSeconds()] : [])];
      context.fillText(said.map((n) => String(n).padStart(2, '0')).join(':'), at, this.height - 5);
    }
  }

  mark(context, mark, x, from, to) {
    if (mark.time < from || mark.time > to) return;
    const at = Math.round(x(mark.time)) + 0.5;
    context.strokeStyle = colours[mark.kind] || colours.muted;
    context.setLineDash([2, 3]);
    context.beginPath();
    context.moveTo(at, TOP);
    context.lineTo(at, this.height - BOTTOM);
    context.stroke();
    context.setLineDash([]);
  }

  curve(context, values, x, y, colour) {
    context.beginPath();
    let drawn = false;
    values.forEach((value, at) => {
      if (Number.isNaN(value)) { drawn = false; return; }
      if (drawn) context.lineTo(x(this.times[at]), y(value));
      else context.moveTo(x(this.times[at]), y(value));
      drawn = true;
    });
    context.strokeStyle = colour;
    context.lineWidth = 1.5;
    context.lineJoin = 'round';
    context.stroke();
  }

  /** The values where the pointer is, or the last ones. */
  read(context, x, width) {
    let at = this.times.length - 1;
    if (this.hover !== null && this.times.length) {
      const gaps = this.times.map((time) => Math.abs(x(time) - this.hover));
      at = gaps.indexOf(Math.min(...gaps));
      context.strokeStyle = colours.muted;
      context.beginPath();
      context.moveTo(Math.round(x(this.times[at])) + 0.5, TOP);
      context.lineTo(Math.round(x(this.times[at])) + 0.5, this.height - BOTTOM);
      context.stroke();
    }
    const near = this.hover === null ? null : this.marks.find((mark) => Math.abs(x(mark.time) - this.hover) < 5);
    this.reading.replaceChildren(...this.series.slice(0, 6).map((one, number) => {
      const span = document.createElement('span');
      span.className = `key k${(number % 6) + 1}`;
      const value = one.values[at];
      span.textContent = `${this.series.length > 1 ? `${one.name} ` : ''}${value === undefined || Number.isNaN(value) ? '–' : this.format(value)}`;
      return span;
    }));
    if (near) this.reading.append(` ${near.text}`);
    void width;
  }

  say(every) {
    if (!every.length) return this.canvas.setAttribute('aria-label', `${this.title}: no values yet`);
    const [least, most] = [Math.min(...every), Math.max(...every)];
    this.canvas.setAttribute('aria-label', `${this.title}: between ${this.format(least)} and ${this.format(most)}`);
  }

  rows() {
    const table = document.createElement('table');
    const head = table.createTHead().insertRow();
    for (const name of ['Time', ...this.series.map((one) => one.name)]) {
      const cell = document.createElement('th');
      cell.scope = 'col';
      cell.textContent = name;
      head.append(cell);
    }
    const body = table.createTBody();
    const every = Math.max(1, Math.floor(this.times.length / 30));
    for (let at = this.times.length - 1; at >= 0; at -= every) {
      if (this.series.every((one) => Number.isNaN(one.values[at]))) continue;
      const row = body.insertRow();
      row.insertCell().textContent = new Date(this.times[at] * 1000).toLocaleTimeString();
      for (const one of this.series) {
        row.insertCell().textContent = Number.isNaN(one.values[at]) ? '–' : this.format(one.values[at]);
      }
    }
    this.table.replaceChildren(table);
  }
}
