import { Readable } from 'node:stream';
import { type AudioSource, adopt, noSamples, openAudio } from '../audio';
import type { SessionEvent } from './events';
import type { LiveSession } from './live_session';

/** Chunks of samples; leaving ends their source at once, also while it stalls. */
interface Input {
  next(): Promise<IteratorResult<unknown, unknown>>;
  leave(): void;
}

/** Whether a source is bare samples, at the caller's rate and in the caller's chunks; else it is audio in a format. */
export function isSamples(
  source: unknown,
): source is Exclude<AudioSource, string | URL | Uint8Array | ArrayBuffer> {
  if (source instanceof Float32Array || source instanceof Int16Array) return true;
  if (source instanceof Readable) return source.readableObjectMode;
  const encoded = source instanceof Uint8Array || source instanceof ArrayBuffer || source instanceof URL;
  return typeof source === 'object' && source !== null && !encoded && Symbol.asyncIterator in source;
}

async function openInput(source: AudioSource, signal: AbortSignal | undefined): Promise<Input> {
  if (!isSamples(source)) {
    const input = await openAudio(source, signal === undefined ? {} : { signal });
    return { next: () => input.chunks.next(), leave: () => void input.close() };
  }
  if (source instanceof Float32Array || source instanceof Int16Array) {
    const one = [source].values();
    return { next: async () => one.next(), leave: () => {} };
  }
  const iterator = (source as AsyncIterable<unknown>)[Symbol.asyncIterator]();
  const leave = () => {
    if (source instanceof Readable) source.destroy();
    // A source that waits for its next samples may never come back from return, so nobody waits for it.
    Promise.resolve(iterator.return?.()).catch(() => {});
  };
  return { next: () => iterator.next(), leave };
}

/**
 * Feeds a source to a session of its own and gives the events. The source is the generator's from the call on. Leaving closes both,
 * also while the source stalls. A source that fails ends the audio: what came before becomes final, and behind the last event its
 * reason is thrown.
 */
export function streamSource(
  open: () => LiveSession,
  given: AudioSource,
): AsyncGenerator<SessionEvent, void, undefined> {
  const adopted = adoptedOrRefused(given);
  // Nobody will read it: its file or socket must not stay open.
  const drop = () => {
    if (given instanceof Readable) given.destroy();
  };
  let session: LiveSession | undefined;
  const run = async function* (): AsyncGenerator<SessionEvent, void, undefined> {
    const source = adopted();
    try {
      session = open();
    } catch (error) {
      drop();
      throw error;
    }
    const feeding = new Feeding(session);
    const events = session.events();
    void feeding.run(source, session.signal);
    try {
      yield* events;
      if (feeding.failure !== undefined) throw feeding.failure.reason;
    } finally {
      feeding.leave();
      await session.close();
    }
  };
  const events = run();
  const leave = events.return.bind(events);
  events.return = (value) => {
    if (session === undefined) drop();
    void session?.close();
    return leave(value);
  };
  return events;
}

/** Takes over a source now; a refusal is told where the events would begin. */
function adoptedOrRefused(given: AudioSource): () => AudioSource {
  try {
    const source = adopt(given);
    return () => source;
  } catch (error) {
    return () => {
      throw error;
    };
  }
}

class Feeding {
  /** Why the audio ended too early. */
  failure: { reason: unknown } | undefined;
  private input: Input | undefined;
  private left = false;

  constructor(private readonly session: LiveSession) {}

  /** Never rejects: a source that cannot be opened fails the session, one that fails later ends it. */
  async run(source: AudioSource, signal: AbortSignal | undefined): Promise<void> {
    try {
      this.input = await openInput(source, signal);
    } catch (reason) {
      return this.session.fail(reason);
    }
    if (this.left) return this.input.leave();
    try {
      await this.feed(this.input);
    } catch (reason) {
      this.failure = { reason };
    }
    // A session that failed meanwhile tells its reader.
    await this.session.end().catch(() => {});
  }

  private async feed(input: Input): Promise<void> {
    for (;;) {
      const { value, done } = await input.next();
      if (done || this.left) return;
      if (value instanceof Uint8Array) throw noSamples('source', value);
      await this.session.write(value as Float32Array);
    }
  }

  leave(): void {
    this.left = true;
    this.input?.leave();
  }
}
