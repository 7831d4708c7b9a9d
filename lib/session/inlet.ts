import { TARGET_RATE_HZ } from '../audio/protocol';
import { assertAttached, assertFinite, copyAsFloat } from '../audio/samples';
import type { NativeAddon } from '../binding';
import { AsrError } from '../errors';
import { limits } from '../limits.generated';
import type { Utterance } from '../utterance';
import type { EventQueue } from './event_queue';
import { Fifo } from './fifo';
import { quiet } from './quiet';
import { turnFor } from './turns';

export type Samples = Float32Array | Int16Array;

/** WHY: samples are checked, converted and copied so many at a time, in well under a millisecond. */
const SLICE_SAMPLES = 16_384;

/** What checking or copying a sample costs, of what resampling one does. */
const COPY_COST = 1 / 8;

// CONTRACT: each write costs its turn at least as much as so many samples that are resampled, and counts for at least as many among
// the writes that wait. SOURCE: measured, one of a single sample takes about as long; its place in the queue, some hundred bytes.
// WHY: by their samples alone, writes that are tiny or empty would stop timers and pile up. TODO: none.
const WRITE_SAMPLES_MIN = 100;

interface Write {
  /** Nothing: the audio ends here. */
  samples: Samples | undefined;
  /** What it counts for among those that wait, in samples. */
  weight: number;
  /** Whether its samples were looked at. */
  begun: boolean;
  promise: Promise<void>;
  resolve: () => void;
  reject: (reason: unknown) => void;
}

/** The way of a session's samples to the core: one write after the other, converted to 16 kHz floats. */
export class Inlet {
  private readonly queue = new Fifo<Write>();
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
   * Resolves when all samples are taken; those of one slice may change before, when `write` has returned. Rejects, and takes none,
   * with ERR_OVERLOADED when writes that came before wait already and this one would make them too long, and with ERR_BAD_ARGUMENT
   * when a number is not a sample.
   */
  write(samples: Samples): Promise<void> {
    const weight = Math.max(WRITE_SAMPLES_MIN, samples.length);
    if (this.queued > 0 && this.queued + weight > this.queuedMax) return Promise.reject(this.overloaded());
    return this.add(samples, weight);
  }

  /** Says that the audio is complete; resolves when the core has all of it. */
  end(): Promise<void> {
    return this.add(undefined, 0);
  }

  /** Rejects all that waits, with the failure of the session. */
  fail(reason: unknown): void {
    this.failure = { reason };
    this.queued = 0;
    for (const { promise, reject } of this.queue.drain()) {
      quiet(promise);
      reject(reason);
    }
  }

  private overloaded(): AsrError {
    const seconds = (samples: number) => (samples / this.rateHz).toFixed(1);
    return new AsrError({
      code: 'ERR_OVERLOADED',
      field: 'write',
      expected: `at most ${seconds(this.queuedMax)} s of audio in writes that wait (each at least ${WRITE_SAMPLES_MIN} samples)`,
      received: `one more beside ${seconds(this.queued)} s`,
      remedy:
        'Await each write before the next; live audio that comes faster than it is taken has to be dropped.',
    });
  }

  private add(samples: Samples | undefined, weight: number): Promise<void> {
    let resolve!: () => void;
    let reject!: (reason: unknown) => void;
    const promise = new Promise<void>((done, failed) => {
      resolve = done;
      reject = failed;
    });
    const write: Write = { samples, weight, begun: false, promise, resolve, reject };
    this.queue.push(write);
    this.queued += weight;
    if (!this.pumping) void this.pump();
    // It waits, and callers like to use a buffer again for the next chunk. Of longer ones a copy would take a while.
    if (!write.begun && samples !== undefined && samples.length <= SLICE_SAMPLES)
      write.samples = samples.slice();
    return promise;
  }

  private async pump(): Promise<void> {
    this.pumping = true;
    for (let write = this.queue.first; write !== undefined; write = this.queue.first) {
      try {
        await (write.samples === undefined ? this.finish() : this.take(write, write.samples.length));
        write.resolve();
      } catch (error) {
        write.reject(error);
      }
      // What failed meanwhile has emptied the queue.
      if (this.queue.first !== write) continue;
      this.queue.shift();
      this.queued -= write.weight;
    }
    this.pumping = false;
  }

  private async take(write: Write, length: number): Promise<void> {
    // One slice is checked below, so that a short write that finds room is read before `write` returns.
    if (length > SLICE_SAMPLES) await this.checkAll(write, length);
    const cost = this.resampler === undefined ? COPY_COST : 1;
    let at = 0;
    do {
      const turn = turnFor(Math.max(WRITE_SAMPLES_MIN, Math.min(SLICE_SAMPLES, length - at) * cost));
      if (turn !== undefined) await turn;
      if (this.events.full) await this.reader();
      const slice = this.slice(write, at);
      if (length <= SLICE_SAMPLES) this.check(slice, at);
      await this.utterance.write(this.convert(slice));
      this.taken += slice.length;
      at += SLICE_SAMPLES;
    } while (at < length);
  }

  /** All of it, before any is taken. */
  private async checkAll(write: Write, length: number): Promise<void> {
    for (let at = 0; at < length; at += SLICE_SAMPLES) {
      const turn = turnFor(SLICE_SAMPLES * COPY_COST);
      if (turn !== undefined) await turn;
      this.check(this.slice(write, at), at);
    }
  }

  private check(slice: Samples, at: number): void {
    if (slice instanceof Float32Array) assertFinite(slice, this.taken + at);
  }

  private slice(write: Write, at: number): Samples {
    if (this.failure !== undefined) throw this.failure.reason;
    write.begun = true;
    const samples = write.samples as Samples;
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
    // Not held back by a reader: what is still to come is in the slot, and that is bounded.
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
