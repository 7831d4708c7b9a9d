import { mkdir, stat, writeFile } from 'node:fs/promises';
import * as path from 'node:path';
import { AsrError, badArgument } from '../errors';
import type { Transcript } from '../transcript';
import { extensions, type Format, render } from './formats';

function unwritable(output: string, cause: unknown): AsrError {
  return new AsrError({
    code: 'ERR_BAD_ARGUMENT',
    field: '--output',
    expected: 'a path that can be written',
    received: `${output} (${cause instanceof Error ? cause.message : String(cause)})`,
    cause,
  });
}

async function makeFolder(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true }).catch((cause: unknown) => {
    throw unwritable(folder, cause);
  });
}

async function isFolder(file: string): Promise<boolean> {
  return stat(file).then(
    (found) => found.isDirectory(),
    () => false,
  );
}

/** One name a file, in the order of the command line; two files of one name must not overwrite each other. */
function distinctNames(files: readonly string[], extension: string): string[] {
  const used = new Set<string>();
  return files.map((file) => {
    const stem = file === '-' ? 'stdin' : path.parse(file).name;
    let name = stem;
    // Some file systems take Talk and talk for one name.
    for (let count = 2; used.has(name.toLowerCase()); count++) name = `${stem}-${count}`;
    used.add(name.toLowerCase());
    return name + extension;
  });
}

/**
 * The files that the transcripts go to, one an input, or undefined for standard output. Makes the folders that are
 * missing. Throws ERR_BAD_ARGUMENT.
 */
export async function chooseTargets(
  files: readonly string[],
  output: string | undefined,
  format: Format,
): Promise<string[] | undefined> {
  if (output === undefined) {
    if ((format === 'srt' || format === 'vtt') && files.length > 1)
      throw badArgument('--output', `a folder for several ${format} files`, output, 'Name one with -o.');
    return undefined;
  }
  if (output === '') throw badArgument('--output', 'a path', output);
  const intoFolder = files.length > 1 || /[/\\]$/.test(output) || (await isFolder(output));
  await makeFolder(intoFolder ? output : path.dirname(output));
  const targets = intoFolder
    ? distinctNames(files, extensions[format]).map((name) => path.join(output, name))
    : [output];
  const inputs = new Set(files.map((file) => path.resolve(file)));
  const clash = targets.find((target) => inputs.has(path.resolve(target)));
  if (clash !== undefined) throw badArgument('--output', 'another path than that of an input', clash);
  return targets;
}

/** Writes results in the order of the command line, each as soon as those before it are written. */
export class Printer {
  private readonly waiting = new Map<number, string | undefined>();
  private next = 0;

  constructor(
    private readonly files: readonly string[],
    private readonly format: Format,
    private readonly targets: readonly string[] | undefined,
  ) {}

  /** Throws ERR_BAD_ARGUMENT when the target cannot be written. */
  async put(index: number, transcript: Transcript): Promise<void> {
    const file = this.files[index] as string;
    const text = render(transcript, this.format, file);
    const target = this.targets?.[index];
    if (target === undefined) {
      this.flush(index, this.format === 'text' && this.files.length > 1 ? `${file}: ${text}` : text);
      return;
    }
    await writeFile(target, text).catch((cause: unknown) => {
      throw unwritable(target, cause);
    });
  }

  /** There will be no transcript of this input. */
  skip(index: number): void {
    this.flush(index, undefined);
  }

  private flush(index: number, text: string | undefined): void {
    this.waiting.set(index, text);
    while (this.waiting.has(this.next)) {
      const ready = this.waiting.get(this.next);
      if (ready !== undefined) process.stdout.write(ready);
      this.waiting.delete(this.next);
      this.next += 1;
    }
  }
}
