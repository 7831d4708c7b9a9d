// Live sessions on the real core, with the model that ships.
import { createReadStream } from 'node:fs';
import * as path from 'node:path';
import { Readable } from 'node:stream';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { FinalEvent, SessionEvent, Transcript } from '../../dist/index';
import { decode } from './audio_support';
import { fixtures } from './golden';
import { Recognizer as Asr, all, asrFailure, failure, type Recognizer, thrown } from './session_support';

const examples = path.join(fixtures, '..', '..', 'examples');
const example = (name: string) => path.join(examples, name);

let welcome: Float32Array;
let long: Float32Array;
let asr: Recognizer;
/** One window holds any of the short clips. */
let whole: Recognizer;

beforeAll(async () => {
  welcome = await decode(example('welcome.wav'));
  long = await decode(example('long.mp3'));
  asr = await Asr.open({ model: 'demo-en', sessionsMax: 8 });
  const sessions = { mode: 'buffered', leftMs: 0, chunkMs: 30_000, rightMs: 0 } as const;
  whole = await Asr.open({ model: 'demo-en', sessions });
});
afterAll(async () => {
  await asr.close();
  await whole.close();
});

/** Numbers in [0, 1), the same in every run. */
function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

interface Outcome {
  events: SessionEvent[];
  transcript: Transcript;
}

/** Runs samples through a session in chunks of the lengths that `length` gives. */
async function run(
  recognizer: Recognizer,
  samples: Float32Array | Int16Array,
  options: object = {},
  length: () => number = () => samples.length,
): Promise<Outcome> {
  const session = recognizer.openSession(options);
  const events = all(session.events());
  for (let at = 0; at < samples.length; ) {
    const count = Math.max(1, Math.floor(length()));
    await session.write(samples.slice(at, at + count));
    at += count;
  }
  const transcript = await session.end();
  return { events: await events, transcript };
}

const tokens = ({ tokens: list }: Transcript) =>
  list.map(({ id, frame, durationFrames }) => [id, frame, durationFrames]);
const finals = (events: SessionEvent[]) =>
  events.filter((event): event is FinalEvent => event.type === 'final');

/** 16 kHz samples at another rate: band-limited interpolation, in the test's own words. */
function atRate(samples: Float32Array, rateHz: number): Float32Array {
  const half = 24;
  const cutoff = Math.min(1, rateHz / 16000) * 0.92;
  return Float32Array.from({ length: Math.floor((samples.length * rateHz) / 16000) }, (_, k) => {
    const at = (k * 16000) / rateHz;
    let sum = 0;
    for (let i = Math.ceil(at) - half; i < at + half; i++) {
      const x = Math.PI * cutoff * (at - i);
      const window = Math.cos((Math.PI * (at - i)) / (2 * half)) ** 2;
      sum += (samples[i] ?? 0) * cutoff * (x === 0 ? 1 : Math.sin(x) / x) * window;
    }
    return sum;
  });
}

const toInt16 = (samples: Float32Array) =>
  Int16Array.from(samples, (x) => Math.max(-32768, Math.min(32767, Math.round(x * 32768))));

describe('what a session hears', () => {
  test('does not depend on how the audio was cut', async () => {
    const clip = long.subarray(0, 20 * 16000);
    const { transcript: wanted, events } = await run(asr, clip);
    expect(wanted.tokens.length).toBeGreaterThan(40);
    const next = random(5);
    const cuts: [string, () => number][] = [
      ['10 ms', () => 160],
      ['an odd number', () => 997],
      ['ragged', () => 10 ** (next() * 5.5)],
      ['ragged again', () => 10 ** (next() * 4)],
      ['a million', () => 1_000_000],
    ];
    for (const [name, length] of cuts) {
      const found = await run(asr, clip, {}, length);
      expect(tokens(found.transcript), name).toEqual(tokens(wanted));
      expect(found.transcript.text, name).toBe(wanted.text);
      expect(finals(found.events), name).toEqual(finals(events));
    }
  });

  test('does not depend on it, sample by sample', async () => {
    const clip = welcome.subarray(0, 24_000);
    const { transcript: wanted } = await run(asr, clip);
    const { transcript: found } = await run(asr, clip, {}, () => 1);
    expect(tokens(found)).toEqual(tokens(wanted));
  });

  test('does not depend on it at another rate either', async () => {
    const clip = atRate(welcome, 44100);
    const options = { sampleRateHz: 44100 };
    const { transcript: wanted } = await run(asr, clip, options);
    const next = random(6);
    const found = await run(asr, clip, options, () => 10 ** (next() * 4));
    expect(tokens(found.transcript)).toEqual(tokens(wanted));
    expect(wanted.tokens.length).toBeGreaterThan(5);
  });

  test('is the same in 16-bit integers and in floats', async () => {
    const integers = toInt16(long.subarray(0, 10 * 16000));
    const { transcript: wanted } = await run(
      asr,
      Float32Array.from(integers, (x) => x / 32768),
    );
    const { transcript: found } = await run(asr, integers, {}, () => 4801);
    expect(found.tokens).toEqual(wanted.tokens);
    expect(wanted.tokens.length).toBeGreaterThan(20);
  });

  test('is what transcribe() hears, when one window holds all', async () => {
    for (const name of ['welcome.wav', 'weather.flac', 'question.mp3']) {
      const samples = await decode(example(name));
      const wanted = await whole.transcribe(samples);
      const { transcript: found } = await run(whole, samples, {}, () => 1600);
      expect(tokens(found), name).toEqual(tokens(wanted));
      expect(found.text, name).toBe(wanted.text);
      expect(found.words, name).toEqual(wanted.words);
      expect(found.durationMs, name).toBeCloseTo(wanted.durationMs, 6);
      expect(found.identity, name).toEqual(wanted.identity);
    }
  });

  test.each([
    11025, 44100, 48000, 96000,
  ])('at %i Hz gives the words that transcribe() gives', async (rateHz) => {
    const samples = atRate(welcome, rateHz);
    const wanted = await whole.transcribe(samples, { sampleRateHz: rateHz });
    const { transcript: found } = await run(whole, samples, { sampleRateHz: rateHz }, () => rateHz / 50);
    expect(found.text).toBe(wanted.text);
    expect(wanted.words.length).toBeGreaterThan(3);
    expect(found.durationMs).toBeCloseTo((samples.length * 1000) / rateHz, 6);
  });

  test('at 8,000 Hz gives words too', async () => {
    // The model has never heard a telephone, so it is not sure of the long words.
    const { transcript } = await run(whole, atRate(welcome, 8000), { sampleRateHz: 8000 }, () => 160);
    expect(transcript.text).toMatch(/^Welcome to the .*laborator/);
    expect(transcript.durationMs).toBeCloseTo((welcome.length * 1000) / 16000, 0);
  });

  test('is not kept as a transcript when none is asked for', async () => {
    const { transcript, events } = await run(asr, long.subarray(0, 30 * 16000), { transcript: false });
    expect(transcript).toMatchObject({ text: '', words: [], tokens: [], durationMs: 30_000 });
    expect(finals(events).length).toBeGreaterThan(1);
  });

  test('of nothing is nothing', async () => {
    const { transcript, events } = await run(asr, new Float32Array(0));
    expect(transcript).toMatchObject({ text: '', durationMs: 0 });
    expect(events.map(({ type }) => type)).toEqual(['end']);
  });
});

describe('events', () => {
  test('tell a text that only grows: what is stable stays, and the final begins with it', async () => {
    const { events, transcript } = await run(asr, long, {}, () => 1600);
    let stable = '';
    let partials = 0;
    for (const event of events) {
      if (event.type === 'partial') {
        partials += 1;
        expect(event.text.startsWith(stable)).toBe(true);
        expect(event.stableLength).toBeGreaterThanOrEqual(stable.length);
        stable = event.text.slice(0, event.stableLength);
      } else if (event.type === 'final') {
        expect(event.text.startsWith(stable)).toBe(true);
        stable = '';
      }
    }
    expect(partials).toBeGreaterThan(5);
    expect(transcript.text).toBe(
      finals(events)
        .map(({ text }) => text)
        .join(' '),
    );
  });

  test('put an endpoint behind each final, in order of time, and one end behind all', async () => {
    const { events, transcript } = await run(asr, long);
    const kept = events.filter(({ type }) => type !== 'partial');
    let before = 0;
    for (let at = 0; at + 1 < kept.length; at += 2) {
      const [final, endpoint] = [kept[at], kept[at + 1]];
      if (final?.type !== 'final' || endpoint?.type !== 'endpoint') return expect.fail('out of order');
      expect(final.startMs).toBeGreaterThanOrEqual(before);
      expect(final.endMs).toBeGreaterThanOrEqual(final.startMs);
      expect(final.words.map(({ text }) => text).join(' ')).toBe(final.text);
      expect(final.confidence).toBeGreaterThan(0);
      expect(['silence', 'length', 'pause', 'end']).toContain(endpoint.reason);
      before = final.endMs;
    }
    expect(kept.length).toBeGreaterThan(4);
    expect(kept.length % 2).toBe(1);
    const { durationMs, timings } = transcript;
    expect(kept.at(-1)).toEqual({ type: 'end', durationMs, timings });
    expect(durationMs).toBeCloseTo((long.length * 1000) / 16000, 6);
    expect(timings.encoderMs).toBeGreaterThan(0);
    expect(transcript.tokens.length).toBe(finals(events).flatMap(({ tokens: list }) => list).length);
  });

  test('come sooner with a shorter silence', async () => {
    const { events: many } = await run(asr, long, { endpoint: { silenceMs: 200 } });
    const { events: few } = await run(asr, long, { endpoint: { silenceMs: 5000, maxUtteranceMs: 60_000 } });
    expect(finals(many).length).toBeGreaterThan(finals(few).length);
    expect(
      finals(many)
        .map(({ text }) => text)
        .join(' ')
        .replace(/[^a-z ]/gi, ''),
    ).toBe(
      finals(few)
        .map(({ text }) => text)
        .join(' ')
        .replace(/[^a-z ]/gi, ''),
    );
  });
});

describe('stream', () => {
  const words = (events: SessionEvent[]) =>
    finals(events)
      .map(({ text }) => text)
      .join(' ');
  const chunked = async function* (samples: Float32Array | Int16Array, count: number) {
    for (let at = 0; at < samples.length; at += count) yield samples.slice(at, at + count);
  };

  test('takes every kind of source', async () => {
    const wanted = (await run(asr, welcome)).transcript.text;
    const bytes = createReadStream(example('welcome.wav'));
    const sources = [
      example('welcome.wav'),
      bytes,
      welcome,
      toInt16(welcome),
      chunked(welcome, 700),
      chunked(toInt16(welcome), 700),
      Readable.from(chunked(welcome, 5000)),
    ];
    for (const source of sources) expect(words(await all(asr.stream(source)))).toBe(wanted);
    expect(bytes.destroyed).toBe(true);
  });

  test('decodes a file at its own rate, whatever is said of samples', async () => {
    const wanted = await whole.transcribe(example('weather.flac'));
    expect(words(await all(whole.stream(example('weather.flac'), { sampleRateHz: 8000 })))).toBe(wanted.text);
  });

  test('resamples samples', async () => {
    const found = await all(whole.stream(chunked(atRate(welcome, 48000), 480), { sampleRateHz: 48000 }));
    expect(words(found)).toBe((await whole.transcribe(welcome)).text);
    expect(found.at(-1)).toMatchObject({ type: 'end', durationMs: (welcome.length / 16000) * 1000 });
  });

  test('left in the middle frees source and slot', async () => {
    const one = await Asr.open({ model: 'demo-en', sessionsMax: 1 });
    let left = false;
    async function* endless(): AsyncGenerator<Float32Array> {
      try {
        for (;;) yield long.slice(0, 16000);
      } finally {
        left = true;
      }
    }
    for await (const event of one.stream(endless())) {
      expect(event.type).toBe('partial');
      break;
    }
    expect(left).toBe(true);
    expect((await one.transcribe(welcome)).text).not.toBe('');
    const file = createReadStream(example('long.mp3'));
    for await (const _ of one.stream(file)) break;
    expect(file.destroyed).toBe(true);
    await one.close();
  });

  test('left while its source stalls does not wait for it', async () => {
    async function* stalled(): AsyncGenerator<Float32Array> {
      yield welcome.slice(0, 1600);
      await new Promise(() => {});
    }
    const events = asr.stream(stalled());
    const next = events.next();
    await new Promise((resolve) => setTimeout(resolve, 50));
    await events.return();
    expect((await next).done).toBe(true);
  });

  test('throws what its source throws', async () => {
    const boom = new Error('unplugged');
    async function* broken(): AsyncGenerator<Float32Array> {
      yield welcome.slice(0, 1600);
      throw boom;
    }
    expect(await failure(all(asr.stream(broken())))).toBe(boom);
    const stream = new Readable({ objectMode: true, read() {} });
    const streamed = failure(all(asr.stream(stream)));
    stream.destroy(boom);
    expect(await streamed).toBe(boom);
    expect((await asrFailure(all(asr.stream('/no/such.wav')))).code).toBe('ERR_BAD_ARGUMENT');
    expect((await asrFailure(all(asr.stream(Buffer.from('no audio'))))).code).toBe('ERR_AUDIO_DECODE');
    async function* wrong(): AsyncGenerator<Float32Array> {
      yield [1, 2, 3] as never;
    }
    expect((await asrFailure(all(asr.stream(wrong())))).field).toBe('samples');
    for (const source of [5, undefined, {}])
      expect((await asrFailure(all(asr.stream(source as never)))).field).toBe('source');
  });

  test('rejects with the reason of an abort', async () => {
    const abort = new AbortController();
    const streaming = failure(all(asr.stream(chunked(long, 1600), { signal: abort.signal })));
    await new Promise((resolve) => setTimeout(resolve, 30));
    abort.abort('enough');
    expect(await streaming).toBe('enough');
  });

  test('refuses what openSession refuses, and a transcript', async () => {
    expect((await asrFailure(all(asr.stream(welcome, { timestamp: 1 } as never)))).code).toBe(
      'ERR_BAD_ARGUMENT',
    );
    expect((await asrFailure(all(asr.stream(welcome, { transcript: true } as never)))).field).toBe(
      'options.transcript',
    );
    expect((await asrFailure(all(asr.stream(welcome, null as never)))).field).toBe('options');
  });
});

describe('many at once', () => {
  test('each hears its own', async () => {
    const clips = await Promise.all(
      ['welcome.wav', 'weather.flac', 'question.mp3'].map((name) => decode(example(name))),
    );
    const wanted = await Promise.all(clips.map((clip) => run(asr, clip)));
    const next = random(9);
    const found = await Promise.all(
      Array.from({ length: 8 }, (_, i) =>
        run(asr, clips[i % 3] as Float32Array, {}, () => 10 ** (1 + next() * 3)),
      ),
    );
    found.forEach(({ transcript }, i) => {
      expect(transcript.tokens).toEqual(wanted[i % 3]?.transcript.tokens);
    });
  });

  test('go on beside recordings, which keep their turn', async () => {
    const one = await Asr.open({ model: 'demo-en', sessionsMax: 2 });
    const session = one.openSession();
    const recordings = [welcome, welcome, welcome].map((clip) => one.transcribe(clip));
    expect(thrown(() => one.openSession()).code).toBe('ERR_SESSION_LIMIT');
    await session.write(welcome);
    const texts = (await Promise.all(recordings)).map(({ text }) => text);
    expect(new Set(texts).size).toBe(1);
    const live = await session.end();
    expect(live.tokens.length).toBeGreaterThan(5);
    // All slots are free again.
    const again = [one.openSession(), one.openSession()];
    expect(thrown(() => one.openSession()).code).toBe('ERR_SESSION_LIMIT');
    await Promise.all(again.map((each) => each.close()));
    one.openSession();
    await one.close();
  });

  test('are failed by closing their recognizer', async () => {
    const one = await Asr.open({ model: 'demo-en' });
    const [first, second, third] = [one.openSession(), one.openSession(), one.openSession()];
    const work = [
      asrFailure(first.write(new Float32Array(3_000_000))),
      asrFailure(first.end()),
      asrFailure(all(second.events())),
      asrFailure(all(one.stream(long))),
    ];
    await new Promise((resolve) => setTimeout(resolve, 30));
    await one.close();
    for (const error of await Promise.all(work)) expect(error.code).toBe('ERR_CLOSED');
    expect((await asrFailure(third.write(welcome))).code).toBe('ERR_CLOSED');
    expect(thrown(() => one.openSession()).code).toBe('ERR_CLOSED');
    await Promise.all([first.close(), second.close(), third.close()]);
  });

  test('await using closes', async () => {
    const one = await Asr.open({ model: 'demo-en', sessionsMax: 1 });
    for (let i = 0; i < 3; i++) {
      await using session = one.openSession();
      await session.write(welcome.subarray(0, 8000));
    }
    await one.close();
  });
});

test.each([
  'rnnt',
  'ctc',
])('a folder with a streaming encoder alone is heard chunk after chunk: %s', async (name) => {
  const one = await Asr.open({ model: path.join(fixtures, 'models', 'streaming', name) });
  expect(one.sessions).toEqual({ mode: 'cache-aware' });
  const clip = long.subarray(0, 8 * 16000);
  // One utterance: where silence ends one, a mark that comes late is left out.
  const options = { endpoint: { silenceMs: 10_000, maxUtteranceMs: 600_000 } };
  const { transcript: wanted } = await run(one, clip, options);
  expect(wanted.tokens.length).toBeGreaterThan(3);
  expect(tokens(await one.transcribe(clip))).toEqual(tokens(wanted));
  const next = random(11);
  const again = await Promise.all([1, 2, 3].map(() => run(one, clip, options, () => 10 ** (next() * 4.5))));
  for (const { transcript } of again) expect(tokens(transcript)).toEqual(tokens(wanted));
  await one.close();
});

test('segments of speech become finals, with the built-in detector', async () => {
  const one = await Asr.open({ model: 'demo-en', sessions: { mode: 'segment' } });
  expect(one.sessions).toEqual({ mode: 'segment', vad: 'energy' });
  const gap = new Float32Array(16000 * 1.5);
  const clip = Float32Array.from([...gap, ...welcome, ...gap, ...welcome, ...gap]);
  const { events, transcript } = await run(one, clip, { endpoint: { threshold: 0.6 } }, () => 997);
  const wanted = await one.transcribe(welcome);
  expect(finals(events).map(({ text }) => text)).toEqual([wanted.text, wanted.text]);
  expect(transcript.text).toBe(`${wanted.text} ${wanted.text}`);
  const { transcript: once } = await run(one, clip);
  expect(tokens(once)).toEqual(tokens(transcript));
  await one.close();
});
