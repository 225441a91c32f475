// Which values a chart shows, for how long, and with which marks.

import { command } from './api.js';
import { KEPT } from './store.js';

export const RANGES = [['2m', '2 min', 120], ['15m', '15 min', 900], ['2h', '2 h', 7200]];

/** Events that are worth a mark. */
export function marks(store, watcher = null) {
  const kinds = { reap: 'bad', failed: 'bad', spawn_failure: 'bad', reload: 'accent', updated: 'warn' };
  return store.events
    .filter((e) => kinds[e.event] && !(e.event === 'reap' && e.planned) && (watcher === null || e.watcher === watcher))
    .map((e) => ({ time: e.time, kind: kinds[e.event], watcher: e.watcher, text: `${e.worker || e.watcher || ''} ${e.event}`.trim() }));
}

/** The last two minutes, as the page has seen them. */
export function recent(store, series) {
  const now = Math.floor(store.now());
  const times = store.times.list();
  const known = times.map((time, at) => (Number.isNaN(time) ? now - (KEPT - 1 - at) : time));
  return [known, series.map(({ name, key, scale = 1 }) => ({
    name, values: (store.ring(key)?.list() || new Array(KEPT).fill(NaN)).map((v) => v * scale),
  }))];
}

/** Fill what this page has not seen of the last two minutes with what others have. */
export async function fill(store, args, keys) {
  if (!store.roles.history) return;
  await command('history', { ...args, range: KEPT }).then((found) => {
    const end = Math.floor(store.now());
    for (const [column, key, scale = 1] of keys) {
      const ring = store.ring(key) || store.opened(key);
      const values = new Map(found.times.map((time, at) => [Math.round(time), found[column][at]]));
      ring.fill((age) => (values.get(end - age) ?? NaN) * scale);
    }
    store.changed();
  }, () => {});
}

/** Longer ranges are kept by the supervisor. */
export class Past {
  constructor(store) {
    this.store = store;
    this.found = null;
    this.asked = 0;
    this.asking = '';
  }

  /** What is known for a range; asked for again when it is old. */
  get(range, args, changed) {
    if (!this.store.roles.history) return null;
    const key = JSON.stringify([range, args]);
    const every = range === '15m' ? 5000 : 30000;
    if (this.asking !== key || Date.now() - this.asked > every) {
      if (this.asking !== key) this.found = null;
      this.asking = key;
      this.asked = Date.now();
      command('history', args).then((found) => {
        if (this.asking === key) { this.found = found; changed(); }
      }, () => {});
    }
    return this.found;
  }
}
