import { once } from 'node:events';
import type { Writable } from 'node:stream';
import type { SessionEvent } from '../session';

/** Where the events of a session are shown. */
export interface View {
  show(event: SessionEvent): Promise<void>;
}

/** What a view writes to: standard output, or a stand-in of it. */
export type Output = Writable & { isTTY?: boolean | undefined; columns?: number | undefined };

const CLEAR_LINE = '\r\x1b[K';
const DIM = '\x1b[2m';
const PLAIN = '\x1b[22m';
/** Also where a terminal does not tell, or tells 0. */
const COLUMNS_STANDARD = 80;

/** A vocabulary with byte pieces can spell what moves a cursor. */
const printable = (text: string) => text.replace(/\p{Cc}/gu, ' ');

/** Columns that a character takes on a terminal. */
function width(character: string): number {
  if (/^\p{M}/u.test(character)) return 0;
  return /[\p{sc=Han}\p{sc=Hiragana}\p{sc=Katakana}\p{sc=Hangul}\u3000-\u303F\uFF01-\uFF60\p{Emoji_Presentation}]/u.test(
    character,
  )
    ? 2
    : 1;
}

/**
 * The end of an open text, as far as it fits a line: what may still change is dim. `stableLength` counts code units of `text`.
 */
export function partialLine(text: string, stableLength: number, columns: number, dim = true): string {
  const characters = [...text];
  let room = Math.max(1, columns - 1);
  const whole = characters.reduce((sum, character) => sum + width(character), 0) <= room;
  if (!whole) room -= 1;
  let first = characters.length;
  while (first > 0 && room >= width(characters[first - 1] as string)) {
    first -= 1;
    room -= width(characters[first] as string);
  }
  const cut = characters.slice(0, first).join('').length;
  const stable = text.slice(cut, Math.max(cut, stableLength));
  const open = text.slice(Math.max(cut, stableLength));
  const mark = whole ? '' : '…';
  return mark + printable(stable) + (open === '' || !dim ? printable(open) : DIM + printable(open) + PLAIN);
}

async function write(output: Output, text: string): Promise<void> {
  // A reader that is slow slows the session down.
  if (!output.write(text)) await once(output, 'drain');
}

/** Finals as lines; on a terminal the open text as the last line, rewritten as it settles. */
class TextView implements View {
  private shown = false;

  constructor(
    private readonly output: Output,
    private readonly dim: boolean,
  ) {}

  async show(event: SessionEvent): Promise<void> {
    const { output } = this;
    if (event.type === 'partial' && output.isTTY === true) {
      const columns = output.columns || COLUMNS_STANDARD;
      const line = partialLine(event.text, event.stableLength, columns, this.dim);
      this.shown = true;
      return write(output, CLEAR_LINE + line);
    }
    if (event.type === 'final') {
      const text = `${this.clear()}${printable(event.text)}\n`;
      return write(output, text);
    }
    if (event.type === 'end' && this.shown) return write(output, this.clear());
  }

  private clear(): string {
    const clear = this.shown ? CLEAR_LINE : '';
    this.shown = false;
    return clear;
  }
}

/** Every event as an object on a line of its own. */
class JsonView implements View {
  constructor(private readonly output: Output) {}

  show(event: SessionEvent): Promise<void> {
    return write(this.output, `${JSON.stringify(event)}\n`);
  }
}

/** `json`: every event; else text for people, without dim where NO_COLOR asks for none. */
export function openView(output: Output, json: boolean, env: NodeJS.ProcessEnv = process.env): View {
  return json ? new JsonView(output) : new TextView(output, (env.NO_COLOR ?? '') === '');
}
