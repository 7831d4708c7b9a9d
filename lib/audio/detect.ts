import { AsrError } from '../errors';
import type { ByteSource } from './byte_source';

export type AudioFormat = 'wav' | 'flac' | 'mp3' | 'opus' | 'vorbis' | 'aac' | 'm4a';

export const FORMATS = 'WAV, FLAC, MP3, Ogg Opus, Ogg Vorbis or AAC/M4A';

/** SOURCE: each format's own magic bytes. A file's extension is never looked at. Skips an ID3v2 tag in front. */
export async function detectFormat(source: ByteSource): Promise<AudioFormat> {
  if ((await source.peek(1)).length === 0) {
    throw decodeError(source, 'an empty file (0 bytes)', 'Check how the file was written.');
  }
  await skipId3(source);
  const head = await source.peek(16384);
  const format = formatOf(head);
  if (format !== undefined) return format;
  throw decodeError(
    source,
    describeHead(head),
    'Convert it first, for example: ffmpeg -i INPUT -ar 16000 -ac 1 out.wav. Raw PCM: createTransform(), or trt-asr stream --raw s16le.',
  );
}

function decodeError(source: ByteSource, received: string, remedy: string): AsrError {
  return new AsrError({
    code: 'ERR_AUDIO_DECODE',
    field: source.name,
    expected: `audio (${FORMATS})`,
    received,
    remedy,
  });
}

function formatOf(head: Uint8Array): AudioFormat | undefined {
  const riff = ascii(head, 0, 4);
  if ((riff === 'RIFF' || riff === 'RF64' || riff === 'BW64') && ascii(head, 8, 4) === 'WAVE') return 'wav';
  if (riff === 'fLaC') return 'flac';
  if (riff === 'OggS') return oggFormat(head);
  if (ascii(head, 4, 4) === 'ftyp') return 'm4a';
  if (adtsFrameBytes(head, 0) > 0) return 'aac';
  if (startsWithMp3(head)) return 'mp3';
  return undefined;
}

function oggFormat(head: Uint8Array): AudioFormat | undefined {
  const packet = 27 + (head[26] ?? 0);
  if (ascii(head, packet, 8) === 'OpusHead') return 'opus';
  if (ascii(head, packet, 7) === '\x01vorbis') return 'vorbis';
  if (ascii(head, packet, 5) === '\x7fFLAC') return 'flac';
  return undefined;
}

async function skipId3(source: ByteSource): Promise<void> {
  const head = await source.peek(10);
  if (head.length < 10 || ascii(head, 0, 3) !== 'ID3') return;
  const size = [6, 7, 8, 9].reduce((sum, index) => sum * 128 + ((head[index] as number) & 0x7f), 0);
  const footer = ((head[5] as number) & 0x10) !== 0 ? 10 : 0;
  await source.skip(10 + size + footer);
}

/** Two frame headers in a row, so that text or noise is not taken for MP3. Padding in front is allowed for. */
function startsWithMp3(head: Uint8Array): boolean {
  for (let at = 0; at + 4 <= head.length && at < 4096; at++) {
    const frame = mp3Frame(head, at);
    if (frame === undefined) continue;
    const next = at + frame.bytes;
    if (next + 4 > head.length ? at === 0 : mp3Frame(head, next) !== undefined) return true;
  }
  return false;
}

const MP3_RATES = [
  [11025, 12000, 8000],
  [0, 0, 0],
  [22050, 24000, 16000],
  [44100, 48000, 32000],
];
const MP3_KBPS_V1 = [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320];
const MP3_KBPS_V2 = [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160];

export interface Mp3Frame {
  bytes: number;
  samples: number;
  rateHz: number;
}

/** The header of a layer III frame at `at`. SOURCE: ISO/IEC 11172-3 2.4.1.3 and 13818-3. */
export function mp3Frame(bytes: Uint8Array, at: number): Mp3Frame | undefined {
  const [b0 = 0, b1 = 0, b2 = 0] = [bytes[at], bytes[at + 1], bytes[at + 2]];
  if (b0 !== 0xff || (b1 & 0xe0) !== 0xe0 || (b1 & 0x06) !== 0x02) return undefined;
  const version = (b1 >> 3) & 3;
  const rateHz = MP3_RATES[version]?.[(b2 >> 2) & 3] ?? 0;
  const kbps = (version === 3 ? MP3_KBPS_V1 : MP3_KBPS_V2)[b2 >> 4] ?? 0;
  if (rateHz === 0 || kbps === 0) return undefined;
  const samples = version === 3 ? 1152 : 576;
  return { bytes: Math.floor((samples * 125 * kbps) / rateHz) + ((b2 >> 1) & 1), samples, rateHz };
}

/** The length of an ADTS frame whose successor is there too, else 0. SOURCE: ISO/IEC 13818-7 6.2. */
function adtsFrameBytes(head: Uint8Array, at: number): number {
  const sync = (offset: number) => head[offset] === 0xff && ((head[offset + 1] ?? 0) & 0xf6) === 0xf0;
  if (!sync(at)) return 0;
  const bytes = (((head[at + 3] ?? 0) & 3) << 11) | ((head[at + 4] ?? 0) << 3) | ((head[at + 5] ?? 0) >> 5);
  return bytes > 7 && (at + bytes + 2 > head.length || sync(at + bytes)) ? bytes : 0;
}

export function ascii(bytes: Uint8Array, at: number, length: number): string {
  return String.fromCharCode(...bytes.subarray(at, at + length));
}

function describeHead(head: Uint8Array): string {
  const start = head.subarray(0, 16);
  const printable = start.every(
    (byte) => (byte >= 32 && byte < 127) || byte === 9 || byte === 10 || byte === 13,
  );
  if (printable) return `text beginning with ${JSON.stringify(ascii(start, 0, start.length))}`;
  return `bytes beginning with ${Buffer.from(start).toString('hex')}`;
}
