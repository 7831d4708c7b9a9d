import { readFileSync } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import * as path from 'node:path';
import { Ajv, type ErrorObject, type ValidateFunction } from 'ajv';
import { AsrError } from '../errors';
import { packageRoot } from './package_root';

/** contract.json as it lies in a model folder; contracts/schema.json is its form. */
export interface Contract {
  schema: 'trt-asr-contract/1';
  model: { name: string; architecture: string; languages: string[]; license: string };
  features: ContractFeatures;
  encoder: { file: string; width: number; subsampling: number; frames_max: number };
  predictor: { file: string; layers: number; width: number };
  joint: { file: string };
  tokenizer: { file: string; vocabulary: number; unk_id: number };
  decode: { blank_id: number; durations: number[]; max_symbols_per_frame: number };
  files: Record<string, { bytes: number; sha256: string }>;
}

export interface ContractFeatures {
  sample_rate_hz: number;
  mel_bins: number;
  fft_samples: number;
  window_samples: number;
  hop_samples: number;
  pre_emphasis: number;
  mel_low_hz: number;
  mel_high_hz: number;
  log_guard: number;
  normalization: 'none' | 'per_feature';
  normalization_epsilon: number;
}

/** What all models of a family share; contracts/<family>.contract.json. */
export interface FamilyContract {
  schema: 'trt-asr-family/1';
  family: string;
  features: ContractFeatures;
  encoder: { subsampling: number; frames_max: number };
  decode: { max_symbols_per_frame: number };
}

/**
 * The contract as the native core takes it. A width, a count of layers or of pieces that is 0, an empty list of
 * durations and a blank id of -1 mean: derive it from the graph (or from the vocabulary's file) and check it there.
 */
export interface NativeContract {
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
  encoder: { width: number; subsampling: number; framesMax: number };
  predictor: { layers: number; width: number };
  tokenizer: { vocabulary: number };
  decode: { blankId: number; durations: number[]; maxSymbolsPerFrame: number };
}

// CONTRACT: a contract is read whole into memory.
// SOURCE: ours have 1.6 kB.
// WHY: a hostile folder could hold gigabytes under that name.
// TODO: raise it when a contract carries a vocabulary.
const CONTRACT_BYTES_MAX = 1 << 20;

let validators:
  | { contract: ValidateFunction<Contract>; family: ValidateFunction<FamilyContract> }
  | undefined;

function schemaValidators() {
  if (validators === undefined) {
    const schema = JSON.parse(readFileSync(path.join(packageRoot(), 'contracts', 'schema.json'), 'utf8'));
    // `verbose` puts the offending value into the error, from where it goes into the message.
    const ajv = new Ajv({ verbose: true, strict: true, allErrors: false });
    const contract = ajv.compile<Contract>(schema);
    const family = ajv.compile<FamilyContract>({ $ref: `${schema.$id}#/definitions/family` });
    validators = { contract, family };
  }
  return validators;
}

function show(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
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

/** The two halves of "expected X, received Y" for the first error the validator found. */
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

function mismatch(
  source: string,
  field: string,
  expected: string,
  received: string,
  cause?: unknown,
): AsrError {
  return new AsrError({
    code: 'ERR_CONTRACT_MISMATCH',
    field,
    expected: `${expected} (in ${source})`,
    received,
    remedy: 'Export the model again with tools/export, or take the folder from where it was published.',
    ...(cause === undefined ? {} : { cause }),
  });
}

function checkSchema<T>(validate: ValidateFunction<T>, value: unknown, source: string): T {
  if (validate(value)) return value;
  const error = validate.errors?.[0];
  if (error === undefined) throw mismatch(source, 'contract', 'a contract', show(value));
  const { expected, received } = wordsOf(error);
  throw mismatch(source, fieldOf(error), expected, received);
}

function checkFeatures(features: ContractFeatures, source: string): void {
  if (features.window_samples > features.fft_samples) {
    const expected = `at most fft_samples (${features.fft_samples})`;
    throw mismatch(source, 'features.window_samples', expected, String(features.window_samples));
  }
  if (features.mel_high_hz > features.sample_rate_hz / 2) {
    const expected = `at most half the sample rate (${features.sample_rate_hz / 2})`;
    throw mismatch(source, 'features.mel_high_hz', expected, String(features.mel_high_hz));
  }
  if (features.mel_low_hz >= features.mel_high_hz) {
    const expected = `less than mel_high_hz (${features.mel_high_hz})`;
    throw mismatch(source, 'features.mel_low_hz', expected, String(features.mel_low_hz));
  }
}

function checkDecode(contract: Contract, source: string): void {
  const { vocabulary, unk_id } = contract.tokenizer;
  const { blank_id, durations } = contract.decode;
  if (unk_id >= vocabulary) {
    throw mismatch(source, 'tokenizer.unk_id', `less than the vocabulary (${vocabulary})`, String(unk_id));
  }
  if (blank_id !== vocabulary) {
    throw mismatch(
      source,
      'decode.blank_id',
      `${vocabulary}, the class after the last piece`,
      String(blank_id),
    );
  }
  // A list without a 0 could not emit two tokens on one frame, and one that does not ascend is not a list of
  // duration classes as NeMo writes it.
  if (durations[0] !== 0)
    throw mismatch(source, 'decode.durations', 'a list that starts with 0', show(durations));
  if (durations.some((duration, index) => index > 0 && duration <= (durations[index - 1] as number))) {
    throw mismatch(source, 'decode.durations', 'an ascending list', show(durations));
  }
  // With 0 alone no token could ever move on.
  if (durations.length < 2) throw mismatch(source, 'decode.durations', 'a duration above 0', show(durations));
}

function checkFiles(contract: Contract, source: string): void {
  for (const role of ['encoder', 'predictor', 'joint', 'tokenizer'] as const) {
    const file = contract[role].file;
    if (!Object.hasOwn(contract.files, file)) {
      throw mismatch(
        source,
        `files.${file}`,
        `bytes and sha256 of the file that ${role}.file names`,
        'nothing',
      );
    }
  }
}

/** Checks a parsed contract.json. Errors: ERR_CONTRACT_MISMATCH naming the field. `source` goes into messages. */
export function validateContract(value: unknown, source: string): Contract {
  const contract = checkSchema(schemaValidators().contract, value, source);
  checkFeatures(contract.features, source);
  checkDecode(contract, source);
  checkFiles(contract, source);
  return contract;
}

/** Checks a parsed family file. Errors: ERR_CONTRACT_MISMATCH naming the field. */
export function validateFamily(value: unknown, source: string): FamilyContract {
  const family = checkSchema(schemaValidators().family, value, source);
  checkFeatures(family.features, source);
  return family;
}

/** Reads a small JSON file of a model folder. Errors: ERR_CONTRACT_MISMATCH naming the file. */
export async function readJsonFile(file: string): Promise<unknown> {
  const name = path.basename(file);
  const { size, isFile } = await stat(file).then((s) => ({ size: s.size, isFile: s.isFile() }));
  if (!isFile) throw mismatch(file, name, 'a file', 'something else of that name');
  if (size > CONTRACT_BYTES_MAX)
    throw mismatch(file, name, `at most ${CONTRACT_BYTES_MAX} bytes`, `${size} bytes`);
  const text = await readFile(file, 'utf8');
  try {
    return JSON.parse(text) as unknown;
  } catch (cause) {
    throw mismatch(file, name, 'JSON', show(text.slice(0, 60)), cause);
  }
}

/** Reads and checks a folder's contract.json. Errors: ERR_CONTRACT_MISMATCH naming the field. */
export async function readContract(file: string): Promise<Contract> {
  return validateContract(await readJsonFile(file), file);
}

/** Reads contracts/<family>.contract.json of the package. */
export async function readFamily(family: string): Promise<FamilyContract> {
  const file = path.join(packageRoot(), 'contracts', `${family}.contract.json`);
  return validateFamily(await readJsonFile(file), file);
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
  return {
    features: nativeFeatures(contract.features),
    encoder: {
      width: contract.encoder.width,
      subsampling: contract.encoder.subsampling,
      framesMax: contract.encoder.frames_max,
    },
    predictor: { layers: contract.predictor.layers, width: contract.predictor.width },
    tokenizer: { vocabulary: contract.tokenizer.vocabulary },
    decode: {
      blankId: contract.decode.blank_id,
      durations: [...contract.decode.durations],
      maxSymbolsPerFrame: contract.decode.max_symbols_per_frame,
    },
  };
}

/** The contract of a folder that has none: the family's numbers, and "derive from the graph" for the rest. */
export function nativeContractOfFamily(family: FamilyContract): NativeContract {
  return {
    features: nativeFeatures(family.features),
    encoder: { width: 0, subsampling: family.encoder.subsampling, framesMax: family.encoder.frames_max },
    predictor: { layers: 0, width: 0 },
    tokenizer: { vocabulary: 0 },
    decode: { blankId: -1, durations: [], maxSymbolsPerFrame: family.decode.max_symbols_per_frame },
  };
}
