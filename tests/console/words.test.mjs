// Tests of axes, sentences and what is saved.

import assert from 'node:assert/strict';
import test from 'node:test';
import { load } from './modules.mjs';

const { steps } = await load('chart.js');
const { concerning, kind, sentence } = await load('events.js');
const { generations } = await load('progress.js');
const { total } = await load('sockets.js');
const { Table } = await load('table.js');

test('steps of an axis are round, few, and reach the most', () => {
  assert.deepEqual(steps(0), [0, 1]);
  assert.deepEqual(steps(NaN), [0, 1]);
  assert.deepEqual(steps(10), [0, 5, 10]);
  assert.deepEqual(steps(100, 3, 1024).at(-1), 128);
  for (const base of [10, 1024]) {
    for (let n = -4; n < 12; n += 0.37) {
      const found = steps(10 ** n, 3, base);
      assert.ok(found.at(-1) >= 10 ** n * 0.999 && found.length >= 2 && found.length <= 5, `${10 ** n}: ${found}`);
    }
  }
});

test('an event as a sentence', () => {
  const reap = { event: 'reap', watcher: 'web', worker: 'web/1', pid: 7, data: { reason: 'exited 1', age: 2.04 } };
  assert.equal(sentence(reap), 'web/1 (pid 7) exited 1 after 2.0 s');
  const failed = { event: 'reload_failed', watcher: 'web', data: { reason: 'web/2 exited 1', last_words: 'web/2 wrote: x' } };
  assert.equal(sentence(failed), 'web reload failed: web/2 exited 1; web/2 wrote: x');
  assert.equal(sentence({ event: 'operation', data: { text: 'stop done' } }), 'stop done');
  assert.deepEqual([kind({ ...reap, planned: true }), kind(reap), kind({ event: 'unheard_of' })], ['off', 'bad', 'info']);
});

test('the events of an operation belong to each watcher that it touched', () => {
  const events = [
    { event: 'operation', watcher: '', data: { id: 1, watcher: 'web' } }, { event: 'operation', watcher: '', data: { id: 1, watcher: '' } },
    { event: 'operation', watcher: '', data: { id: 2, watcher: 'job' } }, { event: 'spawn', watcher: 'web', data: {} },
  ];
  assert.deepEqual(concerning(events, 'web'), [events[0], events[1], events[3]]);
});

test('old and new workers', () => {
  const worker = (generation) => [1, 2, 'ready', 0, generation, ''];
  const { newest, fresh, old } = generations({ generation: 2, workers: { a: worker(1), b: worker(2) } });
  assert.deepEqual([newest, fresh.map((one) => one.id), old.map((one) => one.id)], [2, ['b'], ['a']]);
});

test('a total that may be too small says so', () => {
  assert.deepEqual([total(null), total({ total: null }), total({ total: 5, exact: true }), total({ total: 5, exact: false })], ['–', '–', '5', '≥ 5']);
});

test('what is saved is quoted, and no formula', () => {
  const columns = [{ title: 'Name', value: (row) => row.name }, { title: 'Age', value: (row) => row.age }, { title: '', value: () => 1 }];
  const table = { columns, rows: [{ name: '=cmd()', age: -5 }, { name: 'a "b", c', age: null }] };
  assert.equal(Table.prototype.exported.call(table, 'csv'), 'Name,Age\r\n\'=cmd(),-5\r\n"a ""b"", c",');
  assert.deepEqual(JSON.parse(Table.prototype.exported.call(table, 'json')), [{ Name: '=cmd()', Age: -5 }, { Name: 'a "b", c', Age: null }]);
});
