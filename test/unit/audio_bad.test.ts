import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterAll, describe, expect, it } from 'vitest';
import { AsrError, failure, fixture, wav } from './audio_support';

const folder = mkdtempSync(join(tmpdir(), 'audio-'));
afterAll(() => rmSync(folder, { recursive: true }));

function file(name: string, bytes: Buffer | string): string {
  writeFileSync(join(folder, name), bytes);
  return join(folder, name);
}

const pcm = { tag: 1, bits: 16, channels: 1, rateHz: 16000 };
const cut = (name: string, share: number) => {
  const bytes = readFileSync(fixture(name));
  return bytes.subarray(0, Math.floor(bytes.length * share));
};

const DECODE = [
  ['an empty file', () => file('empty.wav', ''), 'empty'],
  ['empty bytes', () => new Uint8Array(0), 'empty'],
  [
    'text renamed .wav',
    () => file('text.wav', 'This is no audio at all, only a sentence.'),
    'text beginning',
  ],
  [
    'random bytes',
    () => Buffer.from(Array.from({ length: 5000 }, (_, i) => (i * i * 31 + 7) % 251)),
    'FLAC, MP3',
  ],
  ['a truncated WAV', () => cut('reference.wav', 0.6), 'bytes of samples that its header promises'],
  ['a truncated WAV in a file', () => file('cut.wav', cut('reference.wav', 0.6)), 'bytes of samples'],
  ['a truncated FLAC', () => cut('speech.flac', 0.6), '22400'],
  ['a truncated MP3', () => cut('speech.mp3', 0.5), 'MP3'],
  ['a truncated Opus', () => cut('speech.opus', 0.7), 'page'],
  ['a truncated Vorbis', () => cut('speech.ogg', 0.7), 'page'],
  ['a truncated M4A', () => cut('speech.m4a', 0.7), 'mdat'],
  ['a FLAC of a header alone', () => cut('speech.flac', 0.001), 'header'],
  ['a WAV without data', () => cut('reference.wav', 0.0009), 'data chunk'],
  ['a compressed WAV', () => wav(Buffer.alloc(64), { ...pcm, tag: 17, bits: 4 }), '0x0011'],
  ['a WAV of no channels', () => wav(Buffer.alloc(64), { ...pcm, channels: 0 }), 'channel'],
  ['a WAV at 0 Hz', () => wav(Buffer.alloc(64), { ...pcm, rateHz: 0 }), '0 Hz'],
  ['NaN in a float WAV', () => wav(Buffer.alloc(64, 255), { ...pcm, tag: 3, bits: 32 }), 'NaN'],
] as const;

describe('damaged audio', () => {
  it.each(DECODE)('%s is ERR_AUDIO_DECODE', async (_, make, words) => {
    const { error } = await failure(make());
    expect(error).toBeInstanceOf(AsrError);
    expect(error.code).toBe('ERR_AUDIO_DECODE');
    expect(error.message).toContain(words);
  });

  it('gives what decodes of a truncated FLAC first', async () => {
    const { samples } = await failure(cut('speech.flac', 0.6));
    expect(samples).toBeGreaterThan(8000);
  });

  it('notices bytes broken in the middle of a FLAC', async () => {
    const bytes = readFileSync(fixture('speech.flac'));
    bytes.fill(0x55, 15000, 15400);
    const { error } = await failure(bytes);
    expect(error.code).toBe('ERR_AUDIO_DECODE');
  });

  it('names the file', async () => {
    const path = file('cut.flac', cut('speech.flac', 0.6));
    const { error } = await failure(path);
    expect(error.message).toContain(path);
  });
});

const detached = () => {
  const samples = new Float32Array(100);
  structuredClone(samples, { transfer: [samples.buffer] });
  return samples;
};

async function* wrongChunks() {
  yield [1, 2, 3];
}

const ARGUMENT = [
  ['no such file', () => join(folder, 'missing.wav'), {}, 'missing.wav'],
  ['a folder', () => folder, {}, 'folder'],
  ['an empty path', () => '', {}, 'path'],
  ['a path with a null byte', () => 'a\0b', {}, 'path'],
  ['a web address', () => new URL('https://localhost/a.wav'), {}, 'file: URL'],
  ['a web address as text', () => 'https://localhost/a.wav', {}, 'Fetch it first'],
  ['a blob', () => new Blob(['RIFF']), {}, 'arrayBuffer()'],
  ['a web stream of bytes', () => new Response('RIFF').body, {}, 'Readable.fromWeb(body)'],
  ['a stream of objects that are bytes', () => Readable.from([Buffer.from('RIFF')]), {}, 'objectMode: false'],
  ['a generator', () => (function* () {})(), {}, 'class Object'],
  ['undefined', () => undefined, {}, 'undefined'],
  ['null', () => null, {}, 'null'],
  ['a number', () => 7, {}, '7'],
  ['an array', () => [0, 0], {}, 'array'],
  ['chunks that are no samples', wrongChunks, {}, 'Float32Array'],
  ['NaN', () => Float32Array.of(0, 0, Number.NaN), {}, 'samples[2]'],
  ['infinity', () => Float32Array.of(0, Number.POSITIVE_INFINITY), {}, 'samples[1]'],
  ['NaN at another rate', () => Float32Array.of(0, Number.NaN), { sampleRateHz: 8000 }, 'samples[1]'],
  ['NaN far into the samples', () => new Float32Array(20001).fill(Number.NaN, 20000), {}, 'samples[20000]'],
  ['a detached buffer', detached, {}, 'detached'],
  ['a rate of 0', () => new Float32Array(9), { sampleRateHz: 0 }, 'sampleRateHz'],
  ['a negative rate', () => new Float32Array(9), { sampleRateHz: -16000 }, 'sampleRateHz'],
  ['a rate of NaN', () => new Float32Array(9), { sampleRateHz: Number.NaN }, 'sampleRateHz'],
  ['an absurd rate', () => new Float32Array(9), { sampleRateHz: 1e9 }, 'sampleRateHz'],
  ['a rate in words', () => new Float32Array(9), { sampleRateHz: '48000' }, 'sampleRateHz'],
  ['a signal that is none', () => new Float32Array(9), { signal: {} }, 'signal'],
] as const;

describe('bad arguments', () => {
  it.each(ARGUMENT)('%s is ERR_BAD_ARGUMENT', async (_, make, options, words) => {
    const { error } = await failure(make(), options as never);
    expect(error).toBeInstanceOf(AsrError);
    expect(error.code).toBe('ERR_BAD_ARGUMENT');
    expect(error.message).toContain(words);
  });
});
