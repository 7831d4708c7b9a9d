export type { Session, WriteOptions } from './session/api';
export type { SessionMode, SessionsChoice, SessionsOptions } from './session/config';
export type {
  EndEvent,
  EndpointEvent,
  EndpointReason,
  FinalEvent,
  PartialEvent,
  SessionEvent,
} from './session/events';
export type { EndpointOptions, SessionOptions } from './session/options';
export type { PcmFormat, StreamOptions, TransformOptions, WebTransform } from './session/streams';
