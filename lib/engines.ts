import * as path from 'node:path';
import { type BuiltEngine, loadAddon, type NativeConfig, type NativeCpu, type NativeGpu } from './binding';
import { cudaPlaces } from './device';
import { AsrError, badArgument } from './errors';
import { type DownloadProgress, isPacked, type ResolvedModel, resolveModel } from './model';
import { cacheRoot, platformCache } from './model/cache';
import type { EngineProfiles } from './model/files';
import { findModel } from './model/registry';
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
import { onAbort } from './signals';

export type { BuiltEngine } from './binding';

/** What the matrix products of an engine compute in; sums, softmax and the front end stay in fp32. */
export type EnginePrecision = 'fp16' | 'bf16' | 'fp32';
export const ENGINE_PRECISIONS: readonly EnginePrecision[] = ['fp16', 'bf16', 'fp32'];

/** How far an engine's build is. TensorRT's phases nest; `done` of `steps` is of the phase. */
export interface EngineProgress {
  /** 'encoder', 'predictor', 'joint'. */
  graph: string;
  phase: string;
  done: number;
  steps: number;
}

/** What engines reach to. Engines of other limits are other engines. Default: the contract's profiles. */
export interface EngineLimits {
  /** Most utterances at once. */
  batchMax?: number;
  /** Most feature frames (10 ms each) of an utterance. */
  framesMax?: number;
}

export interface BuildEnginesOptions extends EngineLimits {
  /** A name of the registry, a folder, or a file: URL. Its graphs have to be fp32; of a folder that has both, those are taken. */
  model: string | URL;
  /** Default 'fp16'. */
  precision?: EnginePrecision;
  /** Index of the GPU. Default 0. */
  gpu?: number;
  /**
   * TensorRT-RTX alone: builds for these compute capabilities (80, 86, 89, 120 ...) without a GPU. Such engines are not tried
   * against ONNX Runtime before they are kept, but where `Recognizer.open` first takes them.
   */
  computeCapabilities?: number[];
  /** TensorRT 10 and 11 alone: engines that later releases of the same major run, too. They can be slower. */
  versionCompatible?: boolean;
  /** TensorRT 10 and 11 alone: engines that every GPU of compute capability 8.0 and later runs. They can be slower. */
  hardwareCompatible?: boolean;
  /** Builds even where an engine is found. */
  rebuild?: boolean;
  /** Default: `TRT_ASR_ENGINE_CACHE`, then the platform's cache folder. */
  engineCacheDir?: string;
  /** Folder of TensorRT's libraries. Default: `TRT_ASR_TENSORRT_PATH`, then the system's. */
  tensorrtPath?: string;
  /** Where downloaded models lie. */
  cacheDir?: string;
  offline?: boolean;
  signal?: AbortSignal;
  onProgress?: (progress: DownloadProgress) => void;
  onEngineProgress?: (progress: EngineProgress) => void;
}

const keys = [
  'model',
  'precision',
  'gpu',
  'computeCapabilities',
  'versionCompatible',
  'hardwareCompatible',
  'rebuild',
  'batchMax',
  'framesMax',
  'engineCacheDir',
  'tensorrtPath',
  'cacheDir',
  'offline',
  'signal',
  'onProgress',
  'onEngineProgress',
];

// CONTRACT: profiles of a model whose contract has none. SOURCE: contracts/parakeet-tdt-0.6b-v3.contract.json. WHY: windows are at
// most 30 s, 3,000 frames. TODO: none.
const DEFAULT_PROFILES: EngineProfiles = {
  encoder: { batch: { min: 1, opt: 1, max: 8 }, frames: { min: 1, opt: 1500, max: 3000 } },
  prediction: { batch: { min: 1, opt: 8, max: 64 } },
};

// CONTRACT: progress is asked for ten times a second. SOURCE: none. WHY: a build takes minutes, an eye needs no more. TODO: none.
const PROGRESS_INTERVAL_MS = 100;

/** Where engines are kept. */
export function engineCache(option?: string): string {
  // An empty variable is none, as it is for the others.
  return path.resolve(option ?? (process.env.TRT_ASR_ENGINE_CACHE || path.join(cacheRoot(), 'engines')));
}

/** What runs graphs on the CPU. */
export type CpuEngine = NativeCpu['engine'];
export const CPU_ENGINES: readonly CpuEngine[] = ['auto', 'onnxruntime', 'packed'];

/** Where packed weights are kept if a model's folder cannot be written; '' is nowhere. */
export function packedCache(option?: string): string {
  if (option !== undefined) return path.resolve(option);
  const cache = platformCache();
  return cache === undefined ? '' : path.join(cache, 'packed');
}

export interface GpuChoice {
  precision: EnginePrecision;
  index: number;
  engineCacheDir: string | undefined;
  tensorrtPath: string | undefined;
  computeCapabilities?: number[];
  versionCompatible?: boolean;
  hardwareCompatible?: boolean;
  limits: EngineLimits;
}

function quantizedError(where: string): AsrError {
  return new AsrError({
    code: 'ERR_ENGINE_BUILD',
    field: 'model',
    expected: `fp32 graphs in ${where}`,
    received: 'int8 ones, which TensorRT does not read',
    remedy:
      "Name the fp32 model, open this folder with precision: 'fp32' where it has both, or use device: 'cpu'.",
  });
}

/** The core's configuration of a model on a GPU. Throws ERR_ENGINE_BUILD for a packed or a quantised model. */
export function nativeGpu(model: ResolvedModel, choice: GpuChoice): NativeGpu {
  if (isPacked(model.files)) {
    throw new AsrError({
      code: 'ERR_ENGINE_BUILD',
      field: 'model',
      expected: `ONNX graphs in ${model.dir}`,
      received: 'packed ones, which run on the CPU alone',
      remedy: "Name the folder that they were made of, or use device: 'cpu'.",
    });
  }
  if (model.quantized) throw quantizedError(model.dir);
  const places = cudaPlaces(choice.tensorrtPath);
  return {
    index: choice.index,
    precision: choice.precision,
    cacheDir: engineCache(choice.engineCacheDir),
    model: model.name,
    ...(model.layout === 'ours' ? { contract: path.join(model.dir, 'contract.json') } : {}),
    ...(places.tensorrt === undefined ? {} : { tensorrt: places.tensorrt }),
    ...(places.plugins === undefined ? {} : { plugins: places.plugins }),
    targets: choice.computeCapabilities ?? [],
    versionCompatible: choice.versionCompatible === true,
    hardwareCompatible: choice.hardwareCompatible === true,
    ...within(model.profiles ?? DEFAULT_PROFILES, choice.limits),
  };
}

/** Runs a native call that may build engines: tells how far it is, and ends it when the signal aborts. */
export async function withBuild<T>(
  call: (build: unknown) => Promise<T>,
  signal: AbortSignal | undefined,
  onEngineProgress: ((progress: EngineProgress) => void) | undefined,
): Promise<T> {
  const addon = loadAddon();
  const build = addon.createBuild();
  let last = '';
  const tell = () => {
    const progress = addon.buildProgress(build);
    const text = JSON.stringify(progress);
    if (progress.graph === '' || text === last) return;
    last = text;
    onEngineProgress?.(progress);
  };
  const timer = onEngineProgress === undefined ? undefined : setInterval(tell, PROGRESS_INTERVAL_MS);
  timer?.unref();
  const leave = onAbort(signal, () => addon.cancelBuild(build));
  try {
    return await call(build);
  } finally {
    clearInterval(timer);
    leave();
  }
}

/** Profiles with another greatest batch or length. */
function within(profiles: EngineProfiles, { batchMax, framesMax }: EngineLimits): EngineProfiles {
  const raise = ({ min, opt, max }: { min: number; opt: number; max: number }, to: number | undefined) =>
    to === undefined ? { min, opt, max } : { min: Math.min(min, to), opt: Math.min(opt, to), max: to };
  const { encoder, prediction } = profiles;
  return {
    encoder: { batch: raise(encoder.batch, batchMax), frames: raise(encoder.frames, framesMax) },
    prediction: { batch: raise(prediction.batch, batchMax) },
  };
}

function checkMost(name: string, value: unknown, max: number): number | undefined {
  return value === undefined ? undefined : checkInteger(name, value, 1, 1, max);
}

/** The limits of an options object. `name` is the object's. */
export function checkLimits(name: string, limits: EngineLimits): EngineLimits {
  const batchMax = checkMost(`${name}.batchMax`, limits.batchMax, 4096);
  const framesMax = checkMost(`${name}.framesMax`, limits.framesMax, 40_000);
  return {
    ...(batchMax === undefined ? {} : { batchMax }),
    ...(framesMax === undefined ? {} : { framesMax }),
  };
}

function checkCapabilities(value: unknown): number[] {
  if (value === undefined) return [];
  const right =
    Array.isArray(value) && value.every((one) => Number.isInteger(one) && one >= 10 && one < 1000);
  if (!right) throw badArgument('options.computeCapabilities', 'numbers such as 80, 86, 89 and 120', value);
  return value;
}

/**
 * Builds the TensorRT engines of a model, or finds them built. `Recognizer.open` does the same on first use, but takes engines
 * that were built for several GPUs or an earlier TensorRT, too, where none is found for the GPU at hand. Rejects with
 * ERR_BACKEND_UNAVAILABLE (no TensorRT, no GPU), ERR_ENGINE_BUILD, ERR_MODEL_NOT_FOUND, ERR_BAD_ARGUMENT, or `signal.reason`.
 */
export async function buildEngines(options: BuildEnginesOptions): Promise<BuiltEngine[]> {
  checkOptions('options', options, keys);
  const { signal, onProgress, onEngineProgress, engineCacheDir, tensorrtPath } = options;
  checkSignal('options.signal', signal);
  checkFunction('options.onProgress', onProgress);
  checkFunction('options.onEngineProgress', onEngineProgress);
  checkText('options.engineCacheDir', engineCacheDir);
  checkText('options.tensorrtPath', tensorrtPath);
  const precision = checkChoice('options.precision', options.precision, 'fp16', ENGINE_PRECISIONS);
  const index = checkInteger('options.gpu', options.gpu, 0, 0, 255);
  const limits = checkLimits('options', options);
  checkBoolean('options.versionCompatible', options.versionCompatible);
  checkBoolean('options.hardwareCompatible', options.hardwareCompatible);
  checkBoolean('options.rebuild', options.rebuild);
  checkBoolean('options.offline', options.offline);
  checkText('options.cacheDir', options.cacheDir);
  const computeCapabilities = checkCapabilities(options.computeCapabilities);
  signal?.throwIfAborted();
  // What would be refused is not downloaded.
  const entry = typeof options.model === 'string' ? findModel(options.model) : undefined;
  if (entry?.precision === 'int8') throw quantizedError(entry.name);
  const model = await resolveModel(options.model, {
    ...(options.cacheDir === undefined ? {} : { cacheDir: options.cacheDir }),
    ...(options.offline === undefined ? {} : { offline: options.offline }),
    ...(signal === undefined ? {} : { signal }),
    ...(onProgress === undefined ? {} : { onProgress }),
  });
  const gpu = nativeGpu(model, {
    precision,
    index,
    engineCacheDir,
    tensorrtPath,
    computeCapabilities,
    versionCompatible: options.versionCompatible === true,
    hardwareCompatible: options.hardwareCompatible === true,
    limits,
  });
  const config: NativeConfig = {
    files: model.files,
    contract: model.contract,
    threads: 1,
    sessionsMax: 1,
    lanes: 1,
    gpu,
  };
  const call = (build: unknown) => loadAddon().buildEngines(config, build, options.rebuild === true);
  try {
    return await orAbort(withBuild(call, signal, onEngineProgress), signal, () => {});
  } catch (error) {
    throw signal?.aborted ? error : AsrError.from(error);
  }
}
