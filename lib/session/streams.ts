import { Duplex } from 'node:stream';
import { checkChoice } from '../options';
import type { SessionEvent } from './events';
import type { LiveSession } from './live_session';
import { SESSION_KEYS, type SessionOptions } from './options';
import { type PcmFormat, PcmReader } from './pcm';

export type { PcmFormat } from './pcm';

/** Of `stream`: it gives events, and keeps no transcript. */
export type StreamOptions = Omit<SessionOptions, 'transcript'>;

export interface TransformOptions extends StreamOptions {
  /**
   * What bytes are: little-endian 16-bit integers or 32-bit floats, mono. Sample arrays need no format. Bytes behind the last whole
   * sample are dropped. Default 's16le'.
   */
  format?: PcmFormat;
}

/** A pair for `pipeThrough`, in the types of the global streams: Node's, or the DOM's where that library is on. */
export interface WebTransform {
  readonly readable: ReadableStream<SessionEvent>;
  readonly writable: WritableStream<Uint8Array | Float32Array | Int16Array>;
}

export const STREAM_KEYS = SESSION_KEYS.filter((key) => key !== 'transcript');
export const TRANSFORM_KEYS = [...STREAM_KEYS, 'format'];

export function checkFormat(name: string, format: unknown): PcmFormat {
  return checkChoice(name, format as PcmFormat | undefined, 's16le', ['s16le', 'f32le']);
}

/** Chunks that a transform takes ahead of the session, which has a queue of its own behind it. */
const CHUNKS_AHEAD = 4;

/**
 * Audio in, events out, as a stream of Node's. Destroying it closes the session, and what it has not given yet is lost. So it is
 * in a pipeline whose source fails, for Node destroys all of that; a source that is to lose nothing ends instead, or goes to `stream`.
 */
export function nodeTransform(session: LiveSession, format: PcmFormat): Duplex {
  const pcm = new PcmReader(format);
  const events = session.events();
  return new Duplex({
    objectMode: true,
    writableHighWaterMark: CHUNKS_AHEAD,
    // WHY: of partials that wait only the newest is kept, and in here they cannot be replaced any more.
    readableHighWaterMark: 1,
    write(chunk: unknown, _encoding, done) {
      settle(pcm.write(session, chunk), done);
    },
    final(done) {
      settle(ended(session), done);
    },
    read() {
      events.next().then(
        ({ value }) => this.push(value ?? null),
        (reason: unknown) => this.destroy(errorOf(reason)),
      );
    },
    destroy(error, done) {
      settle(session.close(), (failure) => done(error ?? failure ?? null));
    },
  });
}

/** The same for streams of the web. Cancelling or aborting either end closes the session, and a source that fails aborts it. */
export function webTransform(session: LiveSession, format: PcmFormat): WebTransform {
  const pcm = new PcmReader(format);
  const events = session.events();
  // A stream that failed takes no more chunks, so its session has no use any more.
  const orFail = async (work: Promise<void>): Promise<void> => {
    await work.catch((reason: unknown) => {
      session.fail(reason);
      throw reason;
    });
  };
  let sink: WritableStreamDefaultController;
  const readable = new ReadableStream<SessionEvent>(
    {
      async pull(controller) {
        const { value, done } = await events.next().catch((reason: unknown) => {
          // The writer learns it at once, also while it has nothing to write: its source can then be let go.
          sink.error(reason);
          throw reason;
        });
        if (done) controller.close();
        else controller.enqueue(value);
      },
      cancel: () => session.close(),
    },
    { highWaterMark: 0 },
  );
  const writable = new WritableStream<Uint8Array | Float32Array | Int16Array>(
    {
      start(controller) {
        sink = controller;
      },
      write: (chunk) => orFail(pcm.write(session, chunk)),
      close: () => orFail(ended(session)),
      async abort(reason) {
        session.fail(reason);
        await session.close();
      },
    },
    { highWaterMark: CHUNKS_AHEAD },
  );
  return { readable, writable };
}

async function ended(session: LiveSession): Promise<void> {
  await session.end();
}

function settle(work: Promise<void>, done: (error?: Error | null) => void): void {
  work.then(
    () => done(),
    (reason: unknown) => done(errorOf(reason)),
  );
}

/** Streams of Node's take errors alone; a signal's reason may be anything. */
function errorOf(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error('aborted', { cause: reason });
}
