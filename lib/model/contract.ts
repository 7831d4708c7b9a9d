import { readFileSync } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import * as path from 'node:path';
import { Ajv, type ErrorObject, type ValidateFunction } from 'ajv';
import { Findings, mismatch, show } from './contract_findings';
import { checkRelations } from './contract_relations';
import {
  type NativeStreaming,
  nativeStreaming,
  streamingObstacle,
  type TracedStream,
} from './contract_streaming';
import type { Contract, ContractFeatures, ContractPin } from './contract_types.generated';
import { packageRoot } from './package_root';

export type { Contract } from './contract_types.generated';

/** contract.json of a model folder: a contract that pins its files. */
export type FolderContract = Contract & { files: Record<string, ContractPin> };

/** How a model's output becomes tokens; 'transducer': TDT or RNN-T, as the joint's classes tell. */
export type DecodeRule = Contract['decode']['rule'] | 'transducer';

/**
 * The contract as the native core takes it. A width, a count of layers, of pieces or of mel bins that is 0, an empty list of
 * durations and a blank id of -1 mean: derive it from the graph (or from the vocabulary's file) and check it there.
 */
export interface NativeContract {
  /** The folder has no contract: what its graph's metadata says goes before the numbers here. */
  derived: boolean;
  features: {
    sampleRateHz: number;
    melBins: number;
    fftSamples: number;
    windowSamples: number;
    hopSamples: number;
    preEmphasis: number;
    melLowHz: number;
    melHighHz: number;
    logGuard: number;
    normalization: 'none' | 'per_feature';
    normalizationEpsilon: number;
  };
  /** The width is that of the output. */
  encoder: { width: number; subsampling: number; causalSubsampling: boolean; framesMax: number };
  /** Of a streaming graph that serves live audio; there with `ModelFiles.streaming`, and only with it. */
  streaming?: NativeStreaming;
  /** Zeros for CTC. */
  predictor: { layers: number; width: number };
  tokenizer: { vocabulary: number };
  decode: { rule: DecodeRule; blankId: number; durations: number[]; maxSymbolsPerFrame: number };
}

// CONTRACT: a contract is read whole into memory.
// SOURCE: ours have 4 kB.
// WHY: a hostile folder could hold gigabytes under that name.
// TODO: raise it when a contract carries a vocabulary.
const CONTRACT_BYTES_MAX = 1 << 20;

let validator: ValidateFunction<Contract> | undefined;

function schemaValidator(): ValidateFunction<Contract> {
  if (validator === undefined) {
    const schema = JSON.parse(readFileSync(path.join(packageRoot(), 'contracts', 'schema.json'), 'utf8'));
    // `verbose` puts the offending value into the error, from where it goes into the message.
    validator = new Ajv({ verbose: true, strict: true, allErrors: true }).compile<Contract>(schema);
  }
  return validator;
}

function fieldOf(error: ErrorObject): string {
  const parts = error.instancePath
    .split('/')
    .slice(1)
    .map((part) => part.replace(/~1/g, '/').replace(/~0/g, '~'));
  if (error.keyword === 'required') parts.push(String(error.params.missingProperty));
  if (error.keyword === 'additionalProperties') parts.push(String(error.params.additionalProperty));
  if (error.propertyName !== undefined) parts.push(error.propertyName);
  return parts.length === 0 ? 'contract' : parts.join('.');
}

/** The two halves of "expected X, received Y" for an error of the validator. */
function wordsOf(error: ErrorObject): { expected: string; received: string } {
  const received = show(error.data);
  switch (error.keyword) {
    case 'required':
      return { expected: 'the field', received: 'nothing' };
    case 'additionalProperties':
      return { expected: 'no such field', received: 'an unknown field' };
    case 'type':
      return { expected: `a value of type ${String(error.params.type)}`, received };
    case 'const':
      return { expected: show(error.params.allowedValue), received };
    case 'enum':
      return { expected: `one of ${show(error.params.allowedValues)}`, received };
    case 'minimum':
    case 'maximum':
    case 'exclusiveMinimum':
    case 'exclusiveMaximum':
      return {
        expected: `a number ${String(error.params.comparison)} ${String(error.params.limit)}`,
        received,
      };
    case 'pattern':
      return { expected: `text that matches ${String(error.params.pattern)}`, received };
    default:
      return { expected: error.message ?? error.keyword, received };
  }
}

/** Of an alternative that failed, the validator tells each branch and then the whole; the whole is enough. */
function withoutBranches(errors: ErrorObject[]): ErrorObject[] {
  const wholes = errors.filter(({ keyword }) => keyword === 'anyOf').map(({ schemaPath }) => schemaPath);
  return errors.filter(({ schemaPath }) => !wholes.some((whole) => schemaPath.startsWith(`${whole}/`)));
}

/** Where a contract stands: a folder's pins its files, a reference of contracts/ cannot. */
export type ContractKind = 'folder' | 'reference';

/**
 * Collects all that is wrong with a parsed contract; relations are looked at only when the form is right, and then the contract
 * is returned.
 */
export function examine(value: unknown, kind: ContractKind, findings: Findings): Contract | undefined {
  const validate = schemaValidator();
  if (!validate(value)) {
    for (const error of withoutBranches(validate.errors ?? [])) {
      const { expected, received } = wordsOf(error);
      findings.add(fieldOf(error), expected, received);
    }
    return undefined;
  }
  const pinned = value.files !== undefined;
  if (kind === 'folder') findings.require(pinned, 'files', 'the field', value.files);
  else findings.require(!pinned, 'files', 'no such field in a reference contract', value.files);
  checkRelations(value, findings);
  return value;
}

function checkContract(value: unknown, source: string, kind: ContractKind): asserts value is Contract {
  const findings = new Findings();
  examine(value, kind, findings);
  const [first] = findings.all;
  if (first !== undefined) throw mismatch(first, source);
}

/** Checks a parsed contract.json. Errors: ERR_CONTRACT_MISMATCH naming the field. `source` goes into messages. */
export function validateContract(value: unknown, source: string): FolderContract {
  checkContract(value, source, 'folder');
  return value as FolderContract;
}

/** Reads a small JSON file of a model folder. Errors: ERR_CONTRACT_MISMATCH naming the file. */
export async function readJsonFile(file: string): Promise<unknown> {
  const name = path.basename(file);
  const refuse = (expected: string, received: string, cause?: unknown) =>
    mismatch({ field: name, expected, received }, file, cause);
  const info = await stat(file).catch((cause: unknown) => {
    throw refuse('a file that can be read', String(cause), cause);
  });
  if (!info.isFile()) throw refuse('a file', 'something else of that name');
  if (info.size > CONTRACT_BYTES_MAX)
    throw refuse(`at most ${CONTRACT_BYTES_MAX} bytes`, `${info.size} bytes`);
  const text = await readFile(file, 'utf8');
  try {
    return JSON.parse(text) as unknown;
  } catch (cause) {
    throw refuse('JSON', show(text.slice(0, 60)), cause);
  }
}

/** Reads and checks a folder's contract.json. Errors: ERR_CONTRACT_MISMATCH naming the field. */
export async function readContract(file: string): Promise<FolderContract> {
  return validateContract(await readJsonFile(file), file);
}

/** Reads contracts/<name>.contract.json of the package. */
export async function readReference(name: string): Promise<Contract> {
  const file = path.join(packageRoot(), 'contracts', `${name}.contract.json`);
  const value = await readJsonFile(file);
  checkContract(value, file, 'reference');
  return value;
}

function nativeFeatures(features: ContractFeatures): NativeContract['features'] {
  return {
    sampleRateHz: features.sample_rate_hz,
    melBins: features.mel_bins,
    fftSamples: features.fft_samples,
    windowSamples: features.window_samples,
    hopSamples: features.hop_samples,
    preEmphasis: features.pre_emphasis,
    melLowHz: features.mel_low_hz,
    melHighHz: features.mel_high_hz,
    logGuard: features.log_guard,
    normalization: features.normalization,
    normalizationEpsilon: features.normalization_epsilon,
  };
}

export function nativeContract(contract: Contract): NativeContract {
  const { features, encoder, predictor, tokenizer, decode, streaming } = contract;
  const streams = streaming !== undefined && streamingObstacle(contract) === undefined;
  return {
    derived: false,
    features: nativeFeatures(features),
    encoder: {
      width: encoder.output_width,
      subsampling: encoder.subsampling,
      causalSubsampling: encoder.causal_subsampling,
      framesMax: encoder.frames_max,
    },
    ...(streams ? { streaming: nativeStreaming(streaming, encoder) } : {}),
    predictor: { layers: predictor?.layers ?? 0, width: predictor?.width ?? 0 },
    tokenizer: { vocabulary: tokenizer.vocabulary },
    decode: {
      rule: decode.rule,
      blankId: decode.blank_id,
      durations: [...(decode.durations ?? [])],
      maxSymbolsPerFrame: decode.max_symbols_per_frame ?? 1,
    },
  };
}

// The public architectures that folders without a contract are taken to be of.
const REFERENCES = { transducer: 'parakeet-tdt-0.6b-v3', ctc: 'fastconformer-ctc-large' } as const;

/** The contract of a folder that has none: the numbers of a reference, and "derive from the graph" for the rest. */
export async function derivedContract(rule: 'transducer' | 'ctc'): Promise<NativeContract> {
  const { features, encoder, decode } = await readReference(REFERENCES[rule]);
  return {
    derived: true,
    features: { ...nativeFeatures(features), melBins: 0 },
    encoder: {
      width: 0,
      subsampling: encoder.subsampling,
      causalSubsampling: encoder.causal_subsampling,
      framesMax: encoder.frames_max,
    },
    predictor: { layers: 0, width: 0 },
    tokenizer: { vocabulary: 0 },
    decode: { rule, blankId: -1, durations: [], maxSymbolsPerFrame: decode.max_symbols_per_frame ?? 1 },
  };
}

/** The contract of a folder without one whose encoder is such a graph. */
export function tracedContract(derived: NativeContract, traced: TracedStream): NativeContract {
  const { subsampling, ...streaming } = traced;
  return {
    ...derived,
    // What the graph says otherwise was refused, or is when it counts its frames.
    features: { ...derived.features, normalization: 'none' },
    encoder: { ...derived.encoder, subsampling, causalSubsampling: true },
    streaming,
  };
}
