import { AsrError, badArgument } from '../errors';

/** A copy as floats; 16-bit samples are divided by 32768. */
export function copyAsFloat(samples: Float32Array | Int16Array): Float32Array<ArrayBuffer> {
  const copy = new Float32Array(samples.length);
  if (samples instanceof Float32Array) copy.set(samples);
  else for (let i = 0; i < copy.length; i++) copy[i] = (samples[i] as number) / 32768;
  return copy;
}

/** Throws ERR_BAD_ARGUMENT naming the first sample that is not finite; `offset` is the position of samples[0]. */
export function assertFinite(samples: Float32Array, offset: number): Float32Array {
  for (let index = 0; index < samples.length; index++) {
    const sample = samples[index] as number;
    if (!Number.isFinite(sample)) throw badArgument(`samples[${offset + index}]`, 'a finite number', sample);
  }
  return samples;
}

/** Throws ERR_BAD_ARGUMENT for memory that was transferred elsewhere. */
export function assertAttached(field: string, buffer: ArrayBufferLike): void {
  try {
    new Uint8Array(buffer);
  } catch {
    throw new AsrError({
      code: 'ERR_BAD_ARGUMENT',
      field,
      expected: 'readable memory',
      received: 'a detached buffer',
      remedy: 'Copy the samples before their buffer is transferred.',
    });
  }
}
