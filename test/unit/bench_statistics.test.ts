import { createRequire } from 'node:module';
import { describe, expect, test } from 'vitest';

const load = createRequire(import.meta.url);

interface Interval {
  value: number;
  low: number | null;
  high: number | null;
}
interface Target extends Interval {
  state: 'met' | 'missed' | 'not judged';
  sure?: boolean;
  why?: string;
}
const { median, medianInterval, pairedRatio, quantile, random } = load(
  '../../tools/bench/common/statistics.js',
) as {
  median: (values: number[]) => number;
  medianInterval: (values: number[], seed?: number) => Interval;
  pairedRatio: (numerators: number[], denominators: number[]) => Interval;
  quantile: (values: number[], share: number) => number;
  random: (seed: number) => () => number;
};
const { allMet, judge, sentence } = load('../../tools/bench/common/targets.js') as {
  allMet: (targets: Target[]) => boolean;
  judge: (
    name: string,
    relation: string,
    bound: number,
    unit: string,
    measured: number | Partial<Interval> | undefined,
    unless?: string,
  ) => Target;
  sentence: (target: Target) => string;
};
const { alternate } = load('../../tools/bench/common/rounds.js') as {
  alternate: (
    subjects: string[],
    rounds: number,
    measure: (subject: string, round: number) => Promise<number>,
  ) => Promise<Map<string, { values: number[]; error?: string }>>;
};
const { encoderGop } = load('../../tools/bench/common/model_files.js') as {
  encoderGop: (dimensions: object, frames: number) => number;
};
const { climb } = load('../../tools/bench/sessions.js') as {
  climb: (
    measure: (count: number) => Promise<{ count: number; held: boolean }>,
    max: number,
  ) => Promise<{ held: number; probes: { count: number }[] }>;
};
const { readOptions } = load('../../tools/bench/common/options.js') as {
  readOptions: (args: string[], names: string[]) => { name: string; options: Record<string, unknown> };
};

describe('statistics', () => {
  test('medians and quantiles lie between neighbours', () => {
    expect(median([3, 1, 2])).toBe(2);
    expect(median([4, 1, 2, 3])).toBe(2.5);
    expect(quantile([10, 20, 30, 40, 50], 0.9)).toBeCloseTo(46);
    expect(quantile([7], 0.99)).toBe(7);
    expect(median([])).toBeNaN();
    const values = [2, 1];
    median(values);
    expect(values).toEqual([2, 1]);
  });

  test('the numbers of a seed are the same in every run, and even', () => {
    const [next, again, other] = [random(1), random(1), random(2)];
    const numbers = Array.from({ length: 10_000 }, next);
    expect(Array.from({ length: 10_000 }, again)).toEqual(numbers);
    expect(other()).not.toBe(numbers[0]);
    expect(Math.min(...numbers)).toBeGreaterThanOrEqual(0);
    expect(Math.max(...numbers)).toBeLessThan(1);
    expect(numbers.reduce((sum, value) => sum + value, 0) / numbers.length).toBeCloseTo(0.5, 1);
  });

  test('an interval covers the true median about as often as it says', () => {
    const next = random(7);
    let covered = 0;
    for (let trial = 0; trial < 100; trial += 1) {
      const { low, high } = medianInterval(Array.from({ length: 25 }, next), trial);
      if (low !== null && high !== null && low <= 0.5 && high >= 0.5) covered += 1;
    }
    expect(covered).toBeGreaterThan(87);
    expect(covered).toBeLessThan(100);
  });

  test('two values have no interval, and equal ones a point', () => {
    expect(medianInterval([1, 2])).toMatchObject({ value: 1.5, low: null, high: null });
    expect(medianInterval([3, 3, 3, 3])).toMatchObject({ value: 3, low: 3, high: 3 });
  });

  test('ratios are taken round by round: load that both meet cancels out', () => {
    const ours = [1, 5, 2, 9, 3];
    const peer = ours.map((value) => 2 * value);
    expect(pairedRatio(peer, ours)).toMatchObject({ value: 2, low: 2, high: 2 });
    expect(() => pairedRatio([1], [1, 2])).toThrow('expected pairs');
  });
});

describe('targets', () => {
  test('the median decides, and the interval says how surely', () => {
    expect(judge('a', 'at least', 1.8, ' x', { value: 2, low: 1.9, high: 2.1 })).toMatchObject({
      state: 'met',
      sure: true,
    });
    const unsure = judge('a', 'at least', 1.8, ' x', { value: 2, low: 1.7, high: 2.1 });
    expect(unsure).toMatchObject({ state: 'met', sure: false });
    expect(sentence(unsure)).toBe(
      'a: at least 1.8 x: met, 2.00 (1.70 to 2.10) x; the interval reaches over the target',
    );
    expect(judge('a', 'at most', 0.6, ' x', { value: 0.7, low: null, high: null }).state).toBe('missed');
    const few = judge('a', 'at least', 1.8, ' x', { value: 2, low: null, high: null });
    expect(few).toMatchObject({ state: 'met', sure: false });
    expect(sentence(few)).toBe('a: at least 1.8 x: met, 2.00 x; too few runs for an interval');
    // A count is exact.
    expect(judge('a', 'at most', 0, '', 0)).toMatchObject({ state: 'met', sure: true });
    expect(judge('a', 'below', 20, ' us', 20).state).toBe('missed');
    expect(judge('a', 'at most', 20, ' us', 20).state).toBe('met');
  });

  test('what was not measured, or is not asked for, is neither met nor missed', () => {
    const none = judge('a', 'at least', 1.8, ' x', undefined);
    const tiny = judge('a', 'at least', 1.8, ' x', 1, 'it is about full-size models');
    expect([none.state, tiny.state]).toEqual(['not judged', 'not judged']);
    expect(sentence(tiny)).toContain('not judged, it is about full-size models (measured: 1.00 x)');
    expect(allMet([none, tiny])).toBe(true);
    expect(allMet([none, judge('b', 'at least', 2, '', 1)])).toBe(false);
  });
});

test('subjects take turns, and one that fails does not stop the others', async () => {
  const calls: string[] = [];
  const found = await alternate(['a', 'b'], 3, async (subject, round) => {
    calls.push(`${subject}${round}`);
    if (subject === 'b' && round === 1) throw new Error('broken');
    return round;
  });
  expect(calls).toEqual(['a0', 'b0', 'a1', 'b1', 'a2']);
  expect(found.get('a')).toEqual({ values: [0, 1, 2] });
  expect(found.get('b')).toEqual({ values: [], error: 'broken' });
});

test('the operations of the 0.6 B encoder', () => {
  const dimensions = {
    layers: 24,
    width: 1024,
    feed_forward_width: 4096,
    convolution_kernel: 9,
    subsampling_channels: 256,
    mel_bins: 128,
  };
  // 10 s: 24 layers of 24.1 M multiply-adds with weights a frame, 125 frames, and some 10 % for attention and subsampling.
  expect(encoderGop(dimensions, 1000)).toBeGreaterThan(2 * 24 * 0.0241 * 125);
  expect(encoderGop(dimensions, 1000)).toBeLessThan(2 * 24 * 0.0241 * 125 * 1.15);
  expect(encoderGop(dimensions, 2000)).toBeGreaterThan(2 * encoderGop(dimensions, 1000));
});

test('the number of sessions is doubled until it is too large, then narrowed', async () => {
  const upTo = (most: number) => (count: number) => Promise.resolve({ count, held: count <= most });
  const found = await climb(upTo(45), 4096);
  expect(found.probes.map(({ count }) => count)).toEqual([1, 2, 4, 8, 16, 32, 64, 48, 40, 44]);
  expect(found.held).toBe(44);
  expect((await climb(upTo(0), 4096)).held).toBe(0);
  expect(await climb(upTo(4096), 16)).toMatchObject({ held: 16, probes: { length: 5 } });
});

describe('the command line', () => {
  const names = ['e2e', 'all'];
  test('numbers, repeated options and flags', () => {
    const { name, options } = readOptions(
      ['e2e', '--runs', '3', '--ours', 'a=.', '--ours', '.', '--quick'],
      names,
    );
    expect(name).toBe('e2e');
    expect(options).toMatchObject({ runs: 3, ours: ['a=.', '.'], quick: true });
  });

  test.each([
    [[], 'the name of one benchmark: e2e, all'],
    [['speed'], 'the name of one benchmark'],
    [['e2e', '--runs', 'many'], 'a positive number for --runs, received many'],
    [['e2e', '--lengths', '5,-1'], 'a positive number for --lengths'],
    [['e2e', '--peer', '/nowhere'], 'at --peer, received /nowhere'],
    [['e2e', '--ours', 'a=/nowhere'], 'at --ours, received /nowhere'],
    [['e2e', '--fast'], '--fast'],
  ])('%j is refused', (args, message) => {
    expect(() => readOptions(args as string[], names)).toThrow(message as string);
  });
});
