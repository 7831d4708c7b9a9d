import * as path from 'node:path';
import { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { CHUNK_SAMPLES, RATE_HZ_MAX, RATE_HZ_MIN, TARGET_RATE_HZ } from './audio/protocol';
import { Rechunker } from './audio/rechunk';
import { assertAttached, assertFinite, copyAsFloat } from './audio/samples';
import { DecodeWorker, type PullAnswer } from './audio/worker_client';
import { AsrError, badArgument } from './errors';
import { orAbort } from './options';

/**
 * Where audio comes from: a path or file URL, the bytes of an encoded file (whole or as a Node stream), or mono samples
 * (whole or as an async iterable). Samples are at 16 kHz unless `sampleRateHz` says otherwise.
 */
export type AudioSource =
  | string
  | URL
  | Uint8Array
  | ArrayBuffer
  | Float32Array
  | Int16Array
  | Readable
  | AsyncIterable<Float32Array | Int16Array>;

export interface AudioOptions {
  /** The rate of a source of bare samples; encoded audio carries its own. Default 16000. */
  sampleRateHz?: number | undefined;
  /** Ends the work; what waits then rejects with `signal.reason`. */
  signal?: AbortSignal | undefined;
}

export interface AudioInput {
  /** Mono samples at 16 kHz, at most half a second in a chunk; to be iterated once. Leaving the loop closes the input. */
  readonly chunks: AsyncIterableIterator<Float32Array>;
  /** The whole length, where the source says it before it is decoded. */
  readonly durationMs: number | undefined;
  /** Ends the worker and its file; resolves when both are gone. May be called at any time, more than once. */
  close(): Promise<void>;
}

/** WHY: a slice of this size is copied in well under a millisecond, so the event loop does not notice. */
const SLICE_BYTES = 262144;

/**
 * Opens a source and reads its header. Decoding and resampling run in a worker thread, a few chunks ahead of the reader.
 * Throws ERR_BAD_ARGUMENT for a source that cannot be audio and ERR_AUDIO_DECODE for one that is damaged or unknown;
 * the iteration throws the same codes for what shows up later.
 */
export async function openAudio(given: AudioSource, options: AudioOptions = {}): Promise<AudioInput> {
  const { signal } = options;
  if (signal !== undefined && !(signal instanceof AbortSignal))
    throw badArgument('signal', 'an AbortSignal', signal);
  const rateHz = checkRate(options.sampleRateHz);
  signal?.throwIfAborted();
  const source = adopt(given);
  if (typeof source === 'string') return openFile(source, signal);
  if (source instanceof Float32Array || source instanceof Int16Array) {
    return openSamples(memorySamples(source), rateHz, (source.length * 1000) / rateHz, signal);
  }
  if (source instanceof Uint8Array || source instanceof ArrayBuffer)
    return openBytes(memoryBytes(source), signal);
  if (source instanceof Readable && !source.readableObjectMode)
    return openBytes(readableBytes(source), signal);
  if (typeof source === 'object' && source !== null && Symbol.asyncIterator in source) {
    return openSamples(iterableSamples(source as AsyncIterable<unknown>), rateHz, undefined, signal);
  }
  throw badArgument(
    'source',
    'a path, a file URL, bytes, a Readable, a Float32Array, an Int16Array or an async iterable of such arrays',
    source,
    (source as unknown) instanceof Blob ? 'Pass the bytes: await blob.arrayBuffer().' : undefined,
  );
}

/** A rate of bare samples. Throws ERR_BAD_ARGUMENT. */
export function checkRate(rateHz: unknown, field = 'sampleRateHz'): number {
  if (rateHz === undefined) return TARGET_RATE_HZ;
  const valid = typeof rateHz === 'number' && rateHz >= RATE_HZ_MIN && rateHz <= RATE_HZ_MAX;
  if (!valid) throw badArgument(field, `a number from ${RATE_HZ_MIN} to ${RATE_HZ_MAX}`, rateHz);
  return rateHz;
}

/** Takes over a source that is opened later, and returns it as it is to be opened then. Throws ERR_BAD_ARGUMENT. */
export function adopt(source: AudioSource): Exclude<AudioSource, URL> {
  // A path belongs to the working directory in which it was named.
  if (typeof source === 'string' || source instanceof URL) return filePath(source);
  // A stream may fail before the first read is made of it; that read then gets the error.
  if (source instanceof Readable) source.on('error', () => {});
  return source;
}

function filePath(source: string | URL): string {
  if (typeof source === 'string' && !/^[a-z][a-z0-9+.-]+:\/\//i.test(source)) {
    if (source === '' || source.includes('\0')) throw badArgument('source', 'a path', source);
    return path.resolve(source);
  }
  try {
    return fileURLToPath(source);
  } catch {
    const remedy = 'Fetch it first and pass its bytes or its stream.';
    throw new AsrError({
      code: 'ERR_BAD_ARGUMENT',
      field: 'source',
      expected: 'a file: URL',
      received: String(source),
      remedy,
    });
  }
}

function openFile(path: string, signal: AbortSignal | undefined): Promise<AudioInput> {
  return DecodeWorker.open({ kind: 'file', name: path, rateHz: 0 }, undefined, signal);
}

function openBytes(bytes: AsyncGenerator<Uint8Array>, signal: AbortSignal | undefined): Promise<AudioInput> {
  const answers = mapAnswers(bytes, (block) => ({ type: 'bytes', bytes: block }), {
    type: 'bytes',
    bytes: null,
  });
  return DecodeWorker.open({ kind: 'bytes', name: 'source', rateHz: 0 }, answers, signal);
}

async function openSamples(
  samples: AsyncGenerator<Float32Array>,
  rateHz: number,
  durationMs: number | undefined,
  signal: AbortSignal | undefined,
): Promise<AudioInput> {
  if (rateHz === TARGET_RATE_HZ) return new DirectInput(samples, durationMs, signal);
  const end: PullAnswer = { type: 'samples', samples: null };
  const answers = mapAnswers(samples, (block) => ({ type: 'samples', samples: block }), end);
  return DecodeWorker.open({ kind: 'samples', name: 'samples', rateHz }, answers, signal, durationMs);
}

async function* mapAnswers<T>(
  source: AsyncIterable<T>,
  answer: (value: T) => PullAnswer,
  end: PullAnswer,
): AsyncGenerator<PullAnswer, undefined> {
  for await (const value of source) yield answer(value);
  yield end;
}

/** Copies slice by slice, so that the caller's memory is neither taken away nor read all at once. */
async function* memorySamples(source: Float32Array | Int16Array): AsyncGenerator<Float32Array> {
  assertAttached('source', source.buffer);
  const length = source.length;
  for (let at = 0; at < length; at += CHUNK_SAMPLES) {
    assertAttached('source', source.buffer);
    yield assertFinite(copyAsFloat(source.subarray(at, at + CHUNK_SAMPLES)), at);
  }
}

async function* memoryBytes(source: Uint8Array | ArrayBuffer): AsyncGenerator<Uint8Array> {
  assertAttached('source', source instanceof Uint8Array ? source.buffer : source);
  const bytes = source instanceof Uint8Array ? source : new Uint8Array(source);
  const length = bytes.length;
  for (let at = 0; at < length; at += SLICE_BYTES) {
    assertAttached('source', bytes.buffer);
    yield Uint8Array.prototype.slice.call(bytes, at, at + SLICE_BYTES);
  }
}

/** The stream's blocks. Returning early destroys the stream at once, also while it stalls: a socket must not stay open. */
function readableBytes(source: Readable): AsyncGenerator<Uint8Array> {
  const blocks = readBlocks(source);
  const leave = blocks.return.bind(blocks);
  blocks.return = (value) => {
    source.destroy();
    return leave(value);
  };
  return blocks;
}

async function* readBlocks(source: Readable): AsyncGenerator<Uint8Array> {
  for await (const block of source) {
    if (!(block instanceof Uint8Array))
      throw badArgument('source', 'a Readable of bytes', block, 'Remove its encoding.');
    for (let at = 0; at < block.length; at += SLICE_BYTES) {
      yield Uint8Array.prototype.slice.call(block, at, at + SLICE_BYTES);
    }
  }
}

/** For a chunk that is no array of samples. Other streams of bytes than Node's own are iterable, too. */
export function noSamples(field: string, chunk: unknown): AsrError {
  const remedy =
    chunk instanceof Uint8Array
      ? 'Raw PCM: createTransform() or createWebTransform(). An encoded file: Readable.fromWeb(body), or Readable.from(chunks, { objectMode: false }).'
      : undefined;
  return badArgument(field, 'chunks of Float32Array or Int16Array', chunk, remedy);
}

async function* iterableSamples(source: AsyncIterable<unknown>): AsyncGenerator<Float32Array> {
  let index = 0;
  for await (const block of source) {
    if (!(block instanceof Float32Array || block instanceof Int16Array)) throw noSamples('source', block);
    assertAttached('source', block.buffer);
    for (let at = 0; at < block.length; at += CHUNK_SAMPLES) {
      const samples = copyAsFloat(block.subarray(at, at + CHUNK_SAMPLES));
      yield assertFinite(samples, index);
      index += samples.length;
    }
  }
}

/** Samples that need no worker: joined to whole chunks and handed through. */
class DirectInput implements AudioInput {
  readonly chunks: AsyncIterableIterator<Float32Array>;
  #closed = false;

  constructor(
    private readonly samples: AsyncGenerator<Float32Array>,
    readonly durationMs: number | undefined,
    private readonly signal: AbortSignal | undefined,
  ) {
    const generator = this.#rechunked();
    const next = () => this.#unlessAborted(() => generator.next());
    const iterator: AsyncIterableIterator<Float32Array> = {
      next,
      return: async () => {
        await this.close();
        return { value: undefined, done: true };
      },
      [Symbol.asyncIterator]: () => iterator,
    };
    this.chunks = iterator;
  }

  async *#rechunked(): AsyncGenerator<Float32Array> {
    const rechunker = new Rechunker(CHUNK_SAMPLES);
    for await (const samples of this.samples) yield* rechunker.push(samples);
    yield* rechunker.flush();
  }

  async #unlessAborted(
    step: () => Promise<IteratorResult<Float32Array, undefined>>,
  ): Promise<IteratorResult<Float32Array, undefined>> {
    if (this.#closed) return { value: undefined, done: true };
    try {
      this.signal?.throwIfAborted();
      return await orAbort(step(), this.signal, () => {});
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    // A source that waits for its next samples may never come back from return, so nobody waits for it.
    this.samples.return(undefined).catch(() => {});
  }
}
