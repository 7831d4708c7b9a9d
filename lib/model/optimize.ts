import { randomBytes } from 'node:crypto';
import { copyFile, mkdir, readdir, readFile, rename, rm, rmdir, stat, writeFile } from 'node:fs/promises';
import * as path from 'node:path';
import { loadAddon } from '../binding';
import { type EngineProgress, withBuild } from '../engines';
import { AsrError, badArgument } from '../errors';
import { resolveModel } from '../model';
import { checkBoolean, checkChoice, checkFunction, checkOptions, checkSignal, checkText } from '../options';
import type { Contract, FolderContract } from './contract';
import { sha256OfFile } from './download';
import { CONTRACT_FILE, type ModelFolder, openModelFolder, PACKED_ENDING, type Precision } from './layout';

/** What the matrices of a packed model are: what they were, or eight bits where they were fp32. */
export type OptimizedPrecision = 'as-published' | 'int8';
export const OPTIMIZED_PRECISIONS: readonly OptimizedPrecision[] = ['as-published', 'int8'];

/** `done` of `steps` is of one graph; `graph` is its new file's name. */
export type OptimizeProgress = EngineProgress & { index: number; count: number };

export interface OptimizeOptions {
  /** The folder to make. It has to be new or empty, or with `force` one that was made here before. */
  output: string;
  /** Default 'as-published'. */
  precision?: OptimizedPrecision;
  /** Which of a folder's files to take when it has both. Default fp32. */
  from?: Precision;
  /** Replaces a folder that holds nothing but an optimized model. */
  force?: boolean;
  /** Where downloaded models lie. */
  cacheDir?: string;
  signal?: AbortSignal;
  onProgress?: (progress: OptimizeProgress) => void;
}

export interface OptimizedFile {
  file: string;
  bytes: number;
  /** 'encoder', 'predictor', 'joint', 'decoder_joint'. */
  kind: string;
  /** 'fp32', 'int8' as published, or 'int8-packed': quantised here. */
  precision: string;
  /** What comparing it with ONNX Runtime saw, a line for people. */
  seen: string;
}

export interface OptimizedModel {
  dir: string;
  files: OptimizedFile[];
}

const keys = ['output', 'precision', 'from', 'force', 'cacheDir', 'signal', 'onProgress'];

/** Copied where they lie beside the graphs: they say whose model it is, and what it may be used for. */
const PAPERS = /^(readme|licen[cs]e|notice|model_meta)(\.\w+)?$/i;

/** A graph and the name of what becomes of it. */
interface Graph {
  from: string;
  to: string;
}

/** "encoder.int8.onnx" -> "encoder.int8.packed" */
function packedName(file: string): string {
  return `${path.basename(file).replace(/\.onnx$/, '')}${PACKED_ENDING}`;
}

function graphsOf({ dir, files }: ModelFolder): Graph[] {
  const graphs = [files.encoder, files.streaming, files.predictor, files.joint].filter(
    (file): file is string => file !== undefined,
  );
  const unnamed = graphs.find((file) => !file.endsWith('.onnx'));
  if (unnamed === undefined) return graphs.map((from) => ({ from, to: packedName(from) }));
  throw new AsrError({
    code: 'ERR_BAD_ARGUMENT',
    field: 'model',
    expected: 'a folder of ONNX graphs',
    received: `${path.basename(unnamed)} in ${dir}`,
    remedy: 'Name the folder that it was made of.',
  });
}

/** The names of a folder's entries, or undefined when there is none. */
async function entriesOf(dir: string): Promise<string[] | undefined> {
  const info = await stat(dir).catch(() => undefined);
  if (info === undefined) return undefined;
  if (!info.isDirectory()) throw badArgument('options.output', 'a folder', `the file ${dir}`);
  return readdir(dir);
}

/** Refuses a folder that holds anything which a run of this would not replace. */
async function checkOutput(output: string, source: string, force: boolean): Promise<void> {
  const inside = path.relative(source, output);
  if (inside === '' || !(inside.startsWith('..') || path.isAbsolute(inside)))
    throw badArgument('options.output', `a folder outside of ${source}`, output);
  const entries = (await entriesOf(output)) ?? [];
  if (entries.length === 0) return;
  const made = (name: string) =>
    name.endsWith(PACKED_ENDING) ||
    [CONTRACT_FILE, 'config.json', 'vocab.txt', 'tokens.txt'].includes(name) ||
    PAPERS.test(name);
  const other = entries.find((name) => !made(name));
  const replaceable = other === undefined && entries.some((name) => name.endsWith(PACKED_ENDING));
  if (force && replaceable) return;
  throw new AsrError({
    code: 'ERR_BAD_ARGUMENT',
    field: 'options.output',
    expected: force ? 'a folder that holds an optimized model alone' : 'a new or an empty folder',
    received: `${output} with ${other ?? entries[0]} in it`,
    remedy: replaceable ? 'Ask for it to be replaced (--force).' : 'Name another folder.',
  });
}

async function packAll(
  graphs: Graph[],
  dir: string,
  precision: OptimizedPrecision,
  options: OptimizeOptions,
): Promise<OptimizedFile[]> {
  const { signal, onProgress } = options;
  const addon = loadAddon();
  const files: OptimizedFile[] = [];
  for (const [index, { from, to }] of graphs.entries()) {
    signal?.throwIfAborted();
    const target = path.join(dir, to);
    const tell = (progress: EngineProgress) =>
      onProgress?.({ ...progress, graph: to, index, count: graphs.length });
    // A cancelled pack rejects at its next matrix; its file is gone by then, so that the folder can go, too.
    const call = (build: unknown) => addon.packGraph(from, target, precision, build);
    const made = await withBuild(call, signal, onProgress === undefined ? undefined : tell);
    files.push({ file: to, bytes: (await stat(target)).size, ...made });
  }
  return files;
}

async function pinOf(file: string, signal: AbortSignal | undefined) {
  return { bytes: (await stat(file)).size, sha256: await sha256OfFile(file, signal) };
}

/** The contract with other files; of a model that was quantised, without the tolerances that fp32 alone promises. */
async function writeContract(
  source: string,
  dir: string,
  files: OptimizedFile[],
  signal: AbortSignal | undefined,
): Promise<void> {
  const contract = JSON.parse(await readFile(path.join(source, CONTRACT_FILE), 'utf8')) as FolderContract;
  const parts: (keyof Contract)[] = ['encoder', 'streaming', 'predictor', 'joint'];
  for (const part of parts) {
    const value = contract[part] as { file?: string } | undefined;
    if (value?.file !== undefined) value.file = packedName(value.file);
  }
  if (files.some(({ precision }) => precision === 'int8-packed')) {
    contract.precision = 'int8';
    delete contract.tolerances;
  }
  const names = [...files.map(({ file }) => file), contract.tokenizer.file];
  contract.files = {};
  for (const name of names) contract.files[name] = await pinOf(path.join(dir, name), signal);
  await writeFile(path.join(dir, CONTRACT_FILE), `${JSON.stringify(contract, null, 2)}\n`);
}

/** Foreign layouts tell by the name that a model is quantised. */
async function nameByPrecision(dir: string, files: OptimizedFile[]): Promise<void> {
  for (const made of files) {
    if (made.precision === 'fp32' || made.file.endsWith(`.int8${PACKED_ENDING}`)) continue;
    const name = `${made.file.slice(0, -PACKED_ENDING.length)}.int8${PACKED_ENDING}`;
    await rename(path.join(dir, made.file), path.join(dir, name));
    made.file = name;
  }
}

async function copyOthers(folder: ModelFolder, dir: string): Promise<void> {
  const vocabulary = path.basename(folder.files.vocab);
  const names = (await readdir(folder.dir)).filter(
    (name) =>
      name === vocabulary || PAPERS.test(name) || (folder.layout === 'nemo' && name === 'config.json'),
  );
  for (const name of names) await copyFile(path.join(folder.dir, name), path.join(dir, name));
}

/** Puts the finished folder in its place. */
async function install(made: string, output: string): Promise<void> {
  const entries = await entriesOf(output);
  const old = `${made}.old`;
  if (entries !== undefined && entries.length === 0) await rmdir(output);
  if (entries !== undefined && entries.length > 0) await rename(output, old);
  await rename(made, output);
  await rm(old, { recursive: true, force: true });
}

function checkOptimize(options: OptimizeOptions): OptimizedPrecision {
  checkOptions('options', options, keys);
  if (options.output === undefined) throw badArgument('options.output', 'a folder', options.output);
  checkText('options.output', options.output);
  checkText('options.cacheDir', options.cacheDir);
  checkBoolean('options.force', options.force);
  checkSignal('options.signal', options.signal);
  checkFunction('options.onProgress', options.onProgress);
  if (options.from !== undefined) checkChoice('options.from', options.from, 'fp32', ['fp32', 'int8']);
  return checkChoice('options.precision', options.precision, 'as-published', OPTIMIZED_PRECISIONS);
}

/**
 * Makes a model folder whose graphs are packed for this package's own kernels: it opens faster, runs faster on a CPU, and
 * shares its memory among processes. Each graph is compared with ONNX Runtime before it is kept. The folder is there whole
 * or not at all. Errors: ERR_CONTRACT_MISMATCH for a graph that cannot be packed, naming the node; ERR_ENGINE_BUILD for one
 * that gives other numbers than ONNX Runtime; ERR_BAD_ARGUMENT; those of opening the model; the signal's reason.
 */
export async function optimizeModel(model: string | URL, options: OptimizeOptions): Promise<OptimizedModel> {
  const precision = checkOptimize(options);
  const { signal } = options;
  signal?.throwIfAborted();
  const { dir } = await resolveModel(model, {
    cacheDir: options.cacheDir,
    precision: options.from,
    offline: true,
  });
  const folder = await openModelFolder(dir, options.from);
  const graphs = graphsOf(folder);
  const output = path.resolve(options.output);
  await checkOutput(output, folder.dir, options.force === true);
  const staging = `${output}.${randomBytes(4).toString('hex')}.tmp`;
  try {
    await mkdir(staging, { recursive: true });
    const files = await packAll(graphs, staging, precision, options);
    await copyOthers(folder, staging);
    if (folder.layout === 'ours') await writeContract(folder.dir, staging, files, signal);
    else await nameByPrecision(staging, files);
    signal?.throwIfAborted();
    // What was made has to open like any other.
    await openModelFolder(staging);
    await install(staging, output);
    return { dir: output, files };
  } catch (error) {
    throw signal?.aborted ? signal.reason : error instanceof AsrError ? error : unwritable(output, error);
  } finally {
    await rm(staging, { recursive: true, force: true });
  }
}

function unwritable(output: string, cause: unknown): AsrError {
  const code = (cause as NodeJS.ErrnoException).code;
  if (code === undefined || code.startsWith('ERR_')) return AsrError.from(cause);
  return new AsrError({
    code: 'ERR_BAD_ARGUMENT',
    field: 'options.output',
    expected: `a folder that can be written at ${output}`,
    received: (cause as Error).message,
    remedy: 'Name another folder, or make room.',
    cause,
  });
}
