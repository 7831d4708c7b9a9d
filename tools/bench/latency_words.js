'use strict';
// When each word of a known text is first shown, when it is settled, and when its utterance is final.

const { wordsOf } = require('./words.js');

// WHY: words that the recognizer misses must not stop those behind them from being found; few enough that a common word is not
// found far ahead.
const SLACK_WORDS = 8;
// WHY: a word may be told a moment before its end, for encoder frames are 80 ms long and see what follows.
const EARLY_MS = 400;

/** Pairs [place in a, place in b] of the longest common subsequence. */
function common(a, b) {
  const width = b.length + 1;
  const lengths = new Uint16Array((a.length + 1) * width);
  for (let i = a.length - 1; i >= 0; i--)
    for (let j = b.length - 1; j >= 0; j--)
      lengths[i * width + j] =
        a[i] === b[j]
          ? lengths[(i + 1) * width + j + 1] + 1
          : Math.max(lengths[(i + 1) * width + j], lengths[i * width + j + 1]);
  const pairs = [];
  for (let i = 0, j = 0; i < a.length && j < b.length; ) {
    if (a[i] === b[j]) pairs.push([i++, j++]);
    else if (lengths[(i + 1) * width + j] >= lengths[i * width + j + 1]) i++;
    else j++;
  }
  return pairs;
}

/** One session's words. Times of showing are on the caller's clock, times of speaking from the start of the audio. */
class WordClock {
  #words;
  #next = 0;

  /** `reference`: what is said, as `{ text, endMs }`. */
  constructor(reference) {
    this.#words = reference.flatMap(({ text, endMs }) => wordsOf(text).map((word) => ({ word, endMs })));
    for (const each of this.#words)
      Object.assign(each, { shownMs: undefined, stableMs: undefined, finalMs: undefined });
  }

  /**
   * The open text, or with `isFinal` an utterance that will not change, at `atMs`, when the audio was heard up to `heardMs`. What
   * lies before `stableLength` does not change any more either.
   */
  show(text, { isFinal, stableLength, atMs, heardMs }) {
    const shown = wordsOf(text);
    // Where a word ends the stable text, it may still grow.
    const stable = isFinal ? shown.length : Math.max(0, wordsOf(text.slice(0, stableLength)).length - 1);
    const spoken = this.#words
      .slice(this.#next, this.#next + shown.length + SLACK_WORDS)
      .filter(({ endMs }) => endMs <= heardMs + EARLY_MS);
    const pairs = common(
      shown,
      spoken.map(({ word }) => word),
    );
    for (const [at, place] of pairs) {
      spoken[place].shownMs ??= atMs;
      if (at < stable) spoken[place].stableMs ??= atMs;
      if (isFinal) spoken[place].finalMs ??= atMs;
    }
    if (isFinal && pairs.length > 0) this.#next += pairs.at(-1)[1] + 1;
  }

  /** Each word: `endMs`, and `shownMs`, `stableMs` and `finalMs` where it was. */
  get words() {
    return this.#words;
  }
}

module.exports = { WordClock, common };
