import { once } from 'node:events';
import {
  closeSync,
  copyFileSync,
  ftruncateSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { PassThrough } from 'node:stream';
import { afterAll, describe, expect, it } from 'vitest';
import { db, decode, fixture, level, openAudio, openFiles, tone, wav } from './audio_support';

const folder = mkdtempSync(join(tmpdir(), 'audio-'));
afterAll(() => rmSync(folder, { recursive: true }));

async function* cut(samples: Float32Array, lengths: number[]): AsyncGenerator<Float32Array> {
  for (let at = 0, i = 0; at < samples.length; i++) {
    const length = lengths[i % lengths.length] as number;
    yield samples.slice(at, at + length);
    at += length;
  }
}

describe('a stream of bytes that stalls', () => {
  it('is destroyed by close, so that its socket does not stay open', async () => {
    const stream = new PassThrough();
    stream.write(readFileSync(fixture('reference.wav')).subarray(0, 20000));
    const input = await openAudio(stream);
    await input.close();
    expect(stream.destroyed).toBe(true);
  });
});

describe('samples', () => {
  it.each([
    0, 1, 159, 7999, 8000, 8001, 16001,
  ])('%i samples at 16 kHz come back as they are', async (length) => {
    const samples = tone(16000, length, 440);
    const decoded = await decode(samples);
    const fromChunks = await decode(cut(samples, [1, 0, 700, 33]));
    expect(decoded).toEqual(samples);
    expect(fromChunks).toEqual(samples);
  });

  it('scales Int16Array by 32768', async () => {
    const samples = Int16Array.of(-32768, 0, 16384);
    expect([...(await decode(samples))]).toEqual([-1, 0, 0.5]);
    async function* chunks() {
      yield samples;
    }
    expect([...(await decode(chunks()))]).toEqual([-1, 0, 0.5]);
  });

  it('leaves the memory of the caller alone', async () => {
    const samples = tone(48000, 5000, 440);
    await decode(samples, { sampleRateHz: 48000 });
    expect(samples.length).toBe(5000);
  });
});

const RATES = [1000, 8000, 11025, 44100, 48000, 192000, 768000];

describe('resampling', () => {
  it.each(RATES)('%i Hz: the length is right for ragged lengths', async (rateHz) => {
    for (const length of [0, 1, 441, 4096, rateHz + 1]) {
      const decoded = await decode(new Float32Array(length), { sampleRateHz: rateHz });
      expect(decoded.length).toBe(Math.round((length * 16000) / rateHz));
    }
  });

  it.each([
    8000, 44100, 48000,
  ])('%i Hz: a tone of 1 kHz keeps its level within 0.1 dB and its place', async (rateHz) => {
    const decoded = await decode(tone(rateHz, rateHz, 1000), { sampleRateHz: rateHz });
    const expected = tone(16000, 16000, 1000);
    const difference = decoded.map((sample, i) => sample - (expected[i] as number));
    expect(Math.abs(db(level(decoded) / level(expected)))).toBeLessThan(0.1);
    expect(db(level(difference) / level(expected))).toBeLessThan(-60);
  });

  it.each([44100, 48000])('%i Hz: what lies above 8 kHz is 60 dB down', async (rateHz) => {
    for (const frequencyHz of [9000, 12000, 15000]) {
      const decoded = await decode(tone(rateHz, rateHz, frequencyHz), { sampleRateHz: rateHz });
      expect(db(level(decoded) / (0.5 * Math.SQRT1_2))).toBeLessThan(-60);
    }
  });

  it.each([8000, 44100, 48000])('%i Hz: how the input is cut does not matter', async (rateHz) => {
    const samples = tone(rateHz, 20011, 700);
    const whole = await decode(samples, { sampleRateHz: rateHz });
    for (const lengths of [[160], [1, 9999, 2], [4096], [7, 0, 5000]]) {
      expect(await decode(cut(samples, lengths), { sampleRateHz: rateHz })).toEqual(whole);
    }
  });
});

describe('abort', () => {
  const reason = new Error('enough');

  it('before the start', async () => {
    await expect(openAudio(fixture('speech.mp3'), { signal: AbortSignal.abort(reason) })).rejects.toBe(
      reason,
    );
  });

  it('while it is opened', async () => {
    const controller = new AbortController();
    const opening = openAudio(fixture('speech.mp3'), { signal: controller.signal });
    controller.abort(reason);
    await expect(opening).rejects.toBe(reason);
  });

  it.each(['file', 'samples', 'resampled'])('between two chunks of %s', async (kind) => {
    const controller = new AbortController();
    const source = kind === 'file' ? fixture('reference.wav') : new Float32Array(100000);
    const sampleRateHz = kind === 'resampled' ? 48000 : 16000;
    const { chunks } = await openAudio(source, { signal: controller.signal, sampleRateHz });
    await chunks.next();
    controller.abort(reason);
    await expect(chunks.next()).rejects.toBe(reason);
    expect((await chunks.next()).done).toBe(true);
  });

  it.each([16000, 48000])('while a source at %i Hz waits for samples', async (sampleRateHz) => {
    const controller = new AbortController();
    const silent = new PassThrough({ objectMode: true });
    const { chunks } = await openAudio(silent, { signal: controller.signal, sampleRateHz });
    const pending = chunks.next();
    setTimeout(() => controller.abort(reason), 50);
    await expect(pending).rejects.toBe(reason);
    silent.destroy();
  });

  it('while a stream has not sent its header', async () => {
    const controller = new AbortController();
    const silent = new PassThrough();
    setTimeout(() => controller.abort(reason), 50);
    await expect(openAudio(silent, { signal: controller.signal })).rejects.toBe(reason);
    silent.destroy();
  });

  it('after the end changes nothing', async () => {
    const controller = new AbortController();
    const decoded = await decode(fixture('speech.flac'), { signal: controller.signal });
    controller.abort(reason);
    expect(decoded.length).toBe(22400);
  });
});

describe('resources', () => {
  it('passes on the error of a source', async () => {
    const broken = new PassThrough();
    const decoding = decode(broken);
    broken.destroy(new Error('the line went dead'));
    await expect(decoding).rejects.toThrow('the line went dead');
  });

  it.each(['break', 'close', 'abort', 'end'])('%s closes the file', async (how) => {
    const path = join(folder, `${how}.wav`);
    copyFileSync(fixture('reference.wav'), path);
    const fd = openSync(path, 'r+');
    if (how !== 'end') ftruncateSync(fd, 44 + 2 * 16000 * 600);
    closeSync(fd);
    const controller = new AbortController();
    const input = await openAudio(path, { signal: controller.signal });
    // Ten minutes are not held: while the first chunk is here, the file is open.
    let open = 0;
    for await (const _ of input.chunks) {
      open = Math.max(open, openFiles(path));
      if (how === 'break') break;
      if (how === 'close') await input.close();
      if (how === 'abort') break;
    }
    controller.abort();
    await input.close();
    expect(how === 'end' || open === 1).toBe(true);
    expect(openFiles(path)).toBe(0);
  });

  it('decodes many inputs at once', async () => {
    const names = ['speech.flac', 'speech.mp3', 'speech.opus', 'reference.wav', 'speech.ogg', 'speech.m4a'];
    const lengths = await Promise.all(
      [...names, ...names].map(async (name) => (await decode(fixture(name))).length),
    );
    expect(lengths.every((length) => length === 22400)).toBe(true);
  });

  it('holds a bounded part of half an hour of stereo, and the event loop goes on', async () => {
    const frames = 16000 * 60 * 30;
    const path = join(folder, 'long.wav');
    const head = wav(Buffer.alloc(0), {
      tag: 1,
      bits: 16,
      channels: 2,
      rateHz: 16000,
      dataBytes: frames * 4,
    });
    const fd = openSync(path, 'w');
    writeSync(fd, head);
    ftruncateSync(fd, head.length + frames * 4);
    closeSync(fd);
    const input = await openAudio(path);
    const before = process.memoryUsage().rss;
    const delay = monitorEventLoopDelay({ resolution: 1 });
    delay.enable();
    let [samples, rssMax] = [0, 0];
    for await (const chunk of input.chunks) {
      samples += chunk.length;
      rssMax = Math.max(rssMax, process.memoryUsage.rss());
    }
    delay.disable();
    console.log(
      `event loop delay p99 ${(delay.percentile(99) / 1e6).toFixed(1)} ms, RSS +${(rssMax - before) >> 20} MB`,
    );
    expect(input.durationMs).toBe(1800000);
    expect(samples).toBe(frames);
    expect(rssMax - before).toBeLessThan(100 << 20);
  });

  it('reads no further than a few chunks ahead of a slow reader', async () => {
    let asked = 0;
    async function* endless() {
      for (;;) {
        asked++;
        yield new Float32Array(8000);
      }
    }
    const input = await openAudio(endless(), { sampleRateHz: 8000 });
    await input.chunks.next();
    await new Promise((resolve) => setTimeout(resolve, 500));
    await input.close();
    expect(asked).toBeLessThan(12);
  });

  it('does not keep the process alive with an input nobody reads', async () => {
    const { spawn } = await import('node:child_process');
    const script = `require('./dist/audio.js').openAudio(${JSON.stringify(fixture('reference.wav'))})`;
    const child = spawn(process.execPath, ['-e', script], {
      cwd: join(__dirname, '..', '..'),
      timeout: 20000,
    });
    const [code] = await once(child, 'exit');
    expect(code).toBe(0);
  });
});
