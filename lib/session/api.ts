import type { Transcript } from '../transcript';
import type { SessionEvent } from './events';

export interface WriteOptions {
  /** The rate of these samples, for a check: a session has one rate. */
  sampleRateHz?: number;
}

/**
 * One live stream of audio in one slot of a recognizer; `Recognizer.openSession` opens it. It ends with `end`, with `close`, when
 * its signal aborts and when its recognizer closes. One that is dropped without any of these gives its slot back when it is
 * garbage-collected.
 */
export interface Session {
  /**
   * Takes mono samples, 32-bit floats in [-1, 1] or 16-bit integers, in chunks of any length; where they are cut changes nothing.
   * Resolves when all are taken: awaiting that is the back-pressure. The buffer of up to 16,384 samples may be used again at once,
   * that of more when they are taken. Writes that are not awaited wait in order. While finals that `events` gave wait for their
   * reader, writes wait too.
   *
   * Rejects with ERR_BAD_ARGUMENT (no samples, a detached buffer, another rate, a sample that is not finite or beyond ±1,000,000,
   * by its position in the session), with ERR_OVERLOADED when 60 s of audio wait already (of a single write any length is taken;
   * one of less than 100 samples counts as 100), ERR_CLOSED after `end` or `close`, what the session failed with, or
   * `signal.reason`. A write that rejects for its argument or for overload has taken nothing, and the session goes on. What the
   * session as a whole fails with does not count as an unhandled rejection; the others do.
   */
  write(samples: Float32Array | Int16Array, options?: WriteOptions): Promise<void>;

  /**
   * Says that the audio is complete. Resolves when all of it is transcribed and the slot is free: with the whole text, or without
   * text and words where the session was opened with `transcript: false`. Safe to call again. Rejects with what the session fails
   * with, ERR_CLOSED when it is closed before, or `signal.reason`; never counts as an unhandled rejection.
   */
  end(): Promise<Transcript>;

  /**
   * What becomes known, from this call on; ends after the `end` event, or when the session is closed, and throws what the session
   * fails with. One reader at a time. Begin to read before or while you write: of partials that were not read yet the newest is
   * kept, and when 256 other events are not read, writes wait for the reader. Leaving the loop drops what is not read and leaves
   * the session open; `events` may be called again.
   */
  events(): AsyncIterableIterator<SessionEvent>;

  /** Gives up: what waits rejects with ERR_CLOSED, events end. Resolves when the slot is free. Safe to call again, and after `end`. */
  close(): Promise<void>;

  [Symbol.asyncDispose](): Promise<void>;
}
