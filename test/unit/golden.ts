import { readFileSync } from 'node:fs';
import * as path from 'node:path';

export const fixtures = path.resolve(import.meta.dirname, '..', 'fixtures');

function decoded(text: string): string {
  return text === '%' ? '' : decodeURIComponent(text);
}

interface Word {
  text: string;
  startMs: number;
  endMs: number;
}

export interface GoldenClip {
  name: string;
  samples: Float32Array;
  tokens: number[];
  frames: number[];
  durations: number[];
  confidence: number[];
  text: string;
  words: Word[];
}

/** A set of transcripts by NeMo; the format is documented in tools/golden/README.md. */
export class GoldenSet {
  private readonly records: string[][];
  private readonly dir: string;
  readonly clips: GoldenClip[];
  readonly confidenceTolerance: number;

  constructor(name: string) {
    this.dir = path.join(fixtures, 'golden', name);
    const lines = readFileSync(path.join(this.dir, 'manifest.txt'), 'utf8').split('\n');
    this.records = lines.filter((line) => line !== '').map((line) => line.split(' '));
    this.confidenceTolerance = this.numbers('floats', 'set', 'confidence_tolerance')[0] as number;
    this.clips = this.all('item').map(([, clip]) => this.clip(clip as string));
  }

  get model(): string {
    return path.resolve(this.dir, this.all('model')[0]?.[1] as string);
  }

  private all(kind: string): string[][] {
    return this.records.filter((record) => record[0] === kind);
  }

  private one(kind: string, owner: string, name?: string): string[] {
    const found = this.all(kind).filter((r) => r[1] === owner && (name === undefined || r[2] === name));
    if (found.length !== 1) throw new Error(`${found.length} records ${kind} ${owner} ${name ?? ''}`);
    return found[0] as string[];
  }

  private numbers(kind: string, owner: string, name: string): number[] {
    return this.one(kind, owner, name).slice(4).map(Number);
  }

  private clip(name: string): GoldenClip {
    const words = this.all('word').filter((record) => record[1] === name);
    return {
      name,
      samples: this.samples(name),
      tokens: this.numbers('ints', name, 'tokens'),
      frames: this.numbers('ints', name, 'frames'),
      durations: this.numbers('ints', name, 'durations'),
      confidence: this.numbers('floats', name, 'confidence'),
      text: decoded(this.one('text', name, 'text')[3] as string),
      words: words.map((record) => ({
        text: decoded(record[7] as string),
        startMs: Math.round(Number(record[5]) * 1000),
        endMs: Math.round(Number(record[6]) * 1000),
      })),
    };
  }

  private samples(name: string): Float32Array {
    const [, , file, offset, count] = this.one('clip', name);
    const wav = readFileSync(path.join(this.dir, file as string));
    const out = new Float32Array(Number(count));
    const begin = 44 + 2 * Number(offset);
    for (let i = 0; i < out.length; i += 1) out[i] = wav.readInt16LE(begin + 2 * i) / 32768;
    return out;
  }
}
