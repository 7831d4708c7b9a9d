import { AsrError } from '../errors';
import type { ModelLayout, Precision } from './layout';
import data from './registry.json';

export interface RegistryFile {
  name: string;
  /** The size that was published when the entry was written; a hint for display, never a check. */
  bytes?: number;
}

/** A published model, by name. registry.json says; docs/CONTRACT_SOURCES.md says where that was seen. */
export interface RegistryModel {
  name: string;
  /** The same weights at other precisions have the same family. */
  family: string;
  precision: Precision;
  layout: ModelLayout;
  repository: string;
  revision: string;
  files: RegistryFile[];
  languages: string[];
  license: string;
  /** Whether this model was run by the project's own tests. */
  run_here: boolean;
  note?: string;
}

export const REGISTRY: readonly RegistryModel[] = data.models as RegistryModel[];
export const DEFAULT_ENDPOINT: string = data.endpoint;

/** The models that lie in the package, so that a first command works anywhere: for recordings, and one that streams. */
export const SHIPPED_MODELS: readonly string[] = ['demo-en', 'demo-en-streaming'];

export function modelNames(): string[] {
  return [...SHIPPED_MODELS, ...REGISTRY.map((entry) => entry.name)];
}

/**
 * The entry of a name, or its sibling of the wanted precision; undefined when no entry has that name.
 * Errors: ERR_BAD_ARGUMENT when the model is not published at that precision.
 */
export function findModel(name: string, precision?: Precision): RegistryModel | undefined {
  const named = REGISTRY.find((entry) => entry.name === name);
  if (named === undefined || precision === undefined || named.precision === precision) return named;
  const sibling = REGISTRY.find((entry) => entry.family === named.family && entry.precision === precision);
  if (sibling !== undefined) return sibling;
  throw new AsrError({
    code: 'ERR_BAD_ARGUMENT',
    field: 'precision',
    expected: `${named.precision}, the only precision of ${name}`,
    received: precision,
    remedy: 'Leave the precision out, or choose another model of `trt-asr models list`.',
  });
}

/** Errors: ERR_MODEL_NOT_FOUND listing the names that exist. */
export function unknownModel(name: string): AsrError {
  return new AsrError({
    code: 'ERR_MODEL_NOT_FOUND',
    field: 'model',
    expected: `a model's name (${modelNames().join(', ')}) or a folder`,
    received: JSON.stringify(name),
    remedy: 'Check the spelling; a folder is named by its path, such as ./my-model.',
  });
}
