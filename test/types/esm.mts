// How a TypeScript consumer writes it as an ES module. This file is compiled and never run; each
// `@ts-expect-error` fails the compilation when the line below it is accepted.
import {
  AsrError,
  type AsrErrorCode,
  type BuiltEngine,
  buildEngines,
  type DeviceChoice,
  type EngineProgress,
  Recognizer,
  type Token,
  type Transcript,
  type Word,
} from 'trt-asr';

export async function example(chunks: AsyncIterable<Float32Array>, signal: AbortSignal): Promise<string> {
  await using asr: Recognizer = await Recognizer.open({ model: 'demo-en', device: 'cpu', signal });
  const fromFile: Transcript = await asr.transcribe('meeting.wav', { timestamps: 'word', signal });
  const fromSamples: Transcript = await asr.transcribe(new Float32Array(16_000), { sampleRateHz: 16_000 });
  const fromStream: Transcript = await asr.transcribe(chunks);
  const words: Word[] = fromFile.words;
  const tokens: Token[] = fromFile.tokens;
  const ends: number[] = words.map((word) => word.endMs);
  const rtfx: number = fromFile.timings.rtfx;
  for await (const _item of asr.transcribeMany(['a.wav', 'b.wav'], { concurrency: 2 })) break;

  // @ts-expect-error a misspelled option is an error
  await Recognizer.open({ modle: 'demo-en' });
  // @ts-expect-error devices are 'auto', 'cpu', 'cuda' and 'cuda:N'
  await Recognizer.open({ model: 'demo-en', device: 'gpu' });
  // @ts-expect-error a number is not audio
  await asr.transcribe(16_000);
  // @ts-expect-error there is no such kind of timestamps
  await asr.transcribe('meeting.wav', { timestamps: 'letter' });
  // @ts-expect-error recognizers come from Recognizer.open()
  new Recognizer();

  return [fromSamples.text, fromStream.text, ends.length, tokens.length, rtfx].join(' ');
}

export async function engines(signal: AbortSignal): Promise<string[]> {
  const onEngineProgress = ({ graph, phase, done, steps }: EngineProgress) =>
    void `${graph} ${phase} ${done / steps}`;
  const built: BuiltEngine[] = await buildEngines({
    model: 'demo-en',
    precision: 'bf16',
    computeCapabilities: [89, 120],
    batchMax: 32,
    framesMax: 3000,
    rebuild: true,
    signal,
    onEngineProgress,
  });
  await using asr = await Recognizer.open({
    model: 'demo-en',
    device: 'cuda:1',
    enginePrecision: 'fp16',
    onEngineProgress,
  });
  const { device, reason }: DeviceChoice = asr.device;

  // @ts-expect-error int8 is no precision of an engine
  await buildEngines({ model: 'demo-en', precision: 'int8' });
  // @ts-expect-error capabilities are numbers
  await buildEngines({ model: 'demo-en', computeCapabilities: ['89'] });
  // @ts-expect-error a model has to be named
  await buildEngines({ precision: 'fp16' });

  return [
    ...built.map(({ graph, path, bytes, built: now }) => `${graph} ${path} ${bytes} ${now}`),
    device,
    reason,
  ];
}

export function codeOf(error: unknown): AsrErrorCode | undefined {
  if (!(error instanceof AsrError)) return undefined;
  // @ts-expect-error there is no such code
  if (error.code === 'ERR_NONE') return undefined;
  return error.code;
}
