// Tests of how numbers and times are written.

import assert from 'node:assert/strict';
import test from 'node:test';
import { load } from './modules.mjs';

const { ago, bytes, clock, count, day, named, percent, plural, rate, span, whole } = await load('format.js');
const THIN = '\u202f';

/** A function with what it makes of some values. */
function pairs(made, found) {
  for (const [value, said] of found) assert.equal(made(value), said, String(value));
}

test('what is not known is a dash', () => {
  for (const made of [bytes, percent, count, rate]) for (const value of [null, undefined, NaN]) assert.equal(made(value), '–');
});

test('bytes', () => pairs(bytes, [[0, '0 B'], [999, '999 B'], [1000, '1.0 KB'], [9949, '9.7 KB'], [12345, '12 KB'], [500 * 1024 ** 2, '500 MB'], [2 * 1024 ** 6, '2048 PB']]));
test('percent', () => pairs(percent, [[0, '0.0 %'], [9.94, '9.9 %'], [10, '10 %'], [250.4, '250 %']]));
test('count', () => pairs(count, [[0, '0'], [999, '999'], [1234567, `1${THIN}234${THIN}567`]]));
test('rate', () => pairs(rate, [[0, '0'], [0.25, '0.3'], [9.5, '9.5'], [42.4, '42'], [12345, `12${THIN}345`]]));
test('span', () => pairs(span, [[-1, '0 s'], [59.9, '59 s'], [61, '1 min 1 s'], [7260, '2 h 1 min'], [90000, '1 d 1 h']]));
test('ago', () => pairs(ago, [[5, '5 s ago'], [120, '2 min ago'], [7200, '2 h ago'], [172800, '2 d ago']]));
test('named', () => pairs(named, [[[], ''], [['a'], 'a'], [['a', 'b'], 'a and b'], [['a', 'b', 'c', 'd', 'e'], 'a, b, c, d and 1 more']]));

test('times of day', () => {
  assert.equal(clock(3661.5), '01:01:01');
  assert.equal(clock(3661.5, true), '01:01:01.500');
  assert.equal(day(0), '1970-01-01');
});

test('how many of what', () => {
  assert.equal(plural(1, 'worker'), '1 worker');
  assert.equal(plural(0, 'worker'), '0 workers');
  assert.equal(plural(2, 'process'), '2 processes');
});

test('a reason with what was written, where it is told', () => {
  assert.equal(whole('it failed', 'web/1 wrote: x'), 'it failed; web/1 wrote: x');
  assert.equal(whole('it failed', undefined), 'it failed');
  assert.equal(whole('', ''), '');
});
