import { getEventListeners } from 'node:events';
import { createRequire } from 'node:module';
import * as path from 'node:path';
import { PassThrough } from 'node:stream';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { AsrError as AsrErrorType, Transcript } from '../../dist/index';
import { fixtures, type GoldenClip, GoldenSet } from './golden';

// The test runner would load a second copy of each module, and with it a second AsrError.
const load = createRequire(import.meta.url);
const { AsrError, Recognizer } = load('../../dist/index.js') as typeof import('../../dist/index');
type AsrError = AsrErrorType;
type Recognizer = InstanceType<typeof Recognizer>;

const models = path.join(fixtures, 'models');
const tiny = path.join(models, 'tiny-ours');

async function failure(work: Promise<unknown>): Promise<unknown> {
  return work.then(
    () => expect.fail('it succeeded'),
    (error: unknown) => error,
  );
}

async function asrFailure(work: Promise<unknown>): Promise<AsrError> {
  const error = await failure(work);
  expect(error).toBeInstanceOf(AsrError);
  return error as AsrError;
}

function expectGolden(transcript: Transcript, clip: GoldenClip, confidenceTolerance: number): void {
  expect(transcript.tokens.map((token) => token.id)).toEqual(clip.tokens);
  expect(transcript.tokens.map((token) => token.frame)).toEqual(clip.frames);
  expect(transcript.tokens.map((token) => token.durationFrames)).toEqual(clip.durations);
  expect(transcript.words.map(({ text, startMs, endMs }) => ({ text, startMs, endMs }))).toEqual(clip.words);
  transcript.tokens.forEach((token, index) => {
    expect(Math.abs(token.confidence - (clip.confidence[index] as number))).toBeLessThanOrEqual(
      confidenceTolerance,
    );
  });
  expect(transcript.durationMs).toBeCloseTo((clip.samples.length / 16000) * 1000, 6);
}

describe.each([
  ['tiny', 'tiny-ours', {}],
  ['tiny', 'tiny-nemo', { precision: 'fp32' }],
  ['tiny', 'tiny-sherpa', { precision: 'fp32' }],
  ['tiny-80-none', 'tiny-80-none', {}],
  ['demo-en', 'demo-en', {}],
  ['rnnt', 'variants/rnnt-ours', {}],
  ['rnnt', 'variants/rnnt-nemo', {}],
  ['ctc', 'variants/ctc-ours', {}],
  ['ctc', 'variants/ctc-nemo', {}],
  ['ctc-causal', 'variants/ctc-causal', {}],
] as const)('goldens of %s on the model %s', (set, model, options) => {
  test("every clip is NeMo's, token for token and word for word", async () => {
    const golden = new GoldenSet(set);
    const folder = model === 'demo-en' ? model : path.join(models, model);
    const asr = await Recognizer.open({ model: folder, ...options });
    try {
      expect(golden.clips.length).toBeGreaterThanOrEqual(set === 'tiny-80-none' ? 4 : 20);
      for (const clip of golden.clips) {
        expectGolden(await asr.transcribe(clip.samples), clip, golden.confidenceTolerance);
      }
    } finally {
      await asr.close();
    }
  });
});

describe.each([
  ['RNN-T', 'rnnt-ours', 'rnnt-nemo'],
  ['CTC', 'ctc-ours', 'ctc-nemo'],
  ['CTC of 80 bare mels', 'ctc-80-ours', 'ctc-80-sherpa'],
])('%s', (_kind, ours, foreign) => {
  const clips = new GoldenSet('tiny').clips.filter(({ samples }) => samples.length > 30000);

  async function transcripts(name: string): Promise<Transcript[]> {
    const asr = await Recognizer.open({ model: path.join(models, 'variants', name) });
    try {
      return await Promise.all(clips.map((clip) => asr.transcribe(clip.samples)));
    } finally {
      await asr.close();
    }
  }

  test(`${ours} gives text, words and times, and ${foreign} the same without a contract`, async () => {
    const [wanted, found] = [await transcripts(ours), await transcripts(foreign)];
    expect(wanted.some(({ words }) => words.length > 0)).toBe(true);
    wanted.forEach((transcript, index) => {
      const other = found[index] as Transcript;
      expect(other.text).toBe(transcript.text);
      expect(other.words.map(({ text, startMs, endMs }) => [text, startMs, endMs])).toEqual(
        transcript.words.map(({ text, startMs, endMs }) => [text, startMs, endMs]),
      );
      expect(other.tokens.map(({ id, frame }) => [id, frame])).toEqual(
        transcript.tokens.map(({ id, frame }) => [id, frame]),
      );
      for (const { startMs, endMs, confidence } of transcript.words) {
        expect(endMs).toBeGreaterThanOrEqual(startMs);
        expect(endMs).toBeLessThanOrEqual(transcript.durationMs + 80);
        expect(confidence).toBeGreaterThanOrEqual(0);
        expect(confidence).toBeLessThanOrEqual(1);
      }
    });
  });
});

test.each(['tiny-nemo', 'tiny-sherpa'])('the int8 files of %s run', async (model) => {
  const asr = await Recognizer.open({ model: path.join(models, model), precision: 'int8' });
  const clip = new GoldenSet('tiny').clips.at(-1) as GoldenClip;
  const transcript = await asr.transcribe(clip.samples);
  expect(transcript.identity.quantized).toBe(true);
  expect(transcript.tokens.length).toBeGreaterThan(0);
  await asr.close();
});

describe('one recognizer', () => {
  const golden = new GoldenSet('tiny');
  const long = golden.clips.reduce((a, b) => (b.samples.length > a.samples.length ? b : a));
  let asr: Recognizer;

  beforeAll(async () => {
    asr = await Recognizer.open({ model: tiny, sessionsMax: 3 });
  });
  afterAll(() => asr.close());

  test('tells which device it took and why', () => {
    expect(asr.device.device).toBe('cpu');
    expect(asr.device.reason).not.toBe('');
    expect(asr.identity).toMatchObject({
      model: 'tiny-ours',
      layout: 'ours',
      device: 'cpu',
      quantized: false,
    });
    expect(asr.identity.engine).toMatch(/^onnxruntime \d+\.\d+/);
  });

  test('50 concurrent calls wait their turn and are each right', async () => {
    const clips = Array.from(
      { length: 50 },
      (_, index) => golden.clips[index % golden.clips.length] as GoldenClip,
    );
    const transcripts = await Promise.all(clips.map((clip) => asr.transcribe(clip.samples)));
    transcripts.forEach((transcript, index) => {
      expectGolden(transcript, clips[index] as GoldenClip, golden.confidenceTolerance);
    });
  });

  test('samples may come in pieces of any size', async () => {
    async function* pieces(): AsyncGenerator<Float32Array> {
      for (let at = 0; at < long.samples.length; at += 777) yield long.samples.subarray(at, at + 777);
    }
    expectGolden(await asr.transcribe(pieces()), long, golden.confidenceTolerance);
  });

  test('nothing, one sample, less than a frame and silence give results without text where there is none', async () => {
    for (const count of [0, 1, 159]) {
      const transcript = await asr.transcribe(new Float32Array(count));
      expect(transcript).toMatchObject({ text: '', words: [], tokens: [], confidence: 0 });
      expect(transcript.durationMs).toBeCloseTo((count / 16000) * 1000, 9);
    }
    expect((await asr.transcribe(new Float32Array(16000))).durationMs).toBe(1000);
  });

  test('timestamps choose how much is told', async () => {
    const none = await asr.transcribe(long.samples, { timestamps: 'none' });
    const word = await asr.transcribe(long.samples, { timestamps: 'word' });
    const token = await asr.transcribe(long.samples, { timestamps: 'token' });
    expect([none.words.length, none.tokens.length, word.tokens.length]).toEqual([0, 0, 0]);
    expect(word.words).toEqual(token.words);
    expect(token.tokens.length).toBe(long.tokens.length);
    expect(none.text).toBe(token.text);
    expect(token.timings.encoderMs).toBeGreaterThan(0);
    expect(token.timings.rtfx).toBeGreaterThan(0);
  });

  test('long audio reports progress window by window, and its length', async () => {
    const audio = new Float32Array(16000 * 75);
    for (let at = 0; at + 80000 <= audio.length; at += 96000) audio.set(long.samples.subarray(0, 80000), at);
    const seen: number[] = [];
    const transcript = await asr.transcribe(audio, {
      onProgress: ({ doneMs, durationMs }) => {
        expect(durationMs).toBe(75000);
        seen.push(doneMs);
      },
    });
    expect(seen.length).toBeGreaterThanOrEqual(3);
    expect(seen).toEqual([...seen].sort((a, b) => a - b));
    expect(seen.at(-1)).toBe(75000);
    expect(transcript.durationMs).toBe(75000);
    const starts = transcript.words.map((word) => word.startMs);
    expect(starts).toEqual([...starts].sort((a, b) => a - b));
    expect(starts.at(-1)).toBeGreaterThan(60000);
    expect(starts.at(-1)).toBeLessThan(75000);
  });

  test('a listener that throws ends its call and nothing else', async () => {
    const thrown = new Error('from the listener');
    const error = await failure(
      asr.transcribe(long.samples, {
        onProgress: () => {
          throw thrown;
        },
      }),
    );
    expect(error).toBe(thrown);
    expectGolden(await asr.transcribe(long.samples), long, golden.confidenceTolerance);
  });

  test('a source that throws ends its call and nothing else', async () => {
    const thrown = new Error('from the microphone');
    async function* broken(): AsyncGenerator<Float32Array> {
      yield long.samples.subarray(0, 1000);
      throw thrown;
    }
    const error = await failure(asr.transcribe(broken()));
    expect(error === thrown || (error as AsrError).cause === thrown).toBe(true);
    expectGolden(await asr.transcribe(long.samples), long, golden.confidenceTolerance);
  });

  test.each([Number.NaN, Number.POSITIVE_INFINITY])('a sample of %s is refused by its index', async (bad) => {
    const samples = long.samples.slice();
    samples[4321] = bad;
    const error = await asrFailure(asr.transcribe(samples));
    expect(error.code).toBe('ERR_BAD_ARGUMENT');
    expect(error.field).toBe('samples[4321]');
  });

  test('an abort before, during and after', async () => {
    const reason = new Error('enough');
    expect(await failure(asr.transcribe(long.samples, { signal: AbortSignal.abort(reason) }))).toBe(reason);

    const during = new AbortController();
    async function* endless(): AsyncGenerator<Float32Array> {
      for (;;) {
        yield long.samples.subarray(0, 16000);
        await new Promise((resolve) => setImmediate(resolve));
      }
    }
    const work = asr.transcribe(endless(), { signal: during.signal });
    setTimeout(() => during.abort(reason), 100);
    expect(await failure(work)).toBe(reason);

    const after = new AbortController();
    const transcript = await asr.transcribe(long.samples, { signal: after.signal });
    after.abort(reason);
    expectGolden(transcript, long, golden.confidenceTolerance);
  });

  /** Takes every slot until `release` is called. */
  function takeAllSlots(): { release: () => void; busy: Promise<Transcript>[] } {
    const gate = defer();
    async function* held(): AsyncGenerator<Float32Array> {
      await gate.promise;
      yield long.samples;
    }
    return { release: () => gate.resolve(undefined), busy: [1, 2, 3].map(() => asr.transcribe(held())) };
  }

  test('an abort while waiting for a slot leaves the queue', async () => {
    const { busy, release } = takeAllSlots();
    const leaving = new AbortController();
    const waiting = asr.transcribe(long.samples, { signal: leaving.signal });
    const next = asr.transcribe(long.samples);
    leaving.abort('no patience');
    expect(await failure(waiting)).toBe('no patience');
    release();
    for (const transcript of await Promise.all([...busy, next])) {
      expectGolden(transcript, long, golden.confidenceTolerance);
    }
  });

  test('a stream that fails while it waits for a slot rejects its call, and one whose call is aborted is let go', async () => {
    const { busy, release } = takeAllSlots();
    const broken = new PassThrough();
    const failing = failure(asr.transcribe(broken));
    const lost = new Error('the line went dead');
    broken.destroy(lost);
    const unwanted = new PassThrough();
    const leaving = new AbortController();
    const left = failure(asr.transcribe(unwanted, { signal: leaving.signal }));
    leaving.abort('no patience');
    expect(await left).toBe('no patience');
    await new Promise((resolve) => setImmediate(resolve));
    expect(unwanted.destroyed).toBe(true);
    release();
    expect(await failing).toBe(lost);
    await Promise.all(busy);
  });

  test('a path belongs to the working directory of its call', async () => {
    const { busy, release } = takeAllSlots();
    const home = process.cwd();
    process.chdir(path.join(fixtures, 'audio'));
    const waiting = asr.transcribe('reference.wav');
    process.chdir(home);
    release();
    expect((await waiting).durationMs).toBe(1400);
    await Promise.all(busy);
  });

  test('calls of one signal share a listener', async () => {
    const warnings: Error[] = [];
    const warned = (warning: Error) => warnings.push(warning);
    process.on('warning', warned);
    const { signal } = new AbortController();
    const calls = Array.from({ length: 20 }, () => asr.transcribe(long.samples, { signal }));
    expect(getEventListeners(signal, 'abort')).toHaveLength(1);
    await Promise.all(calls);
    expect(getEventListeners(signal, 'abort')).toHaveLength(0);
    const sources = calls.map(() => new Float32Array(1600));
    for await (const { error } of asr.transcribeMany(sources, { concurrency: 20, signal }))
      expect(error).toBeUndefined();
    expect(getEventListeners(signal, 'abort')).toHaveLength(0);
    await new Promise((resolve) => setImmediate(resolve));
    process.off('warning', warned);
    expect(warnings).toEqual([]);
  });

  test('transcribeMany yields every source once, with errors of its own', async () => {
    const sources = [
      long.samples,
      '/no/such/file.wav',
      new Float32Array(0),
      golden.clips[5]?.samples as Float32Array,
    ];
    const seen = new Map<number, string>();
    for await (const result of asr.transcribeMany(sources, { concurrency: 2 })) {
      expect(seen.has(result.index)).toBe(false);
      expect(result.source).toBe(sources[result.index]);
      seen.set(result.index, result.transcript?.text ?? (result.error as AsrError).code);
    }
    expect(seen.size).toBe(4);
    expect(seen.get(1)).toBe('ERR_BAD_ARGUMENT');
    expect(seen.get(2)).toBe('');
    expect(seen.get(0)).toBe((await asr.transcribe(long.samples)).text);
  });

  test('transcribeMany does not wait for a slow source to tell of what is done, nor with an abort', async () => {
    const gate = defer();
    async function* sources(): AsyncGenerator<Float32Array> {
      yield golden.clips[5]?.samples as Float32Array;
      await gate.promise;
    }
    const abort = new AbortController();
    const many = asr.transcribeMany(sources(), { signal: abort.signal });
    expect((await many.next()).value).toMatchObject({ index: 0 });
    const waiting = failure(many.next());
    abort.abort('no more');
    expect(await waiting).toBe('no more');
    gate.resolve(undefined);
  });

  test('leaving transcribeMany early abandons the rest', async () => {
    const sources = Array.from({ length: 30 }, () => long.samples);
    for await (const result of asr.transcribeMany(sources)) {
      expect(result.error).toBeUndefined();
      break;
    }
    expectGolden(await asr.transcribe(long.samples), long, golden.confidenceTolerance);
  });

  test.each([
    ['a misspelled option', { timestamp: 'word' }, 'options.timestamp'],
    ['a wrong choice', { timestamps: 'words' }, 'options.timestamps'],
    ['no signal', { signal: {} }, 'options.signal'],
    ['no function', { onProgress: 5 }, 'options.onProgress'],
    ['a negative rate', { sampleRateHz: -16000 }, 'options.sampleRateHz'],
    ['options that are none', null, 'options'],
  ])('%s names its field', async (_, options, field) => {
    const error = await asrFailure(asr.transcribe(long.samples, options as never));
    expect(error.code).toBe('ERR_BAD_ARGUMENT');
    expect(error.field).toBe(field);
    // Once, and not as the outcome of each source; a progress is not told of many.
    const many = await asrFailure(asr.transcribeMany([long.samples], options as never).next());
    expect(many.code).toBe('ERR_BAD_ARGUMENT');
    expect(many.field).toContain(field);
  });
});

function defer(): { promise: Promise<unknown>; resolve: (value: unknown) => void } {
  let resolve!: (value: unknown) => void;
  const promise = new Promise((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}

describe('open', () => {
  test.each([
    ['no options', undefined, 'ERR_BAD_ARGUMENT'],
    ['no model', {}, 'ERR_BAD_ARGUMENT'],
    ['a misspelled option', { model: tiny, sessions: 4 }, 'ERR_BAD_ARGUMENT'],
    ['a wrong device', { model: tiny, device: 'gpu' }, 'ERR_BAD_ARGUMENT'],
    ['too many slots', { model: tiny, sessionsMax: 0 }, 'ERR_BAD_ARGUMENT'],
    ['half a thread', { model: tiny, threads: 0.5 }, 'ERR_BAD_ARGUMENT'],
    ['a folder that is a number', { model: tiny, cacheDir: 5 }, 'ERR_BAD_ARGUMENT'],
    ['a text for a truth', { model: tiny, offline: 'no' }, 'ERR_BAD_ARGUMENT'],
    ['a GPU', { model: tiny, device: 'cuda:0' }, 'ERR_BACKEND_UNAVAILABLE'],
    ['no such folder', { model: '/no/such/folder' }, 'ERR_MODEL_NOT_FOUND'],
  ])('%s is refused', async (_, options, code) => {
    const error = await asrFailure(Recognizer.open(options as never));
    expect(error.code).toBe(code);
    expect(error.message).toContain('xpected');
  });

  test('a file: URL is a folder too', async () => {
    const asr = await Recognizer.open({ model: pathToFileURL(tiny) });
    expect(asr.identity.modelDir).toBe(tiny);
    await asr.close();
  });

  test('an abort while the model loads rejects with its reason', async () => {
    const abort = new AbortController();
    const opening = Recognizer.open({ model: tiny, signal: abort.signal });
    abort.abort('changed my mind');
    expect(await failure(opening)).toBe('changed my mind');
  });

  test('twenty recognizers at once share the weights and close in any order', async () => {
    const all = await Promise.all(
      Array.from({ length: 20 }, () => Recognizer.open({ model: tiny, sessionsMax: 1 })),
    );
    const clip = new GoldenSet('tiny').clips.at(-1) as GoldenClip;
    const texts = await Promise.all(all.map(async (asr) => (await asr.transcribe(clip.samples)).text));
    expect(new Set(texts).size).toBe(1);
    await Promise.all(all.reverse().map((asr) => asr.close()));
  });
});

describe('close', () => {
  test('is for good, and safe to repeat', async () => {
    const asr = await Recognizer.open({ model: tiny });
    await Promise.all([asr.close(), asr.close()]);
    await asr.close();
    expect((await asrFailure(asr.transcribe(new Float32Array(16000)))).code).toBe('ERR_CLOSED');
  });

  test('fails what is under way and what waits', async () => {
    const asr = await Recognizer.open({ model: tiny, sessionsMax: 1 });
    async function* never(): AsyncGenerator<Float32Array> {
      yield new Float32Array(16000);
      await new Promise(() => {});
    }
    const work = [asrFailure(asr.transcribe(never())), asrFailure(asr.transcribe(new Float32Array(16000)))];
    await new Promise((resolve) => setTimeout(resolve, 100));
    await asr.close();
    for (const error of await Promise.all(work)) expect(error.code).toBe('ERR_CLOSED');
  });

  test('await using closes', async () => {
    let kept: Recognizer;
    {
      await using asr = await Recognizer.open({ model: tiny });
      kept = asr;
    }
    expect((await asrFailure(kept.transcribe(new Float32Array(1)))).code).toBe('ERR_CLOSED');
  });
});
