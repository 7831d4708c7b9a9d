import { AsrError, badArgument } from '../errors';
import type { LiveSession } from './live_session';

/** Raw mono samples: little-endian 16-bit integers, or 32-bit floats. */
export type PcmFormat = 's16le' | 'f32le';

const SAMPLE_BYTES = { s16le: 2, f32le: 4 };

/**
 * Bytes of raw audio, cut anywhere, or sample arrays -> samples of a session. Bytes at the end that make no sample are dropped:
 * audio that is cut off, as when a pipe breaks, may end anywhere.
 */
export class PcmReader {
  /** The beginning of a sample whose other bytes have not come yet. */
  private rest: Uint8Array = new Uint8Array(0);

  constructor(private readonly format: PcmFormat) {}

  /** Resolves when the session has taken the chunk. */
  async write(session: LiveSession, chunk: unknown): Promise<void> {
    if (chunk instanceof Float32Array || chunk instanceof Int16Array) {
      this.assertAligned();
      return session.write(chunk);
    }
    if (!(chunk instanceof Uint8Array)) {
      const expected = 'bytes, a Float32Array or an Int16Array';
      throw badArgument('chunk', expected, chunk, 'Remove the encoding of the stream it comes from.');
    }
    return session.write(this.samples(chunk));
  }

  /** Throws ERR_AUDIO_DECODE when a sample has begun as bytes: an array cannot be its other half. */
  private assertAligned(): void {
    if (this.rest.length === 0) return;
    throw new AsrError({
      code: 'ERR_AUDIO_DECODE',
      field: `audio of format ${this.format}`,
      expected: `samples of ${SAMPLE_BYTES[this.format]} bytes`,
      received: `a sample array behind ${this.rest.length} bytes of one`,
      remedy: 'Check the format, and write whole samples before an array.',
    });
  }

  /** A copy, for streams reuse their buffers, and bytes may lie at an odd place. */
  private samples(bytes: Uint8Array): Float32Array | Int16Array {
    const joined = new Uint8Array(this.rest.length + bytes.length);
    joined.set(this.rest);
    joined.set(bytes, this.rest.length);
    const size = SAMPLE_BYTES[this.format];
    const count = Math.floor(joined.length / size);
    this.rest = joined.slice(count * size);
    const Samples = this.format === 's16le' ? Int16Array : Float32Array;
    return new Samples(joined.buffer, 0, count);
  }
}
