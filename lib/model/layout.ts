import { readdir, stat } from 'node:fs/promises';
import * as path from 'node:path';
import { loadAddon } from '../binding';
import { AsrError } from '../errors';
import { limits } from '../limits.generated';
import {
  type Contract,
  derivedContract,
  type NativeContract,
  nativeContract,
  readContract,
  readJsonFile,
  tracedContract,
} from './contract';
import type { TracedStream } from './contract_streaming';
import type { EngineProfiles, ModelFiles } from './files';

export type ModelLayout = 'ours' | 'nemo' | 'sherpa';
export type Precision = 'fp32' | 'int8';

export interface ModelFolder {
  dir: string;
  layout: ModelLayout;
  files: ModelFiles;
  contract: NativeContract;
  /** As the contract states them. */
  profiles?: EngineProfiles;
  /** The name that the contract states; folders of other layouts have none. */
  name?: string;
  precision: Precision | 'fp16';
}

interface ForeignLayout {
  layout: 'nemo' | 'sherpa';
  rule: 'transducer' | 'ctc';
  /** Graph files by role, without their ending. */
  encoder: string;
  predictor?: string;
  joint?: string;
  /** With its ending. */
  vocab: string;
}

const LAYOUTS: readonly ForeignLayout[] = [
  {
    layout: 'nemo',
    rule: 'transducer',
    encoder: 'encoder-model',
    predictor: 'decoder_joint-model',
    vocab: 'vocab.txt',
  },
  {
    layout: 'sherpa',
    rule: 'transducer',
    encoder: 'encoder',
    predictor: 'decoder',
    joint: 'joiner',
    vocab: 'tokens.txt',
  },
  { layout: 'nemo', rule: 'ctc', encoder: 'model', vocab: 'vocab.txt' },
  { layout: 'sherpa', rule: 'ctc', encoder: 'model', vocab: 'tokens.txt' },
];

export const CONTRACT_FILE = 'contract.json';
/** Of graphs that `trt-asr models optimize` made. */
export const PACKED_ENDING = '.packed';

/** Whether a model's graphs are packed; such graphs run on the packed engine alone. */
export function isPacked(files: ModelFiles): boolean {
  const { vocab: _, ...graphs } = files;
  return Object.values(graphs).every((file: string) => file.endsWith(PACKED_ENDING));
}

// ONNX goes first: every engine takes it.
const ENDINGS = ['.onnx', PACKED_ENDING];

function notFound(dir: string, expected: string, received: string, cause?: unknown): AsrError {
  return new AsrError({
    code: 'ERR_MODEL_NOT_FOUND',
    field: 'model',
    expected,
    received,
    remedy: `Put the missing files into ${dir}, or name a model of \`trt-asr models list\`.`,
    ...(cause === undefined ? {} : { cause }),
  });
}

export async function listFolder(dir: string): Promise<string[]> {
  const info = await stat(dir).catch((cause: NodeJS.ErrnoException) => {
    throw notFound(
      dir,
      `a model folder at ${dir}`,
      cause.code === 'ENOENT' ? 'no such folder' : cause.message,
      cause,
    );
  });
  if (!info.isDirectory())
    throw notFound(path.dirname(dir), `a model folder at ${dir}`, 'a file, not a folder');
  return (await readdir(dir)).sort();
}

function describe(names: string[]): string {
  const shown = names.slice(0, 20).join(', ');
  if (names.length === 0) return 'an empty folder';
  return names.length > 20 ? `${shown} and ${names.length - 20} more` : shown;
}

/** One graph of a foreign layout at the wanted precision, or undefined. */
function graphName(
  names: Set<string>,
  stem: string,
  precisions: readonly Precision[],
  ending: string,
): string | undefined {
  return precisions
    .map((precision) => `${stem}${precision === 'int8' ? '.int8' : ''}${ending}`)
    .find((name) => names.has(name));
}

interface ForeignChoice {
  layout: 'nemo' | 'sherpa';
  rule: 'transducer' | 'ctc';
  encoder: string;
  predictor: string | undefined;
  joint: string | undefined;
  vocab: string;
}

/**
 * The files of a foreign layout, or what is missing. A quantised encoder is commonly published beside small graphs
 * that were left in fp32, so 'int8' asks for a quantised encoder and takes the others as they are there. All graphs
 * have the one ending.
 */
function chooseForeign(
  names: Set<string>,
  stems: ForeignLayout,
  precision: Precision,
  ending: string,
): { choice: ForeignChoice } | { missing: string[] } {
  const small: readonly Precision[] = precision === 'int8' ? ['int8', 'fp32'] : ['fp32'];
  const missing: string[] = [];
  const graph = (stem: string | undefined, precisions: readonly Precision[]) => {
    if (stem === undefined) return undefined;
    const found = graphName(names, stem, precisions, ending);
    if (found === undefined) missing.push(`${stem}${precision === 'int8' ? '.int8' : ''}${ending}`);
    return found;
  };
  const encoder = graph(stems.encoder, [precision]);
  const predictor = graph(stems.predictor, small);
  const joint = graph(stems.joint, small);
  if (!names.has(stems.vocab)) missing.push(stems.vocab);
  if (encoder === undefined || missing.length > 0) return { missing };
  const { layout, rule, vocab } = stems;
  return { choice: { layout, rule, encoder, predictor, joint, vocab } };
}

function foreignChoice(dir: string, list: string[], precision: Precision | undefined): ForeignChoice {
  const names = new Set(list);
  const wants: string[] = [`${CONTRACT_FILE} (ours)`];
  for (const stems of LAYOUTS) {
    const missing: string[] = [];
    for (const tried of precision === undefined ? (['fp32', 'int8'] as const) : [precision]) {
      for (const ending of ENDINGS) {
        const result = chooseForeign(names, stems, tried, ending);
        if ('choice' in result) return result.choice;
        // Who has no packed graph is not told of packed ones.
        const told = ending === '.onnx' || list.some((name) => name.endsWith(ending));
        if (told) missing.push(`${tried} lacks ${result.missing.join(', ')}`);
      }
    }
    const title = stems.rule === 'ctc' ? `${stems.layout} CTC` : stems.layout;
    wants.push(`${title} (${missing.join('; ')})`);
  }
  throw notFound(dir, `the files of one layout in ${dir}: ${wants.join(', or ')}`, describe(list));
}

/** Files must be there, be files and not be empty; sizes must be those that a contract pins. */
async function checkFile(dir: string, name: string, bytes: number | undefined): Promise<void> {
  const info = await stat(path.join(dir, name)).catch((cause: NodeJS.ErrnoException) => {
    throw notFound(dir, `${name} in ${dir}`, cause.code === 'ENOENT' ? 'no such file' : cause.message, cause);
  });
  if (!info.isFile()) throw notFound(dir, `a file ${name} in ${dir}`, 'something else of that name');
  const wrong = bytes !== undefined && info.size !== bytes;
  if (info.size > 0 && !wrong) return;
  throw new AsrError({
    code: 'ERR_MODEL_CORRUPT',
    field: name,
    expected:
      bytes === undefined || bytes === 0 ? `a file that is not empty in ${dir}` : `${bytes} bytes in ${dir}`,
    received: `${info.size} bytes`,
    remedy: 'Copy or download the model again; `trt-asr models verify` checks every byte.',
  });
}

async function openOurs(dir: string): Promise<ModelFolder> {
  const contract = await readContract(path.join(dir, CONTRACT_FILE));
  for (const [name, pin] of Object.entries(contract.files)) await checkFile(dir, name, pin.bytes);
  const { encoder, predictor, joint, tokenizer, streaming } = contract;
  const native = nativeContract(contract);
  const streams = native.streaming !== undefined && streaming !== undefined;
  const graphs = [encoder.file, streaming?.file, predictor?.file, joint?.file].filter(
    (name) => name !== undefined,
  );
  const packed = graphs.filter((name) => name.endsWith(PACKED_ENDING));
  if (packed.length > 0 && packed.length < graphs.length) {
    throw new AsrError({
      code: 'ERR_CONTRACT_MISMATCH',
      field: 'files',
      expected: `graphs that are all ONNX or all packed in ${dir}`,
      received: graphs.join(', '),
      remedy: 'Run `trt-asr models optimize` on the folder of the ONNX graphs.',
    });
  }
  return {
    dir,
    layout: 'ours',
    name: contract.model.name,
    files: {
      ...(encoder.file === undefined ? {} : { encoder: path.join(dir, encoder.file) }),
      ...(streams ? { streaming: path.join(dir, streaming.file) } : {}),
      ...(predictor === undefined ? {} : { predictor: path.join(dir, predictor.file) }),
      ...(joint === undefined ? {} : { joint: path.join(dir, joint.file) }),
      vocab: path.join(dir, tokenizer.file),
    },
    contract: native,
    ...engineProfiles(contract),
    precision: contract.precision,
  };
}

/** Predictor and joint run on the same rows: the wider of their profiles serves both. */
function engineProfiles({ tensorrt }: Contract): { profiles?: EngineProfiles } {
  if (tensorrt === undefined) return {};
  const { encoder, predictor, joint } = tensorrt.profiles;
  const batch = [predictor?.batch, joint?.batch]
    .filter((one) => one !== undefined)
    .sort((a, b) => b.max - a.max)[0];
  return { profiles: { encoder, prediction: { batch: batch ?? encoder.batch } } };
}

/** Architectures that `model_type` of a config.json may name. */
const MODEL_TYPES = { transducer: /tdt|rnnt/, ctc: /ctc/ };

/** config.json of the onnx-asr layout: a few numbers that go before the reference's. Unknown keys are left alone. */
async function readNemoConfig(dir: string, contract: NativeContract): Promise<void> {
  const file = path.join(dir, 'config.json');
  const value = await readJsonFile(file);
  const config = (typeof value === 'object' && value !== null ? value : {}) as Record<string, unknown>;
  const refuse = (field: string, expected: string) => {
    throw new AsrError({
      code: 'ERR_CONTRACT_MISMATCH',
      field,
      expected: `${expected} (in ${file})`,
      received: JSON.stringify(config[field]),
      remedy: 'Take a Parakeet or FastConformer model; other architectures are not supported in this layout.',
    });
  };
  const integer = (field: string, max: number): number | undefined => {
    const number = config[field];
    if (number === undefined) return undefined;
    if (!Number.isInteger(number) || (number as number) < 1 || (number as number) > max) {
      refuse(field, `an integer from 1 to ${max}`);
    }
    return number as number;
  };
  const type = config.model_type;
  const rule = contract.decode.rule === 'ctc' ? 'ctc' : 'transducer';
  if (type !== undefined && !(typeof type === 'string' && MODEL_TYPES[rule].test(type)))
    refuse('model_type', rule === 'ctc' ? 'a CTC model' : 'a TDT or RNN-T model');
  const { features, encoder, decode } = contract;
  features.melBins = integer('features_size', limits.melBinsMax) ?? features.melBins;
  encoder.subsampling = integer('subsampling_factor', limits.subsamplingMax) ?? encoder.subsampling;
  decode.maxSymbolsPerFrame =
    integer('max_tokens_per_step', limits.symbolsPerFrameMax) ?? decode.maxSymbolsPerFrame;
}

/**
 * What a cache-aware graph says of its chunks; undefined for a graph of whole utterances, and for one that cannot be read, of which
 * loading tells. Errors: ERR_CONTRACT_MISMATCH.
 */
async function streamOf(file: string, subsampling: number): Promise<TracedStream | undefined> {
  if (file.endsWith(PACKED_ENDING)) return undefined;
  try {
    return await loadAddon().describeStream(file, subsampling);
  } catch (cause) {
    const error = AsrError.from(cause);
    if (error.code === 'ERR_CONTRACT_MISMATCH') throw error;
    return undefined;
  }
}

async function openForeign(
  dir: string,
  list: string[],
  precision: Precision | undefined,
): Promise<ModelFolder> {
  const choice = foreignChoice(dir, list, precision);
  const { encoder, predictor, joint, vocab } = choice;
  const graphs = [encoder, predictor, joint].filter((name): name is string => name !== undefined);
  for (const name of [...graphs, vocab]) await checkFile(dir, name, undefined);
  const contract = await derivedContract(choice.rule);
  if (choice.layout === 'nemo' && list.includes('config.json')) await readNemoConfig(dir, contract);
  const file = path.join(dir, encoder);
  const stream = await streamOf(file, contract.encoder.subsampling);
  return {
    dir,
    layout: choice.layout,
    files: {
      ...(stream === undefined ? { encoder: file } : { streaming: file }),
      ...(predictor === undefined ? {} : { predictor: path.join(dir, predictor) }),
      ...(joint === undefined ? {} : { joint: path.join(dir, joint) }),
      vocab: path.join(dir, vocab),
    },
    contract: stream === undefined ? contract : tracedContract(contract, stream),
    precision: graphs.some((name) => /\.int8\.(onnx|packed)$/.test(name)) ? 'int8' : 'fp32',
  };
}

/** Which layout a folder has, by its files' names. Errors: ERR_MODEL_NOT_FOUND. */
export async function layoutOf(dir: string): Promise<ModelLayout> {
  const list = await listFolder(dir);
  return list.includes(CONTRACT_FILE) ? 'ours' : foreignChoice(dir, list, undefined).layout;
}

/**
 * Finds out which layout a folder has and checks that its files are there. Without `precision`, fp32 graphs go
 * before int8 ones. Errors: ERR_MODEL_NOT_FOUND (no folder, a file missing), ERR_MODEL_CORRUPT (an empty file or
 * one of another size than the contract says), ERR_CONTRACT_MISMATCH, ERR_BAD_ARGUMENT.
 */
export async function openModelFolder(dir: string, precision?: Precision): Promise<ModelFolder> {
  const absolute = path.resolve(dir);
  const list = await listFolder(absolute);
  if (!list.includes(CONTRACT_FILE)) return openForeign(absolute, list, precision);
  const folder = await openOurs(absolute);
  if (precision !== undefined && precision !== folder.precision) {
    throw notFound(
      absolute,
      `a model of precision ${precision} in ${absolute}`,
      `one of ${folder.precision}`,
    );
  }
  return folder;
}
