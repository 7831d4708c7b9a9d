import type { EndpointReason } from '../binding';
import type { Timings, Token, Word } from '../transcript';

export type { EndpointReason } from '../binding';

/** The text of the utterance that is being spoken. It replaces the partial before it. */
export interface PartialEvent {
  type: 'partial';
  text: string;
  /** `text.slice(0, stableLength)` will not change any more: later partials and the final begin with it. */
  stableLength: number;
}

/** An utterance that will not change any more. Times count from the start of the session. */
export interface FinalEvent {
  type: 'final';
  text: string;
  /** Empty with `timestamps: 'none'`. */
  words: Word[];
  /** Empty unless `timestamps` is 'token'. */
  tokens: Token[];
  /** Begin of the first word. */
  startMs: number;
  /** End of the last word. */
  endMs: number;
  /** Mean confidence of the words, in [0, 1]. */
  confidence: number;
}

/** Where the utterance of the final before it was held to be over. */
export interface EndpointEvent {
  type: 'endpoint';
  atMs: number;
  /** Silence; an utterance that grew too long; the end of a segment of speech; the end of the session. */
  reason: EndpointReason;
}

/** The last event: all audio has been transcribed. */
export interface EndEvent {
  type: 'end';
  /** Length of the audio. */
  durationMs: number;
  timings: Timings;
}

export type SessionEvent = PartialEvent | FinalEvent | EndpointEvent | EndEvent;
