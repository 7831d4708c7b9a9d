import { stat } from 'node:fs/promises';
import * as path from 'node:path';
import { fileURLToPath } from 'node:url';
import { AsrError } from './errors';
import { cacheState, fileBytes, modelCacheDir, readMarker } from './model/cache';
import { type NativeContract, readContract } from './model/contract';
import { sha256OfFile } from './model/download';
import type { EngineProfiles, ModelFiles } from './model/files';
import { type ModelLayout, openModelFolder, type Precision } from './model/layout';
import { packageRoot } from './model/package_root';
import { type PullOptions, pullEntry, removeEntry } from './model/pull';
import { findModel, REGISTRY, type RegistryModel, SHIPPED_MODELS, unknownModel } from './model/registry';

export { cacheRoot } from './model/cache';
export type { NativeContract } from './model/contract';
export type { TransferLimits } from './model/download';
export type { ModelFiles } from './model/files';
export { isPacked, type ModelLayout, type Precision } from './model/layout';
export type { DownloadProgress, PullOptions } from './model/pull';

export interface ResolveOptions extends PullOptions {
  /** Never touch the network: what is not in the cache is an error. */
  offline?: boolean | undefined;
  /** Of a folder that has both; fp32 goes first. Of a name: the same model at that precision. */
  precision?: Precision | undefined;
}

/** A model that is on the disk and whose contract has been checked as far as that goes without its graphs. */
export interface ResolvedModel {
  name: string;
  dir: string;
  layout: ModelLayout;
  files: ModelFiles;
  contract: NativeContract;
  /** What engines are built for, as the contract states it. */
  profiles?: EngineProfiles;
  quantized: boolean;
  /** Where it came from: the caller's folder, the package, the cache. */
  source: 'folder' | 'package' | 'cache';
}

export interface ModelStatus {
  name: string;
  precision: Precision | 'fp16';
  layout: ModelLayout;
  languages: string[];
  license: string;
  /** Its page on the hub; absent for the shipped model. */
  repository?: string;
  revision?: string;
  /** 'shipped' in the package; 'complete' in the cache; 'unpinned': put into the cache by hand; 'partial'; 'absent'. */
  state: 'shipped' | 'complete' | 'unpinned' | 'partial' | 'absent';
  dir: string;
  /** On the disk when complete, else as published; absent where that is not known. */
  bytes?: number;
  /** Whether this project's own tests ran it. */
  runHere: boolean;
}

export interface VerifiedFile {
  file: string;
  bytes: number;
  sha256: string;
  /** 'unpinned': there is no hash to compare with. */
  status: 'ok' | 'unpinned';
}

export interface VerifyResult {
  name: string;
  dir: string;
  /** Whether every file had a hash to compare with. */
  pinned: boolean;
  files: VerifiedFile[];
}

function badModel(expected: string, received: string): AsrError {
  return new AsrError({
    code: 'ERR_BAD_ARGUMENT',
    field: 'model',
    expected,
    received,
    remedy: 'Name a model of `trt-asr models list`, or give the path or the file: URL of a folder.',
  });
}

/** A folder's path when the caller meant a folder, or undefined when a name was meant. */
function folderOf(model: string | URL): string | undefined {
  const isUrl = model instanceof URL || /^[a-z][a-z0-9+.-]+:\/\//i.test(model) || model.startsWith('file:');
  if (!isUrl) return /[\\/]/.test(model) || model === '.' || model === '..' ? model : undefined;
  const text = String(model);
  if (!text.startsWith('file:')) throw badModel('a name, a folder or a file: URL', text);
  try {
    return fileURLToPath(text);
  } catch (cause) {
    throw badModel('a file: URL of a folder on this machine', `${text} (${(cause as Error).message})`);
  }
}

function checkArguments(model: string | URL, precision: unknown): void {
  const text = typeof model === 'string' ? model : model instanceof URL ? model.href : undefined;
  if (text === undefined) throw badModel('a string or a URL', typeof model);
  if (text === '') throw badModel('a name or a folder', 'an empty string');
  if (text.includes('\0')) throw badModel('a path without a zero byte', JSON.stringify(text));
  if (precision === undefined || precision === 'fp32' || precision === 'int8') return;
  throw new AsrError({
    code: 'ERR_BAD_ARGUMENT',
    field: 'precision',
    expected: "'fp32' or 'int8'",
    received: JSON.stringify(precision) ?? String(precision),
    remedy: 'Leave it out to take what is there.',
  });
}

function shippedDir(name: string): string {
  return path.join(packageRoot(), 'models', name);
}

/** The cache folder of an entry, downloaded when something is missing. */
async function cachedDir(entry: RegistryModel, options: ResolveOptions): Promise<string> {
  const dir = modelCacheDir(entry.name, options.cacheDir);
  const state = await cacheState(entry, dir);
  if (state === 'complete' || state === 'unpinned') return dir;
  if (options.offline !== true) return pullEntry(entry, options);
  const names = entry.files.map((file) => file.name).join(', ');
  throw new AsrError({
    code: 'ERR_MODEL_NOT_FOUND',
    field: 'model',
    expected: `${entry.name} in ${dir}`,
    received: state === 'partial' ? 'a part of it' : 'nothing, and offline was asked for',
    remedy: `Run \`trt-asr models pull ${entry.name}\` while online, or put ${names} into that folder by hand.`,
  });
}

async function locate(
  model: string | URL,
  options: ResolveOptions,
): Promise<{ dir: string; name?: string; source: ResolvedModel['source'] }> {
  const folder = folderOf(model);
  if (folder !== undefined) return { dir: folder, source: 'folder' };
  const name = String(model);
  if (SHIPPED_MODELS.includes(name)) return { dir: shippedDir(name), name, source: 'package' };
  const entry = findModel(name, options.precision);
  if (entry !== undefined) return { dir: await cachedDir(entry, options), name: entry.name, source: 'cache' };
  // A bare word may also be a folder in the working directory.
  if ((await stat(name).catch(() => undefined)) !== undefined) return { dir: name, source: 'folder' };
  throw unknownModel(name);
}

/**
 * Finds a model: a folder (path or file: URL), a shipped one ('demo-en', 'demo-en-streaming'), or a registry name, which is downloaded into the
 * cache when it is not there. Errors: ERR_BAD_ARGUMENT, ERR_MODEL_NOT_FOUND, ERR_MODEL_CORRUPT,
 * ERR_CONTRACT_MISMATCH, ERR_DOWNLOAD, or the signal's reason.
 */
export async function resolveModel(
  model: string | URL,
  options: ResolveOptions = {},
): Promise<ResolvedModel> {
  checkArguments(model, options.precision);
  options.signal?.throwIfAborted();
  const { dir, name, source } = await locate(model, options);
  const folder = await openModelFolder(dir, options.precision);
  return {
    name: name ?? folder.name ?? path.basename(folder.dir),
    dir: folder.dir,
    layout: folder.layout,
    files: folder.files,
    contract: folder.contract,
    quantized: folder.precision === 'int8',
    ...(folder.profiles === undefined ? {} : { profiles: folder.profiles }),
    source,
  };
}

/** The entry of a name, for the functions that need one. */
function entryOf(name: string): RegistryModel {
  const entry = findModel(name);
  if (entry === undefined) throw unknownModel(name);
  return entry;
}

async function statusOf(entry: RegistryModel, cacheDir: string | undefined): Promise<ModelStatus> {
  const dir = modelCacheDir(entry.name, cacheDir);
  const state = await cacheState(entry, dir);
  const there = state === 'complete' || state === 'unpinned';
  const sizes = await Promise.all(
    entry.files.map((file) => (there ? fileBytes(path.join(dir, file.name)) : Promise.resolve(file.bytes))),
  );
  const known = sizes.every((bytes) => bytes !== undefined);
  return {
    name: entry.name,
    precision: entry.precision,
    layout: entry.layout,
    languages: [...entry.languages],
    license: entry.license,
    repository: entry.repository,
    revision: entry.revision,
    state,
    dir,
    ...(known ? { bytes: sizes.reduce<number>((sum, bytes) => sum + (bytes ?? 0), 0) } : {}),
    runHere: entry.run_here,
  };
}

async function shippedStatus(name: string): Promise<ModelStatus | undefined> {
  const dir = shippedDir(name);
  if ((await fileBytes(path.join(dir, 'contract.json'))) === undefined) return undefined;
  const contract = await readContract(path.join(dir, 'contract.json'));
  return {
    name,
    precision: contract.precision,
    layout: 'ours',
    languages: [...contract.model.languages],
    license: contract.model.license,
    state: 'shipped',
    dir,
    bytes: Object.values(contract.files).reduce((sum, file) => sum + file.bytes, 0),
    runHere: true,
  };
}

/** The shipped models and those of the registry, with what is in the cache. Touches no network. */
export async function listModels(options: { cacheDir?: string | undefined } = {}): Promise<ModelStatus[]> {
  const shipped = await Promise.all(SHIPPED_MODELS.map(shippedStatus));
  const others = await Promise.all(REGISTRY.map((entry) => statusOf(entry, options.cacheDir)));
  return [...shipped.filter((status) => status !== undefined), ...others];
}

/**
 * Downloads a registry model, or completes what is there; returns its folder. A shipped model needs no download.
 * Errors: ERR_MODEL_NOT_FOUND (no such name), ERR_DOWNLOAD, ERR_BAD_ARGUMENT, or the signal's reason.
 */
export async function pullModel(name: string, options: PullOptions = {}): Promise<string> {
  return SHIPPED_MODELS.includes(name) ? shippedDir(name) : pullEntry(entryOf(name), options);
}

/** Removes a downloaded model; returns the bytes that became free. Errors: ERR_MODEL_NOT_FOUND, ERR_BAD_ARGUMENT. */
export async function removeModel(name: string, options: PullOptions = {}): Promise<number> {
  if (SHIPPED_MODELS.includes(name))
    throw badModel('a model of the cache', `${name}, which is part of the package`);
  return removeEntry(entryOf(name), options);
}

/** The hashes that a folder states: those of its download, or those of its contract. */
async function pinsOf(dir: string): Promise<Record<string, { bytes: number; sha256: string }> | undefined> {
  const marker = await readMarker(dir);
  if (marker !== undefined) return marker.files;
  const contract = path.join(dir, 'contract.json');
  return (await fileBytes(contract)) === undefined ? undefined : (await readContract(contract)).files;
}

function corrupt(file: string, expected: string, received: string, remedy: string): AsrError {
  return new AsrError({ code: 'ERR_MODEL_CORRUPT', field: file, expected, received, remedy });
}

async function verifyFile(
  dir: string,
  file: string,
  pin: { bytes: number; sha256: string } | undefined,
  remedy: string,
  signal: AbortSignal | undefined,
): Promise<VerifiedFile> {
  const target = path.join(dir, file);
  const bytes = await fileBytes(target);
  if (bytes === undefined) throw corrupt(file, `the file ${file} in ${dir}`, 'no such file', remedy);
  if (pin !== undefined && bytes !== pin.bytes) {
    throw corrupt(file, `${pin.bytes} bytes in ${target}`, `${bytes} bytes`, remedy);
  }
  const sha256 = await sha256OfFile(target, signal);
  if (pin !== undefined && sha256 !== pin.sha256)
    throw corrupt(file, `SHA-256 ${pin.sha256} of ${target}`, sha256, remedy);
  return { file, bytes, sha256, status: pin === undefined ? 'unpinned' : 'ok' };
}

/**
 * Reads every byte of a model (a name or a folder) and compares it with the hashes of its download or its contract.
 * Errors: ERR_MODEL_CORRUPT naming the file; ERR_MODEL_NOT_FOUND; the signal's reason. Touches no network.
 */
export async function verifyModel(
  model: string | URL,
  options: {
    cacheDir?: string | undefined;
    signal?: AbortSignal | undefined;
    onFile?: (file: string) => void;
  } = {},
): Promise<VerifyResult> {
  checkArguments(model, undefined);
  const folder = folderOf(model);
  const entry = folder === undefined ? findModel(String(model)) : undefined;
  const dir = entry === undefined ? undefined : modelCacheDir(entry.name, options.cacheDir);
  const pins = dir === undefined ? undefined : await pinsOf(dir);
  if (entry !== undefined && dir !== undefined && pins !== undefined) {
    const names = entry.files.map((file) => file.name);
    return verifyFiles(
      entry.name,
      dir,
      names,
      pins,
      `Run \`trt-asr models rm ${entry.name}\` and pull it again.`,
      options,
    );
  }
  // Hashes of a contract are compared before the sizes that opening looks at, so that the message is the same.
  const found = await locate(model, { cacheDir: options.cacheDir, offline: true });
  const absolute = path.resolve(found.dir);
  const stated = await pinsOf(absolute);
  const names =
    stated === undefined
      ? Object.values((await openModelFolder(absolute)).files).map((file: string) => path.basename(file))
      : Object.keys(stated);
  const name = found.name ?? path.basename(absolute);
  return verifyFiles(name, absolute, names, stated, 'Take the folder from where it came once more.', options);
}

async function verifyFiles(
  name: string,
  dir: string,
  names: string[],
  pins: Record<string, { bytes: number; sha256: string }> | undefined,
  remedy: string,
  options: { signal?: AbortSignal | undefined; onFile?: (file: string) => void },
): Promise<VerifyResult> {
  const files: VerifiedFile[] = [];
  for (const file of names) {
    options.signal?.throwIfAborted();
    options.onFile?.(file);
    files.push(await verifyFile(dir, file, pins?.[file], remedy, options.signal));
  }
  return { name, dir, pinned: files.every((file) => file.status === 'ok'), files };
}
