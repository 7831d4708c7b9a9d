// Sessions as streams of Node's and of the web.
import { createReadStream, readFileSync } from 'node:fs';
import * as path from 'node:path';
import { PassThrough, Readable, Transform, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { SessionEvent } from '../../dist/index';
import { fixtures } from './golden';
import { Recognizer as Asr, all, asrFailure, failure, type Recognizer, thrown } from './session_support';

const file = path.join(fixtures, '..', '..', 'examples', 'welcome.wav');
const HEADER_BYTES = 44;
const bytes = readFileSync(file).subarray(HEADER_BYTES);
const integers = new Int16Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
const floats = Float32Array.from(integers, (x) => x / 32768);

let asr: Recognizer;
let wanted: string;
beforeAll(async () => {
  asr = await Asr.open({ model: 'demo-en', sessionsMax: 2 });
  const session = asr.openSession();
  await session.write(floats);
  wanted = (await session.end()).text;
  expect(wanted.length).toBeGreaterThan(20);
});
afterAll(() => asr.close());

const words = (events: SessionEvent[]) =>
  events.flatMap((event) => (event.type === 'final' ? [event.text] : [])).join(' ');

/** Both slots are free. */
async function expectAllFree(): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 100));
  const sessions = [asr.openSession(), asr.openSession()];
  await Promise.all(sessions.map((session) => session.close()));
}

function* cut<T extends { length: number; subarray(from: number, to: number): T }>(
  array: T,
  ...lengths: number[]
): Generator<T> {
  for (let at = 0, i = 0; at < array.length; i++) {
    const length = lengths[i % lengths.length] as number;
    yield array.subarray(at, at + length);
    at += length;
  }
}

function collect(events: SessionEvent[]): Writable {
  return new Writable({
    objectMode: true,
    write(event: SessionEvent, _encoding, done) {
      events.push(event);
      done();
    },
  });
}

const floatBytes = Buffer.from(floats.buffer);

describe('createTransform', () => {
  test.each<[string, Iterable<unknown>, object]>([
    ['bytes of integers, cut anywhere', cut(bytes, 1, 777, 4096, 3), {}],
    ['bytes of floats, cut anywhere', cut(floatBytes, 5, 1, 2, 4099), { format: 'f32le' }],
    ['arrays of integers', cut(integers, 800), {}],
    ['arrays of floats', cut(floats, 799, 1600), { format: 'f32le' }],
  ])('takes %s', async (_, chunks, options) => {
    const events: SessionEvent[] = [];
    await pipeline(Readable.from(chunks), asr.createTransform(options), collect(events));
    expect(words(events)).toBe(wanted);
    expect(events.at(-1)).toMatchObject({ type: 'end', durationMs: (integers.length * 1000) / 16000 });
    await expectAllFree();
  });

  test.each([
    ['s16le', bytes, 1],
    ['f32le', floatBytes, 3],
  ] as const)('drops what is behind the last whole sample of %s', async (format, whole, rest) => {
    const events: SessionEvent[] = [];
    const source = Readable.from(cut(Buffer.concat([whole, Buffer.alloc(rest)]), 4096));
    await pipeline(source, asr.createTransform({ format }), collect(events));
    expect(words(events)).toBe(wanted);
    expect(events.at(-1)).toMatchObject({ type: 'end', durationMs: (integers.length * 1000) / 16000 });
    await expectAllFree();
  });

  test('takes a file through a pipe, and is iterated', async () => {
    const transform = createReadStream(file, { start: HEADER_BYTES }).pipe(asr.createTransform());
    expect(words(await all(transform as AsyncIterable<SessionEvent>))).toBe(wanted);
  });

  test('holds its writer back while nobody reads', async () => {
    const sessions = { leftMs: 960, chunkMs: 4000, rightMs: 0 };
    const quick = await Asr.open({ model: 'demo-en', sessions });
    const transform = quick.createTransform({ endpoint: { silenceMs: 200 } });
    // A few words and a silence: far more finals than are kept.
    const sentence = new Int16Array(28_000);
    sentence.set(integers.subarray(0, 16_000));
    const count = 200;
    let written = 0;
    const source = new Readable({
      objectMode: true,
      highWaterMark: 1,
      read() {
        written += 1;
        this.push(written > count ? null : sentence);
      },
    });
    source.pipe(transform);
    let before = -1;
    while (written < 100 || before !== written) {
      before = written;
      await new Promise((resolve) => setTimeout(resolve, 2000));
    }
    expect(written).toBeLessThan(count);
    const events = await all(transform as AsyncIterable<SessionEvent>);
    expect(written).toBe(count + 1);
    expect(events.filter(({ type }) => type === 'final').length).toBeGreaterThanOrEqual(count);
    expect(events.at(-1)).toMatchObject({ type: 'end', durationMs: count * 1750 });
    await quick.close();
  });

  test('destroyed in the middle closes its session', async () => {
    for (const error of [undefined, new Error('enough')]) {
      const transform = asr.createTransform();
      const seen: unknown[] = [];
      transform.on('error', (reason) => seen.push(reason));
      transform.write(floats);
      transform.destroy(error);
      await new Promise((resolve) => transform.once('close', resolve));
      expect(seen).toEqual(error === undefined ? [] : [error]);
    }
    await expectAllFree();
  });

  test('in a pipeline ends with its source’s error', async () => {
    const boom = new Error('unplugged');
    const source = Readable.from(
      (async function* () {
        yield integers.slice(0, 1600);
        throw boom;
      })(),
    );
    expect(await failure(pipeline(source, asr.createTransform(), collect([])))).toBe(boom);
    await expectAllFree();
  });

  test('in a pipeline ends with its reader’s error', async () => {
    const boom = new Error('full');
    const sink = new Transform({ objectMode: true, transform: (_event, _encoding, done) => done(boom) });
    const source = Readable.from(cut(integers, 1600));
    expect(await failure(pipeline(source, asr.createTransform(), sink, new PassThrough()))).toBe(boom);
    await expectAllFree();
  });

  test('whose source closes too early is closed', async () => {
    const source = new Readable({ objectMode: true, read() {} });
    const piped = failure(pipeline(source, asr.createTransform(), collect([])));
    source.push(integers.slice(0, 1600));
    setTimeout(() => source.destroy(), 20);
    expect(await piped).toMatchObject({ code: 'ERR_STREAM_PREMATURE_CLOSE' });
    await expectAllFree();
  });

  test('left by the reader of its loop is closed', async () => {
    const transform = asr.createTransform();
    const source = Readable.from(cut(integers, 1600));
    const piped = failure(pipeline(source, transform));
    for await (const _ of transform) break;
    await piped;
    await expectAllFree();
  });

  test.each([
    ['a string', ['abc'], {}, 'ERR_BAD_ARGUMENT', 'chunk'],
    ['doubles', [new Float64Array(4)], {}, 'ERR_BAD_ARGUMENT', 'chunk'],
    [
      'an array behind half a sample',
      [Buffer.alloc(3), floats],
      {},
      'ERR_AUDIO_DECODE',
      'audio of format s16le',
    ],
    [
      'a float that is none',
      [Buffer.from(Float32Array.of(0, Number.NaN).buffer)],
      { format: 'f32le' },
      'ERR_BAD_ARGUMENT',
      'samples[1]',
    ],
  ])('fails with %s', async (_, chunks, options, code, field) => {
    const work = pipeline(Readable.from(chunks), asr.createTransform(options), collect([]));
    expect(await asrFailure(work)).toMatchObject({ code, field });
    await expectAllFree();
  });

  test('fails with the reason of an abort', async () => {
    const abort = new AbortController();
    const source = new Readable({ objectMode: true, read() {} });
    const piped = failure(pipeline(source, asr.createTransform({ signal: abort.signal }), collect([])));
    const reason = new Error('enough');
    setTimeout(() => abort.abort(reason), 20);
    expect(await piped).toBe(reason);
    await expectAllFree();
  });

  test('refuses what openSession refuses', async () => {
    expect(thrown(() => asr.createTransform({ format: 's24le' as never })).field).toBe('options.format');
    expect(thrown(() => asr.createTransform({ transcript: true } as never)).field).toBe('options.transcript');
    expect(thrown(() => asr.createTransform(null as never)).field).toBe('options');
    const both = [asr.createTransform(), asr.createTransform()];
    expect(thrown(() => asr.createTransform()).code).toBe('ERR_SESSION_LIMIT');
    for (const one of both) one.destroy();
    await expectAllFree();
  });
});

describe('createWebTransform', () => {
  const from = (chunks: Iterable<Uint8Array | Float32Array>) => {
    const iterator = chunks[Symbol.iterator]();
    return new ReadableStream<Uint8Array | Float32Array>({
      pull(controller) {
        const { value, done } = iterator.next();
        if (done) controller.close();
        else controller.enqueue(value);
      },
    });
  };

  test('takes bytes and arrays through pipeThrough', async () => {
    // The last ends in the middle of a sample.
    for (const chunks of [cut(bytes, 1001), cut(floats, 800), [bytes, Buffer.alloc(1)]]) {
      const events = from(chunks).pipeThrough(asr.createWebTransform());
      expect(words(await all(events))).toBe(wanted);
    }
    await expectAllFree();
  });

  test('cancelled by its reader closes its session', async () => {
    const { readable, writable } = asr.createWebTransform();
    const writer = writable.getWriter();
    await writer.write(floats);
    await readable.cancel();
    expect((await asrFailure(writer.write(floats))).code).toBe('ERR_CLOSED');
    await expectAllFree();
  });

  test('aborted by its writer fails its reader', async () => {
    const { readable, writable } = asr.createWebTransform();
    const reading = failure(all(readable));
    const boom = new Error('unplugged');
    await writable.abort(boom);
    expect(await reading).toBe(boom);
    await expectAllFree();
  });

  test('fails both ends when it is aborted, though nothing is written', async () => {
    const abort = new AbortController();
    let cancelled: unknown;
    const stalled = new ReadableStream<Uint8Array>({
      cancel(reason) {
        cancelled = reason;
      },
    });
    const reading = failure(all(stalled.pipeThrough(asr.createWebTransform({ signal: abort.signal }))));
    const reason = new Error('enough');
    setTimeout(() => abort.abort(reason), 20);
    expect(await reading).toBe(reason);
    await new Promise((resolve) => setImmediate(resolve));
    expect(cancelled).toBe(reason);
    await expectAllFree();
  });

  test('fails both ends with a chunk that is none', async () => {
    const { readable, writable } = asr.createWebTransform();
    const reading = asrFailure(all(readable));
    const writer = writable.getWriter();
    writer.closed.catch(() => {});
    expect((await asrFailure(writer.write('abc' as never))).field).toBe('chunk');
    expect((await reading).field).toBe('chunk');
    await expectAllFree();
  });
});

describe('stream', () => {
  /** The events that come, and what is thrown behind them. */
  async function until(events: AsyncIterable<SessionEvent>): Promise<[SessionEvent[], unknown]> {
    const list: SessionEvent[] = [];
    try {
      for await (const event of events) list.push(event);
    } catch (reason) {
      return [list, reason];
    }
    return expect.fail('it succeeded');
  }

  async function* broken<T>(chunks: Iterable<T>, reason: unknown): AsyncGenerator<T> {
    yield* chunks;
    throw reason;
  }

  test.each(['generator', 'Readable'])('a %s that fails ends the audio; nothing is lost', async (kind) => {
    const boom = new Error('unplugged');
    const chunks = broken(cut(integers, 1600), boom);
    const [events, reason] = await until(asr.stream(kind === 'Readable' ? Readable.from(chunks) : chunks));
    expect(reason).toBe(boom);
    expect(words(events)).toBe(wanted);
    expect(events.at(-1)).toMatchObject({ type: 'end', durationMs: (integers.length * 1000) / 16000 });
    await expectAllFree();
  });

  test('a file that is cut off gives what it has', async () => {
    const flac = readFileSync(path.join(fixtures, '..', '..', 'examples', 'weather.flac'));
    const [events, reason] = await until(asr.stream(flac.subarray(0, 60_000)));
    expect(reason).toMatchObject({ code: 'ERR_AUDIO_DECODE', field: expect.stringContaining('FLAC') });
    expect(words(events)).toMatch(/^Good evening/);
    await expectAllFree();
  });

  test('a source that cannot be opened gives no event', async () => {
    const [events, reason] = await until(asr.stream('/no/such.wav'));
    expect(reason).toMatchObject({ code: 'ERR_BAD_ARGUMENT' });
    expect(events).toEqual([]);
    await expectAllFree();
  });

  test('a stream is adopted by the call, before the first event is asked for', async () => {
    const boom = new Error('unplugged');
    const source = new Readable({ objectMode: true, read() {} });
    const events = asr.stream(source);
    source.destroy(boom);
    // Its error comes now, and would end the process if nobody had taken the stream over.
    await new Promise((resolve) => source.once('close', resolve));
    expect((await until(events))[1]).toBe(boom);
    await expectAllFree();
  });

  test('a stream that is never read is not left open', async () => {
    const returned = new Readable({ objectMode: true, read() {} });
    await asr.stream(returned).return();
    const aborted = new Readable({ objectMode: true, read() {} });
    await until(asr.stream(aborted, { signal: AbortSignal.abort('enough') }));
    const refused = new Readable({ objectMode: true, read() {} });
    const full = Array.from({ length: 2 }, () => asr.openSession());
    expect((await until(asr.stream(refused)))[1]).toMatchObject({ code: 'ERR_SESSION_LIMIT' });
    for (const session of full) await session.close();
    expect([returned.destroyed, aborted.destroyed, refused.destroyed]).toEqual([true, true, true]);
    await expectAllFree();
  });

  test('an abort is no end of the audio', async () => {
    const abort = new AbortController();
    async function* stalled(): AsyncGenerator<Int16Array> {
      yield integers;
      abort.abort('enough');
      throw new Error('of no interest');
    }
    const [events, reason] = await until(asr.stream(stalled(), { signal: abort.signal }));
    expect(reason).toBe('enough');
    expect(words(events)).toBe('');
    await expectAllFree();
  });

  test('of raw bytes names the calls that take them', async () => {
    const web = new ReadableStream<Uint8Array>({
      start(controller) {
        controller.enqueue(Uint8Array.from(bytes));
        controller.close();
      },
    });
    const [, reason] = await until(asr.stream(web as never));
    expect(reason).toMatchObject({ code: 'ERR_BAD_ARGUMENT', field: 'source' });
    expect((reason as Error).message).toContain('createTransform()');
    expect((await asrFailure(all(asr.stream(bytes.subarray(0, 64_000))))).remedy).toContain('--raw s16le');
    await expectAllFree();
  });
});
