import type { SessionEvent } from './session/events';
import type { Transcript } from './transcript';

export type { SessionMode, SessionsChoice, SessionsOptions } from './session/config';
export type {
  EndEvent,
  EndpointEvent,
  EndpointReason,
  FinalEvent,
  PartialEvent,
  SessionEvent,
} from './session/events';
export type { EndpointOptions, SessionOptions } from './session/options';
export type { LiveSource } from './session/source';
export type { PcmFormat, StreamOptions, TransformOptions, WebTransform } from './session/streams';

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
   * Takes mono samples, 32-bit floats or 16-bit integers, in chunks of any length; where they are cut changes nothing. Resolves
   * when all are taken, until when they must not change: awaiting that is the back-pressure. Writes that are not awaited wait in
   * order. While finals that `events` gave wait for their reader, writes wait too.
   *
   * Rejects with ERR_BAD_ARGUMENT (no samples, a detached buffer, another rate, a sample that is not finite, by its position in
   * the session), with ERR_OVERLOADED when 60 s of audio wait already (of a single write any length is taken), ERR_CLOSED after
   * `end` or `close`, what the session failed with, or `signal.reason`. A write that rejects for its argument or for overload has
   * taken nothing, and the session goes on.
   */
  write(samples: Float32Array | Int16Array, options?: WriteOptions): Promise<void>;

  /**
   * Says that the audio is complete. Resolves when all of it is transcribed and the slot is free: with the whole text, or without
   * text and words where the session was opened with `transcript: false`. Safe to call again. Rejects as `write` does.
   */
  end(): Promise<Transcript>;

  /**
   * What becomes known, from this call on; ends after the `end` event, or when the session is closed, and throws what the session
   * fails with. One reader at a time. Of partials that were not read yet the newest is kept; when 256 other events are not read,
   * writes wait. Leaving the loop drops what is not read and leaves the session open; `events` may be called again.
   */
  events(): AsyncIterableIterator<SessionEvent>;

  /** Gives up: what waits rejects with ERR_CLOSED, events end. Resolves when the slot is free. Safe to call again, and after `end`. */
  close(): Promise<void>;

  [Symbol.asyncDispose](): Promise<void>;
}
