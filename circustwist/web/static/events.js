// What has happened, when, and who asked for it.

import { h, text } from './dom.js';
import { clock, day, plural, whole } from './format.js';

const KINDS = {
  spawn: ['good', 'started'], reap: ['off', 'ended'], kill: ['busy', 'is asked to end'], failed: ['bad', 'has failed'], spawn_failure: ['bad', 'could not be started'],
  backoff: ['warn', 'waits before the next try'], start: ['good', 'starts'], stop: ['off', 'stops'], reload: ['busy', 'is reloaded'], updated: ['busy', 'was changed'],
  add: ['good', 'was added'], remove: ['off', 'was removed'], operation: ['info', ''], adopted: ['info', 'was adopted'], quit: ['off', 'The stack stops'],
  ready: ['good', 'is ready'], unmet: ['bad', 'was not started'],
};

/** An event as a sentence. */
export function sentence(event) {
  const data = event.data || {};
  const who = event.worker || event.watcher;
  const pid = event.pid ? ` (pid ${event.pid})` : '';
  if (event.event === 'operation') return whole(data.text, data.last_words) || data.command;
  const [, words] = KINDS[event.event] || [];
  const verb = words || event.event.replaceAll('_', ' ');
  const why = whole(data.reason || data.error || data.text, data.last_words);
  if (event.event === 'reap') return `${who}${pid} ${why || 'ended'}${typeof data.age === 'number' ? ` after ${data.age.toFixed(1)} s` : ''}`;
  return `${who}${pid} ${verb}${why ? `: ${why}` : ''}`.trim();
}

export function kind(event) {
  if (event.event === 'reap') return event.planned ? 'off' : 'bad';
  if (event.event === 'operation') return { done: 'good', failed: 'bad', running: 'busy' }[event.data?.state] || 'warn';
  return (KINDS[event.event] || ['info'])[0];
}

/** The events that concern a watcher; those of an operation do if any step of it did. */
export function concerning(events, name) {
  const touched = new Set(events.filter((e) => e.event === 'operation' && e.data.watcher === name).map((e) => e.data.id));
  return events.filter((e) => e.watcher === name || (e.event === 'operation' && touched.has(e.data.id)));
}

/** One event as a line. */
export function Line(event) {
  return h('li.event', { 'data-kind': kind(event) },
    h('time', { datetime: new Date(event.time * 1000).toISOString(), title: day(event.time) }, clock(event.time)),
    h('i.mark', { 'aria-hidden': 'true' }), h('span.what', {}, sentence(event)),
    h('span.by', {}, event.by || '', event.worker ? h('a', {
      'data-needs': 'tail', href: `#/logs?of=${encodeURIComponent(event.watcher)}&at=${event.time.toFixed(3)}`, 'aria-label': `Logs of ${event.watcher} at ${clock(event.time)}`,
    }, 'logs') : null));
}

const MOST = 500;

export class Events {
  constructor(app) {
    this.app = app;
    const { store } = app;
    this.of = h('select', { 'aria-label': 'Watcher', onchange: () => app.replace('events', { ...app.query, of: this.of.value }) });
    this.kinds = h('select', { 'aria-label': 'Kind', onchange: () => app.replace('events', { ...app.query, kind: this.kinds.value }) },
      [['', 'All kinds'], ['problems', 'Problems'], ['operations', 'Operations'], ['workers', 'Starts and ends'], ['asked', 'Asked for by somebody']]
        .map(([value, label]) => h('option', { value }, label)));
    this.says = h('span.muted');
    this.list = h('ol.events.long', { 'aria-label': 'Events, newest first' });
    this.node = h('div.view', {}, h('section', {}, h('div.bar', {}, h('h2', {}, 'Events'), this.of, this.kinds, this.says), this.list));
    this.store = store;
    this.shown = '';
  }

  wanted(event) {
    const { query, filter } = this.app;
    const k = kind(event);
    if (query.kind === 'problems' && k !== 'bad' && k !== 'warn') return false;
    if (query.kind === 'operations' && event.event !== 'operation') return false;
    if (query.kind === 'workers' && !['spawn', 'reap', 'kill', 'failed', 'spawn_failure'].includes(event.event)) return false;
    if (query.kind === 'asked' && !event.by) return false;
    return !filter || `${sentence(event)} ${event.by} ${event.event}`.toLowerCase().includes(filter.toLowerCase());
  }

  draw() {
    const { query, store } = this.app;
    const names = ['', ...store.stack.order];
    if (this.of.options.length !== names.length) this.of.replaceChildren(...names.map((name) => h('option', { value: name }, name || 'All watchers')));
    this.of.value = query.of || '';
    this.kinds.value = query.kind || '';
    const found = (query.of ? concerning(store.events, query.of) : store.events).filter((event) => this.wanted(event));
    const key = `${found.at(-1)?.n} ${found.length} ${JSON.stringify(query)} ${this.app.filter}`;
    if (key === this.shown) return;
    this.shown = key;
    text(this.says, plural(found.length, 'event'));
    this.list.replaceChildren(...(found.length ? found.slice(-MOST).reverse().map((event) => Line(event)) : [h('li.empty', {}, 'Nothing of that kind has happened.')]));
  }
}
