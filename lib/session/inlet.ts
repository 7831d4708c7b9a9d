import { TARGET_RATE_HZ } from '../audio/protocol';
import { assertAttached, assertFinite, copyAsFloat } from '../audio/samples';
import type { NativeAddon } from '../binding';
import { AsrError } from '../errors';
import { limits } from '../limits.generated';
import type { Utterance } from '../utterance';
import type { EventQueue } from './event_queue';
import { turnFor } from './turns';

export type Samples = Float32Array | Int16Array;

/** WHY: samples are checked, converted and copied so many at a time, in well under a millisecond. */
const SLICE_SAMPLES = 16_384;

/** What checking or copying a sample costs, of what resampling one does. */
const COPY_COST = 1 / 8;

interface Write {
  /** Nothing: the audio ends here. */
  samples: Samples | undefined;
  length: number;
  resolve: () => void;
  reject: (reason: unknown) => void;
}

/** The way of a session's samples to the core: one write after the other, converted to 16 kHz floats. */
export class Inlet {
  private readonly queue: Write[] = [];
  private queued = 0;
  private taken = 0;
  private pumping = false;
  private ended = false;
  private failure: { reason: unknown } | undefined;
  private readonly resampler: unknown;
  private readonly queuedMax: number;

  constructor(
    private readonly utterance: Utterance,
    private readonly events: EventQueue,
    private readonly addon: NativeAddon,
    private readonly rateHz: number,
  ) {
    this.resampler = rateHz === TARGET_RATE_HZ ? undefined : addon.createResampler(rateHz);
    this.queuedMax = (rateHz * limits.sessionQueueMsMax) / 1000;
  }

  /** Length of the audio that was taken. */
  get takenMs(): number {
    return (this.taken * 1000) / this.rateHz;
  }

  /**
   * Resolves when all samples are taken. Rejects, and takes none, with ERR_OVERLOADED when writes that came before wait already
   * and this one would make them too long, and with ERR_BAD_ARGUMENT when a sample is not finite.
   */
  write(samples: Samples): Promise<void> {
    // An empty write costs a place in the queue, too.
    const length = Math.max(1, samples.length);
    if (this.queued > 0 && this.queued + length > this.queuedMax) return Promise.reject(this.overloaded());
    return this.add({ samples, length });
  }

  /** Says that the audio is complete; resolves when the core has all of it. */
  end(): Promise<void> {
    return this.add({ samples: undefined, length: 0 });
  }

  /** Rejects all that waits. */
  fail(reason: unknown): void {
    this.failure = { reason };
    this.queued = 0;
    for (const { reject } of this.queue.splice(0)) reject(reason);
  }

  private overloaded(): AsrError {
    const seconds = (samples: number) => (samples / this.rateHz).toFixed(1);
    return new AsrError({
      code: 'ERR_OVERLOADED',
      field: 'write',
      expected: `at most ${seconds(this.queuedMax)} s of audio in writes that wait`,
      received: `one more beside ${seconds(this.queued)} s`,
      remedy:
        'Await each write before the next; live audio that comes faster than it is taken has to be dropped.',
    });
  }

  private add(write: Pick<Write, 'samples' | 'length'>): Promise<void> {
    return new Promise((resolve, reject) => {
      this.queue.push({ ...write, resolve, reject });
      this.queued += write.length;
      if (!this.pumping) void this.pump();
    });
  }

  private async pump(): Promise<void> {
    this.pumping = true;
    for (let write = this.queue[0]; write !== undefined; write = this.queue[0]) {
      try {
        await (write.samples === undefined ? this.finish() : this.take(write.samples));
        write.resolve();
      } catch (error) {
        write.reject(error);
      }
      // What failed meanwhile has emptied the queue.
      if (this.queue[0] !== write) continue;
      this.queue.shift();
      this.queued -= write.length;
    }
    this.pumping = false;
  }

  private async take(samples: Samples): Promise<void> {
    const { length } = samples;
    // One slice is checked below, so that a short write that finds room is read before `write` returns.
    if (length > SLICE_SAMPLES) await this.checkAll(samples, length);
    const cost = this.resampler === undefined ? COPY_COST : 1;
    for (let at = 0; at < length; at += SLICE_SAMPLES) {
      const turn = turnFor(Math.min(SLICE_SAMPLES, length - at) * cost);
      if (turn !== undefined) await turn;
      if (this.events.full) await this.reader();
      const slice = this.slice(samples, at);
      if (length <= SLICE_SAMPLES) this.check(slice, at);
      await this.utterance.write(this.convert(slice));
      this.taken += slice.length;
    }
  }

  /** All of it, before any is taken. */
  private async checkAll(samples: Samples, length: number): Promise<void> {
    for (let at = 0; at < length; at += SLICE_SAMPLES) {
      const turn = turnFor(SLICE_SAMPLES * COPY_COST);
      if (turn !== undefined) await turn;
      this.check(this.slice(samples, at), at);
    }
  }

  private check(slice: Samples, at: number): void {
    if (slice instanceof Float32Array) assertFinite(slice, this.taken + at);
  }

  private slice(samples: Samples, at: number): Samples {
    if (this.failure !== undefined) throw this.failure.reason;
    assertAttached('samples', samples.buffer);
    return samples.subarray(at, at + SLICE_SAMPLES);
  }

  private convert(samples: Samples): Float32Array {
    // Shared memory may change under the hands of whoever reads it twice.
    const mustCopy = samples instanceof Int16Array || !(samples.buffer instanceof ArrayBuffer);
    const floats = mustCopy ? copyAsFloat(samples) : samples;
    return this.resampler === undefined ? floats : this.addon.resample(this.resampler, floats);
  }

  private async finish(): Promise<void> {
    if (this.events.full) await this.reader();
    if (this.failure !== undefined) throw this.failure.reason;
    if (this.resampler === undefined || this.ended) return;
    this.ended = true;
    await this.utterance.write(this.addon.resample(this.resampler));
  }

  /** Resolves when the reader has read, or is gone. */
  private async reader(): Promise<void> {
    while (this.events.full && this.failure === undefined) await this.events.room();
  }
}
