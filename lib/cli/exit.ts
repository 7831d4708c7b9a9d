import { AsrError, type AsrErrorCode } from '../errors';

/** Exit codes by class of error; 0 is success, 1 anything else. */
const exitCodes: Partial<Record<AsrErrorCode, number>> = {
  ERR_BAD_ARGUMENT: 2,
  ERR_AUDIO_DECODE: 3,
  ERR_MODEL_NOT_FOUND: 4,
  ERR_MODEL_CORRUPT: 4,
  ERR_CONTRACT_MISMATCH: 4,
  ERR_BACKEND_UNAVAILABLE: 5,
  ERR_DOWNLOAD: 6,
};

/** As a shell reports a program that SIGINT ended. */
export const exitInterrupted = 130;

export function exitCode(error: unknown): number {
  return error instanceof AsrError ? (exitCodes[error.code] ?? 1) : 1;
}

/** One line for a known error; a stack only for one that nobody expected. */
export function errorText(error: unknown): string {
  if (error instanceof AsrError) return `${error.code}: ${error.message}`;
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
