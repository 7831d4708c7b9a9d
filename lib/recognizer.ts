import { availableParallelism } from 'node:os';
import type { Duplex } from 'node:stream';
import { type AudioSource, checkRate } from './audio';
import { TARGET_RATE_HZ } from './audio/protocol';
import { loadAddon, type NativeConfig, type NativeDescription, type NativeRecognizer } from './binding';
import { chooseDevice, type Device, type DeviceChoice, parseDevice } from './device';
import {
  CPU_ENGINES,
  type CpuEngine,
  checkLimits,
  ENGINE_PRECISIONS,
  type EngineLimits,
  type EnginePrecision,
  type EngineProgress,
  nativeGpu,
  packedCache,
  withBuild,
} from './engines';
import { AsrError, badArgument } from './errors';
import { limits } from './limits.generated';
import { type DownloadProgress, isPacked, type ResolvedModel, resolveModel } from './model';
import {
  checkBoolean,
  checkChoice,
  checkFunction,
  checkInteger,
  checkOptions,
  checkSignal,
  checkText,
  orAbort,
} from './options';
import { Recording, type TranscribeProgress } from './recording';
import type { Session, SessionsChoice, SessionsOptions } from './session';
import { checkSessions, nativeLive, settleBatch, settleSessions } from './session/config';
import type { SessionEvent } from './session/events';
import { LiveSession } from './session/live_session';
import { checkSession, SESSION_KEYS, type SessionOptions, type SessionSettings } from './session/options';
import { isSamples, streamSource } from './session/source';
import {
  checkFormat,
  nodeTransform,
  type PcmFormat,
  STREAM_KEYS,
  type StreamOptions,
  TRANSFORM_KEYS,
  type TransformOptions,
  type WebTransform,
  webTransform,
} from './session/streams';
import { onAbort } from './signals';
import { closedError, Slots } from './slots';
import { type Identity, type Timestamps, type Transcript, TranscriptBuilder } from './transcript';

export type { TranscribeProgress } from './recording';

export interface OpenOptions {
  /** A name of the registry (`trt-asr models list`), a folder, or a file: URL. */
  model: string | URL;
  /** Default 'auto'. */
  device?: Device;
  /** Folder of TensorRT's libraries. Default: `TRT_ASR_TENSORRT_PATH`, then the system's. */
  tensorrtPath?: string;
  /** Recordings and sessions that are open at once; further `transcribe` calls wait their turn. Default 4. */
  sessionsMax?: number;
  /** Windows that are computed at once, each on a thread of its own. Default 1; the processors where `sessionsMax` is twice that or more. */
  lanes?: number;
  /** Threads inside one window's computation. Default: the processors, divided among the lanes, at most 8. */
  threads?: number;
  /** What live sessions are like. */
  sessions?: SessionsOptions;
  /**
   * Windows that a lane computes together. Default: 8 on a GPU and of cache-aware sessions, else 1. An int8 model takes 1, except
   * one that `trt-asr models optimize` made, which scales row by row.
   */
  batchMax?: number;
  /** How long a session's window waits for others to fill a batch, in milliseconds. Default 0. */
  batchWaitMs?: number;
  /** Which of a folder's files to take when it has both. Default fp32. */
  precision?: 'fp32' | 'int8';
  /**
   * On the CPU: what runs the graphs. 'packed': kernels of this package, over weights that are packed at the first use of a model
   * and mapped into memory from then on. 'onnxruntime': ONNX Runtime, over the graphs as they are. 'auto' (default): packed
   * for folders that `trt-asr models optimize` made and for graphs of 64 MB and more, ONNX Runtime for all others and wherever a graph
   * cannot be packed.
   */
  cpuEngine?: CpuEngine;
  /** Where packed weights go if the model's own folder cannot be written. Default: the platform's cache folder. */
  packedCacheDir?: string;
  /** Where downloaded models lie. Default: the platform's cache folder. */
  cacheDir?: string;
  /** Never touch the network. */
  offline?: boolean;
  /** On a GPU: what the engines compute in. Default 'fp16'. */
  enginePrecision?: EnginePrecision;
  /** On a GPU: what the engines reach to. Default: the contract's profiles. */
  engineLimits?: EngineLimits;
  /** Where engines are kept. Default: `TRT_ASR_ENGINE_CACHE`, then the platform's cache folder. */
  engineCacheDir?: string;
  signal?: AbortSignal;
  /** Called while engines are built, on a GPU's first use of a model. */
  onEngineProgress?: (progress: EngineProgress) => void;
  /** Called while a model is downloaded. */
  onProgress?: (progress: DownloadProgress) => void;
}

export interface TranscribeOptions {
  /** 'token' (default): words and tokens; 'word': words; 'none': text alone. */
  timestamps?: Timestamps;
  /** Rate of samples given as an array. Default 16,000. */
  sampleRateHz?: number;
  signal?: AbortSignal;
  onProgress?: (progress: TranscribeProgress) => void;
}

export interface TranscribeManyOptions extends Omit<TranscribeOptions, 'onProgress'> {
  /** Sources that are worked on at once. Default: `sessionsMax`. */
  concurrency?: number;
}

/** A source's outcome; one that fails does not end the others. */
export type ManyResult =
  | { index: number; source: AudioSource; transcript: Transcript; error?: undefined }
  | { index: number; source: AudioSource; transcript?: undefined; error: unknown };

const openKeys = [
  'model',
  'device',
  'tensorrtPath',
  'sessionsMax',
  'lanes',
  'threads',
  'sessions',
  'batchMax',
  'batchWaitMs',
  'precision',
  'cpuEngine',
  'packedCacheDir',
  'cacheDir',
  'offline',
  'enginePrecision',
  'engineLimits',
  'engineCacheDir',
  'signal',
  'onProgress',
  'onEngineProgress',
];
const transcribeKeys = ['timestamps', 'sampleRateHz', 'signal', 'onProgress'];
const manyKeys = ['timestamps', 'sampleRateHz', 'signal', 'concurrency'];

/** A loaded model, ready to transcribe. Open one per process and share it. */
export class Recognizer {
  private readonly slots: Slots;
  private readonly pieces: readonly string[];
  private closing: Promise<void> | undefined;

  private constructor(
    private readonly native: NativeRecognizer,
    private readonly model: ResolvedModel,
    private readonly engine: NativeDescription,
    private readonly sessionsMax: number,
    /** The device that was taken, and why. */
    readonly device: DeviceChoice,
    /** What live sessions are like. */
    readonly sessions: SessionsChoice,
  ) {
    this.slots = new Slots(sessionsMax);
    this.pieces = native.pieces();
  }

  /**
   * Finds or downloads the model, loads it on a thread of its own and claims all memory. Rejects with ERR_BAD_ARGUMENT,
   * ERR_MODEL_NOT_FOUND, ERR_MODEL_CORRUPT, ERR_CONTRACT_MISMATCH, ERR_DOWNLOAD, ERR_BACKEND_UNAVAILABLE, or `signal.reason`.
   */
  static async open(options: OpenOptions): Promise<Recognizer> {
    checkOptions('options', options, openKeys);
    const { model, signal, onProgress, cacheDir, offline } = options;
    checkSignal('options.signal', signal);
    checkFunction('options.onProgress', onProgress);
    signal?.throwIfAborted();
    const asked = parseDevice(options.device);
    checkText('options.tensorrtPath', options.tensorrtPath);
    checkText('options.engineCacheDir', options.engineCacheDir);
    if (options.engineLimits !== undefined)
      checkOptions('options.engineLimits', options.engineLimits, ['batchMax', 'framesMax']);
    const engineLimits = checkLimits('options.engineLimits', options.engineLimits ?? {});
    checkFunction('options.onEngineProgress', options.onEngineProgress);
    const enginePrecision = checkChoice(
      'options.enginePrecision',
      options.enginePrecision,
      'fp16',
      ENGINE_PRECISIONS,
    );
    const sessionsMax = checkInteger(
      'options.sessionsMax',
      options.sessionsMax,
      limits.sessionsDefault,
      1,
      limits.sessionsMax,
    );
    const { lanes, threads } = checkThreads(options, sessionsMax);
    const sessions = checkSessions('options.sessions', options.sessions);
    const { batchMax } = options;
    checkInteger('options.batchMax', batchMax, 1, 1, limits.batchMax);
    const batchWaitMs = checkInteger('options.batchWaitMs', options.batchWaitMs, 0, 0, limits.batchWaitMsMax);
    const { precision } = options;
    if (precision !== undefined) checkChoice('options.precision', precision, 'fp32', ['fp32', 'int8']);
    const cpuEngine = checkChoice('options.cpuEngine', options.cpuEngine, 'auto', CPU_ENGINES);
    checkText('options.packedCacheDir', options.packedCacheDir);
    checkText('options.cacheDir', cacheDir);
    checkBoolean('options.offline', offline);
    const cpu = { engine: cpuEngine, cacheDir: packedCache(options.packedCacheDir) };
    const device = await chooseDevice(asked, options.tensorrtPath);
    signal?.throwIfAborted();
    const resolved = await resolveModel(model, {
      ...(precision === undefined ? {} : { precision }),
      ...(cacheDir === undefined ? {} : { cacheDir }),
      ...(offline === undefined ? {} : { offline }),
      ...(signal === undefined ? {} : { signal }),
      ...(onProgress === undefined ? {} : { onProgress }),
    });

    const { files, contract, quantized } = resolved;
    const host = { files, contract, threads, cpu, sessionsMax, lanes, batchWaitMs };
    const { engineCacheDir, tensorrtPath, onEngineProgress } = options;
    const gpuOf = (index: number) =>
      nativeGpu(resolved, {
        precision: enginePrecision,
        index,
        engineCacheDir,
        tensorrtPath,
        limits: engineLimits,
      });
    const load = async (choice: DeviceChoice): Promise<Recognizer> => {
      const onCpu = choice.device === 'cpu';
      const settled = settleSessions('options.sessions', sessions, resolved);
      const gpu = onCpu ? undefined : gpuOf(Number(choice.device.slice('cuda:'.length)));
      const gpuRows = gpu && Math.min(gpu.encoder.batch.max, gpu.prediction.batch.max);
      // Packed graphs quantise row by row: a row of a batch is as if alone.
      const alone = quantized && !isPacked(files);
      const conditions = { mode: settled.mode, quantized: alone, sessionsMax, gpuRows };
      const config: NativeConfig = {
        ...host,
        batchMax: settleBatch('options.batchMax', batchMax, conditions),
        live: nativeLive(settled, contract),
        ...(gpu === undefined ? {} : { gpu }),
      };
      const call = (build: unknown) => loadAddon().openRecognizer(config, build);
      const native = await withBuild(call, signal, onEngineProgress);
      const engine = native.describe();
      const taken = engine.remarks === '' ? choice : { ...choice, remarks: engine.remarks };
      return new Recognizer(native, resolved, engine, sessionsMax, taken, settled);
    };
    const opening = load(device).catch((error: unknown) => {
      // Only 'auto' may take another device, and it says why.
      if (asked !== 'auto' || device.device === 'cpu' || signal?.aborted) throw AsrError.from(error);
      const { code, message } = AsrError.from(error);
      return load({ device: 'cpu', reason: `auto: not ${device.device}: ${code}: ${message}` });
    });
    // What is loaded after an abort is closed again, not lost.
    return orAbort(opening, signal, () => void opening.then((opened) => opened.close()).catch(() => {}));
  }

  /** Which model and which engine this is; every transcript carries it. */
  get identity(): Identity {
    const { engine, model } = this;
    return {
      model: model.name,
      modelDir: model.dir,
      layout: model.layout,
      quantized: model.quantized,
      device: this.device.device,
      engine: `${engine.backend} ${engine.backendVersion}`,
    };
  }

  /**
   * Transcribes one source: a file's path or file: URL, its bytes, a stream of them, samples, or an async iterable of samples.
   * Audio of up to 30 s runs as one window; longer audio is cut at pauses and never held as a whole. Rejects with
   * ERR_BAD_ARGUMENT, ERR_AUDIO_DECODE, ERR_CLOSED, or `signal.reason`.
   */
  async transcribe(source: AudioSource, options: TranscribeOptions = {}): Promise<Transcript> {
    const timestamps = checkTranscribe(options, transcribeKeys);
    const { signal, onProgress } = options;

    const startedMs = performance.now();
    const builder = new TranscriptBuilder(timestamps, this.engine, this.pieces);
    const job = new Recording(this.native, this.slots, builder, onProgress, this.engine.sampleRateHz);
    const work = job.run(source, options.sampleRateHz, signal);
    await orAbort(work, signal, () => job.abandon());
    return builder.finish(performance.now() - startedMs, this.identity);
  }

  /** Transcribes many sources, some at once. Yields in the order of completion; a source that fails yields its error. */
  async *transcribeMany(
    sources: Sources,
    options: TranscribeManyOptions = {},
  ): AsyncGenerator<ManyResult, void, undefined> {
    checkTranscribe(options, manyKeys);
    const concurrency = checkInteger(
      'options.concurrency',
      options.concurrency,
      this.sessionsMax,
      1,
      limits.sessionsMax,
    );
    if (!isIterable(sources))
      throw badArgument('sources', 'an array or another iterable of sources', sources);
    const { concurrency: _, signal, ...each } = options;
    signal?.throwIfAborted();
    // Leaving the loop early abandons what is under way.
    const leaving = new AbortController();
    const leaveSignal = onAbort(signal, () => leaving.abort(signal?.reason));
    const iterator = iteratorOf(sources);
    const running = new Map<number, Promise<ManyResult>>();
    const start = (source: AudioSource, at: number) =>
      this.transcribe(source, { ...each, signal: leaving.signal }).then(
        (transcript): ManyResult => ({ index: at, source, transcript }),
        (error: unknown): ManyResult => ({ index: at, source, error }),
      );
    let index = 0;
    let coming: Promise<Coming> | undefined;
    let ended = false;
    try {
      for (;;) {
        if (!ended && running.size < concurrency) coming ??= next(iterator);
        const waits = [...running.values(), ...(coming === undefined ? [] : [coming])];
        if (waits.length === 0) return;
        const first = await orAbort(Promise.race<ManyResult | Coming>(waits), signal, () => {});
        if ('index' in first) {
          running.delete(first.index);
          yield first;
          continue;
        }
        coming = undefined;
        ended = first.done === true;
        if (first.done !== true) {
          running.set(index, start(first.value, index));
          index += 1;
        }
      }
    } finally {
      leaveSignal();
      leaving.abort();
      coming?.catch(() => {});
      Promise.resolve(iterator.return?.()).catch(() => {});
    }
  }

  /**
   * Opens a live session. It takes a slot at once, while `transcribe` waits its turn. Throws ERR_SESSION_LIMIT when no slot is
   * free, ERR_BAD_ARGUMENT, ERR_CLOSED, or `signal.reason`.
   */
  openSession(options: SessionOptions = {}): Session {
    return this.startSession(this.settingsOf(options, SESSION_KEYS));
  }

  /**
   * Transcribes a source while it comes, in a session of its own, and gives what becomes known. Samples are taken in the chunks in
   * which they come, at `sampleRateHz`; files and streams of their bytes are decoded. Leaving the loop closes session and source.
   * Throws what `openSession` does, what the source fails with, ERR_AUDIO_DECODE, or `signal.reason`. A source that fails ends the
   * audio: its remaining events come first, then its reason is thrown.
   */
  stream(source: AudioSource, options: StreamOptions = {}): AsyncGenerator<SessionEvent, void, undefined> {
    const open = () => {
      const settings = this.settingsOf(options, STREAM_KEYS);
      // What is decoded comes at the models' rate.
      const sampleRateHz = isSamples(source) ? settings.sampleRateHz : TARGET_RATE_HZ;
      return this.startSession({ ...settings, sampleRateHz, transcript: false });
    };
    return streamSource(open, source);
  }

  /**
   * A session as a stream of Node's: chunks of PCM bytes, cut anywhere, or sample arrays in, SessionEvent objects out. Throws as
   * `openSession` does. Destroying it closes the session; one that is neither ended nor destroyed keeps its slot until it is collected.
   * A pipeline whose source fails destroys it, and what it has not given yet is lost.
   */
  createTransform(options: TransformOptions = {}): Duplex {
    return nodeTransform(...this.transformOf(options));
  }

  /** The same as a pair of web streams, for `pipeThrough`. */
  createWebTransform(options: TransformOptions = {}): WebTransform {
    return webTransform(...this.transformOf(options));
  }

  private settingsOf(options: SessionOptions, keys: readonly string[]): SessionSettings {
    return checkSession('options', options, this.sessions.mode, keys);
  }

  private startSession(settings: SessionSettings): LiveSession {
    if (this.closing !== undefined) throw closedError();
    const { native, slots, engine, pieces, identity } = this;
    return new LiveSession({ native, slots, engine, pieces, identity }, settings);
  }

  private transformOf(options: TransformOptions): [LiveSession, PcmFormat] {
    const settings = this.settingsOf(options, TRANSFORM_KEYS);
    const format = checkFormat('options.format', options.format);
    return [this.startSession({ ...settings, transcript: false }), format];
  }

  /** Fails what is under way with ERR_CLOSED, waits for the lanes and frees the model. Safe to call again. */
  close(): Promise<void> {
    this.slots.close();
    this.closing ??= this.native.close();
    return this.closing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

/** Checks what recordings have in common. Throws ERR_BAD_ARGUMENT. */
function checkTranscribe(options: TranscribeOptions, keys: readonly string[]): Timestamps {
  checkOptions('options', options, keys);
  checkSignal('options.signal', options.signal);
  checkFunction('options.onProgress', options.onProgress);
  checkRate(options.sampleRateHz, 'options.sampleRateHz');
  return checkChoice('options.timestamps', options.timestamps, 'token', ['none', 'word', 'token']);
}

// CONTRACT: with slots for many, each processor computes a window of its own. SOURCE: ours, tried on two processors. WHY: two windows
// on a thread each take less time than one after the other on two, since a window has parts that do not divide; where few are
// open, one alone would be slower. TODO: the same on machines with dozens of processors.
const SESSIONS_PER_PROCESSOR = 2;

function checkThreads(options: OpenOptions, sessionsMax: number): { lanes: number; threads: number } {
  const processors = availableParallelism();
  const many = sessionsMax >= SESSIONS_PER_PROCESSOR * processors;
  const standard = many ? Math.min(processors, limits.lanesMax) : 1;
  const lanes = checkInteger('options.lanes', options.lanes, standard, 1, limits.lanesMax);
  const share = Math.min(limits.threadsDefaultMax, Math.floor(processors / lanes));
  const threads = checkInteger('options.threads', options.threads, Math.max(1, share), 1, limits.threadsMax);
  return { lanes, threads };
}

type Sources = Iterable<AudioSource> | AsyncIterable<AudioSource>;
type Coming = IteratorResult<AudioSource, unknown>;

function isIterable(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return Symbol.iterator in value || Symbol.asyncIterator in value;
}

function iteratorOf(sources: Sources): Iterator<AudioSource> | AsyncIterator<AudioSource> {
  return Symbol.asyncIterator in sources ? sources[Symbol.asyncIterator]() : sources[Symbol.iterator]();
}

async function next(iterator: Iterator<AudioSource> | AsyncIterator<AudioSource>): Promise<Coming> {
  return iterator.next();
}
