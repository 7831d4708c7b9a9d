import { AsrError } from '../errors';
import { limits } from '../limits.generated';
import type { SessionEvent } from './events';
import { quiet } from './quiet';

type Result = IteratorResult<SessionEvent, undefined>;
type Waiter = { resolve: (result: Result) => void; reject: (reason: unknown) => void };
type Outcome = 'end' | { reason: unknown };

/** Whether a writer waits for the reader: apart from the queue, for what outlives it. */
export interface Backlog {
  writerWaits: boolean;
}

/**
 * The events of a session on their way to its one reader. Of partials that nobody has read the newest is kept, for it replaces
 * the others; all else is kept until `full`, and the writer then waits for `room`. While there is no reader nothing is kept.
 */
export class EventQueue {
  private readonly events: SessionEvent[] = [];
  private readonly waiters: Waiter[] = [];
  private reader: object | undefined;
  private outcome: Outcome | undefined;
  private roomWanted: (() => void) | undefined;
  private release: (() => void) | undefined;

  /** `hold` keeps the process alive until what it returns is called. */
  constructor(
    private readonly hold: () => () => void,
    private readonly backlog: Backlog,
  ) {}

  get hasReader(): boolean {
    return this.reader !== undefined;
  }

  get full(): boolean {
    return this.events.length >= limits.sessionEventsMax;
  }

  /** Resolves when events were read, or when nobody reads any more. The process lives until then. One caller at a time. */
  room(): Promise<void> {
    const release = this.hold();
    this.backlog.writerWaits = true;
    return new Promise((resolve) => {
      this.roomWanted = () => {
        this.backlog.writerWaits = false;
        release();
        resolve();
      };
    });
  }

  push(event: SessionEvent): void {
    if (this.reader === undefined || this.outcome !== undefined) return;
    const waiter = this.waiters.shift();
    if (waiter !== undefined) {
      this.rest();
      waiter.resolve({ value: event, done: false });
      return;
    }
    // A partial at the end of the queue is replaced by a newer one, and by the final that its utterance became.
    if (this.events.at(-1)?.type === 'partial') this.events.pop();
    this.events.push(event);
  }

  /** Nothing follows. What is queued can still be read. */
  end(): void {
    this.settle('end');
  }

  /** Whoever reads gets the reason, after what is queued. */
  fail(reason: unknown): void {
    this.settle({ reason });
  }

  /** Nothing follows, and nothing is left. */
  close(): void {
    this.events.length = 0;
    this.settle('end');
  }

  /** Begins to read: what is pushed from here on. Throws ERR_BAD_ARGUMENT while somebody else reads. */
  read(): AsyncIterableIterator<SessionEvent> {
    if (this.reader !== undefined) {
      throw new AsrError({
        code: 'ERR_BAD_ARGUMENT',
        field: 'events',
        expected: 'one reader at a time',
        received: 'a second one',
        remedy: 'Share the events of the first, or leave its loop before.',
      });
    }
    const iterator: AsyncIterableIterator<SessionEvent> = {
      next: () => quiet(this.next(iterator)),
      return: async () => {
        this.leave(iterator);
        return { value: undefined, done: true };
      },
      [Symbol.asyncIterator]: () => iterator,
    };
    this.reader = iterator;
    return iterator;
  }

  private async next(reader: object): Promise<Result> {
    if (this.reader !== reader) return { value: undefined, done: true };
    const event = this.events.shift();
    if (event !== undefined) {
      this.giveRoom();
      return { value: event, done: false };
    }
    if (this.outcome !== undefined) return this.last(reader, this.outcome);
    return new Promise((resolve, reject) => {
      this.waiters.push({ resolve, reject });
      this.release ??= this.hold();
    });
  }

  /** A failure is told once; afterwards the iterator is at its end. */
  private last(reader: object, outcome: Outcome): Result {
    if (this.reader === reader) this.reader = undefined;
    if (outcome !== 'end') throw outcome.reason;
    return { value: undefined, done: true };
  }

  private leave(reader: object): void {
    if (this.reader !== reader) return;
    this.reader = undefined;
    this.events.length = 0;
    for (const waiter of this.waiters.splice(0)) waiter.resolve({ value: undefined, done: true });
    this.rest();
    this.giveRoom();
  }

  private settle(outcome: Outcome): void {
    if (this.outcome !== undefined) return;
    this.outcome = outcome;
    const [first, ...others] = this.waiters.splice(0);
    if (first !== undefined) {
      this.reader = undefined;
      if (outcome === 'end') first.resolve({ value: undefined, done: true });
      else first.reject(outcome.reason);
    }
    for (const waiter of others) waiter.resolve({ value: undefined, done: true });
    this.rest();
    this.giveRoom();
  }

  private rest(): void {
    if (this.waiters.length > 0) return;
    this.release?.();
    this.release = undefined;
  }

  private giveRoom(): void {
    const resolve = this.roomWanted;
    this.roomWanted = undefined;
    resolve?.();
  }
}
