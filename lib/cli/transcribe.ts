import { type Command, Option } from 'commander';
import type { AudioSource } from '../audio';
import { badArgument } from '../errors';
import type { ManyResult, Recognizer, TranscribeProgress } from '../recognizer';
import type { Timestamps } from '../transcript';
import { errorText, exitCode } from './exit';
import { type Format, formats } from './formats';
import { Interrupted, interruptible } from './interrupt';
import { addModelOptions, count, type ModelOptions, openRecognizer } from './model_options';
import { chooseTargets, Printer } from './output';
import { type Bar, type BarState, openBar } from './progress';

interface Options extends ModelOptions {
  format: Format;
  timestamps: Timestamps;
  output?: string;
  concurrency: number;
}

const subtitles = (format: Format) => format === 'srt' || format === 'vtt';

function checkUse(files: readonly string[], { format, timestamps }: Options): void {
  if (files.filter((file) => file === '-').length > 1)
    throw badArgument('files', '- (standard input) once', 'twice');
  if (subtitles(format) && timestamps === 'none')
    throw badArgument('--timestamps', `'word' or 'token' for ${format}`, timestamps);
}

/** Returns the exit code. */
async function run(files: string[], options: Options): Promise<number> {
  checkUse(files, options);
  const targets = await chooseTargets(files, options.output, options.format);
  return interruptible(async (signal) => {
    const recognizer = await openRecognizer(options, { sessionsMax: options.concurrency }, signal);
    const printer = new Printer(files, options.format, targets);
    const code = await transcribeAll(recognizer, files, options, printer, signal).catch((error: unknown) => {
      // Its close would wait for the window that is being computed.
      if (!(error instanceof Interrupted)) return recognizer.close().then(() => Promise.reject(error));
      throw error;
    });
    await recognizer.close();
    return code;
  });
}

/** One file's progress is told from within it, that of several file by file. */
async function* outcomes(
  recognizer: Recognizer,
  sources: readonly AudioSource[],
  options: Options,
  bar: Bar,
  signal: AbortSignal,
): AsyncGenerator<ManyResult> {
  const timestamps = subtitles(options.format) ? 'word' : options.timestamps;
  const [source] = sources;
  if (sources.length > 1 || source === undefined) {
    const { concurrency } = options;
    let done = 0;
    for await (const result of recognizer.transcribeMany(sources, { timestamps, signal, concurrency })) {
      done += 1;
      bar.update({ done, total: sources.length, detail: `${done} of ${sources.length} files` });
      yield result;
    }
    return;
  }
  const startedMs = performance.now();
  const onProgress = (progress: TranscribeProgress) =>
    bar.update(fileState(progress, performance.now() - startedMs));
  const result = await recognizer.transcribe(source, { timestamps, signal, onProgress }).then(
    (transcript): ManyResult => ({ index: 0, source, transcript }),
    (error: unknown): ManyResult => ({ index: 0, source, error }),
  );
  signal.throwIfAborted();
  bar.stop();
  yield result;
}

async function transcribeAll(
  recognizer: Recognizer,
  files: readonly string[],
  options: Options,
  printer: Printer,
  signal: AbortSignal,
): Promise<number> {
  const sources = files.map((file) => (file === '-' ? process.stdin : file));
  const failures: { index: number; error: unknown }[] = [];
  // A terminal that shows the transcripts one by one needs no bar between them.
  const scrolls = files.length > 1 && options.output === undefined && process.stdout.isTTY === true;
  const label = files.length === 1 ? (files[0] as string) : `${files.length} files`;
  const bar: Bar = scrolls ? { update: () => {}, stop: () => {} } : await openBar(label);
  try {
    for await (const { index, transcript, error } of outcomes(recognizer, sources, options, bar, signal)) {
      try {
        if (transcript === undefined) throw error;
        await printer.put(index, transcript);
      } catch (reason) {
        printer.skip(index);
        failures.push({ index, error: reason });
      }
    }
  } finally {
    bar.stop();
    // A writer that never ends its pipe must not keep the process.
    if (files.includes('-')) process.stdin.destroy();
    failures.sort((one, other) => one.index - other.index);
    for (const { index, error } of failures)
      process.stderr.write(`trt-asr: ${files[index]}: ${errorText(error)}\n`);
  }
  return failures[0] === undefined ? 0 : exitCode(failures[0].error);
}

/** A file's progress, its speed and what is left of it. */
function fileState({ doneMs, durationMs }: TranscribeProgress, elapsedMs: number): BarState {
  const rtfx = doneMs / elapsedMs;
  const remainingMs = durationMs === undefined ? undefined : (durationMs - doneMs) / rtfx;
  return { done: doneMs, total: durationMs, detail: `RTFx ${rtfx.toFixed(1)}`, remainingMs };
}

/** `trt-asr transcribe FILE...`: audio files, or - for standard input, to text, JSON lines or subtitles. */
export function registerTranscribeCommand(program: Command): void {
  const command = program
    .command('transcribe')
    .description('transcribe audio files (- is standard input)')
    .argument('<files...>', 'WAV, FLAC, MP3, Ogg Opus or Vorbis files, or -');
  addModelOptions(command)
    .addOption(
      new Option('-f, --format <format>', 'output format').choices(formats as string[]).default('text'),
    )
    .addOption(
      new Option('--timestamps <level>', 'what JSON carries')
        .choices(['none', 'word', 'token'])
        .default('word'),
    )
    .option('-o, --output <path>', 'a file, or a folder for several; made when it is missing')
    .option('-c, --concurrency <count>', 'files that are worked on at once', count(4096), 2)
    .action(async (files: string[], options: Options) => {
      process.exitCode = await run(files, options);
    });
}
