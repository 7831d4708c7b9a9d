import { AsrError } from './errors';
import { onAbort } from './signals';

interface Waiter {
  resolve: () => void;
  reject: (reason: unknown) => void;
}

/** Hands out the recognizer's slots, first come first served. */
export class Slots {
  private readonly waiters: Waiter[] = [];
  private closed = false;

  constructor(private free: number) {}

  /** Takes a slot that is free now; says whether there was one. Throws ERR_CLOSED. */
  tryTake(): boolean {
    if (this.closed) throw closedError();
    if (this.free === 0) return false;
    this.free -= 1;
    return true;
  }

  /** Resolves when a slot is the caller's. Rejects with `signal.reason`, or ERR_CLOSED when the recognizer closes. */
  async take(signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    if (this.closed) throw closedError();
    if (this.free > 0) {
      this.free -= 1;
      return;
    }
    await new Promise<void>((resolve, reject) => {
      const leave = onAbort(signal, () => {
        const index = this.waiters.indexOf(waiter);
        if (index >= 0) this.waiters.splice(index, 1);
        reject(signal?.reason);
      });
      const waiter: Waiter = {
        resolve: () => {
          leave();
          resolve();
        },
        reject: (reason) => {
          leave();
          reject(reason);
        },
      };
      this.waiters.push(waiter);
    });
  }

  give(): void {
    const next = this.waiters.shift();
    if (next === undefined) this.free += 1;
    else next.resolve();
  }

  close(): void {
    this.closed = true;
    for (const waiter of this.waiters.splice(0)) waiter.reject(closedError());
  }
}

export function closedError(): AsrError {
  return new AsrError({
    code: 'ERR_CLOSED',
    field: 'recognizer',
    expected: 'an open recognizer',
    received: 'a closed one',
    remedy: 'Open a new one with Recognizer.open().',
  });
}
