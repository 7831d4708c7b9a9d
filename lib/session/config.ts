import * as path from 'node:path';
import type { NativeLiveConfig } from '../binding';
import { AsrError, badArgument } from '../errors';
import { limits } from '../limits.generated';
import type { ModelFiles, NativeContract } from '../model';
import { checkChoice, checkNumber, checkOptions, checkText } from '../options';

/** How live audio becomes windows. */
export type SessionMode = 'buffered' | 'cache-aware' | 'segment';

/** What live sessions are like in a recognizer. It is settled when the recognizer opens, with its memory. */
export interface SessionsOptions {
  /**
   * 'buffered': an offline model hears each chunk with audio before and behind it; partial text comes with every chunk.
   * 'cache-aware': a streaming model hears chunk after chunk; needs a folder with such a graph. 'segment': voice
   * activity finds segments of speech, and each is transcribed as a recording of its own. Default 'auto': cache-aware where
   * that is possible, else buffered.
   */
  mode?: 'auto' | SessionMode;
  /** Audio before a chunk, in buffered mode; a multiple of the model's frame, as the other two are. Default 10,000. */
  leftMs?: number;
  /** Audio that each window adds, in buffered mode. Default 2,000. */
  chunkMs?: number;
  /** Audio behind a chunk, in buffered mode: what becomes final is that much older than what was heard. Default 2,000. */
  rightMs?: number;
  /** What finds speech, in segment mode: the signal's energy (default), or Silero VAD version 5 or later, from its ONNX file. */
  vad?: 'energy' | { silero: string };
}

/** What was settled. */
export interface SessionsChoice {
  mode: SessionMode;
  /** Of the buffered mode. */
  leftMs?: number;
  chunkMs?: number;
  rightMs?: number;
  /** Of the segment mode. */
  vad?: 'energy' | { silero: string };
}

type Context = { leftMs: number; chunkMs: number; rightMs: number };

const MODES = ['auto', 'buffered', 'cache-aware', 'segment'] as const;
const CONTEXT_KEYS = ['leftMs', 'chunkMs', 'rightMs'] as const;

/** Checks all that can be checked before the model is known. Throws ERR_BAD_ARGUMENT. */
export function checkSessions(name: string, value: unknown): SessionsOptions {
  if (value === undefined) return {};
  checkOptions(name, value, ['mode', ...CONTEXT_KEYS, 'vad']);
  const options = value as SessionsOptions;
  const mode = checkChoice(`${name}.mode`, options.mode, 'auto', MODES);
  for (const key of CONTEXT_KEYS) {
    const least = key === 'chunkMs' ? 1 : 0;
    checkNumber(`${name}.${key}`, options[key], 0, least, limits.contextMsMax);
    if (options[key] !== undefined) refuseUnless(`${name}.${key}`, ['auto', 'buffered'], mode);
  }
  const { vad } = options;
  if (vad === undefined) return options;
  refuseUnless(`${name}.vad`, ['segment'], mode);
  if (typeof vad === 'object' && vad !== null) {
    checkOptions(`${name}.vad`, vad, ['silero']);
    if (vad.silero === undefined)
      throw badArgument(`${name}.vad.silero`, 'the path of an ONNX file', undefined);
    checkText(`${name}.vad.silero`, vad.silero);
  } else if (vad !== 'energy') throw badArgument(`${name}.vad`, "'energy' or { silero: path }", vad);
  return options;
}

function refuseUnless(field: string, modes: readonly string[], mode: string): void {
  if (modes.includes(mode)) return;
  throw new AsrError({
    code: 'ERR_BAD_ARGUMENT',
    field,
    expected: `no such option in mode '${mode}'`,
    received: 'one',
    remedy: `It belongs to mode '${modes.at(-1)}'.`,
  });
}

/** Settles what is left open, for a model that is on the disk. Throws ERR_BAD_ARGUMENT. */
export function settleSessions(
  name: string,
  options: SessionsOptions,
  model: { files: ModelFiles; contract: NativeContract },
): SessionsChoice {
  const streams = model.files.streaming !== undefined && model.contract.streaming !== undefined;
  const offline = model.files.encoder !== undefined;
  const wantsContext = CONTEXT_KEYS.some((key) => options[key] !== undefined);
  const asked = options.mode ?? 'auto';
  const automatic = streams && !wantsContext ? 'cache-aware' : 'buffered';
  const mode = asked === 'auto' ? automatic : asked;
  const refuse = (expected: string, received: string, remedy: string) => {
    throw new AsrError({ code: 'ERR_BAD_ARGUMENT', field: `${name}.mode`, expected, received, remedy });
  };
  if (mode === 'cache-aware' && !streams)
    refuse("'buffered' or 'segment'", "'cache-aware'", 'The folder has no causal streaming encoder.');
  if (mode !== 'cache-aware' && !offline)
    refuse("'cache-aware'", `'${mode}'`, 'The folder has a streaming encoder alone.');
  if (mode === 'segment') return { mode, vad: options.vad ?? 'energy' };
  return mode === 'buffered' ? { mode, ...contextOf(name, options, model.contract) } : { mode };
}

function frameMs({ features, encoder }: NativeContract): number {
  return (features.hopSamples * encoder.subsampling * 1000) / features.sampleRateHz;
}

/** The longest window, in frames, as native/session/window_plan.cpp has it. */
function windowFrames(contract: NativeContract): number {
  const { framesMax, causalSubsampling } = contract.encoder;
  const positions = framesMax > 0 ? framesMax - (causalSubsampling ? 1 : 0) : Number.POSITIVE_INFINITY;
  return Math.min(Math.floor(limits.contextMsMax / frameMs(contract)), positions);
}

/** In frames. A model of short windows gets less than the default, in the same proportions. */
function standardContext(contract: NativeContract): Context {
  const frame = frameMs(contract);
  const { contextLeftMsDefault: left, contextChunkMsDefault: chunk, contextRightMsDefault: right } = limits;
  const share = Math.min(1, (windowFrames(contract) * frame) / (left + chunk + right));
  const frames = (ms: number) => Math.max(1, Math.floor((ms * share) / frame));
  return { leftMs: frames(left) * frame, chunkMs: frames(chunk) * frame, rightMs: frames(right) * frame };
}

function contextOf(name: string, options: SessionsOptions, contract: NativeContract): Context {
  const frame = frameMs(contract);
  const context = standardContext(contract);
  for (const key of CONTEXT_KEYS) {
    const value = options[key];
    if (value === undefined) continue;
    const nearest = Math.max(key === 'chunkMs' ? 1 : 0, Math.round(value / frame)) * frame;
    if (Math.abs(nearest - value) > 1e-6) {
      const expected = `a multiple of the model's frame, ${frame} ms`;
      throw badArgument(`${name}.${key}`, expected, value, `The nearest is ${nearest}.`);
    }
    context[key] = value;
  }
  const { leftMs, chunkMs, rightMs } = context;
  const [sum, longest] = [leftMs + chunkMs + rightMs, windowFrames(contract) * frame];
  if (sum <= longest) return context;
  throw new AsrError({
    code: 'ERR_BAD_ARGUMENT',
    field: `${name}.leftMs + chunkMs + rightMs`,
    expected: `at most the window's ${longest} ms`,
    received: `${leftMs} + ${chunkMs} + ${rightMs} = ${sum}`,
    remedy: 'Take less of one of them.',
  });
}

/** What was settled, as the core takes it. */
export function nativeLive(choice: SessionsChoice, contract: NativeContract): NativeLiveConfig {
  const { leftMs, chunkMs, rightMs } = { ...standardContext(contract), ...choice };
  const frames = (ms: number) => Math.round(ms / frameMs(contract));
  return {
    mode: choice.mode,
    leftFrames: frames(leftMs),
    chunkFrames: frames(chunkMs),
    rightFrames: frames(rightMs),
    ...(typeof choice.vad === 'object' ? { silero: path.resolve(choice.vad.silero) } : {}),
  };
}

/** What decides how many windows a lane computes together. */
export interface BatchConditions {
  mode: SessionMode;
  quantized: boolean;
  sessionsMax: number;
  /** On a GPU: rows that the engines reach to. */
  gpuRows: number | undefined;
}

/** Windows that a lane computes together, unless it was said. Throws ERR_BAD_ARGUMENT. */
export function settleBatch(name: string, asked: number | undefined, conditions: BatchConditions): number {
  const { mode, quantized, sessionsMax, gpuRows } = conditions;
  if (asked !== undefined && asked > 1 && quantized) {
    throw new AsrError({
      code: 'ERR_BAD_ARGUMENT',
      field: name,
      expected: '1 for an int8 model',
      received: String(asked),
      remedy:
        'Its graphs scale per tensor, so the rows of a batch would change one another: take an fp32 model, or what `trt-asr models optimize` makes of this one.',
    });
  }
  if (asked !== undefined) return asked;
  // WHY: on a CPU a whole window keeps all threads busy, while a chunk does not; a GPU is not busy with either.
  if (quantized || (mode !== 'cache-aware' && gpuRows === undefined)) return 1;
  return Math.min(limits.batchDefault, sessionsMax, gpuRows ?? sessionsMax);
}
