// Minutes of audio through a session of each mode, as fast as it is taken; `npm run bench -- stress` makes hours of it.
import { execFile } from 'node:child_process';
import * as path from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { root } from './cli_support';

// WHY: the resident set jitters by a few megabytes; text, words and tokens of these minutes, kept, are less, but a buffer for each window is more.
const GROWTH_MB_MAX = 24;
const HOURS = 0.2;

interface Told {
  hours: number;
  counts: { partial: number; final: number; endpoint: number; end: number; words: number };
  growthMB: number;
}

describe('memory of a session over time', () => {
  it.each(['cache-aware', 'segment', 'buffered'])(
    '%s: nothing piles up',
    { timeout: 300_000 },
    async (mode) => {
      const stress = path.join(root, 'tools', 'bench', 'stress.js');
      const { stdout } = await promisify(execFile)(
        process.execPath,
        ['--expose-gc', stress, mode, String(HOURS)],
        {
          maxBuffer: 1 << 26,
        },
      );
      const told = JSON.parse(stdout) as Told;
      expect(told.hours).toBeCloseTo(HOURS, 3);
      expect(told.counts.end).toBe(1);
      expect(told.counts.final).toBeGreaterThan(80);
      expect(told.counts.endpoint).toBe(told.counts.final);
      expect(told.counts.words).toBeGreaterThan(800);
      expect(told.growthMB).toBeLessThan(GROWTH_MB_MAX);
    },
  );
});
