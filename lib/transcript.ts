import type { NativeDescription, NativeWindow } from './binding';

/** A stretch of speech with its punctuation. Times count from the start of the audio. */
export interface Word {
  text: string;
  startMs: number;
  endMs: number;
  durationMs: number;
  /** In [0, 1]: the smallest confidence of its tokens. */
  confidence: number;
}

/** One emitted vocabulary piece, as it stands in the vocabulary (`▁the`). */
export interface Token {
  id: number;
  piece: string;
  /** First encoder frame, from the start of the audio: of the emission, or with CTC of the token before. */
  frame: number;
  /** Encoder frames: of TDT as the model gave it, 1 of RNN-T; of CTC up to the emission. */
  durationFrames: number;
  startMs: number;
  endMs: number;
  durationMs: number;
  /** In [0, 1]: how far the token's softmax probability lies above chance. */
  confidence: number;
}

/** Wall time of the stages, summed over windows. `totalMs` includes waiting and decoding of the file. */
export interface Timings {
  featuresMs: number;
  encoderMs: number;
  decodeMs: number;
  totalMs: number;
  /** Seconds of audio per second of `totalMs`. */
  rtfx: number;
}

/** What ran: the model and the engine. */
export interface Identity {
  model: string;
  modelDir: string;
  layout: 'ours' | 'nemo' | 'sherpa';
  quantized: boolean;
  device: string;
  engine: string;
}

export interface Transcript {
  text: string;
  /** Empty with `timestamps: 'none'`. */
  words: Word[];
  /** Empty unless `timestamps` is 'token'. */
  tokens: Token[];
  /** Length of the audio. */
  durationMs: number;
  /** Mean confidence of the words; 0 when there are none. */
  confidence: number;
  timings: Timings;
  identity: Identity;
}

export type Timestamps = 'none' | 'word' | 'token';

/** Collects the windows of one utterance. */
export class TranscriptBuilder {
  private text = '';
  private readonly words: Word[] = [];
  private readonly tokens: Token[] = [];
  private confidenceSum = 0;
  private wordCount = 0;
  private samples = 0;
  private featuresMs = 0;
  private encoderMs = 0;
  private decodeMs = 0;

  constructor(
    private readonly timestamps: Timestamps,
    private readonly engine: NativeDescription,
    private readonly pieces: readonly string[],
  ) {}

  get samplesDone(): number {
    return this.samples;
  }

  get soFar(): string {
    return this.text;
  }

  add(window: NativeWindow): void {
    this.text += window.text;
    this.samples = window.samplesDone;
    this.featuresMs += window.featuresMs;
    this.encoderMs += window.encoderMs;
    this.decodeMs += window.decodeMs;
    for (const word of window.words) {
      this.confidenceSum += word.confidence;
      this.wordCount += 1;
      if (this.timestamps !== 'none') this.words.push({ ...word, durationMs: word.endMs - word.startMs });
    }
    if (this.timestamps === 'token') this.addTokens(window);
  }

  private addTokens(window: NativeWindow): void {
    const { frameMs } = this.engine;
    for (let index = 0; index < window.ids.length; index += 1) {
      const id = window.ids[index] as number;
      const frame = window.frames[index] as number;
      const durationFrames = window.durations[index] as number;
      this.tokens.push({
        id,
        piece: this.pieces[id] ?? '',
        frame,
        durationFrames,
        startMs: frame * frameMs,
        endMs: (frame + durationFrames) * frameMs,
        durationMs: durationFrames * frameMs,
        confidence: window.confidences[index] as number,
      });
    }
  }

  finish(totalMs: number, identity: Identity): Transcript {
    const durationMs = (this.samples / this.engine.sampleRateHz) * 1000;
    return {
      text: this.text,
      words: this.words,
      tokens: this.tokens,
      durationMs,
      confidence: this.wordCount === 0 ? 0 : this.confidenceSum / this.wordCount,
      timings: {
        featuresMs: this.featuresMs,
        encoderMs: this.encoderMs,
        decodeMs: this.decodeMs,
        totalMs,
        rtfx: totalMs === 0 ? 0 : durationMs / totalMs,
      },
      identity,
    };
  }
}
