import { createHash, type Hash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { type FileHandle, open, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { AsrError } from '../errors';
import { cacheUnwritable, fileBytes } from './cache';

/** Limits of one file's download; the defaults suit gigabytes over a home line, tests make them small. */
export interface TransferLimits {
  /** No byte for this long ends an attempt. */
  stallTimeoutMs: number;
  /** Attempts in a row that brought no byte. */
  retriesMax: number;
  /** The first wait between attempts; it doubles up to 30 s. */
  backoffMs: number;
}

export const TRANSFER_LIMITS: TransferLimits = { stallTimeoutMs: 30_000, retriesMax: 5, backoffMs: 500 };

// CONTRACT: attempts over all, progress or not.
// SOURCE: ours; 2.4 GB in 200 attempts are 12 MB an attempt.
// WHY: every loop has a bound; a server that gives one byte a connection would hold us for ever.
// TODO: a report of a line so poor that it needs more.
const ATTEMPTS_MAX = 200;
const BACKOFF_MS_MAX = 30_000;
const REDIRECTS_MAX = 10;

/** What the hub says about a file before it is fetched; every field may be missing on a mirror. */
export interface RemoteFile {
  url: string;
  bytes?: number;
  sha256?: string;
  /** Git's hash of a small file that is not in large file storage. */
  gitBlobSha1?: string;
  etag?: string;
}

export interface FileTransfer {
  remote: RemoteFile;
  /** Final path; `${target}.part` holds what has arrived, `${target}.part.json` of which version it is. */
  target: string;
  signal?: AbortSignal | undefined;
  limits: TransferLimits;
  /** Bytes of this file that are there, and of how many. */
  onBytes?: (bytesDone: number, bytesTotal: number | undefined) => void;
}

export interface FileResult {
  bytes: number;
  sha256: string;
  sha256Source: 'hub' | 'computed';
}

/** An attempt that may succeed when tried again. */
class TransientError extends Error {
  constructor(
    message: string,
    readonly retryAfterMs = 0,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

function failure(url: string, received: string, remedy: string, cause?: unknown): AsrError {
  return new AsrError({
    code: 'ERR_DOWNLOAD',
    field: 'url',
    expected: `${url} from ${new URL(url).host}`,
    received,
    remedy,
    ...(cause === undefined ? {} : { cause }),
  });
}

/** The words of the innermost cause: fetch hides "ECONNREFUSED" below "fetch failed". */
function reasonOf(error: unknown): string {
  let inner = error;
  for (let depth = 0; depth < 8; depth++) {
    const next =
      (inner as { cause?: unknown; errors?: unknown[] } | undefined)?.cause ??
      (inner as { errors?: unknown[] } | undefined)?.errors?.[0];
    if (next === undefined) break;
    inner = next;
  }
  const { code, message } = (inner ?? {}) as { code?: string; message?: string };
  if (code !== undefined && message !== undefined && !message.includes(code)) return `${message} (${code})`;
  return message || code || String(inner);
}

function retryAfterMs(response: Response): number {
  const seconds = Number(response.headers.get('retry-after'));
  return Number.isFinite(seconds) && seconds > 0 ? Math.min(seconds * 1000, 2 * BACKOFF_MS_MAX) : 0;
}

/** Throws for a status that is no success: transient for those that may pass, final for the others. */
function checkStatus(response: Response, url: string): void {
  const { status } = response;
  if (status < 400) return;
  const words = `HTTP ${status} ${response.statusText}`.trim();
  if (status >= 500 || status === 408 || status === 429)
    throw new TransientError(words, retryAfterMs(response));
  const remedy =
    status === 401 || status === 403 || status === 407
      ? 'The server refuses; check the endpoint and the proxy.'
      : 'The file is not there; check the endpoint, or upgrade the package for newer addresses.';
  throw failure(url, words, remedy);
}

/** An AbortSignal that fires when nothing was heard for a while; `touch` starts the wait anew. */
class StallTimer {
  private readonly controller = new AbortController();
  private timer: NodeJS.Timeout | undefined;
  readonly signal: AbortSignal;

  constructor(
    private readonly limitMs: number,
    outer: AbortSignal | undefined,
  ) {
    this.signal =
      outer === undefined ? this.controller.signal : AbortSignal.any([outer, this.controller.signal]);
    this.touch();
  }

  touch(): void {
    clearTimeout(this.timer);
    const stalled = () => this.controller.abort(new TransientError(`no data for ${this.limitMs} ms`));
    this.timer = setTimeout(stalled, this.limitMs);
  }

  /** Ends the wait and lets go of an answer that nobody read to its end. */
  stop(): void {
    clearTimeout(this.timer);
    this.controller.abort();
  }

  get stalled(): unknown {
    return this.controller.signal.aborted ? this.controller.signal.reason : undefined;
  }
}

/** Retries `attempt` on transient failures. `progress` says whether bytes came since the last call. */
async function persist<T>(
  url: string,
  limits: TransferLimits,
  signal: AbortSignal | undefined,
  progress: () => boolean,
  attempt: (stall: StallTimer) => Promise<T>,
): Promise<T> {
  let failures = 0;
  for (let attempts = 1; ; attempts++) {
    signal?.throwIfAborted();
    const stall = new StallTimer(limits.stallTimeoutMs, signal);
    let error: unknown;
    try {
      return await attempt(stall);
    } catch (caught) {
      signal?.throwIfAborted();
      error = stall.stalled ?? caught;
    } finally {
      stall.stop();
    }
    if (error instanceof AsrError) throw error;
    failures = progress() ? 1 : failures + 1;
    if (failures > limits.retriesMax || attempts >= ATTEMPTS_MAX) {
      const remedy = 'Check the network and any proxy, then run it again: what was downloaded is kept.';
      throw failure(url, `${reasonOf(error)}, after ${attempts} attempts`, remedy, error);
    }
    const asked = error instanceof TransientError ? error.retryAfterMs : 0;
    const waitMs = Math.max(asked, Math.min(limits.backoffMs * 2 ** (failures - 1), BACKOFF_MS_MAX));
    await sleep(waitMs, undefined, { signal }).catch(() => signal?.throwIfAborted());
  }
}

function unquote(etag: string | null): string | undefined {
  return etag === null ? undefined : etag.replace(/^W\//, '').replace(/^"|"$/g, '');
}

function integerHeader(headers: Headers, name: string): number | undefined {
  const text = headers.get(name);
  return text !== null && /^\d+$/.test(text) ? Number(text) : undefined;
}

/** Reads the hub's headers: `x-linked-*` for files in large file storage, git's own hash for the others. */
function remoteOf(url: string, headers: Headers, isRedirect: boolean): RemoteFile {
  const remote: RemoteFile = { url };
  const linked = unquote(headers.get('x-linked-etag'));
  const etag = linked ?? unquote(headers.get('etag'));
  // A redirect's own content-length is that of its empty page.
  const bytes =
    integerHeader(headers, 'x-linked-size') ??
    (isRedirect ? undefined : integerHeader(headers, 'content-length'));
  if (bytes !== undefined) remote.bytes = bytes;
  if (etag !== undefined) remote.etag = etag;
  if (linked !== undefined && /^[0-9a-f]{64}$/.test(linked)) remote.sha256 = linked;
  if (etag !== undefined && /^[0-9a-f]{40}$/.test(etag)) remote.gitBlobSha1 = etag;
  return remote;
}

/**
 * Asks the hub for size and hash without fetching. Redirects are followed by hand, because the hub states the hash on the
 * redirect and not on the storage server it leads to. Errors: ERR_DOWNLOAD; a server without HEAD gives an empty answer.
 */
export async function describeRemote(
  url: string,
  limits: TransferLimits,
  signal?: AbortSignal,
): Promise<RemoteFile> {
  return persist(
    url,
    limits,
    signal,
    () => false,
    async (stall) => {
      let at = url;
      for (let hop = 0; hop <= REDIRECTS_MAX; hop++) {
        const response = await fetch(at, {
          method: 'HEAD',
          redirect: 'manual',
          headers: { 'accept-encoding': 'identity' },
          signal: stall.signal,
        });
        if (response.status === 405 || response.status === 501) return { url };
        checkStatus(response, at);
        const location = response.headers.get('location');
        const isRedirect = response.status >= 300 && response.status < 400 && location !== null;
        const remote = remoteOf(url, response.headers, isRedirect);
        if (!isRedirect || remote.sha256 !== undefined) return remote;
        at = new URL(location, at).href;
      }
      throw failure(url, `more than ${REDIRECTS_MAX} redirects`, 'Check the endpoint.');
    },
  );
}

/** Feeds a file into a hash. */
async function hashInto(hash: Hash, file: string, signal?: AbortSignal): Promise<void> {
  for await (const chunk of createReadStream(file, { highWaterMark: 1 << 20, signal }))
    hash.update(chunk as Buffer);
}

export async function sha256OfFile(file: string, signal?: AbortSignal): Promise<string> {
  const hash = createHash('sha256');
  try {
    await hashInto(hash, file, signal);
  } catch (error) {
    signal?.throwIfAborted();
    throw error;
  }
  return hash.digest('hex');
}

/** What `.part.json` keeps: parts of two versions of a file must never be joined. */
interface PartState {
  identity: string;
  /** The storage server's own strong tag, for If-Range. */
  etag?: string;
}

async function readPartState(file: string): Promise<PartState | undefined> {
  try {
    const state = JSON.parse(await readFile(file, 'utf8')) as PartState;
    return typeof state.identity === 'string' ? state : undefined;
  } catch {
    return undefined;
  }
}

/** One file on its way. Bytes go to the disk and into the hash in one pass; a resumed part is hashed first. */
class PartFile {
  private readonly part: string;
  private readonly stateFile: string;
  private hash = createHash('sha256');
  private state: PartState;
  private handle: FileHandle | undefined;
  bytes = 0;
  /** Whether some of the bytes came from an earlier run. */
  resumed = false;

  constructor(private readonly transfer: FileTransfer) {
    this.part = `${transfer.target}.part`;
    this.stateFile = `${transfer.target}.part.json`;
    const { remote } = transfer;
    this.state = { identity: remote.sha256 ?? remote.etag ?? '' };
  }

  get etag(): string | undefined {
    return this.state.etag;
  }

  async open(): Promise<void> {
    const saved = await readPartState(this.stateFile);
    const bytes = (await fileBytes(this.part)) ?? 0;
    const known = this.state.identity !== '' || saved?.etag !== undefined;
    if (saved !== undefined && bytes > 0 && known && saved.identity === this.state.identity) {
      this.state = saved;
      await hashInto(this.hash, this.part, this.transfer.signal);
      this.bytes = bytes;
      this.resumed = true;
      this.handle = await open(this.part, 'r+');
      return;
    }
    this.handle = await open(this.part, 'w');
  }

  /** Forgets what has arrived. */
  async restart(): Promise<void> {
    await this.handle?.truncate(0);
    this.hash = createHash('sha256');
    this.bytes = 0;
    this.resumed = false;
  }

  async rememberEtag(etag: string | null): Promise<void> {
    const strong = etag !== null && !etag.startsWith('W/');
    this.state = { identity: this.state.identity, ...(strong ? { etag } : {}) };
    await writeFile(this.stateFile, JSON.stringify(this.state));
  }

  async write(chunk: Uint8Array): Promise<void> {
    for (let done = 0; done < chunk.length; ) {
      const { bytesWritten } = await (this.handle as FileHandle).write(
        chunk,
        done,
        chunk.length - done,
        this.bytes + done,
      );
      done += bytesWritten;
    }
    this.hash.update(chunk);
    this.bytes += chunk.length;
  }

  digest(): string {
    return this.hash.copy().digest('hex');
  }

  async close(): Promise<void> {
    await this.handle?.close();
    this.handle = undefined;
  }

  /** Gives the file its name; after this it is whole, or it is not there. */
  async finish(): Promise<void> {
    await this.handle?.sync();
    await this.close();
    await rename(this.part, this.transfer.target);
    await rm(this.stateFile, { force: true });
  }

  async discard(): Promise<void> {
    await this.close();
    await rm(this.part, { force: true });
    await rm(this.stateFile, { force: true });
  }
}

/** Where a 206 answer begins and how large the whole is. */
function contentRange(response: Response): { start: number; total: number | undefined } | undefined {
  const match = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(response.headers.get('content-range') ?? '');
  if (match === null) return undefined;
  return { start: Number(match[1]), total: match[2] === '*' ? undefined : Number(match[2]) };
}

/** Fetches what is missing, in one connection. Returns the whole's size when it became known. */
async function fetchRest(transfer: FileTransfer, part: PartFile, stall: StallTimer): Promise<void> {
  const { remote, onBytes } = transfer;
  if (remote.bytes !== undefined && part.bytes === remote.bytes) return;
  const headers: Record<string, string> = { 'accept-encoding': 'identity' };
  if (part.bytes > 0) headers.range = `bytes=${part.bytes}-`;
  if (part.bytes > 0 && part.etag !== undefined) headers['if-range'] = part.etag;
  const response = await fetch(remote.url, { headers, signal: stall.signal });
  stall.touch();
  if (response.status === 416) {
    await part.restart();
    throw new TransientError('HTTP 416: the part does not fit the file');
  }
  checkStatus(response, remote.url);
  const range = response.status === 206 ? contentRange(response) : undefined;
  if (response.status === 206 && range?.start !== part.bytes) {
    await part.restart();
    throw new TransientError('a range other than the one that was asked for');
  }
  // 200 to a request with a range: the server knows no ranges, or the file has changed.
  if (response.status !== 206 && part.bytes > 0) await part.restart();
  await part.rememberEtag(response.headers.get('etag'));
  const length = integerHeader(response.headers, 'content-length');
  const total = remote.bytes ?? range?.total ?? (length === undefined ? undefined : part.bytes + length);
  onBytes?.(part.bytes, total);
  for await (const chunk of (response.body ?? []) as AsyncIterable<Uint8Array>) {
    stall.touch();
    await part.write(chunk).catch((cause: NodeJS.ErrnoException) => {
      throw cacheUnwritable(transfer.target, cause);
    });
    onBytes?.(part.bytes, total);
    if (total !== undefined && part.bytes > total) break;
  }
  if (total !== undefined && part.bytes < total) {
    throw new TransientError(`the connection ended after ${part.bytes} of ${total} bytes`);
  }
}

async function gitBlobSha1(file: string, bytes: number): Promise<string> {
  const hash = createHash('sha1').update(`blob ${bytes}\0`);
  await hashInto(hash, file);
  return hash.digest('hex');
}

/** What the hub announced against what arrived; undefined when all agrees. */
async function disagreement(
  remote: RemoteFile,
  file: string,
  bytes: number,
  sha256: string,
): Promise<{ expected: string; received: string } | undefined> {
  if (remote.bytes !== undefined && bytes !== remote.bytes) {
    return { expected: `${remote.bytes} bytes`, received: `${bytes} bytes` };
  }
  if (remote.sha256 !== undefined) {
    return sha256 === remote.sha256 ? undefined : { expected: `SHA-256 ${remote.sha256}`, received: sha256 };
  }
  if (remote.gitBlobSha1 === undefined) return undefined;
  const sha1 = await gitBlobSha1(file, bytes);
  return sha1 === remote.gitBlobSha1
    ? undefined
    : { expected: `git blob ${remote.gitBlobSha1}`, received: sha1 };
}

/** Whether a file that is there already is the one that the hub describes; undefined when the hub gave no hash. */
export async function matchesRemote(
  remote: RemoteFile,
  file: string,
  signal?: AbortSignal,
): Promise<FileResult | undefined> {
  const bytes = await fileBytes(file);
  if (bytes === undefined || (remote.bytes !== undefined && bytes !== remote.bytes)) return undefined;
  if (remote.sha256 === undefined && remote.gitBlobSha1 === undefined) return undefined;
  const sha256 = await sha256OfFile(file, signal);
  if ((await disagreement(remote, file, bytes, sha256)) !== undefined) return undefined;
  return { bytes, sha256, sha256Source: remote.sha256 === undefined ? 'computed' : 'hub' };
}

/**
 * Downloads one file: resumes a part, retries what may pass, checks size and hash while writing, and renames at the
 * end. When it is aborted or fails, the part stays for the next call. Errors: ERR_DOWNLOAD, or the signal's reason.
 */
export async function downloadFile(transfer: FileTransfer): Promise<FileResult> {
  const { remote, target, limits, signal } = transfer;
  const part = new PartFile(transfer);
  try {
    await part.open();
    for (;;) {
      const wasResumed = part.resumed;
      let seen = part.bytes;
      const progressed = () => {
        const more = part.bytes > seen;
        seen = part.bytes;
        return more;
      };
      await persist(remote.url, limits, signal, progressed, (stall) => fetchRest(transfer, part, stall));
      const sha256 = part.digest();
      const wrong = await disagreement(remote, `${target}.part`, part.bytes, sha256);
      if (wrong === undefined) {
        await part.finish();
        return { bytes: part.bytes, sha256, sha256Source: remote.sha256 === undefined ? 'computed' : 'hub' };
      }
      // A part of an earlier run may be what is wrong; once more from the start, and then never again.
      if (!wasResumed) {
        await part.discard();
        const remedy =
          'The download was thrown away. Try again; when it repeats, the mirror or a proxy changes the file.';
        throw failure(remote.url, `${wrong.received}, but ${wrong.expected} was announced`, remedy);
      }
      await part.restart();
    }
  } catch (error) {
    signal?.throwIfAborted();
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOSPC' || code === 'EACCES' || code === 'EROFS')
      throw cacheUnwritable(target, error as Error);
    throw error;
  } finally {
    await part.close();
  }
}
