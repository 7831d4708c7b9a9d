import { createReadStream, readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { describe, expect, it } from 'vitest';
import { correlation, decode, fixture, openAudio, u32, wav } from './audio_support';

const SAMPLES = 22400;

const LOSSY = [
  ['speech.mp3', 0, 0],
  ['speech.opus', 0, 1],
  ['speech.ogg', 0, 0],
  ['speech.m4a', 0, 0],
  ['moov_last.m4a', 0, 0],
  // A bare ADTS stream does not say how long the encoder's delay is: one frame stays less what the decoder swallows.
  ['speech.aac', 1024, 481],
] as const;

const DURATION = ['reference.wav', 'speech.flac', 'speech.mp3', 'speech.opus', 'speech.ogg', 'speech.m4a'];

describe('formats', () => {
  it('reads a WAV to the bit', async () => {
    const file = readFileSync(fixture('reference.wav'));
    const decoded = await decode(fixture('reference.wav'));
    const wrong = decoded.findIndex((sample, i) => sample !== file.readInt16LE(44 + 2 * i) / 32768);
    expect(decoded.length).toBe(SAMPLES);
    expect(wrong).toBe(-1);
  });

  it('reads a FLAC within one step of 16 bits', async () => {
    const decoded = await decode(fixture('speech.flac'));
    const reference = await decode(fixture('reference.wav'));
    const wrong = decoded.findIndex((sample, i) => Math.abs(sample - (reference[i] as number)) > 1 / 32767);
    expect(decoded.length).toBe(SAMPLES);
    expect(wrong).toBe(-1);
  });

  it.each(LOSSY)('%s: right length, right place, right sound', async (name, extraMax, lag) => {
    const decoded = await decode(fixture(name));
    const reference = await decode(fixture('reference.wav'));
    expect(decoded.length).toBeGreaterThanOrEqual(SAMPLES - 1);
    expect(decoded.length).toBeLessThanOrEqual(SAMPLES + 1 + extraMax);
    const later = lag > 1 ? correlation(reference, decoded, lag) : correlation(decoded, reference, lag);
    expect(later).toBeGreaterThan(0.99);
  });

  it.each(DURATION)('%s: the length is known before it is decoded', async (name) => {
    const input = await openAudio(fixture(name));
    await input.close();
    expect(input.durationMs).toBeCloseTo(1400, 0);
  });

  it.each([
    'reference.wav',
    'speech.flac',
    'speech.mp3',
    'speech.opus',
    'speech.ogg',
    'speech.m4a',
    'moov_last.m4a',
  ])('%s: a path, a URL, bytes and a stream give the same samples', async (name) => {
    const fromPath = await decode(fixture(name));
    const url = pathToFileURL(fixture(name));
    const fromUrl = await decode(url);
    expect(await decode(url.href)).toEqual(fromUrl);
    const fromBytes = await decode(readFileSync(fixture(name)));
    const fromStream = await decode(createReadStream(fixture(name), { highWaterMark: 777 }));
    expect(fromUrl).toEqual(fromPath);
    expect(fromBytes).toEqual(fromPath);
    expect(fromStream).toEqual(fromPath);
  });
});

const RAMP = [-1, -0.5, 0, 0.25, 0.75];

function samplesAs(tag: number, bits: number): Buffer {
  const bytes = Buffer.alloc((RAMP.length * bits) / 8);
  RAMP.forEach((value, i) => {
    if (tag === 3 && bits === 32) bytes.writeFloatLE(value, 4 * i);
    else if (tag === 3) bytes.writeDoubleLE(value, 8 * i);
    else if (bits === 8) bytes.writeUInt8(128 + value * 128, i);
    else bytes.writeIntLE(value * 2 ** (bits - 1), (i * bits) / 8, bits / 8);
  });
  return bytes;
}

const SHAPES = [8, 16, 24, 32]
  .map((bits) => [1, bits] as const)
  .concat([32, 64].map((bits) => [3, bits] as const) as never);

describe('WAV', () => {
  it.each(SHAPES)('encoding %i with %i bits, plain and extensible', async (tag, bits) => {
    const shape = { tag, bits, channels: 1, rateHz: 16000 };
    const plain = await decode(wav(samplesAs(tag, bits), shape));
    const extensible = await decode(wav(samplesAs(tag, bits), { ...shape, extensible: true }));
    expect([...plain]).toEqual(RAMP);
    expect([...extensible]).toEqual(RAMP);
  });

  it('averages any number of channels', async () => {
    const data = Buffer.alloc(2 * 5 * 2);
    [100, 200, 300, 400, 500, -100, 0, 0, 0, 0].forEach((value, i) => {
      data.writeInt16LE(value * 32, 2 * i);
    });
    const decoded = await decode(wav(data, { tag: 1, bits: 16, channels: 5, rateHz: 16000 }));
    expect(decoded[0]).toBeCloseTo((300 * 32) / 32768, 6);
    expect(decoded[1]).toBeCloseTo((-20 * 32) / 32768, 6);
  });

  const pcm = { tag: 1, bits: 16, channels: 1, rateHz: 16000 };
  const LIES = [
    ['zero sizes', { riffBytes: 0, dataBytes: 0 }],
    ['sizes of 0xFFFFFFFF', { riffBytes: 0xffffffff, dataBytes: 0xffffffff }],
    ['a header of an empty file', { riffBytes: 36, dataBytes: 0 }],
    ['a claim of 3 GB', { riffBytes: 3e9 + 36, dataBytes: 3e9 }],
  ] as const;
  it.each(LIES)('reads to the end of the file behind %s', async (_, lie) => {
    const decoded = await decode(wav(samplesAs(1, 16), { ...pcm, ...lie }));
    expect([...decoded]).toEqual(RAMP);
  });

  it('steps over chunks of odd size and ignores what follows the data', async () => {
    const odd = Buffer.concat([Buffer.from('LIST'), u32(3), Buffer.from('abc\0')]);
    const decoded = await decode(wav(samplesAs(1, 16), { ...pcm, before: odd, after: odd }));
    expect([...decoded]).toEqual(RAMP);
  });

  it('leaves a half sample at the end alone', async () => {
    const decoded = await decode(
      Buffer.concat([wav(samplesAs(1, 16), { ...pcm, dataBytes: 999 }), Buffer.from([1])]),
    );
    expect([...decoded]).toEqual(RAMP);
  });

  it('gives no chunks for a WAV without samples, also with chunks behind', async () => {
    const after = Buffer.concat([Buffer.from('LIST'), u32(4), Buffer.from('abcd')]);
    const empty = await decode(wav(Buffer.alloc(0), pcm));
    const emptyThenList = await decode(wav(Buffer.alloc(0), { ...pcm, after }));
    expect(empty.length).toBe(0);
    expect(emptyThenList.length).toBe(0);
  });
});
