import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { AsrError } from '../errors';
import { onAbort } from '../signals';
import type { FromWorker, ToWorker, WorkerTask } from './protocol';

export type PullAnswer = Extract<ToWorker, { type: 'bytes' | 'samples' }>;

type Waiter = { resolve: (chunk: Float32Array | undefined) => void; reject: (error: unknown) => void };

/**
 * One worker for one open input. It holds the process open only while somebody waits for it, and is gone, with its
 * file, after the end, an error, an abort or a close.
 */
export class DecodeWorker {
  durationMs: number | undefined;
  readonly chunks: AsyncIterableIterator<Float32Array>;
  readonly #worker: Worker;
  readonly #ready: Float32Array[] = [];
  readonly #waiters: Waiter[] = [];
  #opening: { resolve: () => void; reject: (error: unknown) => void } | undefined;
  #outcome: { error: unknown } | 'end' | undefined;
  #closing: Promise<void> | undefined;
  readonly #leaveSignal: () => void;

  /** Starts a worker and resolves when it has read the header. `pulled` feeds the kinds the worker cannot open itself. */
  static async open(
    task: WorkerTask,
    pulled: AsyncGenerator<PullAnswer> | undefined,
    signal: AbortSignal | undefined,
    durationMs?: number | undefined,
  ): Promise<DecodeWorker> {
    const input = new DecodeWorker(task, pulled, signal);
    await new Promise<void>((resolve, reject) => {
      input.#opening = { resolve, reject };
    }).catch(async (error: unknown) => {
      await input.close();
      throw error;
    });
    input.durationMs ??= durationMs;
    return input;
  }

  private constructor(
    task: WorkerTask,
    private readonly pulled: AsyncGenerator<PullAnswer> | undefined,
    signal: AbortSignal | undefined,
  ) {
    this.#worker = new Worker(join(__dirname, 'worker.js'), { workerData: task, execArgv: [], env: {} });
    this.#worker.on('message', (message: FromWorker) => this.#receive(message));
    this.#worker.on('error', (cause) => this.#settle({ error: internal('an exception in it', cause) }));
    this.#worker.on('exit', (code) => this.#settle({ error: internal(`its exit with code ${code}`) }));
    this.#leaveSignal = onAbort(signal, () => {
      this.#ready.length = 0;
      this.#settle({ error: signal?.reason });
    });
    const iterator: AsyncIterableIterator<Float32Array> = {
      next: () => this.#next(),
      return: async () => {
        await this.close();
        return { value: undefined, done: true };
      },
      [Symbol.asyncIterator]: () => iterator,
    };
    this.chunks = iterator;
  }

  close(): Promise<void> {
    if (this.#outcome === undefined) {
      this.#ready.length = 0;
      this.#settle('end');
    }
    return this.#closing as Promise<void>;
  }

  #receive(message: FromWorker): void {
    if (this.#outcome !== undefined) return;
    switch (message.type) {
      case 'open':
        this.durationMs = message.durationMs;
        this.#opening?.resolve();
        this.#opening = undefined;
        this.#worker.unref();
        return;
      case 'chunk':
        this.#deliver(message.samples);
        return;
      case 'pull':
        this.#answer();
        return;
      case 'end':
        this.#settle('end');
        return;
      case 'error': {
        const cause = message.cause === undefined ? undefined : new Error(message.cause);
        this.#settle({ error: new AsrError({ ...message.fields, cause }) });
      }
    }
  }

  #answer(): void {
    this.pulled?.next().then(
      ({ value }) => {
        if (this.#outcome !== undefined || value === undefined) return;
        const block = value.type === 'bytes' ? value.bytes : value.samples;
        this.#worker.postMessage(value, block === null ? [] : [block.buffer as ArrayBuffer]);
      },
      (error: unknown) => this.#settle({ error }),
    );
  }

  #deliver(samples: Float32Array): void {
    const waiter = this.#waiters.shift();
    if (waiter === undefined) {
      this.#ready.push(samples);
      return;
    }
    waiter.resolve(samples);
    if (this.#waiters.length === 0) this.#worker.unref();
    this.#credit();
  }

  #credit(): void {
    if (this.#outcome === undefined) this.#worker.postMessage({ type: 'credit' } satisfies ToWorker);
  }

  async #next(): Promise<IteratorResult<Float32Array, undefined>> {
    const ready = this.#ready.shift();
    if (ready !== undefined) this.#credit();
    const samples = ready ?? (await this.#wait());
    return samples === undefined ? { value: undefined, done: true } : { value: samples, done: false };
  }

  async #wait(): Promise<Float32Array | undefined> {
    if (this.#outcome === undefined) {
      this.#worker.ref();
      return new Promise((resolve, reject) => this.#waiters.push({ resolve, reject }));
    }
    await this.#closing;
    const outcome = this.#outcome;
    // The error is told once; an iterator that failed is at its end.
    this.#outcome = 'end';
    if (outcome !== 'end') throw outcome.error;
    return undefined;
  }

  /** The first outcome counts. Chunks that are here already are still delivered in front of an end or an error. */
  #settle(outcome: { error: unknown } | 'end'): void {
    if (this.#outcome !== undefined) return;
    this.#outcome = outcome;
    this.#leaveSignal();
    // A source that waits for its next block may never come back from return, so nobody waits for it.
    this.pulled?.return(undefined).catch(() => {});
    this.#closing = this.#worker.terminate().then(() => {});
    void this.#closing.then(() => this.#tell());
  }

  #tell(): void {
    const error =
      this.#outcome === 'end' ? internal('a close while it was being opened') : this.#outcome?.error;
    this.#opening?.reject(error);
    this.#opening = undefined;
    for (const waiter of this.#waiters.splice(0)) {
      if (this.#outcome === 'end') waiter.resolve(undefined);
      else waiter.reject(error);
      this.#outcome = 'end';
    }
  }
}

function internal(received: string, cause?: unknown): AsrError {
  return new AsrError({
    code: 'ERR_INTERNAL',
    field: 'the audio worker',
    expected: 'samples',
    received,
    cause,
  });
}
