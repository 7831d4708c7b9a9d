import { AsrError } from '../errors';
import type { ByteSource } from './byte_source';
import { ascii } from './detect';

/** WHY: an M4A that comes as a stream may keep its index at the end, and is held (compressed) until then. */
const STREAM_BYTES_MAX = 1 << 30;
const READ_BYTES = 65536;

interface Box {
  type: string;
  start: number;
  headerBytes: number;
  bytes: number;
}

/**
 * An M4A with its index (moov) in front of its data, whichever way it was written: the decoder can then work as it reads.
 * The chunk offsets in a moov that moves forward grow by its own length. SOURCE: ISO/IEC 14496-12 4.2, 8.7.5.
 */
export async function faststart(source: ByteSource): Promise<ByteSource> {
  const readAt =
    source.size === undefined
      ? await memory(source)
      : (at: number, bytes: number) => source.readAt(at, bytes);
  const size = source.size ?? source.offset;
  const read = (at: number, bytes: number) => readAt(at, bytes) ?? new Uint8Array(0);
  const boxes = topBoxes(read, size);
  const moov = boxes.find((box) => box.type === 'moov');
  const mdat = boxes.find((box) => box.type === 'mdat');
  if (moov === undefined || mdat === undefined)
    throw damaged(source, `no ${moov === undefined ? 'moov' : 'mdat'} box`);
  const cut = boxes.find((box) => box.start + box.bytes > size);
  if (cut !== undefined)
    throw damaged(source, `a file of ${size} bytes that ends within its ${cut.type} box`);
  const index = read(moov.start, moov.bytes).slice();
  const parts: (() => Generator<Uint8Array>)[] = [];
  if (moov.start > mdat.start) {
    shiftOffsets(index, moov.headerBytes, index.length, moov.bytes);
    parts.push(
      () => range(read, 0, mdat.start),
      () => once(index),
      () => range(read, mdat.start, moov.start),
    );
  } else {
    parts.push(() => range(read, 0, size));
  }
  return new OrderedSource(source, size, parts, index);
}

export async function mp4DurationMs(source: ByteSource): Promise<number | undefined> {
  if (!(source instanceof OrderedSource)) return undefined;
  const mvhd = find(source.index, 'mvhd');
  if (mvhd === undefined) return undefined;
  const view = new DataView(source.index.buffer, source.index.byteOffset + mvhd);
  const wide = view.getUint8(8) === 1;
  const scale = view.getUint32(wide ? 28 : 20);
  const length = wide ? Number(view.getBigUint64(32)) : view.getUint32(24);
  return scale > 0 && length > 0 ? (length * 1000) / scale : undefined;
}

type ReadAt = (at: number, bytes: number) => Uint8Array;

function topBoxes(read: ReadAt, size: number): Box[] {
  const boxes: Box[] = [];
  for (let start = 0; start + 8 <= size; ) {
    const box = boxAt(read(start, 16), 0, size - start);
    if (box === undefined) break;
    boxes.push({ ...box, start });
    start += box.bytes;
  }
  return boxes;
}

function boxAt(bytes: Uint8Array, at: number, left: number): Box | undefined {
  if (at + 8 > bytes.length) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset + at, bytes.length - at);
  const type = ascii(bytes, at + 4, 4);
  const short = view.getUint32(0);
  if (short === 0) return { type, start: at, headerBytes: 8, bytes: left };
  if (short !== 1) return short < 8 ? undefined : { type, start: at, headerBytes: 8, bytes: short };
  if (view.byteLength < 16) return undefined;
  const long = Number(view.getBigUint64(8));
  return long < 16 ? undefined : { type, start: at, headerBytes: 16, bytes: long };
}

const CONTAINERS = new Set(['trak', 'mdia', 'minf', 'stbl']);

function shiftOffsets(bytes: Uint8Array, from: number, to: number, shift: number): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let at = from; at + 8 <= to; ) {
    const box = boxAt(bytes, at, to - at);
    if (box === undefined || at + box.bytes > to) return;
    const body = at + box.headerBytes;
    if (CONTAINERS.has(box.type)) shiftOffsets(bytes, body, at + box.bytes, shift);
    const width = box.type === 'stco' ? 4 : box.type === 'co64' ? 8 : 0;
    if (width > 0 && box.bytes >= box.headerBytes + 8) {
      const count = Math.min(view.getUint32(body + 4), Math.floor((box.bytes - box.headerBytes - 8) / width));
      for (let entry = 0; entry < count; entry++) {
        const where = body + 8 + entry * width;
        if (width === 4) view.setUint32(where, view.getUint32(where) + shift);
        else view.setBigUint64(where, view.getBigUint64(where) + BigInt(shift));
      }
    }
    at += box.bytes;
  }
}

/** The start of the first box of a type directly inside moov. */
function find(moov: Uint8Array, type: string): number | undefined {
  for (let at = 8; at + 8 <= moov.length; ) {
    const box = boxAt(moov, at, moov.length - at);
    if (box === undefined) return undefined;
    if (box.type === type && at + 44 <= moov.length) return at;
    at += box.bytes;
  }
  return undefined;
}

async function memory(source: ByteSource): Promise<ReadAt> {
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for (let part = await source.read(); part.length > 0; part = await source.read()) {
    parts.push(part);
    bytes += part.length;
    if (bytes > STREAM_BYTES_MAX) throw damaged(source, `a stream of more than ${STREAM_BYTES_MAX} bytes`);
  }
  const all = new Uint8Array(bytes);
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return (offset, length) => all.subarray(offset, offset + length);
}

function* range(read: ReadAt, from: number, to: number): Generator<Uint8Array> {
  for (let at = from; at < to; ) {
    const bytes = read(at, Math.min(READ_BYTES, to - at));
    if (bytes.length === 0) return;
    at += bytes.length;
    yield bytes;
  }
}

function* once(bytes: Uint8Array): Generator<Uint8Array> {
  yield bytes;
}

class OrderedSource implements ByteSource {
  readonly name: string;
  offset = 0;
  readonly #blocks: Generator<Uint8Array>;

  constructor(
    private readonly inner: ByteSource,
    readonly size: number,
    parts: (() => Generator<Uint8Array>)[],
    readonly index: Uint8Array,
  ) {
    this.name = inner.name;
    this.#blocks = (function* () {
      for (const part of parts) yield* part();
    })();
  }

  async read(): Promise<Uint8Array> {
    const next = this.#blocks.next();
    if (next.done) return new Uint8Array(0);
    this.offset += next.value.length;
    return next.value;
  }

  peek(): Promise<Uint8Array> {
    throw new Error('an ordered source is only read');
  }

  skip(): Promise<void> {
    throw new Error('an ordered source is only read');
  }

  readAt(): undefined {
    return undefined;
  }

  close(): void {
    this.inner.close();
  }
}

function damaged(source: ByteSource, received: string): AsrError {
  return new AsrError({
    code: 'ERR_AUDIO_DECODE',
    field: `the M4A ${source.name}`,
    expected: 'whole M4A data',
    received,
    remedy: 'The file is truncated or damaged: fetch it again, or repair it with ffmpeg.',
  });
}
