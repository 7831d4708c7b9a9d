import type { AsrErrorFields } from '../errors';
import { limits } from '../limits.generated';

/** Everything behind this seam is mono float at this rate, the rate of the models. */
export const TARGET_RATE_HZ = limits.audioRateHz;

/** Half a second: small enough for progress and aborts, large enough that messages cost nothing. */
export const CHUNK_SAMPLES = 8000;

/** CONTRACT: a worker holds back after this many chunks nobody took. WHY: it bounds memory whatever the length of the file. */
export const CREDIT_CHUNKS = 4;

/** WHY: libsamplerate converts by at most 256:1; telephony starts at 8 kHz and converters end at 768 kHz. */
export const RATE_HZ_MIN = 1000;
export const RATE_HZ_MAX = 768000;

/** What the worker is told at its start. Bytes and samples are pulled from the parent, a file is opened by the worker. */
export interface WorkerTask {
  kind: 'file' | 'bytes' | 'samples';
  /** A path for kind 'file'; otherwise what messages call the source. */
  name: string;
  /** The rate of kind 'samples'. */
  rateHz: number;
}

export type ToWorker =
  | { type: 'credit' }
  | { type: 'bytes'; bytes: Uint8Array | null }
  | { type: 'samples'; samples: Float32Array | null };

export type FromWorker =
  | { type: 'open'; durationMs: number | undefined }
  | { type: 'pull' }
  | { type: 'chunk'; samples: Float32Array }
  | { type: 'end' }
  | { type: 'error'; fields: Omit<AsrErrorFields, 'cause'>; cause: string | undefined };

/** PCM as a decoder gave it: one array a channel, all of one length. */
export interface PcmBlock {
  channels: Float32Array[];
  rateHz: number;
}

/** A decoder that runs: the length is known where the format writes it down. */
export interface PcmStream {
  durationMs: number | undefined;
  blocks: AsyncGenerator<PcmBlock>;
}
