import { AsrError, badArgument } from '../errors';

/** A copy as floats; 16-bit samples are divided by 32768. */
export function copyAsFloat(samples: Float32Array | Int16Array): Float32Array<ArrayBuffer> {
  const copy = new Float32Array(samples.length);
  if (samples instanceof Float32Array) copy.set(samples);
  else for (let i = 0; i < copy.length; i++) copy[i] = (samples[i] as number) / 32768;
  return copy;
}

// CONTRACT: no sample of a caller's is larger, of either sign. SOURCE: ours; 16-bit integers that nobody scaled are 32,768 at most, and
// the words of those come out right. WHY: bytes in the wrong order or read from an odd offset are floats of any size; their power
// overflows in the features, and the model would be blamed. TODO: none.
const MAGNITUDE_MAX = 1_000_000;

/**
 * Throws ERR_BAD_ARGUMENT naming the first sample that is not finite, or too large to be audio; `offset` is the position of
 * samples[0].
 */
export function assertFinite(samples: Float32Array, offset: number): Float32Array {
  for (let index = 0; index < samples.length; index++) {
    const sample = samples[index] as number;
    if (Math.abs(sample) <= MAGNITUDE_MAX) continue;
    const field = `samples[${offset + index}]`;
    if (!Number.isFinite(sample)) throw badArgument(field, 'a finite number', sample);
    const remedy =
      'Float32 samples lie in [-1, 1]; look at the byte order and the offset they are read with.';
    throw badArgument(field, `a number within ±${MAGNITUDE_MAX}`, sample, remedy);
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
