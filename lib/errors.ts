/** The stable codes of every error this package throws on purpose. */
export type AsrErrorCode =
  | 'ERR_BAD_ARGUMENT'
  | 'ERR_AUDIO_DECODE'
  | 'ERR_MODEL_NOT_FOUND'
  | 'ERR_MODEL_CORRUPT'
  | 'ERR_CONTRACT_MISMATCH'
  | 'ERR_ENGINE_STALE'
  | 'ERR_ENGINE_BUILD'
  | 'ERR_BACKEND_UNAVAILABLE'
  | 'ERR_DEVICE_MEMORY'
  | 'ERR_SESSION_LIMIT'
  | 'ERR_OVERLOADED'
  | 'ERR_DOWNLOAD'
  | 'ERR_CLOSED'
  | 'ERR_INTERNAL';

const CODES: ReadonlySet<string> = new Set<AsrErrorCode>([
  'ERR_BAD_ARGUMENT',
  'ERR_AUDIO_DECODE',
  'ERR_MODEL_NOT_FOUND',
  'ERR_MODEL_CORRUPT',
  'ERR_CONTRACT_MISMATCH',
  'ERR_ENGINE_STALE',
  'ERR_ENGINE_BUILD',
  'ERR_BACKEND_UNAVAILABLE',
  'ERR_DEVICE_MEMORY',
  'ERR_SESSION_LIMIT',
  'ERR_OVERLOADED',
  'ERR_DOWNLOAD',
  'ERR_CLOSED',
  'ERR_INTERNAL',
]);

export interface AsrErrorFields {
  code: AsrErrorCode;
  /** Replaces the composed message. */
  message?: string | undefined;
  /** What the error is about: an argument, a file, a contract key. */
  field?: string | undefined;
  expected?: string | undefined;
  received?: string | undefined;
  /** What the reader can do about it, as a sentence. */
  remedy?: string | undefined;
  cause?: unknown;
}

/** Composes 'Expected X for Y but received Z. Remedy' from whichever parts are known, as native/base/result.cpp does. */
export function errorMessage(fields: AsrErrorFields): string {
  const parts: string[] = [];
  if (fields.expected !== undefined) parts.push(`Expected ${fields.expected}`);
  if (fields.field !== undefined)
    parts.push(fields.expected === undefined ? fields.field : `for ${fields.field}`);
  if (fields.received !== undefined) {
    if (fields.expected !== undefined) parts.push(`but received ${fields.received}`);
    else parts.push(fields.field === undefined ? fields.received : `: ${fields.received}`);
  }
  if (parts.length === 0) parts.push(fields.code);
  const head = parts.join(' ').replace(' : ', ': ');
  const sentence = /[.!?]$/.test(head) ? head : `${head}.`;
  return fields.remedy === undefined ? sentence : `${sentence} ${fields.remedy}`;
}

/** The one error class of this package: a stable `code`, and the parts of its message as fields. */
export class AsrError extends Error {
  override readonly name = 'AsrError';
  readonly code: AsrErrorCode;
  readonly field: string | undefined;
  readonly expected: string | undefined;
  readonly received: string | undefined;
  readonly remedy: string | undefined;

  constructor(fields: AsrErrorFields) {
    super(
      fields.message ?? errorMessage(fields),
      fields.cause === undefined ? undefined : { cause: fields.cause },
    );
    this.code = fields.code;
    this.field = fields.field;
    this.expected = fields.expected;
    this.received = fields.received;
    this.remedy = fields.remedy;
  }

  /** Converts an error of the add-on (a plain Error carrying the same fields) to an AsrError; an unknown code becomes ERR_INTERNAL. */
  static from(error: unknown): AsrError {
    if (error instanceof AsrError) return error;
    if (typeof error !== 'object' || error === null) {
      return new AsrError({ code: 'ERR_INTERNAL', message: String(error), cause: error });
    }
    const source = error as Record<string, unknown>;
    const code = typeof source.code === 'string' && CODES.has(source.code) ? source.code : 'ERR_INTERNAL';
    const message = typeof source.message === 'string' && source.message !== '' ? source.message : undefined;
    return new AsrError({
      code: code as AsrErrorCode,
      message,
      field: text(source.field),
      expected: text(source.expected),
      received: text(source.received),
      remedy: text(source.remedy),
      cause: error,
    });
  }
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}

/** Says what a value is, short enough for a message. */
export function describe(value: unknown): string {
  if (value === null) return 'null';
  if (typeof value === 'string')
    return JSON.stringify(value.length > 200 ? `${value.slice(0, 200)}...` : value);
  if (typeof value === 'bigint') return `${value}n`;
  if (typeof value === 'function') return 'a function';
  if (typeof value !== 'object') return String(value);
  const name = (value as object).constructor?.name || 'Object';
  return Array.isArray(value) ? `an array of ${value.length}` : `an object of class ${name}`;
}

/** An ERR_BAD_ARGUMENT that reads 'Expected X for Y but received Z.' */
export function badArgument(field: string, expected: string, value: unknown, remedy?: string): AsrError {
  return new AsrError({ code: 'ERR_BAD_ARGUMENT', field, expected, received: describe(value), remedy });
}
