import { createRequire } from 'node:module';
import * as path from 'node:path';
import { describe, expect, test } from 'vitest';
import { root, start } from './cli_support';

const load = createRequire(import.meta.url);

interface Shown {
  isFinal: boolean;
  stableLength: number;
  atMs: number;
  heardMs: number;
}
interface Clock {
  words: { word: string; shownMs?: number; stableMs?: number; finalMs?: number }[];
  show(text: string, shown: Shown): void;
}
const { WordClock } = load('../../tools/bench/latency_words.js') as {
  WordClock: new (reference: { text: string; endMs: number }[]) => Clock;
};

const said = (text: string) =>
  text.split(' ').map((word, index) => ({ text: word, endMs: 1000 * (index + 1) }));
const times = ({ words }: Clock) =>
  words.map(({ shownMs, stableMs, finalMs }) => [shownMs, stableMs, finalMs]);

describe('the clock of words', () => {
  test('a word is shown, then settled when another one follows in the stable text, then final', () => {
    const clock = new WordClock(said('Good evening, the end.'));
    const open = { isFinal: false, heardMs: 9000 };
    clock.show('good', { ...open, stableLength: 0, atMs: 1 });
    clock.show('Good even', { ...open, stableLength: 9, atMs: 2 });
    clock.show('Good evening.', { isFinal: true, stableLength: 0, heardMs: 9000, atMs: 3 });
    clock.show('the', { ...open, stableLength: 3, atMs: 4 });
    expect(times(clock)).toEqual([
      [1, 2, 3],
      [3, 3, 3],
      [4, undefined, undefined],
      [undefined, undefined, undefined],
    ]);
  });

  test('what is heard wrongly is left out, and words are found behind it', () => {
    const clock = new WordClock(said('one two three four five'));
    clock.show('one too three', { isFinal: true, stableLength: 0, heardMs: 9000, atMs: 1 });
    clock.show('or five', { isFinal: true, stableLength: 0, heardMs: 9000, atMs: 2 });
    expect(clock.words.map(({ finalMs }) => finalMs)).toEqual([1, undefined, 1, undefined, 2]);
  });

  test('a word that has not been spoken yet is not found', () => {
    const clock = new WordClock(said('the cat and the dog'));
    clock.show('the cat the', { isFinal: false, stableLength: 0, heardMs: 2500, atMs: 1 });
    expect(clock.words.map(({ shownMs }) => shownMs)).toEqual([1, 1, undefined, undefined, undefined]);
  });
});

test('sessions of each mode are measured in real time', async () => {
  const program = path.join(root, 'tools', 'bench', 'run.js');
  const args = ['latency', '--seconds', '6', '--sessions', '2', '--modes', 'buffered-fast,segment'];
  const { child, finished } = start(args, { program });
  child.stdin.end();
  const { stdout } = await finished;
  const told = JSON.parse(stdout.trimEnd().split('\n').at(-1) as string);
  expect(told).toMatchObject({ benchmark: 'latency', seconds: 6, counts: [2] });
  expect(told.results).toHaveLength(2);
  for (const result of told.results) {
    expect(result).toMatchObject({ count: 2, words: expect.any(Number) });
    expect(result.error).toBeUndefined();
    expect(result.missed).toBeLessThan(result.words);
    expect(result.shownMs.p50).toBeLessThanOrEqual(result.finalMs.p50);
    expect(result.windowMs.count).toBeGreaterThan(0);
    expect(result.endLagMs).toBeGreaterThan(0);
    expect(stdout).toContain(`| ${result.subject} | 2 | `);
  }
}, 180_000);
