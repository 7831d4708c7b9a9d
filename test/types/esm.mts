// How a TypeScript consumer writes it as an ES module. This file is compiled and never run; each
// `@ts-expect-error` fails the compilation when the line below it is accepted.
import type { Duplex } from 'node:stream';
import {
  AsrError,
  type AsrErrorCode,
  type BuiltEngine,
  buildEngines,
  type CachedEngine,
  type DeviceChoice,
  type EngineProgress,
  listEngines,
  pruneEngines,
  Recognizer,
  type Session,
  type SessionEvent,
  type SessionsChoice,
  type StreamOptions,
  type Token,
  type Transcript,
  type Word,
} from 'trt-asr';

export async function example(chunks: AsyncIterable<Float32Array>, signal: AbortSignal): Promise<string> {
  await using asr: Recognizer = await Recognizer.open({ model: 'demo-en', device: 'cpu', signal });
  await using packed = await Recognizer.open({
    model: 'demo-en',
    cpuEngine: 'packed',
    packedCacheDir: '/var/cache/packed',
  });
  void packed;
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
  // @ts-expect-error engines of the CPU are 'auto', 'onnxruntime' and 'packed'
  await Recognizer.open({ model: 'demo-en', cpuEngine: 'ort' });
  // @ts-expect-error a folder is a string
  await Recognizer.open({ model: 'demo-en', packedCacheDir: 5 });
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
  await buildEngines({ model: 'demo-en', versionCompatible: true, hardwareCompatible: true });
  const gone: CachedEngine[] = await pruneEngines({ unusedDays: 7, dryRun: true });
  for (const { header, trials, lastUsed, damage } of [...gone, ...(await listEngines({ model: 'demo-en' }))])
    void `${header.graph} ${trials[0]?.seen} ${lastUsed.getTime()} ${damage ?? ''}`;
  await using asr = await Recognizer.open({
    model: 'demo-en',
    device: 'cuda:1',
    enginePrecision: 'fp16',
    onEngineProgress,
  });
  const { device, reason, remarks }: DeviceChoice = asr.device;
  const slower: string | undefined = remarks;

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
    slower ?? '',
  ];
}

export async function sessions(chunks: AsyncIterable<Int16Array>, signal: AbortSignal): Promise<string> {
  await using asr = await Recognizer.open({
    model: 'demo-en',
    sessionsMax: 64,
    sessions: { mode: 'buffered', leftMs: 8000, chunkMs: 1600, rightMs: 800 },
    batchMax: 8,
    batchWaitMs: 20,
  });
  const { mode, chunkMs }: SessionsChoice = asr.sessions;
  await using session: Session = asr.openSession({
    sampleRateHz: 48_000,
    timestamps: 'word',
    transcript: true,
    endpoint: { silenceMs: 600, maxUtteranceMs: 15_000 },
    signal,
  });
  for await (const event of session.events()) {
    const type: 'partial' | 'final' | 'endpoint' | 'end' = event.type;
    if (event.type === 'partial') return event.text.slice(0, event.stableLength);
    if (event.type === 'final') return `${event.words[0]?.text} ${event.startMs} ${event.confidence}`;
    if (event.type === 'endpoint') return `${event.atMs} ${event.reason}`;
    // @ts-expect-error the end has no text
    if (event.type === 'end') return event.text;
    // @ts-expect-error there is nothing else
    return type.length;
  }
  await session.write(new Float32Array(480), { sampleRateHz: 48_000 });
  await session.write(new Int16Array(480));
  const transcript: Transcript = await session.end();
  await session.close();

  const options: StreamOptions = { sampleRateHz: 8000, timestamps: 'none' };
  const events: AsyncGenerator<SessionEvent, void, undefined> = asr.stream(chunks, options);
  for await (const event of asr.stream('meeting.wav'))
    if (event.type === 'end') return event.timings.rtfx.toFixed();
  const transform: Duplex = asr.createTransform({ format: 'f32le', signal });
  const { readable, writable } = asr.createWebTransform({ format: 's16le' });
  const web: ReadableStream<SessionEvent> = readable;
  await writable.getWriter().write(new Uint8Array(2));
  const body = (await fetch('https://example.com/live.s16')).body as ReadableStream<Uint8Array>;
  for await (const event of body.pipeThrough(asr.createWebTransform()))
    if (event.type === 'final') return event.text;

  // @ts-expect-error a misspelled option is an error
  asr.openSession({ sampleRate: 16_000 });
  // @ts-expect-error there is no such mode
  await Recognizer.open({ model: 'demo-en', sessions: { mode: 'offline' } });
  // @ts-expect-error bytes are not samples
  await session.write(new Uint8Array(2));
  // @ts-expect-error a stream keeps no transcript
  asr.stream(chunks, { transcript: true });
  // @ts-expect-error there is no such format
  asr.createTransform({ format: 's24le' });
  // @ts-expect-error what sessions are like is settled when the recognizer opens
  asr.sessions = { mode: 'segment' };

  return [mode, chunkMs, transcript.text, events, transform, web].join(' ');
}

export function codeOf(error: unknown): AsrErrorCode | undefined {
  if (!(error instanceof AsrError)) return undefined;
  // @ts-expect-error there is no such code
  if (error.code === 'ERR_NONE') return undefined;
  return error.code;
}
