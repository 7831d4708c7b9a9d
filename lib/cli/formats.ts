import type { Transcript, Word } from '../transcript';

export type Format = 'text' | 'json' | 'srt' | 'vtt';

export const formats: readonly Format[] = ['text', 'json', 'srt', 'vtt'];

export const extensions: Record<Format, string> = { text: '.txt', json: '.json', srt: '.srt', vtt: '.vtt' };

interface Cue {
  startMs: number;
  endMs: number;
  text: string;
}

// CONTRACT: a cue has at most 84 characters and 6 seconds, and ends with a sentence or a pause of 0.8 s. One that is
// shorter than a second stays for a second, or until the next one begins.
// SOURCE: common subtitling guidelines (two lines of 42 characters, 1 to 7 seconds). WHY: readable at speaking pace. TODO: none.
const cueCharactersMax = 84;
const cueMsMax = 6000;
const cueMsMin = 1000;
const pauseMsMin = 800;

function endsCue(cue: Cue, next: Word): boolean {
  return (
    cue.text.length + 1 + next.text.length > cueCharactersMax ||
    next.endMs - cue.startMs > cueMsMax ||
    next.startMs - cue.endMs >= pauseMsMin ||
    /[.!?…]$/.test(cue.text)
  );
}

/** Lets a short cue stand long enough to be read. WebVTT wants an end behind the start, even of a word without width. */
function endOf(cue: Cue, next: Cue | undefined): number {
  const endMs = Math.max(
    cue.endMs,
    Math.min(cue.startMs + cueMsMin, next?.startMs ?? Number.POSITIVE_INFINITY),
  );
  return Math.max(endMs, cue.startMs + 1);
}

/** Groups words into subtitles; one word alone may be longer than a cue should be. */
export function cues(words: readonly Word[]): Cue[] {
  const out: Cue[] = [];
  let cue: Cue | undefined;
  for (const word of words) {
    if (cue === undefined || endsCue(cue, word)) {
      cue = { startMs: word.startMs, endMs: word.endMs, text: word.text };
      out.push(cue);
    } else {
      cue.text += ` ${word.text}`;
      cue.endMs = word.endMs;
    }
  }
  return out.map((each, index) => ({ ...each, endMs: endOf(each, out[index + 1]) }));
}

/** 01:02:03.456, with the separator the format wants before the milliseconds. */
function clock(ms: number, separator: string): string {
  const whole = Math.max(0, Math.round(ms));
  const two = (value: number) => String(Math.floor(value)).padStart(2, '0');
  const seconds = `${two(whole / 3600000)}:${two((whole / 60000) % 60)}:${two((whole / 1000) % 60)}`;
  return `${seconds}${separator}${String(whole % 1000).padStart(3, '0')}`;
}

/** A vocabulary with byte pieces can spell line ends, and an empty line would end the cue. */
const oneLine = (text: string) => text.replace(/[\r\n]+/g, ' ');

function srt(transcript: Transcript): string {
  return cues(transcript.words)
    .map(
      (cue, index) =>
        `${index + 1}\n${clock(cue.startMs, ',')} --> ${clock(cue.endMs, ',')}\n${oneLine(cue.text)}\n`,
    )
    .join('\n');
}

/** In a cue of WebVTT these begin a tag, an entity or an arrow. */
function vttText(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}

function vtt(transcript: Transcript): string {
  const body = cues(transcript.words).map(
    (cue) => `${clock(cue.startMs, '.')} --> ${clock(cue.endMs, '.')}\n${vttText(oneLine(cue.text))}\n`,
  );
  return ['WEBVTT\n', ...body].join('\n');
}

/** A transcript in a format, with a newline at its end. JSON is one object on one line. */
export function render(transcript: Transcript, format: Format, source: string): string {
  switch (format) {
    case 'text':
      return `${transcript.text}\n`;
    case 'json':
      return `${JSON.stringify({ source, ...transcript })}\n`;
    case 'srt':
      return srt(transcript);
    case 'vtt':
      return vtt(transcript);
  }
}
