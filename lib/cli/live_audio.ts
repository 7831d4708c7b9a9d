import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { openAudio } from '../audio';
import { TARGET_RATE_HZ } from '../audio/protocol';
import { badArgument } from '../errors';
import { orAbort } from '../options';
import type { PcmFormat } from '../session';

/** Audio that a command reads: samples at 16 kHz, or raw bytes. */
export type Chunk = Float32Array | Buffer;

export interface LiveAudio {
  /** To be iterated once. */
  chunks: AsyncIterator<Chunk>;
  /** Elements of a chunk that make one sample: a byte or more, or one. */
  stride: number;
  rateHz: number;
  close(): Promise<void>;
}

export interface RawAudio {
  format: PcmFormat;
  rateHz: number;
}

const bytesOf: Record<PcmFormat, number> = { s16le: 2, f32le: 4 };

/** Opens a file, or - for standard input. Rejects with ERR_BAD_ARGUMENT, ERR_AUDIO_DECODE, or `signal.reason`. */
export async function openLiveAudio(
  file: string,
  raw: RawAudio | undefined,
  signal: AbortSignal,
): Promise<LiveAudio> {
  if (raw === undefined) {
    const opening = openAudio(file === '-' ? process.stdin : file);
    const input = await orAbort(opening, signal, () => {});
    return { chunks: input.chunks, stride: 1, rateHz: TARGET_RATE_HZ, close: () => input.close() };
  }
  if (file !== '-') await checkFile(file);
  const stream = file === '-' ? process.stdin : createReadStream(file);
  return {
    chunks: stream[Symbol.asyncIterator](),
    stride: bytesOf[raw.format],
    rateHz: raw.rateHz,
    close: async () => void stream.destroy(),
  };
}

async function checkFile(file: string): Promise<void> {
  const found = await stat(file).catch((cause: unknown) => cause as Error);
  if (found instanceof Error) throw badArgument('FILE', 'a file that can be read', file, found.message);
  if (found.isDirectory()) throw badArgument('FILE', 'a file', file, 'It is a folder.');
}

/**
 * The chunks until they end or the signal aborts: what was read by then is all of the audio. Bytes behind the last whole sample
 * are dropped. Audio that fails ends, too, so that what came before becomes text; `onFailure` gets the reason.
 */
export async function* untilAborted(
  audio: LiveAudio,
  signal: AbortSignal,
  onFailure: (reason: unknown) => void,
): AsyncGenerator<Chunk> {
  const whole = new WholeSamples(audio.stride);
  for (;;) {
    const next = await nextUnlessAborted(audio.chunks, signal).catch(onFailure);
    if (next === undefined || next.done === true) return;
    const chunk = whole.take(next.value);
    if (chunk.length > 0) yield chunk;
  }
}

async function nextUnlessAborted<T>(
  iterator: AsyncIterator<T>,
  signal: AbortSignal,
): Promise<IteratorResult<T> | undefined> {
  if (signal.aborted) return undefined;
  let abort!: () => void;
  const aborted = new Promise<undefined>((resolve) => {
    abort = () => resolve(undefined);
    signal.addEventListener('abort', abort, { once: true });
  });
  try {
    return await Promise.race([iterator.next(), aborted]);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}

/** Bytes in chunks that hold whole samples. */
class WholeSamples {
  private left = Buffer.alloc(0);

  constructor(private readonly stride: number) {}

  take(chunk: Chunk): Chunk {
    if (chunk instanceof Float32Array) return chunk;
    const bytes = this.left.length === 0 ? chunk : Buffer.concat([this.left, chunk]);
    const whole = bytes.length - (bytes.length % this.stride);
    this.left = Buffer.from(bytes.subarray(whole));
    return bytes.subarray(0, whole);
  }
}

/** WHY: as a microphone gives it; a hundred milliseconds are a tenth of what partial text comes in. */
const PACE_MS = 100;

/** Gives each piece when its last sample would have been recorded. An abort ends the waiting. */
export async function* inRealTime(
  chunks: AsyncIterable<Chunk>,
  { rateHz, stride }: Pick<LiveAudio, 'rateHz' | 'stride'>,
  signal: AbortSignal,
): AsyncGenerator<Chunk> {
  const piece = Math.round((rateHz * PACE_MS) / 1000) * stride;
  const startedMs = performance.now();
  let given = 0;
  for await (const chunk of chunks) {
    for (let at = 0; at < chunk.length; at += piece) {
      const part = chunk.subarray(at, at + piece);
      given += part.length;
      const dueMs = startedMs + (given / stride / rateHz) * 1000;
      const waitMs = dueMs - performance.now();
      if (waitMs > 0) await sleep(waitMs, undefined, { signal }).catch(() => {});
      if (signal.aborted) return;
      yield part;
    }
  }
}
