export type { AudioSource } from './audio';
export type { Device, DeviceChoice } from './device';
export {
  type CachedEngine,
  type EngineTrial,
  type ListEnginesOptions,
  listEngines,
  type PruneEnginesOptions,
  pruneEngines,
} from './engine_cache';
export {
  type BuildEnginesOptions,
  type BuiltEngine,
  buildEngines,
  type CpuEngine,
  type EngineLimits,
  type EnginePrecision,
  type EngineProgress,
} from './engines';
export { AsrError, type AsrErrorCode } from './errors';
export type { DownloadProgress } from './model';
export {
  type ManyResult,
  type OpenOptions,
  Recognizer,
  type TranscribeManyOptions,
  type TranscribeOptions,
  type TranscribeProgress,
} from './recognizer';
export type {
  EndEvent,
  EndpointEvent,
  EndpointOptions,
  EndpointReason,
  FinalEvent,
  PartialEvent,
  PcmFormat,
  Session,
  SessionEvent,
  SessionMode,
  SessionOptions,
  SessionsChoice,
  SessionsOptions,
  StreamOptions,
  TransformOptions,
  WebTransform,
  WriteOptions,
} from './session';
export type { Identity, Timestamps, Timings, Token, Transcript, Word } from './transcript';
