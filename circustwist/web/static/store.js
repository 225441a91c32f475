// What is known of the stack; changed by messages only.

export const KEPT = 120;
const MOST_EVENTS = 2000;

/** The last values of one thing, one a second; NaN where it is not known. */
export class Ring {
  constructor(Kind = Float32Array) {
    this.values = new Kind(KEPT).fill(NaN);
    this.at = 0;
  }

  push(value) {
    this.values[this.at] = value;
    this.at = (this.at + 1) % KEPT;
  }

  /** From the oldest to the newest. */
  list() {
    return [...this.values.subarray(this.at), ...this.values.subarray(0, this.at)];
  }

  /** Put values where there are none; from how many steps ago to the value. */
  fill(value) {
    for (let age = 0; age < KEPT; age++) {
      const at = (this.at + KEPT - 1 - age) % KEPT;
      if (Number.isNaN(this.values[at])) this.values[at] = value(age);
    }
  }

  last() {
    return this.values[(this.at + KEPT - 1) % KEPT];
  }
}

export class Store {
  constructor() {
    this.ready = false;
    this.stack = { name: '', order: [], started: 0, version: '', pid: 0, path: '', quitting: false };
    this.watchers = new Map();
    this.sockets = new Map();
    this.operations = new Map();
    this.events = [];
    this.you = { name: '', role: 'viewer' };
    this.roles = {};
    this.passwords = false;
    this.assets = '';
    this.workers = new Map();
    this.flows = new Map();
    this.daemon = null;
    this.rings = new Map();
    this.times = new Ring(Float64Array);
    this.offset = 0;
    this.heard = 0;
    this.connected = false;
    this.listeners = new Set();
    this.due = false;
  }

  /** The supervisor's time of day, in seconds. */
  now() {
    return Date.now() / 1000 + this.offset;
  }

  listen(listener) {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** Draw everything, once per frame. */
  changed() {
    if (this.due) return;
    this.due = true;
    requestAnimationFrame(() => {
      this.due = false;
      for (const listener of this.listeners) listener();
    });
  }

  hello(message) {
    this.offset = message.now - Date.now() / 1000;
    Object.assign(this, { you: message.you, roles: message.roles, passwords: message.passwords, assets: message.assets });
    this.links = message.links || {};
    this.stack = message.stack;
    for (const part of ['watchers', 'sockets', 'operations']) this[part] = new Map(Object.entries(message[part]));
    this.events = message.events;
    this.ready = true;
    this.changed();
  }

  state(message) {
    if (message.stack) this.stack = message.stack;
    for (const part of ['watchers', 'sockets', 'operations']) {
      for (const [name, value] of Object.entries(message[part] || {})) {
        if (value === null) this[part].delete(name);
        else this[part].set(name, value);
      }
    }
    this.changed();
  }

  happened(events) {
    const last = this.events.at(-1);
    const fresh = events.filter((e) => !last || e.start !== last.start || e.n > last.n);
    this.events.push(...fresh);
    if (this.events.length > MOST_EVENTS) this.events.splice(0, this.events.length - MOST_EVENTS);
    this.changed();
    return fresh;
  }

  /** Numbers: of processes flat in rows of seven, and only of those that have changed. */
  sample(message) {
    const rows = message.p;
    if (message.whole) this.workers.clear();
    for (let at = 0; at < rows.length; at += 7) {
      this.workers.set(String(rows[at]), {
        cpu: rows[at + 1] / 10, memory: rows[at + 2] * 1024, fds: rows[at + 3], threads: rows[at + 4],
        children: rows[at + 5], seconds: rows[at + 6] / 10,
      });
    }
    for (const id of message.gone) this.workers.delete(String(id));
    this.flows = new Map(Object.entries(message.s));
    this.daemon = message.d;
    this.times.push(message.t);
    this.remember();
    this.changed();
  }

  remember() {
    const alive = new Set();
    const put = (key, value) => {
      alive.add(key);
      if (!this.rings.has(key)) this.rings.set(key, new Ring());
      this.rings.get(key).push(value);
    };
    let cpu = 0;
    let memory = 0;
    let flow = NaN;
    for (const [name, watcher] of this.watchers) {
      const sum = this.sum(watcher);
      cpu += sum.cpu;
      memory += sum.memory;
      put(`w:${name}:cpu`, sum.cpu);
      put(`w:${name}:memory`, sum.memory);
      for (const id of Object.keys(watcher.workers)) {
        const one = this.workers.get(id);
        put(`p:${id}:cpu`, one ? one.cpu : NaN);
        put(`p:${id}:memory`, one ? one.memory : NaN);
      }
    }
    for (const [name, one] of this.flows) {
      if (typeof one.rate === 'number') flow = (flow || 0) + one.rate;
      put(`s:${name}:rate`, one.rate ?? NaN);
      put(`s:${name}:queue`, one.queue ?? NaN);
      put(`s:${name}:open`, one.open ?? NaN);
    }
    put('all:cpu', cpu);
    put('all:memory', memory);
    put('all:rate', flow);
    if (this.daemon) put('daemon:lag', this.daemon.lag * 1000);
    if (this.daemon) put('daemon:cpu', this.daemon.cpu);
    if (this.daemon) put('daemon:memory', this.daemon.memory);
    for (const key of this.rings.keys()) if (!alive.has(key)) this.rings.delete(key);
  }

  /** What the workers of a watcher use together. */
  sum(watcher) {
    const found = { cpu: 0, memory: 0, fds: 0, threads: 0 };
    for (const id of Object.keys(watcher.workers)) {
      const one = this.workers.get(id);
      if (!one) continue;
      found.cpu += one.cpu;
      found.memory += one.memory;
      found.fds += one.fds || 0;
      found.threads += one.threads;
    }
    return found;
  }

  ring(key) {
    return this.rings.get(key) || null;
  }

  opened(key) {
    const ring = new Ring();
    this.rings.set(key, ring);
    return ring;
  }

  /** Whether that command may be given. */
  may(command) {
    const roles = ['viewer', 'operator', 'admin'];
    return roles.indexOf(this.you.role) >= roles.indexOf(this.roles[command] || 'admin');
  }

  get loggedIn() {
    return this.you.name !== 'anybody (console)';
  }
}

const FLAPS = 60;

/** How a watcher is: what kind of mark, which word, and how much it needs attention (0 is all well). */
export function health(watcher, now) {
  if (watcher.status === 'failed') return { kind: 'bad', word: 'failed', rank: 4 };
  if (watcher.asleep) return { kind: 'idle', word: 'on demand', rank: 0 };
  if (watcher.status === 'stopped') return { kind: 'off', word: 'stopped', rank: -1 };
  if (watcher.status === 'stopping') return { kind: 'busy', word: 'stopping', rank: 2 };
  const waiting = Object.values(watcher.workers).length < watcher.wanted;
  if (watcher.status === 'active') {
    if (watcher.last && watcher.restarts > 1 && now - watcher.last.at < FLAPS) return { kind: 'bad', word: 'keeps ending', rank: 4 };
    if (watcher.active >= watcher.wanted) {
      return watcher.problem ? { kind: 'warn', word: 'stale', rank: 3 } : { kind: 'good', word: 'active', rank: 0 };
    }
    if (waiting && watcher.last) return { kind: 'bad', word: 'restarting', rank: 4 };
    return { kind: 'warn', word: 'degraded', rank: 3 };
  }
  return { kind: 'busy', word: watcher.status, rank: 2 };
}
