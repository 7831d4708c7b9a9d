import { readdirSync, readlinkSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import type { AudioOptions, AudioSource } from '../../dist/audio.js';

// WHY: the test runner would load its own copy of each module it imports, and with it a second AsrError.
const load = createRequire(__filename);
export const { openAudio } = load('../../dist/audio.js') as typeof import('../../dist/audio.js');
export const { AsrError } = load('../../dist/errors.js') as typeof import('../../dist/errors.js');

export const fixture = (name: string): string => join(__dirname, '..', 'fixtures', 'audio', name);

export function join32(parts: Float32Array[]): Float32Array {
  const joined = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}

export async function decode(source: AudioSource, options?: AudioOptions): Promise<Float32Array> {
  const parts: Float32Array[] = [];
  for await (const chunk of (await openAudio(source, options)).chunks) parts.push(chunk);
  return join32(parts);
}

/** What decoding gave before it failed, and the error; a decode that does not fail throws here. */
export async function failure(
  source: unknown,
  options?: AudioOptions,
): Promise<{ samples: number; error: InstanceType<typeof AsrError> }> {
  let samples = 0;
  try {
    for await (const chunk of (await openAudio(source as AudioSource, options)).chunks)
      samples += chunk.length;
  } catch (error) {
    return { samples, error: error as InstanceType<typeof AsrError> };
  }
  throw new Error('expected an error, but everything decoded');
}

/** Normalised correlation of two signals, `lag` samples of the second skipped. */
export function correlation(a: Float32Array, b: Float32Array, lag = 0): number {
  let [ab, aa, bb] = [0, 0, 0];
  for (let i = 0; i < a.length && i + lag < b.length; i++) {
    const [x, y] = [a[i] as number, b[i + lag] as number];
    ab += x * y;
    aa += x * x;
    bb += y * y;
  }
  return ab / Math.sqrt(aa * bb);
}

export function tone(rateHz: number, samples: number, frequencyHz: number, amplitude = 0.5): Float32Array {
  return Float32Array.from(
    { length: samples },
    (_, i) => amplitude * Math.sin((2 * Math.PI * frequencyHz * i) / rateHz),
  );
}

/** Root mean square of the middle half. */
export function level(samples: Float32Array): number {
  const middle = samples.subarray(samples.length >> 2, (samples.length * 3) >> 2);
  return Math.sqrt(middle.reduce((sum, x) => sum + x * x, 0) / middle.length);
}

export const db = (ratio: number): number => 20 * Math.log10(ratio);

export interface WavShape {
  tag: number;
  bits: number;
  channels: number;
  rateHz: number;
  extensible?: boolean;
  riffBytes?: number;
  dataBytes?: number;
  before?: Buffer;
  after?: Buffer;
}

/** Writes a WAV by hand: the sizes may lie, chunks may stand around the data. */
export function wav(data: Buffer, shape: WavShape): Buffer {
  const fmt = Buffer.alloc(shape.extensible ? 40 : 16);
  const frameBytes = (shape.channels * shape.bits) / 8;
  fmt.writeUInt16LE(shape.extensible ? 0xfffe : shape.tag, 0);
  fmt.writeUInt16LE(shape.channels, 2);
  fmt.writeUInt32LE(shape.rateHz, 4);
  fmt.writeUInt32LE(shape.rateHz * frameBytes, 8);
  fmt.writeUInt16LE(frameBytes, 12);
  fmt.writeUInt16LE(shape.bits, 14);
  if (shape.extensible) {
    fmt.writeUInt16LE(22, 16);
    fmt.writeUInt16LE(shape.tag, 24);
  }
  const before = shape.before ?? Buffer.alloc(0);
  const after = shape.after ?? Buffer.alloc(0);
  const size = 4 + before.length + 8 + fmt.length + 8 + data.length + after.length;
  return Buffer.concat([
    Buffer.from('RIFF'),
    u32(shape.riffBytes ?? size),
    Buffer.from('WAVE'),
    before,
    Buffer.from('fmt '),
    u32(fmt.length),
    fmt,
    Buffer.from('data'),
    u32(shape.dataBytes ?? data.length),
    data,
    after,
  ]);
}

export function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

export function openFiles(path: string): number {
  return readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`) === path;
    } catch {
      return false;
    }
  }).length;
}
