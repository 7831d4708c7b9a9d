import * as fs from 'node:fs';
import { AsrError } from '../errors';

const READ_BYTES = 65536;

/** Bytes in order, with a look ahead. A file can also be read at any offset. */
export interface ByteSource {
  readonly name: string;
  /** Undefined when the end is only known once it comes. */
  readonly size: number | undefined;
  /** The offset of the next byte `read` returns. */
  readonly offset: number;
  /** The next bytes, at most `bytes_max` of them; empty at the end. */
  read(bytesMax?: number): Promise<Uint8Array>;
  /** The next `bytes` without taking them; fewer only where the source ends. */
  peek(bytes: number): Promise<Uint8Array>;
  skip(bytes: number): Promise<void>;
  /** Up to `bytes` at an absolute offset, or undefined when the source cannot seek. */
  readAt(offset: number, bytes: number): Uint8Array | undefined;
  close(): void;
}

abstract class BufferedSource implements ByteSource {
  abstract readonly name: string;
  abstract readonly size: number | undefined;
  offset = 0;
  #held: Uint8Array = new Uint8Array(0);

  protected abstract fill(): Promise<Uint8Array>;
  abstract readAt(offset: number, bytes: number): Uint8Array | undefined;
  abstract close(): void;

  async read(bytesMax = READ_BYTES): Promise<Uint8Array> {
    if (this.#held.length === 0) this.#held = await this.fill();
    const taken = this.#held.subarray(0, bytesMax);
    this.#held = this.#held.subarray(taken.length);
    this.offset += taken.length;
    return taken;
  }

  async peek(bytes: number): Promise<Uint8Array> {
    while (this.#held.length < bytes) {
      const more = await this.fill();
      if (more.length === 0) break;
      const joined = new Uint8Array(this.#held.length + more.length);
      joined.set(this.#held);
      joined.set(more, this.#held.length);
      this.#held = joined;
    }
    return this.#held.subarray(0, bytes);
  }

  async skip(bytes: number): Promise<void> {
    for (let left = bytes; left > 0; ) {
      const taken = await this.read(Math.min(left, READ_BYTES));
      if (taken.length === 0) return;
      left -= taken.length;
    }
  }
}

export class FileSource extends BufferedSource {
  readonly size: number;
  #fd: number;
  #position = 0;

  constructor(readonly name: string) {
    super();
    this.#fd = openFile(name);
    this.size = fs.fstatSync(this.#fd).size;
  }

  protected async fill(): Promise<Uint8Array> {
    const bytes = this.readAt(this.#position, READ_BYTES);
    this.#position += bytes.length;
    return bytes;
  }

  readAt(offset: number, bytes: number): Uint8Array {
    const buffer = new Uint8Array(bytes);
    const got = fs.readSync(this.#fd, buffer, 0, bytes, offset);
    return buffer.subarray(0, got);
  }

  close(): void {
    if (this.#fd < 0) return;
    fs.closeSync(this.#fd);
    this.#fd = -1;
  }
}

function openFile(path: string): number {
  const refuse = (received: string, remedy: string, cause?: unknown) =>
    new AsrError({
      code: 'ERR_BAD_ARGUMENT',
      field: 'source',
      expected: 'an audio file',
      received,
      remedy,
      cause,
    });
  try {
    // A pipe or a device would make the open itself wait, so what the path is gets asked first.
    const stat = fs.statSync(path);
    if (stat.isDirectory()) throw refuse(`the folder ${path}`, 'Name a file in it.');
    if (!stat.isFile())
      throw refuse(`${path}, which is no regular file`, 'Pass a stream of its bytes instead.');
    return fs.openSync(path, 'r');
  } catch (error) {
    if (error instanceof AsrError) throw error;
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'ENOENT' || code === 'ENOTDIR') {
      throw refuse(`${path}, which does not exist`, 'Check the path.', error);
    }
    throw refuse(`${path}, which cannot be opened (${code})`, 'Check its permissions.', error);
  }
}

/** Bytes the parent thread hands over one block at a time. */
export class PulledSource extends BufferedSource {
  readonly size = undefined;
  #ended = false;

  constructor(
    readonly name: string,
    private readonly pull: () => Promise<Uint8Array | null>,
  ) {
    super();
  }

  protected async fill(): Promise<Uint8Array> {
    while (!this.#ended) {
      const bytes = await this.pull();
      if (bytes === null) this.#ended = true;
      else if (bytes.length > 0) return bytes;
    }
    return new Uint8Array(0);
  }

  readAt(): undefined {
    return undefined;
  }

  close(): void {}
}
