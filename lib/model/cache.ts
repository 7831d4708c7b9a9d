import { randomBytes } from 'node:crypto';
import { mkdir, open, readFile, rename, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import * as path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { AsrError } from '../errors';
import type { RegistryModel } from './registry';

/** The file whose presence says that a download is complete; it keeps the hash of every file. */
export const MARKER_FILE = 'trt-asr-model.json';

export interface Pin {
  bytes: number;
  sha256: string;
  /** 'hub': the hub stated the hash before the download. 'computed': it was computed from what arrived. */
  sha256_source: 'hub' | 'computed';
}

export interface Marker {
  schema: 'trt-asr-model/1';
  name: string;
  repository: string;
  revision: string;
  downloaded_at: string;
  files: Record<string, Pin>;
}

/**
 * The platform's cache folder: $XDG_CACHE_HOME/trt-asr or ~/.cache/trt-asr, ~/Library/Caches/trt-asr, %LOCALAPPDATA%\trt-asr\Cache.
 * Undefined where there is no home: a container's user may be one that no file knows, without HOME.
 */
export function platformCache(): string | undefined {
  const { LOCALAPPDATA, XDG_CACHE_HOME } = process.env;
  const [given, below, name] =
    process.platform === 'win32'
      ? [LOCALAPPDATA, 'AppData/Local', 'trt-asr/Cache']
      : process.platform === 'darwin'
        ? [undefined, 'Library/Caches', 'trt-asr']
        : [XDG_CACHE_HOME, '.cache', 'trt-asr'];
  // SOURCE: the XDG base directory specification: a path that is not absolute is none.
  if (given !== undefined && path.isAbsolute(given)) return path.join(given, name);
  const home = homeFolder();
  return path.isAbsolute(home) ? path.join(home, below, name) : undefined;
}

function homeFolder(): string {
  try {
    return homedir();
  } catch {
    return '';
  }
}

/** The folder under which downloads are kept: `cacheDir`, or the platform's. Throws ERR_BAD_ARGUMENT where there is none. */
export function cacheRoot(cacheDir?: string): string {
  const folder = cacheDir === undefined ? platformCache() : path.resolve(cacheDir);
  if (folder !== undefined) return folder;
  throw new AsrError({
    code: 'ERR_BAD_ARGUMENT',
    field: 'cacheDir',
    expected: 'a folder, or a user with a home',
    received: 'neither',
    remedy: 'Name a folder (cacheDir, engineCacheDir), or set HOME or XDG_CACHE_HOME to one.',
  });
}

/** Where a registry model is kept; the folder in which files may also be put by hand. */
export function modelCacheDir(name: string, cacheDir?: string): string {
  return path.join(cacheRoot(cacheDir), 'models', name);
}

function isPin(value: unknown): value is Pin {
  if (typeof value !== 'object' || value === null) return false;
  const pin = value as Partial<Pin>;
  return (
    Number.isSafeInteger(pin.bytes) && typeof pin.sha256 === 'string' && /^[0-9a-f]{64}$/.test(pin.sha256)
  );
}

/** The marker of a complete download, or undefined when there is none that can be believed. */
export async function readMarker(dir: string): Promise<Marker | undefined> {
  try {
    const value = JSON.parse(await readFile(path.join(dir, MARKER_FILE), 'utf8')) as Marker;
    if (value.schema !== 'trt-asr-model/1') return undefined;
    if (typeof value.files !== 'object' || value.files === null) return undefined;
    return Object.values(value.files).every(isPin) ? value : undefined;
  } catch {
    // An absent or damaged marker means the same: the download is not known to be complete.
    return undefined;
  }
}

/** Writes the marker so that it is there whole or not at all, after a power cut too. */
export async function writeMarker(dir: string, marker: Marker): Promise<void> {
  const temporary = path.join(dir, `${MARKER_FILE}.${randomBytes(4).toString('hex')}.tmp`);
  const handle = await open(temporary, 'wx');
  try {
    await handle.writeFile(`${JSON.stringify(marker, null, 2)}\n`);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(temporary, path.join(dir, MARKER_FILE));
}

export async function fileBytes(file: string): Promise<number | undefined> {
  const info = await stat(file).catch(() => undefined);
  return info?.isFile() === true ? info.size : undefined;
}

export type CacheState = 'complete' | 'unpinned' | 'partial' | 'absent';

/**
 * What of a model is in its cache folder: all files with the pinned sizes, all files without pins (put there by
 * hand), a part, nothing. Sizes only: `verifyModel` reads the bytes.
 */
export async function cacheState(entry: RegistryModel, dir: string): Promise<CacheState> {
  const marker = await readMarker(dir);
  const sizes = await Promise.all(entry.files.map((file) => fileBytes(path.join(dir, file.name))));
  const present = sizes.filter((bytes) => bytes !== undefined && bytes > 0).length;
  if (marker === undefined && present === entry.files.length) return 'unpinned';
  const pinned = entry.files.every((file, index) => sizes[index] === marker?.files[file.name]?.bytes);
  if (marker !== undefined && pinned && present === entry.files.length) return 'complete';
  return (await stat(dir).catch(() => undefined)) === undefined ? 'absent' : 'partial';
}

// CONTRACT: a lock whose holder has not touched it for this long is taken over.
// SOURCE: proper-lockfile, which touches it every half of that.
// WHY: a killed process must not block downloads for ever; a busy one must not lose its lock.
// TODO: a report of a lock that was lost on a busy machine would ask for more.
const LOCK_STALE_MS = 10_000;
const LOCK_POLL_MS = 200;

/**
 * Runs `work` while this process alone, on this machine, may change the model's folder. Waiting ends when the
 * signal aborts. `work` gets a signal that also aborts when the lock was lost (a machine that slept, say).
 */
export async function withModelLock<T>(
  name: string,
  options: {
    cacheDir?: string | undefined;
    signal?: AbortSignal | undefined;
    onWait?: (() => void) | undefined;
  },
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const locks = path.join(cacheRoot(options.cacheDir), 'locks');
  await mkdir(locks, { recursive: true }).catch((cause: NodeJS.ErrnoException) => {
    throw cacheUnwritable(locks, cause);
  });
  const lost = new AbortController();
  const signal = options.signal === undefined ? lost.signal : AbortSignal.any([options.signal, lost.signal]);
  const release = await acquire(path.join(locks, name), signal, options.onWait, () =>
    lost.abort(
      new AsrError({
        code: 'ERR_DOWNLOAD',
        field: 'lock',
        expected: `to keep the lock on ${name}`,
        received: 'another process took it over',
        remedy: 'Run the command again; what was downloaded is kept.',
      }),
    ),
  );
  try {
    return await work(signal);
  } finally {
    // A lock that was lost cannot be released, and that is no error of the work done under it.
    await release().catch(() => undefined);
  }
}

async function acquire(
  target: string,
  signal: AbortSignal,
  onWait: (() => void) | undefined,
  onLost: () => void,
): Promise<() => Promise<void>> {
  // The library installs handlers for signals when it is loaded; a service that downloads nothing must not have them.
  const lockfile = await import('proper-lockfile');
  // Bounded by the holder, whose lock goes stale when it dies, and by the caller's signal.
  for (;;) {
    signal.throwIfAborted();
    try {
      return await lockfile.lock(target, {
        realpath: false,
        stale: LOCK_STALE_MS,
        lockfilePath: `${target}.lock`,
        onCompromised: onLost,
      });
    } catch (cause) {
      const error = cause as NodeJS.ErrnoException;
      if (error.code !== 'ELOCKED') throw cacheUnwritable(path.dirname(target), error);
    }
    onWait?.();
    await sleep(LOCK_POLL_MS, undefined, { signal }).catch(() => signal.throwIfAborted());
  }
}

export function cacheUnwritable(dir: string, cause: NodeJS.ErrnoException): AsrError {
  return new AsrError({
    code: 'ERR_DOWNLOAD',
    field: 'cacheDir',
    expected: `to write into ${dir}`,
    received: cause.code === 'ENOSPC' ? 'the disk is full (ENOSPC)' : cause.message,
    remedy:
      cause.code === 'ENOSPC'
        ? 'Free some space, or choose another folder with the option cacheDir; what was downloaded is kept.'
        : 'Choose a folder that can be written with the option cacheDir.',
    cause,
  });
}
