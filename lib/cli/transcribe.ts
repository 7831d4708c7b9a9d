import { mkdir, stat, writeFile } from 'node:fs/promises';
import * as path from 'node:path';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { badArgument } from '../errors';
import { Recognizer, type TranscribeProgress } from '../recognizer';
import type { Timestamps, Transcript } from '../transcript';
import { errorText, exitCode, exitInterrupted } from './exit';
import { extensions, type Format, formats, render } from './formats';
import { type Bar, type BarState, bytesText, openBar } from './progress';

interface Options {
  model: string;
  device: 'auto' | 'cpu' | 'cuda';
  format: Format;
  timestamps: Timestamps;
  output?: string;
  concurrency: number;
  precision?: 'fp32' | 'int8';
  threads?: number;
}

function positive(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1)
    throw new InvalidArgumentError('It must be a whole number from 1 on.');
  return value;
}

/** Where a file's transcript goes; undefined is standard output. */
type Target = (file: string) => string | undefined;

async function chooseTarget(files: readonly string[], options: Options): Promise<Target> {
  const { output, format } = options;
  if (output === undefined) {
    const separate = format === 'srt' || format === 'vtt';
    if (separate && files.length > 1)
      throw badArgument('--output', `a folder for several ${format} files`, output);
    return () => undefined;
  }
  const folder = files.length > 1 || /[/\\]$/.test(output) || (await isFolder(output));
  if (!folder) return () => output;
  await mkdir(output, { recursive: true });
  const used = new Map<string, number>();
  return (file) => {
    const name = file === '-' ? 'stdin' : path.parse(file).name;
    // Two files of one name must not overwrite each other.
    const count = (used.get(name) ?? 0) + 1;
    used.set(name, count);
    return path.join(output, `${count === 1 ? name : `${name}-${count}`}${extensions[format]}`);
  };
}

async function isFolder(file: string): Promise<boolean> {
  return stat(file).then(
    (found) => found.isDirectory(),
    () => false,
  );
}

/** Writes results in the order of the command line, each as soon as those before it are written. */
class Printer {
  private readonly waiting = new Map<number, string | undefined>();
  private next = 0;

  constructor(
    private readonly files: readonly string[],
    private readonly options: Options,
    private readonly target: Target,
  ) {}

  async put(index: number, transcript: Transcript): Promise<void> {
    const file = this.files[index] as string;
    const { format } = this.options;
    const text = render(transcript, format, file);
    const to = this.target(file);
    if (to !== undefined) {
      await writeFile(to, text);
      return this.skip(index);
    }
    this.flush(index, format === 'text' && this.files.length > 1 ? `${file}: ${text}` : text);
  }

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

async function open(options: Options, signal: AbortSignal): Promise<Recognizer> {
  let bar: Promise<Bar> | undefined;
  try {
    return await Recognizer.open({
      model: options.model,
      device: options.device,
      sessionsMax: options.concurrency,
      ...(options.precision === undefined ? {} : { precision: options.precision }),
      ...(options.threads === undefined ? {} : { threads: options.threads }),
      signal,
      onProgress: ({ bytesDone, bytesTotal, remainingMs }) => {
        bar ??= openBar(options.model);
        const detail = `${bytesText(bytesDone)} of ${bytesText(bytesTotal)}`;
        void bar.then((shown) => shown.update({ done: bytesDone, total: bytesTotal, detail, remainingMs }));
      },
    });
  } finally {
    (await bar)?.stop();
  }
}

async function run(files: string[], options: Options): Promise<number> {
  const target = await chooseTarget(files, options);
  const interrupt = new AbortController();
  process.once('SIGINT', () => interrupt.abort());
  try {
    const recognizer = await open(options, interrupt.signal);
    try {
      const printer = new Printer(files, options, target);
      return await transcribeAll(recognizer, files, options, printer, interrupt.signal);
    } finally {
      await recognizer.close();
    }
  } catch (error) {
    if (interrupt.signal.aborted) return exitInterrupted;
    throw error;
  }
}

async function transcribeAll(
  recognizer: Recognizer,
  files: string[],
  options: Options,
  printer: Printer,
  signal: AbortSignal,
): Promise<number> {
  const sources = files.map((file) => (file === '-' ? process.stdin : file));
  const timestamps = options.format === 'srt' || options.format === 'vtt' ? 'word' : options.timestamps;
  const bar = await openBar(files.length === 1 ? (files[0] as string) : `${files.length} files`);
  try {
    if (sources.length === 1) {
      // A single file reports its progress inside; several report theirs file by file.
      const startedMs = performance.now();
      const transcript = await recognizer.transcribe(sources[0] as string, {
        timestamps,
        signal,
        onProgress: (progress) => bar.update(fileState(progress, performance.now() - startedMs)),
      });
      bar.stop();
      await printer.put(0, transcript);
      return 0;
    }
    let code = 0;
    let done = 0;
    const failures: string[] = [];
    const many = recognizer.transcribeMany(sources, { timestamps, signal, concurrency: options.concurrency });
    for await (const { index, transcript, error } of many) {
      done += 1;
      bar.update({ done, total: files.length, detail: `${done} of ${files.length} files` });
      if (transcript !== undefined) {
        await printer.put(index, transcript);
      } else {
        printer.skip(index);
        failures.push(`trt-asr: ${files[index]}: ${errorText(error)}\n`);
        code ||= exitCode(error);
      }
    }
    bar.stop();
    process.stderr.write(failures.join(''));
    return code;
  } finally {
    bar.stop();
  }
}

/** A file's progress, its speed and what is left of it. */
function fileState({ doneMs, durationMs }: TranscribeProgress, elapsedMs: number): BarState {
  const rtfx = doneMs / elapsedMs;
  const remainingMs = durationMs === undefined ? undefined : (durationMs - doneMs) / rtfx;
  return { done: doneMs, total: durationMs, detail: `RTFx ${rtfx.toFixed(1)}`, remainingMs };
}

/** `trt-asr transcribe FILE...`: audio files, or - for standard input, to text, JSON lines or subtitles. */
export function registerTranscribeCommand(program: Command): void {
  program
    .command('transcribe')
    .description('transcribe audio files (- is standard input)')
    .argument('<files...>', 'WAV, FLAC, MP3, Ogg Opus or Vorbis files, or -')
    .option('-m, --model <model>', 'name of the registry, or a folder', 'demo-en')
    .addOption(
      new Option('--device <device>', 'where to run').choices(['auto', 'cpu', 'cuda']).default('auto'),
    )
    .addOption(
      new Option('-f, --format <format>', 'output format').choices(formats as string[]).default('text'),
    )
    .addOption(
      new Option('--timestamps <level>', 'what JSON carries')
        .choices(['none', 'word', 'token'])
        .default('word'),
    )
    .addOption(new Option('--precision <precision>', "which of the model's files").choices(['fp32', 'int8']))
    .option('-o, --output <path>', 'a file, or a folder for several')
    .option('-c, --concurrency <count>', 'files that are worked on at once', positive, 2)
    .option('--threads <count>', 'threads of a computation', positive)
    .action(async (files: string[], options: Options) => {
      process.exitCode = await run(files, options);
    });
}
