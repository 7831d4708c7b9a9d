import type { NativeEvent, NativeLive, NativeRecognizer, NativeRules, NativeWindow } from './binding';
import { AsrError } from './errors';

type Opener = (onEvent: (event: NativeEvent) => void) => number;

/**
 * One utterance in a slot of the native recognizer, a recording or a live session: the way of the samples down and of the
 * windows back. It settles exactly once; then its slot is free.
 */
export class Utterance {
  private readonly id: number;
  private readonly settled: Promise<void>;
  private resolve!: () => void;
  private reject!: (reason: unknown) => void;
  private over = false;
  private holds = 0;
  private onRoom: (() => void) | undefined;

  /**
   * A recording; the process lives until it is over. Throws ERR_SESSION_LIMIT when no slot is free. `onOver` is called when the
   * slot is free again.
   */
  static record(
    native: NativeRecognizer,
    onWindow: (window: NativeWindow) => void,
    onOver: () => void,
  ): Utterance {
    const open: Opener = (onEvent) => native.start(onEvent);
    const utterance = new Utterance(
      native,
      open,
      onWindow as (news: NativeWindow | NativeLive) => void,
      onOver,
    );
    utterance.hold();
    return utterance;
  }

  /**
   * A live session. The native side holds the callbacks, and with them all that they hold: a session that is to be collected
   * when it is dropped must not be among that. `onOver` gets what the core failed with, if it did.
   */
  static live(
    native: NativeRecognizer,
    rules: NativeRules,
    onLive: (news: NativeLive) => void,
    onOver: (error: AsrError | undefined) => void,
  ): Utterance {
    const open: Opener = (onEvent) => native.openSession(onEvent, rules);
    return new Utterance(native, open, onLive as (news: NativeWindow | NativeLive) => void, onOver);
  }

  private constructor(
    private readonly native: NativeRecognizer,
    open: Opener,
    onNews: (news: NativeWindow | NativeLive) => void,
    private readonly onOver: (error: AsrError | undefined) => void,
  ) {
    this.settled = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
    // Whoever writes may learn of a failure first; it must not count as unhandled here.
    this.settled.catch(() => {});
    try {
      this.id = open((event) => {
        if (event.type === 'window' || event.type === 'live') this.report(event, onNews);
        else if (event.type === 'room') this.onRoom?.();
        else this.settle(event.type === 'failed' ? AsrError.from(event.error) : undefined);
      });
    } catch (error) {
      throw AsrError.from(error);
    }
  }

  /** Rejects when the utterance fails; never resolves. Whoever waits for input races against it. */
  get failure(): Promise<never> {
    return this.settled.then(() => new Promise<never>(() => {}));
  }

  /** Keeps the process alive for this utterance's events until the function is called or the utterance is over. */
  hold(): () => void {
    if (this.over) return () => {};
    this.holds += 1;
    if (this.holds === 1) this.native.hold(true);
    let held = true;
    return () => {
      if (!held || this.over) return;
      held = false;
      this.holds -= 1;
      if (this.holds === 0) this.native.hold(false);
    };
  }

  // A listener that throws ends its utterance, not the process.
  private report<T>(news: T, onNews: (news: T) => void): void {
    try {
      onNews(news);
    } catch (error) {
      this.reject(error);
      this.native.cancel(this.id);
    }
  }

  private settle(error: AsrError | undefined): void {
    this.over = true;
    if (this.holds > 0) this.native.hold(false);
    if (error === undefined) this.resolve();
    else this.reject(error);
    this.onRoom?.();
    this.onOver(error);
  }

  /** Resolves when all samples are taken: that is the back-pressure. Samples must not change until then. */
  async write(samples: Float32Array): Promise<void> {
    let rest = samples;
    while (rest.length > 0) {
      const taken = this.over ? undefined : this.call(() => this.native.write(this.id, rest));
      if (taken === undefined) return this.settled;
      if (taken === rest.length) return;
      // A copy: who waits must not find that the samples were transferred elsewhere meanwhile.
      rest = rest.slice(taken);
      await this.room();
    }
  }

  private room(): Promise<void> {
    const release = this.hold();
    return new Promise((resolve) => {
      this.onRoom = () => {
        this.onRoom = undefined;
        release();
        resolve();
      };
    });
  }

  /** Says that the audio is complete, and resolves when its last window has been reported. */
  end(): Promise<void> {
    this.hold();
    if (!this.over) this.call(() => this.native.end(this.id));
    return this.settled;
  }

  /** Gives up; the slot is free once a window that is being computed is done. */
  cancel(): void {
    if (!this.over) this.native.cancel(this.id);
  }

  /** Resolves when the slot is free, however the utterance ended. */
  async gone(): Promise<void> {
    this.hold();
    await this.settled.catch(() => {});
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
