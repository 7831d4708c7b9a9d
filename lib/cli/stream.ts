import { pipeline } from 'node:stream/promises';
import { type Command, Option } from 'commander';
import { RATE_HZ_MAX, RATE_HZ_MIN, TARGET_RATE_HZ } from '../audio/protocol';
import { badArgument } from '../errors';
import { limits } from '../limits.generated';
import type { Recognizer } from '../recognizer';
import type { EndpointOptions, PcmFormat, SessionEvent, SessionsOptions, TransformOptions } from '../session';
import type { Timestamps } from '../transcript';
import { Interrupted, interruptible } from './interrupt';
import { inRealTime, type LiveAudio, openLiveAudio, untilAborted } from './live_audio';
import { openView } from './live_view';
import { addModelOptions, count, type ModelOptions, openRecognizer } from './model_options';

interface Options extends ModelOptions {
  mode: NonNullable<SessionsOptions['mode']>;
  left?: number;
  chunk?: number;
  right?: number;
  silero?: string;
  silence?: number;
  maxUtterance?: number;
  raw?: PcmFormat;
  rate?: number;
  realtime?: boolean;
  json?: boolean;
  timestamps: Timestamps;
}

function sessionsOf({ mode, left, chunk, right, silero }: Options): SessionsOptions {
  return {
    mode,
    ...(left === undefined ? {} : { leftMs: left }),
    ...(chunk === undefined ? {} : { chunkMs: chunk }),
    ...(right === undefined ? {} : { rightMs: right }),
    ...(silero === undefined ? {} : { vad: { silero } }),
  };
}

function endpointOf({ silence, maxUtterance }: Options): EndpointOptions {
  return {
    ...(silence === undefined ? {} : { silenceMs: silence }),
    ...(maxUtterance === undefined ? {} : { maxUtteranceMs: maxUtterance }),
  };
}

/** Returns the exit code. Ctrl-C ends the audio, not the work: what was said until then becomes final. */
async function run(file: string, options: Options): Promise<number> {
  const { raw, rate } = options;
  if (rate !== undefined && raw === undefined)
    throw badArgument('--rate', '--raw beside it', rate, 'Encoded audio carries its own rate.');
  return interruptible(async (signal) => {
    const recognizer = await openRecognizer(
      options,
      { sessionsMax: 1, sessions: sessionsOf(options) },
      signal,
    );
    try {
      const format = raw === undefined ? undefined : { format: raw, rateHz: rate ?? TARGET_RATE_HZ };
      const audio = await openLiveAudio(file, format, signal);
      try {
        await show(recognizer, audio, options, signal);
      } finally {
        await audio.close();
      }
    } catch (error) {
      // Its close would wait for the window that is being computed.
      if (!(error instanceof Interrupted)) await recognizer.close();
      throw error;
    }
    await recognizer.close();
    return signal.aborted ? (signal.reason as Interrupted).exitCode : 0;
  });
}

async function show(
  recognizer: Recognizer,
  audio: LiveAudio,
  options: Options,
  signal: AbortSignal,
): Promise<void> {
  let failure: { reason: unknown } | undefined;
  const heard = untilAborted(audio, signal, (reason) => {
    failure = { reason };
  });
  const view = openView(process.stdout, options.json === true);
  const transform: TransformOptions = {
    sampleRateHz: audio.rateHz,
    timestamps: options.json === true ? options.timestamps : 'none',
    endpoint: endpointOf(options),
    ...(options.raw === undefined ? {} : { format: options.raw }),
  };
  await pipeline(
    options.realtime === true ? inRealTime(heard, audio, signal) : heard,
    recognizer.createTransform(transform),
    async (events: AsyncIterable<SessionEvent>) => {
      for await (const event of events) await view.show(event);
    },
  );
  if (failure !== undefined) throw failure.reason;
}

/** `trt-asr stream FILE`: live audio, or a file as if it were, to text as it is spoken. */
export function registerStreamCommand(program: Command): void {
  const command = program
    .command('stream')
    .description('show text while it is spoken; Ctrl-C ends the audio')
    .argument('<file>', 'an audio file, or - for standard input');
  addModelOptions(command)
    .addOption(
      new Option('--mode <mode>', 'how audio becomes windows')
        .choices(['auto', 'buffered', 'cache-aware', 'segment'])
        .default('auto'),
    )
    .option('--left <ms>', 'audio before a chunk, in mode buffered', count(limits.contextMsMax, 0))
    .option('--chunk <ms>', 'audio that a window adds, in mode buffered', count(limits.contextMsMax))
    .option('--right <ms>', 'audio behind a chunk, in mode buffered', count(limits.contextMsMax, 0))
    .option('--silero <file>', 'ONNX file of Silero VAD, in mode segment')
    .option(
      '--silence <ms>',
      'silence that ends an utterance',
      count(limits.silenceMsMax, limits.silenceMsMin),
    )
    .option(
      '--max-utterance <ms>',
      'length from which the next word begins a new utterance',
      count(limits.utteranceMsMax, limits.utteranceMsMin),
    )
    .addOption(
      new Option('--raw <format>', 'the audio is bare mono samples, without a header').choices([
        's16le',
        'f32le',
      ]),
    )
    .option(
      '--rate <hz>',
      `rate of --raw samples (default: ${TARGET_RATE_HZ})`,
      count(RATE_HZ_MAX, RATE_HZ_MIN),
    )
    .option('--realtime', "give a file's audio at the pace at which it was recorded")
    .option('--json', 'every event as an object on a line of its own')
    .addOption(
      new Option('--timestamps <level>', 'what finals carry in JSON')
        .choices(['none', 'word', 'token'])
        .default('word'),
    )
    .action(async (file: string, options: Options) => {
      process.exitCode = await run(file, options);
    });
}
