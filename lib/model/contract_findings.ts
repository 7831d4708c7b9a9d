import { AsrError } from '../errors';

/** One field that is not what it has to be. */
export interface Finding {
  field: string;
  expected: string;
  received: string;
}

/** A value as a message shows it. */
export function show(value: unknown): string {
  if (value === undefined) return 'nothing';
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}

/** Collects what differs. */
export class Findings {
  readonly all: Finding[] = [];

  add(field: string, expected: string, received: unknown): void {
    this.all.push({ field, expected, received: typeof received === 'string' ? received : show(received) });
  }

  /** Unless the condition holds. */
  require(holds: boolean, field: string, expected: string, received: unknown): void {
    if (!holds) this.add(field, expected, show(received));
  }
}

/** The first finding as the error that opening the model gives. `source` goes into its message. */
export function mismatch(finding: Finding, source: string, cause?: unknown): AsrError {
  return new AsrError({
    code: 'ERR_CONTRACT_MISMATCH',
    field: finding.field,
    expected: `${finding.expected} (in ${source})`,
    received: finding.received,
    remedy: 'Export the model again with tools/export, or take the folder from where it was published.',
    ...(cause === undefined ? {} : { cause }),
  });
}
