// Tests of what a page knows of the stack.

import assert from 'node:assert/strict';
import test from 'node:test';
import { load } from './modules.mjs';

const { health, KEPT, Ring, Store } = await load('store.js');
const { fill, marks, recent } = await load('charting.js');

const workers = (...ids) => Object.fromEntries(ids.map((id) => [id, [id, 100 + id, 'ready', 0, 0, '']]));
const watcher = (more = {}) => ({ name: 'web', status: 'active', wanted: 1, active: 1, restarts: 0, problem: '', last: null, asleep: false, workers: workers(1), ...more });
const row = (id, cpu, memory) => [id, cpu, memory, 3, 1, 0, 0];
const sample = (p, more = {}) => ({ p, s: {}, d: { cpu: 1, memory: 1000, lag: 0.001 }, t: 1000, gone: [], whole: false, ...more });

/** A page that was greeted. */
function greeted(more = {}) {
  const store = new Store();
  store.hello({
    now: 1000, you: { name: 'ann', role: 'operator' }, roles: { stop: 'operator', quit: 'admin', history: 'viewer' }, passwords: false, assets: 'v',
    stack: { name: 's', order: ['web'] }, watchers: { web: watcher() }, sockets: {}, operations: {}, events: [], ...more,
  });
  return store;
}

test('a ring keeps the newest, in order', () => {
  const ring = new Ring();
  for (let n = 0; n < KEPT + 5; n++) ring.push(n);
  assert.equal(ring.list().length, KEPT);
  assert.deepEqual([ring.list()[0], ring.last()], [5, KEPT + 4]);
});

test('a ring is filled only where nothing is known', () => {
  const ring = new Ring();
  ring.push(7);
  ring.fill((age) => age * 10);
  assert.deepEqual(ring.list().slice(-3), [20, 10, 7]);
});

test('a change replaces what it names and takes away what is gone', () => {
  const store = greeted();
  store.state({ watchers: { web: null, job: watcher({ name: 'job' }) }, stack: { name: 't', order: ['job'] } });
  assert.deepEqual([[...store.watchers.keys()], store.stack.name], [['job'], 't']);
});

test('an event is taken once, and those of another run are new', () => {
  const store = greeted({ events: [{ start: 'a', n: 5 }] });
  assert.deepEqual(store.happened([{ start: 'a', n: 5 }, { start: 'a', n: 6 }]).map((e) => e.n), [6]);
  assert.deepEqual(store.happened([{ start: 'b', n: 1 }]).map((e) => e.n), [1]);
  assert.equal(store.events.length, 3);
});

test('numbers come as differences, and sums follow', () => {
  const store = greeted({ watchers: { web: watcher({ workers: workers(1, 2) }) } });
  store.sample(sample([...row(1, 105, 10), ...row(2, 20, 5)]));
  store.sample(sample(row(2, 30, 5)));
  assert.deepEqual([store.sum(store.watchers.get('web')).cpu, store.sum(store.watchers.get('web')).memory], [13.5, 15 * 1024]);
  assert.deepEqual(store.ring('w:web:cpu').list().slice(-2), [12.5, 13.5]);
  store.sample(sample([], { gone: [2] }));
  assert.equal(store.sum(store.watchers.get('web')).cpu, 10.5);
  store.sample(sample(row(2, 10, 1), { whole: true }));
  assert.equal(store.sum(store.watchers.get('web')).cpu, 1);
});

test('the curves of what is gone go too', () => {
  const store = greeted();
  store.sample(sample(row(1, 10, 10)));
  assert.ok(store.ring('w:web:cpu') && store.ring('p:1:cpu'));
  store.state({ watchers: { web: null } });
  store.sample(sample([]));
  assert.deepEqual([store.ring('w:web:cpu'), store.ring('p:1:cpu')], [null, null]);
});

test('roles', () => {
  const store = greeted();
  assert.deepEqual(['stop', 'quit', 'history', 'unknown'].map((name) => store.may(name)), [true, false, true, false]);
});

test('how a watcher is', () => {
  const word = (more, now = 1000) => health(watcher(more), now).word;
  assert.equal(word({}), 'active');
  assert.equal(word({ status: 'failed' }), 'failed');
  assert.equal(word({ status: 'stopped' }), 'stopped');
  assert.equal(word({ status: 'stopped', asleep: true }), 'on demand');
  assert.equal(word({ problem: 'reload failed' }), 'stale');
  assert.equal(word({ restarts: 3, last: { at: 990 } }), 'keeps ending');
  assert.equal(word({ restarts: 3, last: { at: 900 } }), 'active');
  assert.equal(word({ active: 0, wanted: 2, last: { at: 1 } }), 'restarting');
  assert.equal(word({ active: 0 }), 'degraded');
  assert.ok(health(watcher({ status: 'failed' }), 0).rank > health(watcher({ problem: 'x' }), 0).rank);
});

test('a page begins its curves with what others have seen', async () => {
  const store = greeted();
  const now = Math.floor(store.now());
  const asked = [];
  globalThis.fetch = async (path, { body }) => {
    asked.push(JSON.parse(body));
    return { ok: true, json: async () => ({ answer: { times: [now - 2, now - 1], cpu: [4, null] } }) };
  };
  await fill(store, { name: 'web' }, [['cpu', 'w:web:cpu', 2]]);
  assert.deepEqual(asked, [{ command: 'history', arguments: { name: 'web', range: KEPT } }]);
  assert.deepEqual(store.ring('w:web:cpu').list().slice(-3).map(String), ['8', 'NaN', 'NaN']);
  const [times, [curve]] = recent(store, [{ name: 'CPU', key: 'w:web:cpu' }, { name: 'none', key: 'x' }]);
  assert.deepEqual([times.length, curve.values.length], [KEPT, KEPT]);
});

test('marks stand for what nobody asked for', () => {
  const events = [['reap', false], ['reap', true], ['spawn', true], ['failed', false]].map(([event, planned], n) => ({ event, planned, n, watcher: 'web', time: n }));
  assert.deepEqual(marks(greeted({ events })).map((mark) => mark.time), [0, 3]);
  assert.deepEqual(marks(greeted({ events }), 'job'), []);
});
