import { ConverterType, create } from '@alexanderolsen/libsamplerate-js';
import { TARGET_RATE_HZ } from './protocol';

/** CONTRACT: the library always sees blocks of this length. WHY: the result must not depend on how the input was cut. */
const BLOCK_SAMPLES = 4096;

/** A power of two, so that the ratio stays what it is; it brings RATE_HZ_MAX down to 192,000. */
const RATE_DIVISOR = 4;

/** Turns mono samples of one rate into mono samples at 16 kHz, exactly round(n * 16000 / rate) of them. */
export interface Resampler {
  push(samples: Float32Array): Float32Array[];
  /** What is left; the resampler is spent afterwards. */
  flush(): Float32Array[];
}

export async function createResampler(rateHz: number): Promise<Resampler> {
  if (rateHz === TARGET_RATE_HZ) return { push: (samples) => [samples], flush: () => [] };
  // SOURCE: libsamplerate's medium sinc: 121 dB signal to noise, 90 % of the band kept.
  // WHY: the best one costs three times the time for the last 0.5 kHz; the fast one drops everything above 6.4 kHz.
  const converterType = ConverterType.SRC_SINC_MEDIUM_QUALITY;
  // WHY: the package refuses rates above 192 kHz, though their ratio alone is what the filter knows of.
  const [from, to] = [rateHz / RATE_DIVISOR, TARGET_RATE_HZ / RATE_DIVISOR];
  return new SincResampler(await create(1, from, to, { converterType }), rateHz);
}

class SincResampler implements Resampler {
  #block = new Float32Array(BLOCK_SAMPLES);
  #filled = 0;
  #samplesIn = 0;
  #samplesOut = 0;

  constructor(
    private readonly src: Awaited<ReturnType<typeof create>>,
    private readonly rateHz: number,
  ) {}

  push(samples: Float32Array): Float32Array[] {
    this.#samplesIn += samples.length;
    const out: Float32Array[] = [];
    for (let at = 0; at < samples.length; ) {
      const part = samples.subarray(at, at + BLOCK_SAMPLES - this.#filled);
      this.#block.set(part, this.#filled);
      this.#filled += part.length;
      at += part.length;
      if (this.#filled === BLOCK_SAMPLES) out.push(this.#convert());
    }
    return out;
  }

  /** Zeros push the filter's tail out; they are cut off again, so the length is exact. */
  flush(): Float32Array[] {
    const total = Math.round((this.#samplesIn * TARGET_RATE_HZ) / this.rateHz);
    const out: Float32Array[] = [];
    // The filter is shorter than a second on either side of the conversion, and BLOCK_SAMPLES a second is far less than any rate.
    const blocksMax = 4 + Math.ceil((2 * this.rateHz) / BLOCK_SAMPLES);
    for (let count = 0; this.#samplesOut < total && count < blocksMax; count++) {
      this.#block.fill(0, this.#filled);
      const converted = this.#convert();
      const over = this.#samplesOut - total;
      out.push(over > 0 ? converted.subarray(0, converted.length - over) : converted);
    }
    this.src.destroy();
    if (this.#samplesOut < total)
      throw new Error(`the resampler gave ${this.#samplesOut} of ${total} samples`);
    return out;
  }

  #convert(): Float32Array {
    this.#filled = 0;
    const converted = this.src.full(this.#block).slice();
    this.#samplesOut += converted.length;
    return converted;
  }
}
