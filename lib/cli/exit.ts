import { AsrError, type AsrErrorCode } from '../errors';
import { Interrupted } from './interrupt';

/** Exit codes by class of error; 0 is success, 1 anything else. */
const exitCodes: Partial<Record<AsrErrorCode, number>> = {
  ERR_BAD_ARGUMENT: 2,
  ERR_AUDIO_DECODE: 3,
  ERR_MODEL_NOT_FOUND: 4,
  ERR_MODEL_CORRUPT: 4,
  ERR_CONTRACT_MISMATCH: 4,
  ERR_BACKEND_UNAVAILABLE: 5,
  ERR_ENGINE_BUILD: 7,
  ERR_ENGINE_STALE: 7,
  ERR_DEVICE_MEMORY: 7,
  ERR_DOWNLOAD: 6,
};

/** `contract check` found differences: the command did what it was asked to, and what it was given is bad. */
export const CONTRACT_DIFFERS = 2;

/** For the end of the help. */
export const exitCodesHelp = `
Exit codes:
  0    all went well
  1    another error
  2    wrong use of the command line, a bad argument, or differences that \`contract check\` found
  3    audio that cannot be decoded
  4    a model that is missing, damaged or not understood
  5    no backend: the add-on or the device is not available
  6    a download that failed
  7    an engine that cannot be built or used
  130  interrupted
Of several failed files, the first one on the command line decides.`;

export function exitCode(error: unknown): number {
  if (error instanceof Interrupted) return error.exitCode;
  return error instanceof AsrError ? (exitCodes[error.code] ?? 1) : 1;
}

/** One line for a known error; a stack only for one that nobody expected. */
export function errorText(error: unknown): string {
  if (error instanceof AsrError) return `${error.code}: ${error.message}`;
  if (error instanceof Interrupted) return error.message;
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
