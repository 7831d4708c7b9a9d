import { createRequire } from 'node:module';
import { describe, expect, test } from 'vitest';
import type { Transcript, Word } from '../../dist/index';

const load = createRequire(import.meta.url);
const { cues, render } = load('../../dist/cli/formats.js') as typeof import('../../dist/cli/formats');

function word(text: string, startMs: number, endMs: number): Word {
  return { text, startMs, endMs, durationMs: endMs - startMs, confidence: 1 };
}

/** Words of 200 ms, 100 ms apart. */
const steady = (texts: readonly string[]): Word[] =>
  texts.map((text, index) => word(text, index * 300, index * 300 + 200));

function transcript(words: Word[]): Transcript {
  return {
    text: words.map((each) => each.text).join(' '),
    words,
    tokens: [],
    durationMs: words.at(-1)?.endMs ?? 0,
    confidence: 1,
    timings: { featuresMs: 0, encoderMs: 0, decodeMs: 0, totalMs: 1, rtfx: 1 },
    identity: { model: 'm', modelDir: '/m', layout: 'ours', quantized: false, device: 'cpu', engine: 'e' },
  };
}

describe('cues', () => {
  test('no words make no cue', () => {
    expect(cues([])).toEqual([]);
  });

  test('words of one breath share a cue, from the first start to the last end', () => {
    expect(cues(steady(['one', 'two', 'three', 'four']))).toEqual([
      { startMs: 0, endMs: 1100, text: 'one two three four' },
    ]);
  });

  test.each(['.', '!', '?', '…'])('a sentence ends a cue: %s', (mark) => {
    expect(cues(steady([`yes${mark}`, 'no'])).map((cue) => cue.text)).toEqual([`yes${mark}`, 'no']);
  });

  test('a pause of 800 ms ends a cue, one of 799 ms does not', () => {
    expect(cues([word('a', 0, 100), word('b', 900, 1000)]).length).toBe(2);
    expect(cues([word('a', 0, 100), word('b', 899, 1000)]).length).toBe(1);
  });

  test('a cue has at most 84 characters', () => {
    const exact = steady(['a'.repeat(42), 'b'.repeat(41)]);
    expect(cues(exact).map((cue) => cue.text.length)).toEqual([84]);
    const over = steady(['a'.repeat(42), 'b'.repeat(42)]);
    expect(cues(over).map((cue) => cue.text.length)).toEqual([42, 42]);
  });

  test('a cue has at most 6 seconds', () => {
    const words = Array.from({ length: 40 }, (_, index) => word('x', index * 400, index * 400 + 400));
    const found = cues(words);
    expect(Math.max(...found.map((cue) => cue.endMs - cue.startMs))).toBe(6000);
    expect(found.map((cue) => cue.text.split(' ').length).reduce((sum, count) => sum + count)).toBe(40);
  });

  test('one word beyond the limits is a cue of its own', () => {
    expect(cues([word('a', 0, 80), word('b'.repeat(100), 80, 9000), word('c', 9000, 10500)])).toEqual([
      { startMs: 0, endMs: 80, text: 'a' },
      { startMs: 80, endMs: 9000, text: 'b'.repeat(100) },
      { startMs: 9000, endMs: 10500, text: 'c' },
    ]);
  });

  test('a short cue stays for a second, or until the next', () => {
    expect(cues([word('a.', 0, 80), word('b.', 500, 580)]).map((cue) => cue.endMs)).toEqual([500, 1500]);
  });

  test('a word without width still has an end behind its start', () => {
    const found = cues([word('a.', 400, 400), word('b.', 400, 400), word('c', 480, 480)]);
    expect(found.map((cue) => [cue.startMs, cue.endMs])).toEqual([
      [400, 401],
      [400, 480],
      [480, 1480],
    ]);
  });
});

describe('render', () => {
  const late = transcript([word('one', 0, 1500), word('two.', 1500, 2000), word('late', 3723004, 3725678)]);

  test('srt: numbers, commas before the milliseconds, an empty line between cues', () => {
    expect(render(late, 'srt', 'a.wav')).toBe(
      '1\n00:00:00,000 --> 00:00:02,000\none two.\n\n2\n01:02:03,004 --> 01:02:05,678\nlate\n',
    );
  });

  test('vtt: header, points before the milliseconds, an empty line between cues', () => {
    expect(render(late, 'vtt', 'a.wav')).toBe(
      'WEBVTT\n\n00:00:00.000 --> 00:00:02.000\none two.\n\n01:02:03.004 --> 01:02:05.678\nlate\n',
    );
  });

  test('the clock rounds to milliseconds, carries over, and goes beyond 99 hours', () => {
    const odd = transcript([word('a.', 999.6, 59999.5), word('b', 360000000, 360001000)]);
    expect(render(odd, 'srt', '-').match(/.* --> .*/g)).toEqual([
      '00:00:01,000 --> 00:01:00,000',
      '100:00:00,000 --> 100:00:01,000',
    ]);
  });

  test('vtt escapes what would be a tag, an entity or an arrow', () => {
    const text = render(transcript([word('<unk>', 0, 500), word('R&D', 500, 900)]), 'vtt', '-');
    expect(text.split('\n')[3]).toBe('&lt;unk&gt; R&amp;D');
  });

  test('a line end in a word does not end its cue', () => {
    const broken = transcript([word('a\n\nb', 0, 1000)]);
    expect(render(broken, 'srt', '-').split('\n').slice(2)).toEqual(['a b', '']);
    expect(render(broken, 'vtt', '-').split('\n').slice(3)).toEqual(['a b', '']);
  });

  test('an empty transcript', () => {
    const empty = transcript([]);
    expect(render(empty, 'text', '-')).toBe('\n');
    expect(render(empty, 'srt', '-')).toBe('');
    expect(render(empty, 'vtt', '-')).toBe('WEBVTT\n');
    expect(JSON.parse(render(empty, 'json', '-')).text).toBe('');
  });

  test('json is one line whatever the text', () => {
    const text = render(transcript([word('a\nb', 0, 100)]), 'json', 'x.wav');
    expect(text.indexOf('\n')).toBe(text.length - 1);
    expect(JSON.parse(text)).toMatchObject({ source: 'x.wav', words: [{ text: 'a\nb' }] });
  });
});
