import { readFile, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { PassThrough } from 'node:stream';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Recognizer as RecognizerClass, SessionEvent } from '../../dist/index';
import { audio, root, run, start } from './cli_support';

const load = createRequire(import.meta.url);
const { Recognizer } = load('../../dist/index.js') as typeof import('../../dist/index');
const { openView, partialLine } = load(
  '../../dist/cli/live_view.js',
) as typeof import('../../lib/cli/live_view');
const { inRealTime } = load('../../dist/cli/live_audio.js') as typeof import('../../lib/cli/live_audio');

const example = (name: string): string => path.join(root, 'examples', name);
const stream = (...args: string[]) => run('stream', ...args);
const events = (stdout: string): SessionEvent[] =>
  stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as SessionEvent);

/** What the API says of a file, live. */
async function spoken(asr: RecognizerClass, file: string): Promise<SessionEvent[]> {
  const all: SessionEvent[] = [];
  for await (const event of asr.stream(file, { timestamps: 'word' })) all.push(event);
  return all;
}

const finalsOf = (all: SessionEvent[]) => all.filter((event) => event.type === 'final');

/** The samples of welcome.wav, whose rate is 16 kHz, as bytes. */
async function rawWelcome(): Promise<Buffer> {
  const bytes = await readFile(example('welcome.wav'));
  return bytes.subarray(bytes.indexOf('data') + 8);
}

let asr: RecognizerClass;

beforeAll(async () => {
  asr = await Recognizer.open({ model: 'demo-en', sessionsMax: 1 });
});

afterAll(() => asr.close());

describe('trt-asr stream', () => {
  test('prints the finals, as the API gives them, into a pipe', async () => {
    const finals = finalsOf(await spoken(asr, example('long.mp3')));
    expect(finals.length).toBeGreaterThan(10);
    const result = await stream(example('long.mp3'));
    expect(result).toMatchObject({ code: 0, stderr: '' });
    expect(result.stdout).toBe(finals.map(({ text }) => `${text}\n`).join(''));
  }, 180_000);

  test('as JSON every event is a line; partials become finals', async () => {
    const result = await stream('--json', example('weather.flac'));
    expect(result).toMatchObject({ code: 0, stderr: '' });
    const all = events(result.stdout);
    expect(finalsOf(all)).toEqual(finalsOf(await spoken(asr, example('weather.flac'))));
    expect(all.map(({ type }) => type).filter((type) => type !== 'partial')).toEqual([
      'final',
      'endpoint',
      'end',
    ]);
    let stable = '';
    for (const event of all) {
      if (event.type !== 'partial' && event.type !== 'final') continue;
      expect(event.text.startsWith(stable)).toBe(true);
      stable = event.type === 'partial' ? event.text.slice(0, event.stableLength) : '';
    }
  });

  test('timestamps are what was asked for', async () => {
    const file = example('welcome.wav');
    const [none, token] = await Promise.all([
      stream('--json', '--timestamps', 'none', file),
      stream('--json', '--timestamps', 'token', file),
    ]);
    expect(finalsOf(events(none.stdout))).toMatchObject([{ words: [], tokens: [] }]);
    const [final] = finalsOf(events(token.stdout));
    expect(final?.type === 'final' && final.tokens.length).toBeGreaterThan(0);
  });

  test('reads encoded audio and raw samples from standard input, and raw samples from a file', async () => {
    const expected = (await stream(example('welcome.wav'))).stdout;
    expect(expected).toMatch(/^Welcome/);
    const encoded = start(['stream', '-']);
    encoded.child.stdin.end(await readFile(example('welcome.wav')));
    expect(await encoded.finished).toMatchObject({ code: 0, stdout: expected, stderr: '' });

    const bytes = await rawWelcome();
    const raw = start(['stream', '--raw', 's16le', '-']);
    // Cut inside samples.
    for (let at = 0; at < bytes.length; at += 4097) raw.child.stdin.write(bytes.subarray(at, at + 4097));
    raw.child.stdin.end();
    expect(await raw.finished).toMatchObject({ code: 0, stdout: expected, stderr: '' });

    const floats = Float32Array.from(new Int16Array(Uint8Array.from(bytes).buffer), (each) => each / 32768);
    const file = path.join(tmpdir(), `trt-asr-stream-${process.pid}.f32`);
    await writeFile(file, new Uint8Array(floats.buffer));
    expect(await stream('--raw', 'f32le', '--rate', '16000', file)).toMatchObject({
      code: 0,
      stdout: expected,
    });
  });

  test('audio that is cut off gives what came before', async () => {
    const bytes = await rawWelcome();
    const odd = start(['stream', '--raw', 's16le', '-']);
    odd.child.stdin.end(Buffer.concat([bytes, Buffer.alloc(1)]));
    expect(await odd.finished).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^Welcome/),
      stderr: '',
    });

    const flac = start(['stream', '-']);
    flac.child.stdin.end((await readFile(example('weather.flac'))).subarray(0, 60_000));
    const result = await flac.finished;
    expect(result).toMatchObject({ code: 3, stdout: expect.stringMatching(/^Good evening, .*\n$/) });
    expect(result.stderr).toMatch(/^trt-asr: ERR_AUDIO_DECODE: Expected whole FLAC data .*\n$/);
  });

  test('another rate is resampled', async () => {
    // Every sample twice: the same speech at 32 kHz.
    const samples = new Int16Array(Uint8Array.from(await rawWelcome()).buffer);
    const doubled = new Int16Array(samples.length * 2);
    for (let index = 0; index < doubled.length; index++) doubled[index] = samples[index >> 1] as number;
    const raw = start(['stream', '--raw', 's16le', '--rate', '32000', '--json', '-']);
    raw.child.stdin.end(Buffer.from(doubled.buffer));
    const all = events((await raw.finished).stdout);
    const end = all.at(-1);
    expect(end?.type === 'end' && end.durationMs).toBeCloseTo(samples.length / 16, 0);
    expect(finalsOf(all)).toMatchObject([{ text: expect.stringMatching(/speech recognition laboratory/) }]);
  });

  test("the mode and its context are the recognizer's", async () => {
    const file = example('weather.flac');
    const small = events(
      (
        await stream(
          '--json',
          '--mode',
          'buffered',
          '--left',
          '4000',
          '--chunk',
          '400',
          '--right',
          '400',
          file,
        )
      ).stdout,
    );
    const large = events((await stream('--json', '--mode', 'buffered', file)).stdout);
    const partials = (all: SessionEvent[]) => all.filter(({ type }) => type === 'partial').length;
    expect(partials(small)).toBeGreaterThan(partials(large));
    const segment = events((await stream('--json', '--mode', 'segment', file)).stdout);
    expect(segment.some((event) => event.type === 'endpoint' && event.reason === 'pause')).toBe(true);
  });

  test('silence ends an utterance when it is as long as asked', async () => {
    const file = example('long.mp3');
    const [many, one] = await Promise.all([
      stream('--silence', '300', file),
      stream('--silence', '10000', '--max-utterance', '600000', file),
    ]);
    const lines = (stdout: string) => stdout.trimEnd().split('\n').length;
    expect(lines(many.stdout)).toBeGreaterThanOrEqual(20);
    expect(lines(one.stdout)).toBe(1);
  }, 180_000);

  test('Ctrl-C ends the audio: what was said becomes final', async () => {
    const { child, finished } = start([
      'stream',
      '--raw',
      's16le',
      '--json',
      '--chunk',
      '400',
      '--right',
      '400',
      '-',
    ]);
    child.stdin.write(await rawWelcome());
    let seen = '';
    await new Promise<void>((resolve) =>
      child.stdout.on('data', (data) => {
        seen += data;
        if (seen.includes('speech')) resolve();
      }),
    );
    child.kill('SIGINT');
    const result = await finished;
    expect(result).toMatchObject({ code: 130, signal: null, stderr: '' });
    const all = events(result.stdout);
    expect(all.at(-1)?.type).toBe('end');
    expect(finalsOf(all)).toMatchObject([{ text: expect.stringMatching(/^Welcome to the speech/) }]);
  });

  test('Ctrl-C ends it, too, where nothing is said and standard input stays open', async () => {
    const { child, finished } = start(['stream', '--raw', 's16le', '-']);
    // More than a pipe holds: when it is gone, audio is being read.
    await new Promise((resolve) => child.stdin.write(Buffer.alloc(400_000), resolve));
    child.kill('SIGINT');
    expect(await finished).toMatchObject({ code: 130, stdout: '', stderr: '' });
  });

  test.each([
    [['nonsense.wav'], 2, 'ERR_BAD_ARGUMENT'],
    [['--raw', 's16le', 'nonsense.pcm'], 2, 'ERR_BAD_ARGUMENT'],
    [['--raw', 's16le', root], 2, 'ERR_BAD_ARGUMENT'],
    [[audio('make.sh')], 3, 'ERR_AUDIO_DECODE'],
    [['--rate', '48000', 'a.wav'], 2, 'ERR_BAD_ARGUMENT'],
    [['--chunk', '50', example('welcome.wav')], 2, 'ERR_BAD_ARGUMENT'],
    [['--mode', 'segment', '--left', '400', example('welcome.wav')], 2, 'ERR_BAD_ARGUMENT'],
    [['--silero', 'nonsense.onnx', example('welcome.wav')], 2, 'ERR_BAD_ARGUMENT'],
    [['--model', 'nonsense', example('welcome.wav')], 4, 'ERR_MODEL_NOT_FOUND'],
  ])('%j is refused', async (args, code, error) => {
    const result = await stream(...args);
    expect(result).toMatchObject({ code, stdout: '' });
    expect(result.stderr).toMatch(new RegExp(`^trt-asr: ${error}: Expected .*\\n$`));
  });

  test.each([
    [[]],
    [['a.wav', 'b.wav']],
    [['a.wav', '--mode', 'nonsense']],
    [['a.wav', '--raw', 'mp3']],
    [['a.wav', '--silence', '0']],
    [['a.wav', '--chunk', '1.5']],
  ])('%j is a wrong use', async (args) => {
    const result = await stream(...args);
    expect(result).toMatchObject({ code: 2, stdout: '' });
    expect(result.stderr).toContain('--help');
  });
});

describe('a terminal', () => {
  /** All that is written for some events. */
  async function shown(all: SessionEvent[], columns = 80, env: NodeJS.ProcessEnv = {}): Promise<string> {
    const output = Object.assign(new PassThrough(), { isTTY: true, columns });
    const view = openView(output, false, env);
    for (const event of all) await view.show(event);
    return output.read().toString();
  }
  const partial = (text: string, stableLength: number): SessionEvent => ({
    type: 'partial',
    text,
    stableLength,
  });
  const final = (text: string): SessionEvent => ({
    type: 'final',
    text,
    words: [],
    tokens: [],
    startMs: 0,
    endMs: 0,
    confidence: 1,
  });

  test('the line is rewritten until it is final; what may change is dim', async () => {
    const clear = '\r\x1b[K';
    expect(await shown([partial('a b', 1), partial('a bc', 4), final('a bc.'), partial('d', 0)])).toBe(
      `${clear}a\x1b[2m b\x1b[22m${clear}a bc${clear}a bc.\n${clear}\x1b[2md\x1b[22m`,
    );
    expect(await shown([partial('a b', 1)], 80, { NO_COLOR: '1' })).toBe(`${clear}a b`);
    const timings = { featuresMs: 0, encoderMs: 0, decodeMs: 0, totalMs: 0, rtfx: 0 };
    expect(await shown([partial('a', 1), { type: 'end', durationMs: 1, timings }])).toBe(`${clear}a${clear}`);
  });

  test('of a long line its end is shown, by the width of its characters', () => {
    expect(partialLine('abcdef', 6, 7)).toBe('abcdef');
    expect(partialLine('abcdef', 6, 6)).toBe('…cdef');
    expect(partialLine('abcdef', 4, 6)).toBe('…cd\x1b[2mef\x1b[22m');
    expect(partialLine('abcdef', 1, 6)).toBe('…\x1b[2mcdef\x1b[22m');
    expect(partialLine('中文字', 3, 6)).toBe('…文字');
    expect(partialLine('a\u{1F600}b', 4, 5)).toBe('a\u{1F600}b');
    expect(partialLine('a\u{1F600}b', 4, 4)).toBe('…b');
    expect(partialLine('e\u0301e\u0301', 4, 3)).toBe('e\u0301e\u0301');
  });

  test('what would move the cursor is not passed on', async () => {
    expect(partialLine('a\x1b[2Jb\r\n', 8, 80)).toBe('a [2Jb  ');
    expect(await shown([final('a\x1b[2Jb\nc')])).toBe('a [2Jb c\n');
  });
});

describe('--realtime', () => {
  test('each piece comes when it would have been recorded', async () => {
    const signal = new AbortController().signal;
    async function* chunks() {
      yield new Float32Array(3000);
      yield new Float32Array(1000);
    }
    const startedMs = performance.now();
    let samples = 0;
    for await (const piece of inRealTime(chunks(), { rateHz: 8000, stride: 1 }, signal)) {
      samples += piece.length;
      expect(piece.length).toBeLessThanOrEqual(800);
      // Timers may fire a millisecond early.
      expect(performance.now() - startedMs).toBeGreaterThan((samples / 8000) * 1000 - 2);
    }
    expect(samples).toBe(4000);
  });

  test('an abort ends the waiting', async () => {
    const controller = new AbortController();
    async function* chunks() {
      yield Buffer.alloc(16000 * 2 * 60);
    }
    setTimeout(() => controller.abort(), 250);
    let bytes = 0;
    for await (const piece of inRealTime(chunks(), { rateHz: 16000, stride: 2 }, controller.signal))
      bytes += piece.length;
    expect(bytes).toBeGreaterThan(0);
    expect(bytes).toBeLessThan(16000 * 2 * 30);
  });
});
