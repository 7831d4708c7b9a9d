import { readdir, stat } from 'node:fs/promises';
import * as path from 'node:path';
import { AsrError } from '../errors';
import {
  type Contract,
  type NativeContract,
  nativeContract,
  nativeContractOfFamily,
  readContract,
  readFamily,
  readJsonFile,
} from './contract';

export type ModelLayout = 'ours' | 'nemo' | 'sherpa';
export type Precision = 'fp32' | 'int8';

/** Absolute paths. `joint` is absent when predictor and joint are one graph (`decoder_joint`), in `predictor`. */
export interface ModelFiles {
  encoder: string;
  predictor: string;
  joint?: string;
  vocab: string;
}

export interface ModelFolder {
  dir: string;
  layout: ModelLayout;
  files: ModelFiles;
  contract: NativeContract;
  /** The name that the contract states; folders of other layouts have none. */
  name?: string;
  quantized: boolean;
}

/** Graph files by role, without `.onnx`; `vocab` with its ending. */
const LAYOUTS = {
  nemo: { encoder: 'encoder-model', predictor: 'decoder_joint-model', vocab: 'vocab.txt' },
  sherpa: { encoder: 'encoder', predictor: 'decoder', joint: 'joiner', vocab: 'tokens.txt' },
} as const;

const CONTRACT_FILE = 'contract.json';

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

async function listFolder(dir: string): Promise<string[]> {
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
function graphName(names: Set<string>, stem: string, precisions: readonly Precision[]): string | undefined {
  return precisions
    .map((precision) => (precision === 'int8' ? `${stem}.int8.onnx` : `${stem}.onnx`))
    .find((name) => names.has(name));
}

interface ForeignChoice {
  layout: 'nemo' | 'sherpa';
  encoder: string;
  predictor: string;
  joint: string | undefined;
  vocab: string;
}

/**
 * The files of a foreign layout, or what is missing. A quantised encoder is commonly published beside small graphs
 * that were left in fp32, so 'int8' asks for a quantised encoder and takes the others as they are there.
 */
function chooseForeign(
  names: Set<string>,
  layout: 'nemo' | 'sherpa',
  precision: Precision,
): { choice: ForeignChoice } | { missing: string[] } {
  const stems: { encoder: string; predictor: string; joint?: string; vocab: string } = LAYOUTS[layout];
  const small: readonly Precision[] = precision === 'int8' ? ['int8', 'fp32'] : ['fp32'];
  const encoder = graphName(names, stems.encoder, [precision]);
  const predictor = graphName(names, stems.predictor, small);
  const joint = stems.joint === undefined ? undefined : graphName(names, stems.joint, small);
  const wanted = (stem: string) => (precision === 'int8' ? `${stem}.int8.onnx` : `${stem}.onnx`);
  const missing: string[] = [];
  if (encoder === undefined) missing.push(wanted(stems.encoder));
  if (predictor === undefined) missing.push(wanted(stems.predictor));
  if (stems.joint !== undefined && joint === undefined) missing.push(wanted(stems.joint));
  if (!names.has(stems.vocab)) missing.push(stems.vocab);
  if (encoder === undefined || predictor === undefined || missing.length > 0) return { missing };
  return { choice: { layout, encoder, predictor, joint, vocab: stems.vocab } };
}

function foreignChoice(dir: string, list: string[], precision: Precision | undefined): ForeignChoice {
  const names = new Set(list);
  const wants: string[] = [`${CONTRACT_FILE} (ours)`];
  for (const layout of ['nemo', 'sherpa'] as const) {
    const missing: string[] = [];
    for (const tried of precision === undefined ? (['fp32', 'int8'] as const) : [precision]) {
      const result = chooseForeign(names, layout, tried);
      if ('choice' in result) return result.choice;
      missing.push(`${tried} lacks ${result.missing.join(', ')}`);
    }
    wants.push(`${layout} (${missing.join('; ')})`);
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
  const contract: Contract = await readContract(path.join(dir, CONTRACT_FILE));
  for (const [name, pin] of Object.entries(contract.files)) await checkFile(dir, name, pin.bytes);
  const at = (name: string) => path.join(dir, name);
  const graphs = [contract.encoder.file, contract.predictor.file, contract.joint.file];
  return {
    dir,
    layout: 'ours',
    name: contract.model.name,
    files: {
      encoder: at(contract.encoder.file),
      predictor: at(contract.predictor.file),
      joint: at(contract.joint.file),
      vocab: at(contract.tokenizer.file),
    },
    contract: nativeContract(contract),
    quantized: graphs.some((name) => name.includes('.int8.')),
  };
}

/** config.json of the onnx-asr layout: a few numbers that go before the family's. Unknown keys are left alone. */
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
      remedy: 'Take a Parakeet TDT model; other architectures are not supported in this layout.',
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
  if (type !== undefined && !(typeof type === 'string' && type.includes('tdt')))
    refuse('model_type', 'a TDT model');
  contract.features.melBins = integer('features_size', 256) ?? contract.features.melBins;
  contract.encoder.subsampling = integer('subsampling_factor', 64) ?? contract.encoder.subsampling;
  contract.decode.maxSymbolsPerFrame =
    integer('max_tokens_per_step', 1024) ?? contract.decode.maxSymbolsPerFrame;
}

async function openForeign(
  dir: string,
  list: string[],
  precision: Precision | undefined,
): Promise<ModelFolder> {
  const choice = foreignChoice(dir, list, precision);
  const graphs = [choice.encoder, choice.predictor, ...(choice.joint === undefined ? [] : [choice.joint])];
  for (const name of [...graphs, choice.vocab]) await checkFile(dir, name, undefined);
  const contract = nativeContractOfFamily(await readFamily('parakeet-tdt'));
  if (choice.layout === 'nemo' && list.includes('config.json')) await readNemoConfig(dir, contract);
  return {
    dir,
    layout: choice.layout,
    files: {
      encoder: path.join(dir, choice.encoder),
      predictor: path.join(dir, choice.predictor),
      ...(choice.joint === undefined ? {} : { joint: path.join(dir, choice.joint) }),
      vocab: path.join(dir, choice.vocab),
    },
    contract,
    quantized: graphs.some((name) => name.endsWith('.int8.onnx')),
  };
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
  const has: Precision = folder.quantized ? 'int8' : 'fp32';
  if (precision !== undefined && precision !== has) {
    throw notFound(absolute, `a model of precision ${precision} in ${absolute}`, `one of ${has}`);
  }
  return folder;
}
