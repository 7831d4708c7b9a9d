import { AsrError } from '../errors';
import type { ByteSource } from './byte_source';
import { ascii, type Mp3Frame, mp3Frame } from './detect';
import { faststart, mp4DurationMs } from './mp4';
import { OggPages, oggDurationMs } from './ogg';
import type { PcmBlock, PcmStream } from './protocol';

/** What the decoders of the @audio family have in common; `errors` is there where the library underneath reports them. */
interface Decoder {
  decode(bytes: Uint8Array): Decoded;
  flush?(): Decoded;
  free(): void;
}

interface Decoded {
  channelData: readonly Float32Array[];
  sampleRate: number;
  errors?: readonly { message: string }[];
}

/** Says what is wrong at the end of a stream that decoded to `frames` samples a channel, or nothing. */
type EndCheck = (frames: number) => string | undefined;

export async function openFlac(source: ByteSource): Promise<PcmStream> {
  const { decoder } = await import('@audio/decode-flac');
  const head = await source.peek(42);
  if (ascii(head, 0, 4) !== 'fLaC') {
    const pages = new OggPages();
    return stream(
      source,
      'FLAC',
      await decoder(),
      undefined,
      () => pages.problem(),
      (bytes) => pages.push(bytes),
    );
  }
  if (head.length < 42) throw decodeError(source, 'FLAC', 'a file that ends within its header');
  const view = new DataView(head.buffer, head.byteOffset, head.length);
  const rateHz = view.getUint32(18) >>> 12;
  const total = (view.getUint8(21) & 15) * 2 ** 32 + view.getUint32(22);
  const durationMs = total > 0 && rateHz > 0 ? (total * 1000) / rateHz : undefined;
  const check: EndCheck = (frames) =>
    total > 0 && frames !== total ? `${frames} of the ${total} samples its header promises` : undefined;
  return stream(source, 'FLAC', await decoder(), durationMs, check);
}

export async function openMp3(source: ByteSource): Promise<PcmStream> {
  const { decoder } = await import('@audio/decode-mp3');
  const info = mp3Info(await source.peek(16384));
  const samples = info === undefined ? 0 : info.frames * info.samplesPerFrame - info.trimmedSamples;
  const durationMs = info && (samples * 1000) / info.rateHz;
  const check: EndCheck = (frames) => {
    // The decoder may keep the last frame back, so one frame of either kind is no loss.
    const short = info !== undefined && frames < samples - 2 * info.samplesPerFrame;
    return short ? `${frames} of the ${samples} samples its header promises` : undefined;
  };
  return stream(source, 'MP3', await decoder(), durationMs, check);
}

interface Mp3Info {
  frames: number;
  /** Encoder delay and padding, which the decoder cuts off. */
  trimmedSamples: number;
  samplesPerFrame: number;
  rateHz: number;
}

/** Frames at 8; the encoder's delay and padding, 12 bits each, where a LAME tag with all four optional fields puts them. */
function xingInfo(tag: DataView, frame: Mp3Frame): Mp3Info | undefined {
  const flags = tag.getUint32(4);
  if ((flags & 1) === 0) return undefined;
  const gap = (flags & 15) === 15 ? tag.getUint32(140) & 0xffffff : 0;
  const trimmedSamples = (gap >> 12) + (gap & 0xfff);
  return { frames: tag.getUint32(8), trimmedSamples, samplesPerFrame: frame.samples, rateHz: frame.rateHz };
}

/** The frame count in the Xing or Info header of the first frame, if an encoder wrote one. */
function mp3Info(head: Uint8Array): Mp3Info | undefined {
  for (let at = 0; at + 240 < head.length && at < 4096; at++) {
    const frame = mp3Frame(head, at);
    if (frame === undefined) continue;
    // Side information is 9, 17 or 32 bytes long, and two more with a checksum.
    for (const offset of [4 + 9, 4 + 17, 4 + 32, 6 + 9, 6 + 17, 6 + 32]) {
      const tag = ascii(head, at + offset, 4);
      if (tag !== 'Xing' && tag !== 'Info') continue;
      return xingInfo(new DataView(head.buffer, head.byteOffset + at + offset, 160), frame);
    }
    return undefined;
  }
  return undefined;
}

export async function openOpus(source: ByteSource): Promise<PcmStream> {
  const { default: _, decoder } = await import('@audio/decode-opus');
  const pages = new OggPages();
  const durationMs = await oggDurationMs(source);
  return stream(
    source,
    'Ogg Opus',
    await decoder(),
    durationMs,
    () => pages.problem(),
    (bytes) => pages.push(bytes),
  );
}

export async function openVorbis(source: ByteSource): Promise<PcmStream> {
  const { decoder } = await import('@audio/decode-vorbis');
  const pages = new OggPages();
  const durationMs = await oggDurationMs(source);
  return stream(
    source,
    'Ogg Vorbis',
    await decoder(),
    durationMs,
    () => pages.problem(),
    (bytes) => pages.push(bytes),
  );
}

/** AAC needs a package the user installs: its decoder is GPL-2.0, so this one does not depend on it. */
export async function openAac(source: ByteSource, container: 'aac' | 'm4a'): Promise<PcmStream> {
  const open = await aacDecoder(source);
  if (container === 'aac') return stream(source, 'AAC', await open(), undefined, () => undefined);
  const ordered = await faststart(source);
  return stream(ordered, 'M4A', await open(), await mp4DurationMs(ordered), () => undefined);
}

async function aacDecoder(source: ByteSource): Promise<() => Promise<Decoder>> {
  try {
    return (await import('@audio/decode-aac')).decoder;
  } catch (cause) {
    throw new AsrError({
      code: 'ERR_AUDIO_DECODE',
      field: source.name,
      expected: 'the optional package @audio/decode-aac, which decodes AAC and M4A,',
      received: 'no such package',
      remedy:
        'Install it (npm install @audio/decode-aac, licence GPL-2.0) or convert the file to WAV, FLAC, MP3 or Opus.',
      cause,
    });
  }
}

function stream(
  source: ByteSource,
  format: string,
  decoder: Decoder,
  durationMs: number | undefined,
  check: EndCheck,
  watch?: (bytes: Uint8Array) => void,
): PcmStream {
  return { durationMs, blocks: blocks(source, format, decoder, check, watch) };
}

/** What decodes is handed on; then a corrupt or missing part is an error, so that nothing is lost in silence. */
async function* blocks(
  source: ByteSource,
  format: string,
  decoder: Decoder,
  check: EndCheck,
  watch: ((bytes: Uint8Array) => void) | undefined,
): AsyncGenerator<PcmBlock> {
  let frames = 0;
  let problem: string | undefined;
  const turn = (decode: () => Decoded): PcmBlock | undefined => {
    const decoded = guarded(source, format, decode);
    problem ??= decoded.errors?.[0]?.message;
    const length = decoded.channelData[0]?.length ?? 0;
    if (length === 0) return undefined;
    frames += length;
    return { channels: [...decoded.channelData], rateHz: decoded.sampleRate };
  };
  try {
    for (let bytes = await source.read(); bytes.length > 0; bytes = await source.read()) {
      watch?.(bytes);
      const block = turn(() => decoder.decode(bytes));
      if (block !== undefined) yield block;
    }
    const rest = turn(() => decoder.flush?.() ?? { channelData: [], sampleRate: 0 });
    if (rest !== undefined) yield rest;
    problem ??= check(frames);
    if (problem === undefined && frames === 0) problem = 'no audio';
    if (problem !== undefined) throw decodeError(source, format, problem);
  } finally {
    decoder.free();
  }
}

function guarded(source: ByteSource, format: string, decode: () => Decoded): Decoded {
  try {
    return decode();
  } catch (cause) {
    throw decodeError(source, format, cause instanceof Error ? cause.message : String(cause), cause);
  }
}

function decodeError(source: ByteSource, format: string, received: string, cause?: unknown): AsrError {
  return new AsrError({
    code: 'ERR_AUDIO_DECODE',
    field: `the ${format} ${source.name}`,
    expected: `whole ${format} data`,
    received,
    remedy: 'The file is truncated or damaged: fetch it again, or repair it with ffmpeg.',
    cause,
  });
}
