import { randomBytes } from 'node:crypto';
import type { Dirent } from 'node:fs';
import { lstat, mkdir, readdir, readFile, realpath, rename, rm, stat, writeFile } from 'node:fs/promises';
import * as path from 'node:path';
import { loadAddon } from '../binding';
import { type EngineProgress, withBuild } from '../engines';
import { AsrError, badArgument } from '../errors';
import { resolveModel } from '../model';
import { checkBoolean, checkChoice, checkFunction, checkOptions, checkSignal, checkText } from '../options';
import { type Contract, type FolderContract, readJsonFile } from './contract';
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

/** Whether `inner` is `folder`, or lies in it. Both are absolute. */
function holds(folder: string, inner: string): boolean {
  const way = path.relative(folder, inner);
  return way !== '..' && !way.startsWith(`..${path.sep}`) && !path.isAbsolute(way);
}

/** A folder's entries, or undefined when there is none. */
async function entriesOf(dir: string): Promise<Dirent[] | undefined> {
  try {
    return await readdir(dir, { withFileTypes: true });
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === 'ENOENT') return undefined;
    if (code === 'ENOTDIR') throw badArgument('options.output', 'a folder', `the file ${dir}`);
    throw unwritable(dir, cause);
  }
}

/** The vocabulary that a folder's contract names, where it has one that can be read. */
async function vocabularyOf(dir: string): Promise<string | undefined> {
  try {
    return (JSON.parse(await readFile(path.join(dir, CONTRACT_FILE), 'utf8')) as FolderContract).tokenizer
      .file;
  } catch {
    return undefined;
  }
}

/** A folder that is mounted there cannot be moved away. */
async function isMounted(dir: string): Promise<boolean> {
  const [own, parent] = await Promise.all([stat(dir), stat(path.dirname(dir))]);
  return own.dev !== parent.dev;
}

/** Where the new files go while they are made: beside the output, or in it where it is there already and empty. */
interface Place {
  output: string;
  staging: string;
}

/** Refuses a folder that holds anything which a run of this would not replace. Whether it is there. */
async function checkOutput({ output, staging }: Place, source: string, force: boolean): Promise<boolean> {
  if (holds(source, output) || holds(output, source))
    throw badArgument('options.output', `a folder outside of ${source}, and not around it`, output);
  const there = await entriesOf(output);
  const entries = (there ?? []).filter(({ name }) => path.join(output, name) !== staging);
  if (entries.length === 0) return there !== undefined;
  const vocabulary = await vocabularyOf(output);
  const made = (entry: Dirent) =>
    entry.isFile() &&
    (entry.name.endsWith(PACKED_ENDING) ||
      [CONTRACT_FILE, 'config.json', 'vocab.txt', 'tokens.txt', vocabulary].includes(entry.name) ||
      PAPERS.test(entry.name));
  const other = entries.find((entry) => !made(entry));
  const replaceable = other === undefined && entries.some(({ name }) => name.endsWith(PACKED_ENDING));
  const mounted = replaceable && (await isMounted(output));
  if (force && replaceable && !mounted) return true;
  throw new AsrError({
    code: 'ERR_BAD_ARGUMENT',
    field: 'options.output',
    expected: force ? 'a folder that holds an optimized model alone' : 'a new or an empty folder',
    received: mounted ? `the mount point ${output}` : `${output} with ${(other ?? entries[0])?.name} in it`,
    remedy: replaceable && !mounted ? 'Ask for it to be replaced (--force).' : 'Name another folder.',
  });
}

/** A path without links, also of what is not there yet. */
async function realOutput(asked: string): Promise<string> {
  try {
    return await realpath(asked);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ENOENT') throw unwritable(asked, cause);
    const link = await lstat(asked).catch(() => undefined);
    if (link !== undefined) throw badArgument('options.output', 'a folder', `the broken link ${asked}`);
    return path.join(await realOutput(path.dirname(asked)), path.basename(asked));
  }
}

/** The place of an output. A link stands for the folder that it leads to; a folder that is there and empty stays. */
async function placeOf(asked: string): Promise<Place> {
  const output = await realOutput(asked);
  const name = `${randomBytes(4).toString('hex')}.tmp`;
  const empty = (await entriesOf(output))?.length === 0;
  return { output, staging: empty ? path.join(output, `.${name}`) : `${output}.${name}` };
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
  const contract = (await readJsonFile(path.join(source, CONTRACT_FILE))) as FolderContract;
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

/** What goes with the graphs, by name. Folders and other things that are no files are left where they are. */
async function readOthers(folder: ModelFolder): Promise<Map<string, Buffer>> {
  const vocabulary = path.basename(folder.files.vocab);
  const others = new Map<string, Buffer>();
  let file = folder.dir;
  try {
    for (const name of await readdir(folder.dir)) {
      const wanted =
        name === vocabulary || PAPERS.test(name) || (folder.layout === 'nemo' && name === 'config.json');
      file = path.join(folder.dir, name);
      // Models in download caches are links to files.
      if (wanted && (await stat(file)).isFile()) others.set(name, await readFile(file));
    }
  } catch (cause) {
    throw new AsrError({
      code: 'ERR_MODEL_CORRUPT',
      field: path.basename(file),
      expected: `a file that can be read in ${folder.dir}`,
      received: (cause as Error).message,
      remedy: 'Copy or download the model again.',
      cause,
    });
  }
  return others;
}

/** Puts the finished folder in its place. What was there comes back when that fails. */
async function install({ output, staging }: Place, there: boolean): Promise<void> {
  if (holds(output, staging)) {
    const names = await readdir(staging);
    try {
      for (const name of names) await rename(path.join(staging, name), path.join(output, name));
    } catch (cause) {
      for (const name of names) await rm(path.join(output, name), { force: true });
      throw cause;
    }
    return;
  }
  const old = `${staging}.old`;
  if (there) await rename(output, old);
  try {
    await rename(staging, output);
  } catch (cause) {
    if (there) await rename(old, output);
    throw cause;
  }
  // The new folder is whole: what is left of the old one is no error of it.
  await rm(old, { recursive: true, force: true }).catch(() => {});
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
  const place = await placeOf(path.resolve(options.output));
  const { output, staging } = place;
  const source = await realpath(folder.dir);
  await checkOutput(place, source, options.force === true);
  const others = await readOthers(folder);
  try {
    await mkdir(staging, { recursive: true });
    const files = await packAll(graphs, staging, precision, options);
    for (const [name, bytes] of others) await writeFile(path.join(staging, name), bytes);
    if (folder.layout === 'ours') await writeContract(folder.dir, staging, files, signal);
    else await nameByPrecision(staging, files);
    signal?.throwIfAborted();
    // What was made has to open like any other.
    await openModelFolder(staging);
    // Packing takes a while: the output may be another one by now. A folder that was empty is never one to replace.
    const there = await checkOutput(place, source, options.force === true && !holds(output, staging));
    await install(place, there);
    return { dir: path.resolve(options.output), files };
  } catch (error) {
    throw signal?.aborted ? signal.reason : error instanceof AsrError ? error : unwritable(output, error);
  } finally {
    await rm(staging, { recursive: true, force: true }).catch(() => {});
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
