#!/usr/bin/env node
// What is talked about, minute by minute, in several recordings at once: files -> sessions -> words -> windows of a
// minute -> JSON lines.
//
//   node examples/pipeline.mjs --keywords weather,train,birds examples/long.mp3 examples/question.mp3
//
// Each file runs through a pipeline of its own, and all of them share one recognizer. Nothing is collected: a window is written as
// soon as the words have passed it, and a reader that is slow (`| less`) slows the recognition down instead of filling memory.

import { basename } from 'node:path';
import { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { parseArgs } from 'node:util';
import { Recognizer } from 'trt-asr';

const { values, positionals: files } = parseArgs({
  allowPositionals: true,
  options: {
    keywords: { type: 'string', default: '' },
    model: { type: 'string', default: 'demo-en' },
    seconds: { type: 'string', default: '60' },
    concurrency: { type: 'string', default: '4' },
  },
});
const windowMs = Number(values.seconds) * 1000;
const concurrency = Math.min(files.length, Number(values.concurrency));
if (files.length === 0 || !(windowMs > 0 && windowMs < Infinity) || !(concurrency >= 1)) {
  console.error(
    'usage: pipeline.mjs [--keywords A,B] [--seconds N] [--concurrency N] [--model NAME] FILE...',
  );
  process.exit(2);
}
const keywords = values.keywords.split(',').filter((word) => word !== '');

/** Events of a session -> the words of its finished utterances, one by one. */
function spokenWords() {
  return new Transform({
    objectMode: true,
    transform(event, _encoding, done) {
      if (event.type === 'final') for (const word of event.words) this.push(word);
      done();
    },
  });
}

/** "Paris." and "paris" are one word. */
const plain = (text) => text.toLowerCase().replace(/^[^\p{L}\p{N}]+|[^\p{L}\p{N}]+$/gu, '');

/** Words in order of time -> one tally for each window that has any. It holds one window, however long the recording is. */
class Tally extends Transform {
  #window = -1;
  #words = 0;
  #confidence = 0;
  #counts = new Map();

  constructor(file) {
    super({ objectMode: true });
    this.file = file;
  }

  _transform(word, _encoding, done) {
    const window = Math.floor(word.startMs / windowMs);
    if (window !== this.#window) this.#give();
    this.#window = window;
    this.#words += 1;
    this.#confidence += word.confidence;
    const text = plain(word.text);
    this.#counts.set(text, (this.#counts.get(text) ?? 0) + 1);
    done();
  }

  _flush(done) {
    this.#give();
    done();
  }

  #give() {
    if (this.#words === 0) return;
    const counts = this.#counts;
    this.push({
      file: this.file,
      fromSeconds: (this.#window * windowMs) / 1000,
      words: this.#words,
      confidence: Number((this.#confidence / this.#words).toFixed(3)),
      keywords: Object.fromEntries(keywords.map((word) => [word, counts.get(plain(word)) ?? 0])),
      mostSaid: [...counts]
        .sort(([one, often], [other, oftener]) => oftener - often || one.localeCompare(other))
        .slice(0, 3)
        .map(([word]) => word),
    });
    this.#words = 0;
    this.#confidence = 0;
    this.#counts = new Map();
  }
}

function jsonLines() {
  return new Transform({
    writableObjectMode: true,
    transform: (value, _encoding, done) => done(null, `${JSON.stringify(value)}\n`),
  });
}

process.stdout.setMaxListeners(0);
const asr = await Recognizer.open({ model: values.model, sessionsMax: concurrency });
let failed = false;

/** Takes files from the list until it is empty. One that cannot be read does not end the others. */
async function work() {
  for (let file = files.shift(); file !== undefined; file = files.shift()) {
    try {
      await pipeline(
        Readable.from(asr.stream(file, { timestamps: 'word' })),
        spokenWords(),
        new Tally(basename(file)),
        jsonLines(),
        process.stdout,
        { end: false },
      );
    } catch (error) {
      console.error(`${file}: ${error.message}`);
      failed = true;
    }
  }
}

try {
  await Promise.all(Array.from({ length: concurrency }, work));
} finally {
  await asr.close();
}
process.exitCode = failed ? 1 : 0;
