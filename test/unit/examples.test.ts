import { spawnSync } from 'node:child_process';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { type Finished, root, start } from './cli_support';

const example = (name: string): string => path.join(root, 'examples', name);

/** Runs an example as a user does, from the package's folder. */
async function run(name: string, ...args: string[]): Promise<Finished> {
  const { child, finished } = start(args, { cwd: root, program: example(name) });
  child.stdin.end();
  return finished;
}

const hasFfmpeg = spawnSync('ffmpeg', ['-version']).status === 0;
const raw = path.join(tmpdir(), `trt-asr-examples-${process.pid}.s16`);

afterAll(() => rmSync(raw, { force: true }));

describe('live-captions.mjs', () => {
  const heard = /^\[0:00\] Welcome to the speech recognition laboratory\.\n$/;

  test('a file, at the pace at which it was recorded', async () => {
    const startedMs = performance.now();
    const result = await run('live-captions.mjs', example('welcome.wav'));
    expect(result).toMatchObject({ code: 0, stdout: expect.stringMatching(heard) });
    expect(result.stderr).toMatch(/^3\.5 s of audio; computing took [\d.]+ % of that time\n$/);
    expect(performance.now() - startedMs).toBeGreaterThan(3500);
  });

  test.runIf(hasFfmpeg)('a file of another kind, through ffmpeg', async () => {
    const result = await run('live-captions.mjs', 'examples/weather.flac');
    expect(result).toMatchObject({ code: 0, stdout: expect.stringMatching(/^\[0:00\] Good evening, .*\n$/) });
  });

  test('what a recorder gives', async () => {
    const wav = readFileSync(example('welcome.wav'));
    writeFileSync(raw, wav.subarray(wav.indexOf('data') + 8));
    const result = await run('live-captions.mjs', '--recorder', `cat ${raw}`);
    expect(result).toMatchObject({ code: 0, stdout: expect.stringMatching(heard) });
  });

  test('Ctrl-C ends the recorder, not the last sentence', async () => {
    // A recorder that goes on for ever.
    const recorder = `tail -c +1 -f ${raw}`;
    const { child, finished } = start(['--recorder', recorder], {
      cwd: root,
      program: example('live-captions.mjs'),
    });
    // The sentence is followed by silence, which makes it final.
    const wav = readFileSync(example('welcome.wav'));
    writeFileSync(raw, Buffer.concat([wav.subarray(wav.indexOf('data') + 8), Buffer.alloc(32000 * 6)]));
    await new Promise((resolve) => child.stdout.once('data', resolve));
    child.kill('SIGINT');
    expect(await finished).toMatchObject({ code: 0, stdout: expect.stringMatching(heard) });
  });

  test('a wrong use, a file that is missing and a recorder that is not installed are told', async () => {
    expect(await run('live-captions.mjs')).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/^usage: /),
    });
    expect(await run('live-captions.mjs', 'nonsense.wav')).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^live-captions: ENOENT: .*\n$/),
    });
    expect(await run('live-captions.mjs', '--recorder', '/nonsense/recorder')).toMatchObject({
      code: 1,
      stderr: 'live-captions: could not start /nonsense/recorder; name a program by --recorder\n',
    });
  });

  test('a recorder that fails is told, behind what was said until then', async () => {
    const wav = readFileSync(example('welcome.wav'));
    writeFileSync(raw, wav.subarray(wav.indexOf('data') + 8));
    const result = await run('live-captions.mjs', '--recorder', `cat ${raw} /nonsense/audio`);
    expect(result).toMatchObject({ code: 1, stdout: expect.stringMatching(heard) });
    expect(result.stderr).toMatch(/^live-captions: cat ended with exit code 1$/m);
  });

  test('an option that is refused leaves no recorder behind', async () => {
    const recorder = `tail -f ${example('welcome.wav')}`;
    expect(await run('live-captions.mjs', '--recorder', recorder, '--silence', '1')).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^live-captions: Expected .* options\.endpoint\.silenceMs .*\n$/),
    });
  });

  test.runIf(hasFfmpeg)('a file that is no audio is told', async () => {
    const result = await run('live-captions.mjs', 'package.json');
    expect(result).toMatchObject({ code: 1, stdout: '' });
    expect(result.stderr).toMatch(/^live-captions: ffmpeg ended with exit code \d+$/m);
  });
});

interface Tally {
  file: string;
  fromSeconds: number;
  words: number;
  confidence: number;
  keywords: Record<string, number>;
  mostSaid: string[];
}

describe('pipeline.mjs', () => {
  const talliesOf = (stdout: string): Tally[] =>
    stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Tally);

  test('tallies of several files at once, minute by minute', async () => {
    const result = await run(
      'pipeline.mjs',
      '--keywords',
      'weather,train,Nonsense',
      ...['long.mp3', 'weather.flac', 'question.mp3'].map(example),
    );
    expect(result).toMatchObject({ code: 0, stderr: '' });
    const all = talliesOf(result.stdout);
    const of = (file: string) => all.filter((tally) => tally.file === file);
    expect(of('long.mp3').map(({ fromSeconds }) => fromSeconds)).toEqual([0, 60, 120]);
    expect(of('weather.flac')).toMatchObject([
      { fromSeconds: 0, keywords: { weather: 1, train: 0, Nonsense: 0 } },
    ]);
    expect(of('question.mp3')).toMatchObject([{ keywords: { weather: 0, train: 1 } }]);
    const long = of('long.mp3');
    const sum = (key: string) => long.reduce((total, { keywords }) => total + (keywords[key] ?? 0), 0);
    expect(sum('weather')).toBe(1);
    // "The train from Edinburgh", and "used to train the model".
    expect(sum('train')).toBe(2);
    const words = readFileSync(example('long.txt'), 'utf8').trim().split(/\s+/).length;
    const counted = long.reduce((total, tally) => total + tally.words, 0);
    expect(Math.abs(counted - words)).toBeLessThan(0.1 * words);
    expect(long[0]?.mostSaid).toContain('the');
    for (const { confidence } of all) {
      expect(confidence).toBeGreaterThan(0.5);
      expect(confidence).toBeLessThanOrEqual(1);
    }
  }, 180_000);

  test('a file that cannot be read does not end the others', async () => {
    const result = await run('pipeline.mjs', '--concurrency', '1', 'nonsense.wav', example('weather.flac'));
    expect(result.code).toBe(1);
    expect(result.stderr).toMatch(/^nonsense\.wav: Expected .*\n$/);
    expect(talliesOf(result.stdout)).toMatchObject([{ file: 'weather.flac', words: 13 }]);
  });

  test.each([
    [[]],
    [['--seconds', '0', 'a.wav']],
    [['--seconds', 'nonsense', 'a.wav']],
    [['--concurrency', '0', 'a.wav']],
  ])('%j is a wrong use', async (args) => {
    const result = await run('pipeline.mjs', ...args);
    expect(result).toMatchObject({ code: 2, stdout: '', stderr: expect.stringMatching(/^usage: /) });
  });
});
