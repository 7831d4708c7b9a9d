import { mkdir, readdir, rm, stat, statfs } from 'node:fs/promises';
import * as path from 'node:path';
import { AsrError } from '../errors';
import {
  cacheState,
  cacheUnwritable,
  fileBytes,
  modelCacheDir,
  type Pin,
  withModelLock,
  writeMarker,
} from './cache';
import {
  describeRemote,
  downloadFile,
  matchesRemote,
  type RemoteFile,
  TRANSFER_LIMITS,
  type TransferLimits,
} from './download';
import { DEFAULT_ENDPOINT, type RegistryModel } from './registry';

export interface DownloadProgress {
  model: string;
  /** 'waiting' for another process that downloads the same model; 'checking' what is there; 'downloading'. */
  phase: 'waiting' | 'checking' | 'downloading';
  /** The file that is worked on; absent while waiting. */
  file?: string;
  fileIndex: number;
  fileCount: number;
  /** Over all files. The total is absent until the hub has stated every size. */
  bytesDone: number;
  bytesTotal?: number;
  /** Over the last seconds; absent before anything was measured. */
  bytesPerSecond?: number;
  remainingMs?: number;
}

export interface PullOptions {
  cacheDir?: string | undefined;
  /** The hub's address. Without it $HF_ENDPOINT, as its users expect, and then the registry's. */
  endpoint?: string | undefined;
  signal?: AbortSignal | undefined;
  onProgress?: ((progress: DownloadProgress) => void) | undefined;
  limits?: Partial<TransferLimits> | undefined;
}

// CONTRACT: the speed is that of the last seconds.
// SOURCE: ours.
// WHY: an average over hours lags behind a line that has become slow.
// TODO: a look at the ETA's jitter on a real line.
const SPEED_WINDOW_MS = 5_000;

export function hubEndpoint(endpoint?: string): string {
  const text = endpoint ?? (process.env.HF_ENDPOINT || DEFAULT_ENDPOINT);
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol === 'http:' || url?.protocol === 'https:') return text.replace(/\/+$/, '');
  throw new AsrError({
    code: 'ERR_BAD_ARGUMENT',
    field: 'endpoint',
    expected: 'an http or https address',
    received: JSON.stringify(text),
    remedy: 'Correct the option endpoint or the variable HF_ENDPOINT.',
  });
}

export function fileUrl(entry: RegistryModel, file: string, endpoint: string): string {
  return `${endpoint}/${entry.repository}/resolve/${encodeURIComponent(entry.revision)}/${encodeURIComponent(file)}`;
}

/** Sums bytes over the files of a model and measures the speed. */
class ProgressMeter {
  private readonly done: number[];
  private totals: (number | undefined)[];
  private samples: { atMs: number; bytes: number }[] = [];

  constructor(
    private readonly entry: RegistryModel,
    private readonly report: ((progress: DownloadProgress) => void) | undefined,
  ) {
    this.done = entry.files.map(() => 0);
    this.totals = entry.files.map(() => undefined);
  }

  set(index: number, bytesDone: number, bytesTotal: number | undefined): void {
    this.done[index] = bytesDone;
    this.totals[index] = bytesTotal;
  }

  tell(phase: DownloadProgress['phase'], index?: number): void {
    // Bytes that were there already must not count as speed.
    if (phase !== 'downloading') this.samples = [];
    if (this.report === undefined) return;
    const bytesDone = this.done.reduce((sum, bytes) => sum + bytes, 0);
    const bytesTotal = this.totals.every((bytes) => bytes !== undefined)
      ? (this.totals as number[]).reduce((sum, bytes) => sum + bytes, 0)
      : undefined;
    const speed = phase === 'downloading' ? this.speed(bytesDone) : undefined;
    const file = index === undefined ? undefined : this.entry.files[index]?.name;
    this.report({
      model: this.entry.name,
      phase,
      ...(file === undefined ? {} : { file }),
      fileIndex: index ?? 0,
      fileCount: this.entry.files.length,
      bytesDone,
      ...(bytesTotal === undefined ? {} : { bytesTotal }),
      ...(speed === undefined ? {} : { bytesPerSecond: speed }),
      ...(speed === undefined || speed <= 0 || bytesTotal === undefined
        ? {}
        : { remainingMs: ((bytesTotal - bytesDone) / speed) * 1000 }),
    });
  }

  private speed(bytes: number): number | undefined {
    const atMs = performance.now();
    const last = this.samples.at(-1);
    // A sample each tenth of a second keeps the list at fifty entries.
    if (last === undefined || atMs - last.atMs >= 100) this.samples.push({ atMs, bytes });
    while (this.samples.length > 2 && atMs - (this.samples[0]?.atMs ?? atMs) > SPEED_WINDOW_MS)
      this.samples.shift();
    const first = this.samples[0];
    if (first === undefined || atMs - first.atMs < 100 || bytes < first.bytes) return undefined;
    return ((bytes - first.bytes) / (atMs - first.atMs)) * 1000;
  }
}

async function requireDiskSpace(dir: string, bytes: number): Promise<void> {
  const info = await statfs(dir).catch(() => undefined);
  if (info === undefined || info.bavail * info.bsize >= bytes) return;
  throw new AsrError({
    code: 'ERR_DOWNLOAD',
    field: 'cacheDir',
    expected: `${bytes} free bytes in ${dir}`,
    received: `${info.bavail * info.bsize} free bytes`,
    remedy: 'Free some space, or choose another folder with the option cacheDir.',
  });
}

/** Adds to a failed download where the files can be put by hand. */
function withHandRemedy(error: unknown, entry: RegistryModel, dir: string, endpoint: string): unknown {
  if (!(error instanceof AsrError) || error.code !== 'ERR_DOWNLOAD' || error.field !== 'url') return error;
  const names = entry.files.map((file) => file.name).join(', ');
  return new AsrError({
    code: 'ERR_DOWNLOAD',
    field: error.field,
    expected: error.expected ?? '',
    received: error.received ?? '',
    remedy: `${error.remedy} Or put ${names} from ${endpoint}/${entry.repository} into ${dir} by hand.`,
    cause: error.cause ?? error,
  });
}

/** Downloads what is missing under the lock, and writes the marker when every file is right. */
async function pullLocked(
  entry: RegistryModel,
  dir: string,
  options: PullOptions,
  signal: AbortSignal,
): Promise<void> {
  const endpoint = hubEndpoint(options.endpoint);
  const limits = { ...TRANSFER_LIMITS, ...options.limits };
  const meter = new ProgressMeter(entry, options.onProgress);
  // Another process may have finished while this one waited for the lock.
  if ((await cacheState(entry, dir)) === 'complete') return;
  await mkdir(dir, { recursive: true }).catch((cause: NodeJS.ErrnoException) => {
    throw cacheUnwritable(dir, cause);
  });
  const remotes: RemoteFile[] = [];
  for (const [index, file] of entry.files.entries()) {
    meter.tell('checking', index);
    const remote = await describeRemote(fileUrl(entry, file.name, endpoint), limits, signal);
    meter.set(index, 0, remote.bytes);
    remotes.push(remote);
  }
  const present = await Promise.all(entry.files.map((file) => bytesPresent(path.join(dir, file.name))));
  const missing = remotes.reduce(
    (sum, remote, index) => sum + Math.max((remote.bytes ?? 0) - (present[index] ?? 0), 0),
    0,
  );
  await requireDiskSpace(dir, missing);
  const files: Record<string, Pin> = {};
  for (const [index, file] of entry.files.entries()) {
    const target = path.join(dir, file.name);
    const remote = remotes[index] as RemoteFile;
    meter.tell('checking', index);
    const onBytes = (bytesDone: number, bytesTotal: number | undefined) => {
      meter.set(index, bytesDone, bytesTotal);
      meter.tell('downloading', index);
    };
    const result =
      (await matchesRemote(remote, target, signal)) ??
      (await downloadFile({ remote, target, signal, limits, onBytes }));
    meter.set(index, result.bytes, result.bytes);
    files[file.name] = { bytes: result.bytes, sha256: result.sha256, sha256_source: result.sha256Source };
  }
  signal.throwIfAborted();
  const { name, repository, revision } = entry;
  const downloaded_at = new Date().toISOString();
  await writeMarker(dir, { schema: 'trt-asr-model/1', name, repository, revision, downloaded_at, files });
}

async function bytesPresent(target: string): Promise<number> {
  return (await fileBytes(target)) ?? (await fileBytes(`${target}.part`)) ?? 0;
}

/**
 * Brings a registry model into the cache and returns its folder. Complete already: nothing is asked of the network.
 * Errors: ERR_DOWNLOAD (network, disk, a wrong hash), ERR_BAD_ARGUMENT (endpoint), the signal's reason.
 */
export async function pullEntry(entry: RegistryModel, options: PullOptions): Promise<string> {
  const dir = modelCacheDir(entry.name, options.cacheDir);
  options.signal?.throwIfAborted();
  if ((await cacheState(entry, dir)) === 'complete') return dir;
  const meter = new ProgressMeter(entry, options.onProgress);
  const lock = { cacheDir: options.cacheDir, signal: options.signal, onWait: () => meter.tell('waiting') };
  try {
    await withModelLock(entry.name, lock, (signal) => pullLocked(entry, dir, options, signal));
  } catch (error) {
    throw withHandRemedy(error, entry, dir, hubEndpoint(options.endpoint));
  }
  return dir;
}

/** Removes a model's cache folder with everything in it. Returns the bytes that became free. */
export async function removeEntry(entry: RegistryModel, options: PullOptions): Promise<number> {
  const dir = modelCacheDir(entry.name, options.cacheDir);
  if ((await stat(dir).catch(() => undefined)) === undefined) {
    throw new AsrError({
      code: 'ERR_MODEL_NOT_FOUND',
      field: 'model',
      expected: `${entry.name} in the cache`,
      received: `no folder ${dir}`,
      remedy: 'Nothing is to be done; `trt-asr models list` shows what is there.',
    });
  }
  return withModelLock(entry.name, { cacheDir: options.cacheDir, signal: options.signal }, async () => {
    const sizes = await Promise.all((await readdir(dir)).map((name) => fileBytes(path.join(dir, name))));
    await rm(dir, { recursive: true, force: true });
    return sizes.reduce<number>((sum, bytes) => sum + (bytes ?? 0), 0);
  });
}
