import { AsrError, badArgument } from './errors';
import { onAbort } from './signals';

/** Refuses anything but a plain object with known keys: a misspelled option must not be ignored. */
export function checkOptions(name: string, options: unknown, known: readonly string[]): void {
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    throw badArgument(name, 'an object', options);
  }
  for (const key of Object.keys(options)) {
    if (known.includes(key)) continue;
    throw new AsrError({
      code: 'ERR_BAD_ARGUMENT',
      field: `${name}.${key}`,
      expected: `one of ${known.join(', ')}`,
      received: `the unknown option '${key}'`,
      remedy: 'Correct its spelling or remove it.',
    });
  }
}

/** A whole number within bounds, or the default when it is undefined. */
export function checkInteger(
  name: string,
  value: unknown,
  standard: number,
  min: number,
  max: number,
): number {
  if (value === undefined) return standard;
  if (typeof value !== 'number' || !Number.isInteger(value) || value < min || value > max) {
    throw badArgument(name, `a whole number from ${min} to ${max}`, value);
  }
  return value;
}

/** A number within bounds, or the default when it is undefined. */
export function checkNumber(
  name: string,
  value: unknown,
  standard: number,
  min: number,
  max: number,
): number {
  if (value === undefined) return standard;
  // A number that is not one is within no bounds.
  if (typeof value !== 'number' || !(value >= min && value <= max)) {
    throw badArgument(name, `a number from ${min} to ${max}`, value);
  }
  return value;
}

/** One of some strings, or the default when it is undefined. */
export function checkChoice<T extends string>(
  name: string,
  value: unknown,
  standard: T,
  choices: readonly T[],
): T {
  if (value === undefined) return standard;
  if (!choices.includes(value as T))
    throw badArgument(name, `one of ${choices.map((c) => `'${c}'`).join(', ')}`, value);
  return value as T;
}

/** True or false, or undefined. */
export function checkBoolean(name: string, value: unknown): void {
  if (value !== undefined && typeof value !== 'boolean') throw badArgument(name, 'true or false', value);
}

/** A string that is not empty, or undefined. */
export function checkText(name: string, value: unknown): void {
  if (value !== undefined && (typeof value !== 'string' || value === ''))
    throw badArgument(name, 'a string that is not empty', value);
}

export function checkSignal(name: string, value: unknown): void {
  if (value !== undefined && !(value instanceof AbortSignal))
    throw badArgument(name, 'an AbortSignal', value);
}

export function checkFunction(name: string, value: unknown): void {
  if (value !== undefined && typeof value !== 'function') throw badArgument(name, 'a function', value);
}

/** Settles as the promise does, but rejects with `signal.reason` as soon as the signal aborts; `cleanUp` is called then. */
export async function orAbort<T>(
  promise: Promise<T>,
  signal: AbortSignal | undefined,
  cleanUp: () => void,
): Promise<T> {
  if (signal === undefined) return promise;
  let leave = () => {};
  const aborted = new Promise<never>((_, reject) => {
    const abort = () => {
      cleanUp();
      reject(signal.reason);
    };
    if (signal.aborted) abort();
    else leave = onAbort(signal, abort);
  });
  // When the abort wins, nobody listens to the work any more.
  promise.catch(() => {});
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    leave();
  }
}
