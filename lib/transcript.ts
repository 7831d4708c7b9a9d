import type {
  NativeDescription,
  NativeFinal,
  NativeProgress,
  NativeTokens,
  NativeWindow,
  NativeWord,
} from './binding';

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

/**
 * Wall time of the stages, summed over windows. `totalMs` includes waiting and decoding of the file; of a session it is the time
 * from its opening to its end, most of which may have been waiting for audio.
 */
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

/** Words as they are given out. */
export function wordsOf(words: readonly NativeWord[]): Word[] {
  return words.map((word) => ({ ...word, durationMs: word.endMs - word.startMs }));
}

/** Tokens as they are given out. `frameMs`: length of an encoder frame. */
export function tokensOf(tokens: NativeTokens, pieces: readonly string[], frameMs: number): Token[] {
  return Array.from(tokens.ids, (id, index) => {
    const frame = tokens.frames[index] as number;
    const durationFrames = tokens.durations[index] as number;
    return {
      id,
      piece: pieces[id] ?? '',
      frame,
      durationFrames,
      startMs: frame * frameMs,
      endMs: (frame + durationFrames) * frameMs,
      durationMs: durationFrames * frameMs,
      confidence: tokens.confidences[index] as number,
    };
  });
}

/** Mean confidence of words; 0 when there are none. */
export function meanConfidence(words: readonly { confidence: number }[]): number {
  return words.reduce((sum, { confidence }) => sum + confidence, 0) / Math.max(1, words.length);
}

/** Collects what becomes known of one utterance: the windows of a recording, or the finals of a session. */
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
    this.addProgress(window);
    this.addWords(window.words, window);
  }

  /** Utterances of a session are parted by a space. */
  addFinal(final: NativeFinal): void {
    this.text += this.text === '' ? final.text : ` ${final.text}`;
    this.addWords(final.words, final);
  }

  addProgress(progress: NativeProgress): void {
    this.samples = Math.max(this.samples, progress.samplesDone);
    this.featuresMs += progress.featuresMs;
    this.encoderMs += progress.encoderMs;
    this.decodeMs += progress.decodeMs;
  }

  private addWords(words: readonly NativeWord[], tokens: NativeTokens): void {
    this.confidenceSum += words.reduce((sum, { confidence }) => sum + confidence, 0);
    this.wordCount += words.length;
    if (this.timestamps !== 'none') this.words.push(...wordsOf(words));
    if (this.timestamps === 'token') this.tokens.push(...tokensOf(tokens, this.pieces, this.engine.frameMs));
  }

  /** `durationMs`: length of the audio, where it is not what the windows covered. */
  finish(totalMs: number, identity: Identity, durationMs = this.coveredMs): Transcript {
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

  private get coveredMs(): number {
    return (this.samples / this.engine.sampleRateHz) * 1000;
  }
}
