import { assertAttached } from '../audio/samples';
import {
  loadAddon,
  type NativeDescription,
  type NativeFinal,
  type NativeLive,
  type NativeRecognizer,
} from '../binding';
import { AsrError, badArgument } from '../errors';
import { checkOptions } from '../options';
import { onAbort } from '../signals';
import type { Slots } from '../slots';
import {
  type Identity,
  meanConfidence,
  type Transcript,
  TranscriptBuilder,
  tokensOf,
  wordsOf,
} from '../transcript';
import { Utterance } from '../utterance';
import type { Session, WriteOptions } from './api';
import { type Backlog, EventQueue } from './event_queue';
import type { FinalEvent, SessionEvent } from './events';
import { Inlet, type Samples } from './inlet';
import type { SessionSettings } from './options';
import { quiet } from './quiet';

/** What a session needs of its recognizer. */
export interface SessionHost {
  native: NativeRecognizer;
  slots: Slots;
  engine: NativeDescription;
  pieces: readonly string[];
  identity: Identity;
}

const UNREAD_WARNING =
  'A speech session was garbage-collected while a write waited for its events to be read. ' +
  'Begin to read before or while you write, and close a session that is not wanted any more.';

/** Sessions that were dropped without being closed give their slots back. */
const dropped = new FinalizationRegistry<() => void>((release) => release());

/**
 * A session. The native side reaches it through weak references alone, so that one that is dropped can be collected. What keeps
 * it alive while it works is whoever waits for it: the native side holds the utterance, and the promises for which a write or an
 * end waits there lead to the inlet, from it to the queue and back here.
 */
export class LiveSession implements Session {
  private readonly utterance: Utterance;
  private readonly queue: EventQueue;
  private readonly inlet: Inlet;
  private readonly builder: TranscriptBuilder;
  private readonly startedMs = performance.now();
  private ending: Promise<Transcript> | undefined;
  private rejectEnd: ((reason: unknown) => void) | undefined;
  private outcome: { reason: unknown } | 'ended' | undefined;
  private readonly leaveSignal: () => void;

  /** Throws ERR_SESSION_LIMIT, ERR_CLOSED, or `signal.reason`. */
  constructor(
    private readonly host: SessionHost,
    private readonly settings: SessionSettings,
  ) {
    settings.signal?.throwIfAborted();
    const self = new WeakRef(this);
    this.utterance = openUtterance(self, host, settings);
    const backlog = { writerWaits: false };
    this.queue = new EventQueue(() => this.utterance.hold(), backlog);
    this.inlet = new Inlet(this.utterance, this.queue, loadAddon(), settings.sampleRateHz);
    this.builder = new TranscriptBuilder(settings.timestamps, host.engine, host.pieces);
    this.leaveSignal = onAbort(settings.signal, failing(self, settings.signal));
    dropped.register(this, cancelling(this.utterance, this.leaveSignal, backlog));
  }

  get signal(): AbortSignal | undefined {
    return this.settings.signal;
  }

  write(samples: Samples, options?: WriteOptions): Promise<void> {
    try {
      this.checkWrite(samples, options);
    } catch (reason) {
      return Promise.reject(reason);
    }
    if (this.failure !== undefined) return quiet(Promise.reject(this.failure.reason));
    if (this.ending !== undefined) return Promise.reject(closedError('write', 'one that has ended'));
    return this.inlet.write(samples);
  }

  private checkWrite(samples: Samples, options: WriteOptions | undefined): void {
    if (options !== undefined) checkOptions('options', options, ['sampleRateHz']);
    if (!(samples instanceof Float32Array || samples instanceof Int16Array))
      throw badArgument('samples', 'a Float32Array or an Int16Array', samples);
    assertAttached('samples', samples.buffer);
    const rateHz = options?.sampleRateHz;
    if (rateHz !== undefined && rateHz !== this.settings.sampleRateHz) {
      const expected = `the session's rate, ${this.settings.sampleRateHz}`;
      const remedy = 'A session has one rate: give it to openSession, or open a session for each rate.';
      throw badArgument('options.sampleRateHz', expected, rateHz, remedy);
    }
  }

  end(): Promise<Transcript> {
    this.ending ??= quiet(
      new Promise((resolve, reject) => {
        this.rejectEnd = reject;
        this.finish().then(resolve, (reason: unknown) => {
          this.fail(reason);
          reject(reason);
        });
      }),
    );
    return this.ending;
  }

  events(): AsyncIterableIterator<SessionEvent> {
    return this.queue.read();
  }

  async close(): Promise<void> {
    if (this.outcome === undefined) {
      const reason = closedError('session', 'one that was closed');
      this.queue.close();
      this.settle(reason);
    }
    await this.utterance.gone();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Ends the session with a reason of the caller's, as an abort does. */
  fail(reason: unknown): void {
    if (this.outcome === undefined) this.settle(reason);
  }

  /** What a window changed. */
  take(news: NativeLive): void {
    if (this.outcome !== undefined) return;
    this.builder.addProgress(news);
    for (const final of news.finals) {
      if (this.settings.transcript) this.builder.addFinal(final);
      if (!this.queue.hasReader) continue;
      this.queue.push(this.finalEvent(final));
      this.queue.push({ type: 'endpoint', atMs: final.atMs, reason: final.reason });
    }
    if (news.partial !== undefined) this.queue.push({ type: 'partial', ...news.partial });
  }

  private finalEvent(final: NativeFinal): FinalEvent {
    const { timestamps } = this.settings;
    const { engine, pieces } = this.host;
    return {
      type: 'final',
      text: final.text,
      words: timestamps === 'none' ? [] : wordsOf(final.words),
      tokens: timestamps === 'token' ? tokensOf(final, pieces, engine.frameMs) : [],
      startMs: final.startMs,
      endMs: final.endMs,
      confidence: meanConfidence(final.words),
    };
  }

  private async finish(): Promise<Transcript> {
    this.assertNotFailed();
    await this.inlet.end();
    await this.utterance.end();
    this.assertNotFailed();
    const { inlet, host } = this;
    const transcript = this.builder.finish(performance.now() - this.startedMs, host.identity, inlet.takenMs);
    const { durationMs, timings } = transcript;
    this.queue.push({ type: 'end', durationMs, timings });
    this.queue.end();
    this.outcome = 'ended';
    this.leaveSignal();
    return transcript;
  }

  private settle(reason: unknown): void {
    this.outcome = { reason };
    this.leaveSignal();
    this.inlet.fail(reason);
    this.queue.fail(reason);
    this.rejectEnd?.(reason);
    this.utterance.cancel();
  }

  private assertNotFailed(): void {
    if (this.failure !== undefined) throw this.failure.reason;
  }

  private get failure(): { reason: unknown } | undefined {
    return this.outcome === 'ended' ? undefined : this.outcome;
  }
}

// The closures below are made here, where no strong reference to the session is in sight that they could share.

function openUtterance(self: WeakRef<LiveSession>, host: SessionHost, settings: SessionSettings): Utterance {
  const { native, slots } = host;
  if (!slots.tryTake()) throw sessionLimit();
  try {
    return Utterance.live(
      native,
      settings.rules,
      (news) => self.deref()?.take(news),
      (error) => {
        slots.give();
        if (error !== undefined) self.deref()?.fail(error);
      },
    );
  } catch (error) {
    slots.give();
    throw error;
  }
}

function failing(self: WeakRef<LiveSession>, signal: AbortSignal | undefined): () => void {
  return () => self.deref()?.fail(signal?.reason);
}

function cancelling(utterance: Utterance, leaveSignal: () => void, backlog: Backlog): () => void {
  return () => {
    // Nobody can read any more, so the write would never have ended, and whoever awaits it hears of it in no other way.
    if (backlog.writerWaits) process.emitWarning(UNREAD_WARNING);
    leaveSignal();
    utterance.cancel();
  };
}

function sessionLimit(): AsrError {
  return new AsrError({
    code: 'ERR_SESSION_LIMIT',
    field: 'sessionsMax',
    expected: 'a free slot',
    received: 'none',
    remedy: 'End or close a session, or open the recognizer with a larger sessionsMax.',
  });
}

function closedError(field: string, received: string): AsrError {
  return new AsrError({
    code: 'ERR_CLOSED',
    field,
    expected: 'an open session',
    received,
    remedy: 'Open a new one with openSession().',
  });
}
