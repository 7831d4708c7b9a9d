import { Readable } from 'node:stream';
import { type AudioInput, type AudioSource, adopt, openAudio } from './audio';
import type { NativeRecognizer } from './binding';
import type { Slots } from './slots';
import type { TranscriptBuilder } from './transcript';
import { Utterance } from './utterance';

export interface TranscribeProgress {
  /** Audio that has been transcribed. */
  doneMs: number;
  /** Length of the audio, where it is known. */
  durationMs: number | undefined;
  /** The text so far. */
  text: string;
}

/** One source on its way through one slot. */
export class Recording {
  private input: AudioInput | undefined;
  private utterance: Utterance | undefined;
  private abandoned = false;

  constructor(
    private readonly native: NativeRecognizer,
    private readonly slots: Slots,
    private readonly builder: TranscriptBuilder,
    private readonly onProgress: ((progress: TranscribeProgress) => void) | undefined,
    private readonly sampleRateHz: number,
  ) {}

  /** Waits for a slot, and transcribes in it. */
  async run(
    given: AudioSource,
    sampleRateHz: number | undefined,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const source = adopt(given);
    try {
      await this.slots.take(signal);
      await this.transcribe(source, sampleRateHz, signal);
    } catch (reason) {
      // Nobody reads it any more: its file or socket must not stay open.
      if (source instanceof Readable) source.destroy();
      throw reason;
    }
  }

  private async transcribe(
    source: AudioSource,
    sampleRateHz: number | undefined,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const slots = this.slots;
    try {
      this.input = await openAudio(source, {
        ...(sampleRateHz === undefined ? {} : { sampleRateHz }),
        ...(signal === undefined ? {} : { signal }),
      });
      signal?.throwIfAborted();
      this.utterance = Utterance.record(
        this.native,
        (window) => {
          if (this.abandoned) return;
          this.builder.add(window);
          this.report();
        },
        () => slots.give(),
      );
    } catch (error) {
      await this.input?.close();
      slots.give();
      throw error;
    }
    try {
      await Promise.race([this.feed(this.input, this.utterance), this.utterance.failure]);
    } finally {
      // Both are no-ops when all went well.
      this.utterance.cancel();
      await this.input.close();
    }
  }

  private async feed(input: AudioInput, utterance: Utterance): Promise<void> {
    for await (const chunk of input.chunks) {
      if (this.abandoned) return;
      await utterance.write(chunk);
    }
    await utterance.end();
  }

  /** Lets go of slot and input; `run` ends by itself. */
  abandon(): void {
    this.abandoned = true;
    this.utterance?.cancel();
    void this.input?.close();
  }

  private report(): void {
    const doneMs = (this.builder.samplesDone / this.sampleRateHz) * 1000;
    this.onProgress?.({ doneMs, durationMs: this.input?.durationMs, text: this.builder.soFar });
  }
}
