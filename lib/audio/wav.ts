import { AsrError } from '../errors';
import type { ByteSource } from './byte_source';
import { ascii } from './detect';
import { type PcmBlock, type PcmStream, RATE_HZ_MAX, RATE_HZ_MIN } from './protocol';

const UNKNOWN_SIZE = 0xffffffff;
const FRAMES_PER_BLOCK = 8192;
/** WHY: a header may claim 65,535 channels, and a block of frames must stay small all the same. */
const BLOCK_BYTES_MAX = 1 << 20;
/** SOURCE: what programs write that do not know the size yet: 0x7fffffff, 0x80000000 and 0xffffffff, some less a header or a block. */
const PLACEHOLDER_MIN = 0x7fff0000;
/** WHY: some writers count headers among the samples; what is missing beyond that is lost speech. */
const MISSING_BYTES_MAX = 4096;
/** WHY: a hostile header could otherwise make the loop over chunks endless. */
const HEADER_CHUNKS_MAX = 10000;

interface WavFormat {
  encoding: 'int' | 'float';
  bits: number;
  channels: number;
  rateHz: number;
  frameBytes: number;
}

/**
 * Reads a RIFF, RF64 or BW64 WAVE. Programs that write to a pipe leave 0, 0xFFFFFFFF or another large number as sizes in the header;
 * then the data goes on to the end of the file. Any other size is a promise, and a file that ends before it is damaged.
 */
export async function openWav(source: ByteSource): Promise<PcmStream> {
  const riff = await take(source, 12);
  let declared = u32(riff, 4);
  let dataBytes64: number | undefined;
  let format: WavFormat | undefined;
  for (let count = 0; count < HEADER_CHUNKS_MAX; count++) {
    const header = await source.peek(8);
    if (header.length < 8) break;
    await source.skip(8);
    const id = ascii(header, 0, 4);
    const size = u32(header, 4);
    if (id === 'data') {
      if (format === undefined) throw corrupt(source, 'a fmt chunk before the data chunk', 'none');
      if (size !== UNKNOWN_SIZE) dataBytes64 = undefined;
      return dataStream(source, format, dataBytes64 ?? size, declared);
    }
    if (id === 'fmt ') format = parseFormat(source, await source.peek(Math.min(size, 64)), size);
    if (id === 'ds64') {
      const sizes = await source.peek(Math.min(size, 16));
      if (sizes.length >= 16) {
        declared = u32(sizes, 0) + u32(sizes, 4) * 2 ** 32;
        dataBytes64 = u32(sizes, 8) + u32(sizes, 12) * 2 ** 32;
      }
    }
    // A chunk of odd size is followed by one byte of padding.
    await source.skip(size + (size & 1));
  }
  throw corrupt(
    source,
    'a data chunk',
    format === undefined ? 'no fmt and no data chunk' : 'the end of the file',
  );
}

function dataStream(source: ByteSource, format: WavFormat, dataBytes: number, riffBytes: number): PcmStream {
  const start = source.offset;
  // A size of zero is the truth only where the outer size says that other chunks follow.
  const unknown =
    dataBytes === UNKNOWN_SIZE || (dataBytes === 0 && (riffBytes === UNKNOWN_SIZE || riffBytes + 8 <= start));
  const claimed = unknown ? Number.POSITIVE_INFINITY : dataBytes;
  const present = source.size === undefined ? Number.POSITIVE_INFINITY : source.size - start;
  const bytes = Math.min(claimed, present);
  const promised = claimed < PLACEHOLDER_MIN ? claimed : 0;
  // Of a source without a size only the header speaks, and a placeholder in it is no length.
  const known = source.size !== undefined || claimed < PLACEHOLDER_MIN;
  const frames = Math.floor(bytes / format.frameBytes);
  return {
    durationMs: known ? (frames * 1000) / format.rateHz : undefined,
    blocks: wavBlocks(source, format, bytes, promised),
  };
}

async function* wavBlocks(
  source: ByteSource,
  format: WavFormat,
  bytes: number,
  promised: number,
): AsyncGenerator<PcmBlock> {
  const start = source.offset;
  const convert = converter(format);
  const framesMax = Math.max(1, Math.min(FRAMES_PER_BLOCK, Math.floor(BLOCK_BYTES_MAX / format.frameBytes)));
  const blockBytes = format.frameBytes * framesMax;
  for (let left = bytes; left >= format.frameBytes; ) {
    const data = await source.peek(Math.min(left, blockBytes));
    const frames = Math.floor(data.length / format.frameBytes);
    if (frames === 0) break;
    const view = new DataView(data.buffer, data.byteOffset, data.length);
    const channels: Float32Array[] = [];
    for (let channel = 0; channel < format.channels; channel++) {
      const samples = new Float32Array(frames);
      let at = (channel * format.bits) / 8;
      for (let frame = 0; frame < frames; frame++, at += format.frameBytes)
        samples[frame] = convert(view, at);
      channels.push(samples);
    }
    await source.skip(frames * format.frameBytes);
    left -= frames * format.frameBytes;
    yield { channels, rateHz: format.rateHz };
  }
  const read = source.offset - start;
  if (promised - read <= Math.max(MISSING_BYTES_MAX, format.frameBytes)) return;
  const remedy = 'The file is truncated: fetch it again, or repair it with ffmpeg.';
  throw corrupt(source, `the ${promised} bytes of samples that its header promises`, `${read}`, remedy);
}

function converter({ encoding, bits }: WavFormat): (view: DataView, at: number) => number {
  if (encoding === 'float') {
    return bits === 32 ? (view, at) => view.getFloat32(at, true) : (view, at) => view.getFloat64(at, true);
  }
  if (bits === 8) return (view, at) => (view.getUint8(at) - 128) / 128;
  if (bits === 16) return (view, at) => view.getInt16(at, true) / 32768;
  if (bits === 24) return (view, at) => (view.getInt16(at + 1, true) * 256 + view.getUint8(at)) / 8388608;
  return (view, at) => view.getInt32(at, true) / 2147483648;
}

function parseFormat(source: ByteSource, fmt: Uint8Array, size: number): WavFormat {
  if (fmt.length < 16)
    throw corrupt(source, 'a fmt chunk of 16 bytes or more', `${Math.min(size, fmt.length)} bytes`);
  let tag = u16(fmt, 0);
  const channels = u16(fmt, 2);
  const rateHz = u32(fmt, 4);
  const frameBytes = u16(fmt, 12);
  const bits = u16(fmt, 14);
  // WAVE_FORMAT_EXTENSIBLE carries the true tag in the first two bytes of its sub-format.
  if (tag === 0xfffe && fmt.length >= 26) tag = u16(fmt, 24);
  const widths = tag === 1 ? [8, 16, 24, 32] : tag === 3 ? [32, 64] : [];
  if (!widths.includes(bits)) {
    const received = `encoding 0x${tag.toString(16).padStart(4, '0')} with ${bits} bits`;
    throw corrupt(source, '8, 16, 24 or 32-bit integer or 32 or 64-bit float samples', received);
  }
  if (channels === 0) throw corrupt(source, 'one channel or more', '0');
  if (rateHz < RATE_HZ_MIN || rateHz > RATE_HZ_MAX) {
    throw corrupt(source, `a sample rate of ${RATE_HZ_MIN} to ${RATE_HZ_MAX} Hz`, `${rateHz} Hz`);
  }
  if (frameBytes !== (channels * bits) / 8) {
    throw corrupt(source, `${(channels * bits) / 8} bytes for each frame`, `${frameBytes}`);
  }
  return { encoding: tag === 3 ? 'float' : 'int', bits, channels, rateHz, frameBytes };
}

const CONVERT = 'Write the file again as PCM, for example: ffmpeg -i INPUT -ar 16000 -ac 1 out.wav';

function corrupt(source: ByteSource, expected: string, received: string, remedy = CONVERT): AsrError {
  return new AsrError({
    code: 'ERR_AUDIO_DECODE',
    field: `the WAV ${source.name}`,
    expected,
    received,
    remedy,
  });
}

async function take(source: ByteSource, bytes: number): Promise<Uint8Array> {
  const taken = (await source.peek(bytes)).slice();
  await source.skip(bytes);
  return taken;
}

function u16(bytes: Uint8Array, at: number): number {
  return (bytes[at] as number) | ((bytes[at + 1] as number) << 8);
}

function u32(bytes: Uint8Array, at: number): number {
  return u16(bytes, at) + u16(bytes, at + 2) * 65536;
}
