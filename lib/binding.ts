import { existsSync, readdirSync } from 'node:fs';
import * as path from 'node:path';
import { AsrError } from './errors';
import type { DecodeRule, NativeContract } from './model/contract';
import type { TracedStream } from './model/contract_streaming';
import type { EngineProfiles, ModelFiles } from './model/files';
import { packageRoot } from './model/package_root';

/** The configuration that native/node/config.cpp reads. */
export interface NativeConfig {
  files: ModelFiles;
  contract: NativeContract;
  /** Intra-op threads of an engine's run. */
  threads: number;
  /** Without it ONNX Runtime alone. */
  cpu?: NativeCpu;
  sessionsMax: number;
  lanes: number;
  /** Windows that are computed together. */
  batchMax?: number;
  /** How long a session's window waits for others to fill a batch. */
  batchWaitMs?: number;
  /** What live sessions are like; without it there are none. */
  live?: NativeLiveConfig;
  /** On a GPU instead of the CPU. */
  gpu?: NativeGpu;
}

/** What runs graphs on the CPU; native/session/graph_loader.h. */
export interface NativeCpu {
  engine: 'auto' | 'onnxruntime' | 'packed';
  /** Of packed weights whose model's folder cannot be written; '' is nowhere. */
  cacheDir: string;
}

/** How live audio becomes windows; native/session/session_config.h. */
export interface NativeLiveConfig {
  mode: 'buffered' | 'cache-aware' | 'segment';
  /** Encoder frames. */
  leftFrames: number;
  chunkFrames: number;
  rightFrames: number;
  /** silero_vad.onnx; without it the built-in detector. */
  silero?: string;
}

/** The rules of one session. */
export interface NativeRules {
  silenceMs: number;
  utteranceMaxMs: number;
  threshold: number;
  minSpeechMs: number;
  preRollMs: number;
  hangOverMs: number;
}

/** Where and for what engines are built. */
export interface NativeGpu extends EngineProfiles {
  index: number;
  precision: 'fp16' | 'bf16' | 'fp32';
  cacheDir: string;
  /** Name of the engines' folder in the cache. */
  model: string;
  /** contract.json, where the folder has one. */
  contract?: string;
  tensorrt?: string;
  plugins?: string;
  /** Compute capabilities of TensorRT-RTX engines that are built without a GPU. */
  targets: number[];
  /** TensorRT 10 and 11: engines that later releases of the major run. */
  versionCompatible?: boolean;
  /** TensorRT 10 and 11: engines that every GPU since Ampere runs. */
  hardwareCompatible?: boolean;
}

/** A file of the engine cache; native/node/engine_cache.cpp makes it. */
export interface NativeCachedFile {
  path: string;
  model: string;
  bytes: number;
  usedMs: number;
  /** `name: value` lines; '' when it is damaged. */
  header: string;
  /** Why it cannot be used; '' when it is not damaged. */
  damage: string;
}

/** What an engine's file says of itself; native/engine/tensorrt/inspect_plan.h. */
export interface EngineInspection {
  /** `name: value` lines. */
  header: string;
  /** How TensorRT takes it on this machine. */
  verdict: string;
  /** JSON of TensorRT's own; '' where the engine cannot be loaded. */
  layers: string;
}

/** An engine in the cache. */
export interface BuiltEngine {
  /** 'encoder', 'predictor', 'joint', or 'decoder_joint' for both in one. */
  graph: string;
  path: string;
  bytes: number;
  /** Now, and not found. */
  built: boolean;
}

export interface NativeWord {
  text: string;
  startMs: number;
  endMs: number;
  confidence: number;
}

/** What became known of an utterance; native/node/event_message.cpp makes it. */
export type NativeEvent =
  | { type: 'room' | 'end' | 'cancelled' }
  | { type: 'failed'; error: Error }
  | NativeWindow
  | NativeLive;

/** Tokens, a field each. */
export interface NativeTokens {
  ids: Int32Array;
  frames: Int32Array;
  durations: Int32Array;
  confidences: Float32Array;
}

/** How far the work is, and what the window cost. */
export interface NativeProgress {
  samplesDone: number;
  featuresMs: number;
  encoderMs: number;
  decodeMs: number;
}

/** A recording's window: what it made certain. */
export interface NativeWindow extends NativeTokens, NativeProgress {
  type: 'window';
  text: string;
  words: NativeWord[];
}

/** A session's window: what it changed. The last finals come with one more before 'end'. */
export interface NativeLive extends NativeProgress {
  type: 'live';
  finals: NativeFinal[];
  partial?: { text: string; stableLength: number };
}

export type EndpointReason = 'silence' | 'length' | 'pause' | 'end';

/** An utterance that will not change any more. */
export interface NativeFinal extends NativeTokens {
  text: string;
  words: NativeWord[];
  startMs: number;
  endMs: number;
  atMs: number;
  reason: EndpointReason;
}

export interface NativeDescription {
  backend: string;
  backendVersion: string;
  /** Why it computes slower than it could, or nothing. */
  remarks: string;
  rule: Exclude<DecodeRule, 'transducer'>;
  melBins: number;
  normalization: 'none' | 'per_feature';
  subsampling: number;
  framesMax: number;
  encoderWidth: number;
  predictorLayers: number;
  predictorWidth: number;
  vocabulary: number;
  durations: number;
  frameMs: number;
  sampleRateHz: number;
  windowSamples: number;
  arenaBytes: number;
}

export interface NativeRecognizer {
  /** Opens an utterance; its events come on the JS thread, after this call has returned. Throws ERR_SESSION_LIMIT, ERR_CLOSED. */
  start(onEvent: (event: NativeEvent) => void): number;
  /** Opens a live session; as `start`. */
  openSession(onEvent: (event: NativeEvent) => void, rules: NativeRules): number;
  /** Takes what fits and returns how many samples that was; fewer than given: a `room` event follows. */
  write(utterance: number, samples: Float32Array): number;
  end(utterance: number): void;
  cancel(utterance: number): void;
  /** Keeps the process alive for events, or no longer; to be called as often with false as with true. */
  hold(on: boolean): void;
  close(): Promise<void>;
  describe(): NativeDescription;
  pieces(): string[];
}

/** An input or output as a graph declares it; -1 is an extent that varies. `shape` is empty above four axes. */
export interface GraphTensor {
  name: string;
  dtype: string;
  rank: number;
  shape: number[];
}

/** What a graph says of itself; native/node/inspect.cpp makes it. */
export interface GraphDescription {
  inputs: GraphTensor[];
  outputs: GraphTensor[];
  metadata: Record<string, string>;
}

/** Folders that are looked in before the system's. */
export interface CudaPlaces {
  /** Holds TensorRT's libraries; no other place is looked at. */
  tensorrt?: string | undefined;
  /** Holds our plug-ins for TensorRT. */
  plugins?: string | undefined;
}

/** What of NVIDIA's is on this machine; native/node/survey.cpp makes it. */
export interface CudaSurvey {
  looked: { what: string; where: string; outcome: string; found: boolean }[];
  gpus: { name: string; computeCapability: number; memoryBytes: number }[];
  /** "TensorRT 11.1.0", with our plug-in for it. */
  tensorrt?: string;
  tensorrtPath?: string;
  /** Why a GPU cannot be used: an ERR_BACKEND_UNAVAILABLE that lists all that was looked for. */
  unavailable?: Error;
}

/** A graph that was packed; native/node/optimize.cpp makes it. */
export interface PackedGraph {
  kind: string;
  precision: string;
  seen: string;
}

export interface NativeAddon {
  /** Loads a graph and tells its inputs and outputs. Rejects with ERR_MODEL_NOT_FOUND, ERR_MODEL_CORRUPT. */
  describeGraph(path: string): Promise<GraphDescription>;
  /**
   * What a cache-aware graph of another's export says of its chunks; undefined for one of whole utterances. `subsampling` is for
   * graphs that do not tell it. Rejects with ERR_CONTRACT_MISMATCH, ERR_MODEL_NOT_FOUND, ERR_MODEL_CORRUPT.
   */
  describeStream(path: string, subsampling: number): Promise<TracedStream | undefined>;
  /** Pieces of a vocabulary, without the blank. Throws what reading it gives. */
  vocabularySize(path: string): number;
  openRecognizer(config: NativeConfig, build?: unknown): Promise<NativeRecognizer>;
  /** A handle that `openRecognizer` and `buildEngines` report to and heed. */
  createBuild(): unknown;
  buildProgress(build: unknown): { graph: string; phase: string; done: number; steps: number };
  cancelBuild(build: unknown): void;
  /** Rejects with ERR_ENGINE_BUILD, ERR_BACKEND_UNAVAILABLE, ERR_CLOSED (cancelled) and what reading the model gives. */
  buildEngines(config: NativeConfig, build: unknown, rebuild: boolean): Promise<BuiltEngine[]>;
  /** Rejects with ERR_MODEL_NOT_FOUND, ERR_ENGINE_STALE. */
  inspectEngine(file: string, places: CudaPlaces, gpu: number): Promise<EngineInspection>;
  /** Rejects with ERR_MODEL_NOT_FOUND. */
  listEngines(cacheDir: string, model: string): Promise<NativeCachedFile[]>;
  /** Rejects with ERR_BACKEND_UNAVAILABLE, ERR_MODEL_NOT_FOUND. */
  pruneEngines(
    cacheDir: string,
    model: string,
    places: CudaPlaces,
    unusedDays: number,
    all: boolean,
    dryRun: boolean,
  ): Promise<NativeCachedFile[]>;
  /** Writes the packed file of a graph. Rejects with ERR_CONTRACT_MISMATCH (it cannot be packed), ERR_ENGINE_BUILD (other numbers than ONNX Runtime's), ERR_CLOSED. */
  packGraph(onnx: string, packed: string, precision: string, build: unknown): Promise<PackedGraph>;
  /** A handle on what turns samples of a rate into samples at 16 kHz. Throws ERR_BAD_ARGUMENT. */
  createResampler(rateHz: number): unknown;
  /** The output that these samples complete; without samples the rest, after which the handle is spent. */
  resample(resampler: unknown, samples?: Float32Array): Float32Array;
  ortVersion(): string;
  surveyCuda(places: CudaPlaces): Promise<CudaSurvey>;
}

let addon: NativeAddon | undefined;

/** Where the add-on may lie: a build in a checkout first, else the prebuilt one of the package. */
export function addonCandidates(): string[] {
  const root = packageRoot();
  return [
    path.join(root, 'build', 'Release', 'trt_asr.node'),
    path.join(root, 'prebuilds', `${process.platform}-${process.arch}`, 'trt_asr.node'),
  ];
}

/** Loads the native add-on once. Throws ERR_BACKEND_UNAVAILABLE with the platform, the cause and ordered remedies. */
export function loadAddon(): NativeAddon {
  if (addon !== undefined) return addon;
  try {
    // `bindings` does not know of prebuilds, so it is told where to look.
    const load = require('bindings') as (options: object) => NativeAddon;
    addon = load({
      bindings: 'trt_asr.node',
      module_root: packageRoot(),
      try: addonCandidates().map((file) => [file]),
    });
    return addon;
  } catch (cause) {
    throw new AsrError({
      code: 'ERR_BACKEND_UNAVAILABLE',
      field: 'native add-on',
      expected: `an add-on for ${process.platform}-${process.arch} (Node ${process.versions.node}, ${libc()})`,
      received: addonCandidates().some((file) => existsSync(file))
        ? firstLine(cause)
        : `no such file: ${addonCandidates().join(', ')}`,
      remedy: remedies(),
      cause,
    });
  }
}

function libc(): string {
  const header = (process.report?.getReport() as { header?: { glibcVersionRuntime?: string } } | undefined)
    ?.header;
  if (process.platform !== 'linux') return process.platform;
  return header?.glibcVersionRuntime === undefined ? 'musl' : `glibc ${header.glibcVersionRuntime}`;
}

function firstLine(cause: unknown): string {
  return (cause instanceof Error ? cause.message : String(cause)).split('\n')[0] ?? '';
}

function remedies(): string {
  let prebuilt: string[] = [];
  try {
    prebuilt = readdirSync(path.join(packageRoot(), 'prebuilds'));
  } catch {
    // A checkout has none.
  }
  const have =
    prebuilt.length === 0 ? 'no prebuilt add-on is in this package' : `prebuilt: ${prebuilt.join(', ')}`;
  return (
    `(${have}.) 1. Reinstall on this platform: npm install trt-asr. ` +
    '2. Build it, with CMake and a C++20 compiler: npm rebuild trt-asr. 3. Run: npx trt-asr doctor.'
  );
}
