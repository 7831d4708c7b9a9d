import { checkRate } from '../audio';
import type { NativeRules } from '../binding';
import { badArgument } from '../errors';
import { limits } from '../limits.generated';
import { checkBoolean, checkChoice, checkNumber, checkOptions, checkSignal } from '../options';
import type { Timestamps } from '../transcript';
import type { SessionMode } from './config';

/** When an utterance of a session is over. */
export interface EndpointOptions {
  /** Without a word, or in segment mode without speech, for so long. Default 800; in segment mode 500. */
  silenceMs?: number;
  /** When it is longer: before its next word, or in segment mode at the best pause. Default 20,000. */
  maxUtteranceMs?: number;
  /** In segment mode: less speech than this is none. Default 100. */
  minSpeechMs?: number;
  /** In segment mode: audio that a segment keeps before its speech. Default 300. */
  preRollMs?: number;
  /** In segment mode: audio that a segment keeps behind its speech. Default 200. */
  hangOverMs?: number;
  /** In segment mode: from which probability on a block of 32 ms is speech, in (0, 1). Default 0.5. */
  threshold?: number;
}

export interface SessionOptions {
  /** Rate of the samples that are written, a whole number from 1,000 to 768,000; any but 16,000 is resampled. Default 16,000. */
  sampleRateHz?: number;
  /** What finals and the transcript carry. 'token' (default): words and tokens; 'word': words; 'none': text alone. */
  timestamps?: Timestamps;
  /** Whether `end()` gives the whole text and its words; without it a session of hours holds no more than one of minutes. Default true. */
  transcript?: boolean;
  endpoint?: EndpointOptions;
  /** Ends the session; what waits then rejects with `signal.reason`. */
  signal?: AbortSignal;
}

/** Options as they are after checking. */
export interface SessionSettings {
  sampleRateHz: number;
  timestamps: Timestamps;
  transcript: boolean;
  rules: NativeRules;
  signal: AbortSignal | undefined;
}

/** Keys that `openSession` takes. */
export const SESSION_KEYS = ['sampleRateHz', 'timestamps', 'transcript', 'endpoint', 'signal'];

const SEGMENT_KEYS = ['minSpeechMs', 'preRollMs', 'hangOverMs', 'threshold'] as const;

/** WHY: with more, a segment would be silence for the most part. */
const MARGIN_MS_MAX = 1000;

/** Throws ERR_BAD_ARGUMENT. */
export function checkSession(
  name: string,
  options: SessionOptions,
  mode: SessionMode,
  keys: readonly string[] = SESSION_KEYS,
): SessionSettings {
  checkOptions(name, options, keys);
  checkSignal(`${name}.signal`, options.signal);
  checkBoolean(`${name}.transcript`, options.transcript);
  const sampleRateHz = checkRate(options.sampleRateHz, `${name}.sampleRateHz`);
  // WHY: the resampler walks through a whole number of places between two samples.
  if (!Number.isInteger(sampleRateHz))
    throw badArgument(`${name}.sampleRateHz`, 'a whole number', sampleRateHz);
  return {
    sampleRateHz,
    timestamps: checkChoice(`${name}.timestamps`, options.timestamps, 'token', ['none', 'word', 'token']),
    transcript: options.transcript ?? true,
    rules: checkEndpoint(`${name}.endpoint`, options.endpoint, mode),
    signal: options.signal,
  };
}

function checkEndpoint(name: string, endpoint: unknown, mode: SessionMode): NativeRules {
  if (endpoint !== undefined) checkOptions(name, endpoint, ['silenceMs', 'maxUtteranceMs', ...SEGMENT_KEYS]);
  const options = (endpoint ?? {}) as EndpointOptions;
  const segment = mode === 'segment';
  for (const key of SEGMENT_KEYS) {
    if (segment || options[key] === undefined) continue;
    const remedy = "Open the recognizer with sessions: { mode: 'segment' }, or remove it.";
    throw badArgument(`${name}.${key}`, `no such option in mode '${mode}'`, options[key], remedy);
  }
  const silence = segment ? limits.segmentSilenceMsDefault : limits.silenceMsDefault;
  const longest = segment ? limits.segmentMsMax : limits.utteranceMsMax;
  const number = (key: keyof EndpointOptions, standard: number, min: number, max: number) =>
    checkNumber(`${name}.${key}`, options[key], standard, min, max);
  // The defaults of the voice detector are those of native/vad/segmenter.h.
  return {
    silenceMs: number('silenceMs', silence, limits.silenceMsMin, limits.silenceMsMax),
    utteranceMaxMs: number('maxUtteranceMs', limits.utteranceMsDefault, limits.utteranceMsMin, longest),
    minSpeechMs: number('minSpeechMs', 100, 0, MARGIN_MS_MAX),
    preRollMs: number('preRollMs', 300, 0, MARGIN_MS_MAX),
    hangOverMs: number('hangOverMs', 200, 0, MARGIN_MS_MAX),
    threshold: number('threshold', 0.5, 0.05, 0.95),
  };
}
