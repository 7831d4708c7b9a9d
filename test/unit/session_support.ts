import { createRequire } from 'node:module';
import { expect } from 'vitest';
import type { NativeEvent, NativeFinal, NativeLive } from '../../dist/binding';
import type { AsrError as AsrErrorType, SessionEvent } from '../../dist/index';
import type { LiveSession } from '../../dist/session/live_session';

// The test runner would load a second copy of each module, and with it a second AsrError.
const load = createRequire(import.meta.url);
export const { AsrError, Recognizer } = load('../../dist/index.js') as typeof import('../../dist/index');
export type AsrError = AsrErrorType;
export type Recognizer = InstanceType<typeof Recognizer>;
const live = load('../../dist/session/live_session.js') as typeof import('../../dist/session/live_session');
const { checkSession } = load('../../dist/session/options.js') as typeof import('../../dist/session/options');
const { Slots } = load('../../dist/slots.js') as typeof import('../../dist/slots');

export async function failure(work: Promise<unknown>): Promise<unknown> {
  return work.then(
    () => expect.fail('it succeeded'),
    (error: unknown) => error,
  );
}

export async function asrFailure(work: Promise<unknown>): Promise<AsrError> {
  const error = await failure(work);
  expect(error).toBeInstanceOf(AsrError);
  return error as AsrError;
}

export function thrown(work: () => unknown): AsrError {
  try {
    work();
  } catch (error) {
    expect(error).toBeInstanceOf(AsrError);
    return error as AsrError;
  }
  return expect.fail('it did not throw');
}

export async function all(events: AsyncIterable<SessionEvent>): Promise<SessionEvent[]> {
  const list: SessionEvent[] = [];
  for await (const event of events) list.push(event);
  return list;
}

/** Lets everything that is ready run. */
export async function idle(turns = 3): Promise<void> {
  for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve));
}

/** Whether a promise has settled by now. */
export async function settled(promise: Promise<unknown>): Promise<boolean> {
  let done = false;
  promise.then(
    () => (done = true),
    () => (done = true),
  );
  await idle();
  return done;
}

export function final(text: string, startMs = 0): NativeFinal {
  return {
    text,
    words: [{ text, startMs, endMs: startMs + 80, confidence: 0.5 }],
    ids: Int32Array.of(1),
    frames: Int32Array.of(startMs / 80),
    durations: Int32Array.of(1),
    confidences: Float32Array.of(0.5),
    startMs,
    endMs: startMs + 80,
    atMs: startMs + 880,
    reason: 'silence',
  };
}

export function window(finals: NativeFinal[], partial?: { text: string; stableLength: number }): NativeLive {
  const progress = { samplesDone: 1280, featuresMs: 1, encoderMs: 2, decodeMs: 3 };
  return { type: 'live', finals, ...(partial === undefined ? {} : { partial }), ...progress };
}

/**
 * Plays the native side for one session: takes `room` samples, then waits to be given more room. For the queues alone; what the
 * core does is tested with the core.
 */
export class FakeNative {
  readonly taken: number[] = [];
  ended = false;
  holds = 0;
  private onEvent: ((event: NativeEvent) => void) | undefined;

  constructor(private room = Number.POSITIVE_INFINITY) {}

  openSession(onEvent: (event: NativeEvent) => void): number {
    this.onEvent = onEvent;
    return 7;
  }

  write(_id: number, samples: Float32Array): number {
    const count = Math.min(this.room, samples.length);
    for (const sample of samples.subarray(0, count)) this.taken.push(sample);
    this.room -= count;
    return count;
  }

  end(): void {
    this.ended = true;
  }

  cancel(): void {
    queueMicrotask(() => this.emit({ type: 'cancelled' }));
  }

  hold(on: boolean): void {
    this.holds += on ? 1 : -1;
  }

  emit(event: NativeEvent): void {
    this.onEvent?.(event);
  }

  give(room: number): void {
    this.room = room;
    this.emit({ type: 'room' });
  }
}

const engine = { frameMs: 80, sampleRateHz: 16000 };

/** A session over a fake, and the slots it was taken from: there is one. */
export function fakeSession(
  native: FakeNative,
  options: object = {},
): { session: LiveSession; slots: object } {
  const slots = new Slots(1);
  const host = { native, slots, engine, pieces: ['a', '▁b'], identity: { model: 'fake' } };
  const session = new live.LiveSession(host as never, checkSession('options', options, 'buffered'));
  return { session, slots };
}
