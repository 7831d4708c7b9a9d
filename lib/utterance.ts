import type { NativeRecognizer, NativeWindow } from './binding';
import { AsrError } from './errors';

/**
 * One utterance in a slot of the native recognizer: the way of the samples down and of the windows back. It settles
 * exactly once; then its slot is free.
 */
export class Utterance {
  private readonly id: number;
  private readonly settled: Promise<void>;
  private resolve!: () => void;
  private reject!: (reason: unknown) => void;
  private over = false;
  private onRoom: (() => void) | undefined;

  /** Throws ERR_SESSION_LIMIT when no slot is free. `onOver` is called when the slot is free again. */
  constructor(
    private readonly native: NativeRecognizer,
    onWindow: (window: NativeWindow) => void,
    private readonly onOver: () => void,
  ) {
    this.settled = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
    // Whoever writes may learn of a failure first; it must not count as unhandled here.
    this.settled.catch(() => {});
    try {
      this.id = native.start((event) => {
        if (event.type === 'window') this.report(event, onWindow);
        else if (event.type === 'room') this.onRoom?.();
        else if (event.type === 'failed') this.settle(() => this.reject(AsrError.from(event.error)));
        else this.settle(this.resolve);
      });
    } catch (error) {
      throw AsrError.from(error);
    }
  }

  /** Rejects when the utterance fails; never resolves. Whoever waits for input races against it. */
  get failure(): Promise<never> {
    return this.settled.then(() => new Promise<never>(() => {}));
  }

  // A listener that throws ends its utterance, not the process.
  private report(window: NativeWindow, onWindow: (window: NativeWindow) => void): void {
    try {
      onWindow(window);
    } catch (error) {
      this.reject(error);
      this.native.cancel(this.id);
    }
  }

  private settle(how: () => void): void {
    this.over = true;
    how();
    this.onRoom?.();
    this.onOver();
  }

  /** Resolves when all samples are taken: that is the back-pressure. Samples must not change until then. */
  async write(samples: Float32Array): Promise<void> {
    let rest = samples;
    while (rest.length > 0) {
      const taken = this.over ? undefined : this.call(() => this.native.write(this.id, rest));
      if (taken === undefined) return this.settled;
      rest = rest.subarray(taken);
      if (rest.length > 0) await this.room();
    }
  }

  private room(): Promise<void> {
    return new Promise((resolve) => {
      this.onRoom = () => {
        this.onRoom = undefined;
        resolve();
      };
    });
  }

  /** Says that the audio is complete, and resolves when its last window has been reported. */
  end(): Promise<void> {
    if (!this.over) this.call(() => this.native.end(this.id));
    return this.settled;
  }

  /** Gives up; the slot is free once a window that is being computed is done. */
  cancel(): void {
    if (!this.over) this.native.cancel(this.id);
  }

  /** Undefined when the core has ended the utterance meanwhile: the event that tells why is on its way. */
  private call<T>(body: () => T): T | undefined {
    try {
      return body();
    } catch (cause) {
      const error = AsrError.from(cause);
      if (error.code === 'ERR_CLOSED') return undefined;
      throw error;
    }
  }
}
