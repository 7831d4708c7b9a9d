import { constants } from 'node:os';

/** The reason of what Ctrl-C or SIGTERM ended. */
export class Interrupted extends Error {
  override readonly name = 'Interrupted';

  /** As a shell reports a program that the signal ended: 130 for SIGINT. */
  readonly exitCode: number;

  constructor(signal: NodeJS.Signals) {
    super('interrupted');
    this.exitCode = 128 + constants.signals[signal];
  }
}

/**
 * Aborts on the first Ctrl-C, so that parts are kept and locks are released; the second one ends the process. The
 * handler stays registered in between: the lock's library kills the process when it finds itself the only listener.
 */
export async function interruptible<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController();
  const interrupt = (signal: NodeJS.Signals) => {
    const reason = new Interrupted(signal);
    if (controller.signal.aborted) process.exit(reason.exitCode);
    controller.abort(reason);
  };
  process.on('SIGINT', interrupt);
  process.on('SIGTERM', interrupt);
  try {
    return await work(controller.signal);
  } finally {
    process.off('SIGINT', interrupt);
    process.off('SIGTERM', interrupt);
  }
}
