// What sessions can be like, and what is refused.
import { createRequire } from 'node:module';
import * as path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { fixtures } from './golden';
import { Recognizer as Asr, asrFailure, type Recognizer, thrown } from './session_support';

let asr: Recognizer;
beforeAll(async () => {
  asr = await Asr.open({ model: 'demo-en' });
});
afterAll(() => asr.close());

describe('openSession refuses', () => {
  test.each([
    ['options that are none', null, 'options'],
    ['a misspelled option', { timestamp: 'word' }, 'options.timestamp'],
    ['a wrong choice', { timestamps: 'words' }, 'options.timestamps'],
    ['half a Hertz', { sampleRateHz: 44100.5 }, 'options.sampleRateHz'],
    ['a rate below all', { sampleRateHz: 100 }, 'options.sampleRateHz'],
    ['no signal', { signal: {} }, 'options.signal'],
    ['a transcript that is no flag', { transcript: 1 }, 'options.transcript'],
    ['a misspelled rule', { endpoint: { silence: 5 } }, 'options.endpoint.silence'],
    ['rules that are none', { endpoint: 5 }, 'options.endpoint'],
    ['no silence', { endpoint: { silenceMs: 0 } }, 'options.endpoint.silenceMs'],
    ['a silence that is no number', { endpoint: { silenceMs: Number.NaN } }, 'options.endpoint.silenceMs'],
    ['endless utterances', { endpoint: { maxUtteranceMs: 1e9 } }, 'options.endpoint.maxUtteranceMs'],
    ['rules of another mode', { endpoint: { threshold: 0.5 } }, 'options.endpoint.threshold'],
  ])('%s', (_, options, field) => {
    const error = thrown(() => asr.openSession(options as never));
    expect(error).toMatchObject({ code: 'ERR_BAD_ARGUMENT', field });
    expect(error.message).toContain('xpected');
  });
});

describe('Recognizer.open', () => {
  test('tells what sessions are like', () => {
    expect(asr.sessions).toEqual({ mode: 'buffered', leftMs: 10_000, chunkMs: 2000, rightMs: 2000 });
  });

  test.each([
    ['options that are none', 5, 'options.sessions'],
    ['a misspelled option', { left: 5 }, 'options.sessions.left'],
    ['a mode that is none', { mode: 'online' }, 'options.sessions.mode'],
    ['a mode the model has not', { mode: 'cache-aware' }, 'options.sessions.mode'],
    ['half a frame', { chunkMs: 1000 }, 'options.sessions.chunkMs'],
    ['no chunk', { chunkMs: 0 }, 'options.sessions.chunkMs'],
    [
      'more than a window',
      { leftMs: 20_000, chunkMs: 10_000 },
      'options.sessions.leftMs + chunkMs + rightMs',
    ],
    ['a context of another mode', { mode: 'segment', leftMs: 80 }, 'options.sessions.leftMs'],
    ['a detector of another mode', { vad: 'energy' }, 'options.sessions.vad'],
    ['a detector that is none', { mode: 'segment', vad: 'webrtc' }, 'options.sessions.vad'],
    ['a detector without its file', { mode: 'segment', vad: {} }, 'options.sessions.vad.silero'],
  ])('refuses %s', async (_, sessions, field) => {
    const error = await asrFailure(Asr.open({ model: 'demo-en', sessions: sessions as never }));
    expect(error).toMatchObject({ code: 'ERR_BAD_ARGUMENT', field });
  });

  test('names the nearest multiple of a frame', async () => {
    const error = await asrFailure(Asr.open({ model: 'demo-en', sessions: { chunkMs: 950 } }));
    expect(error.message).toContain('The nearest is 960.');
  });

  test.each([
    ['batchMax', 0],
    ['batchMax', 65],
    ['batchWaitMs', -1],
    ['batchWaitMs', 1.5],
  ])('refuses %s: %d', async (key, value) => {
    const error = await asrFailure(Asr.open({ model: 'demo-en', [key]: value }));
    expect(error).toMatchObject({ code: 'ERR_BAD_ARGUMENT', field: `options.${key}` });
  });

  test('refuses a detector whose file is not there', async () => {
    const sessions = { mode: 'segment', vad: { silero: '/no/such.onnx' } } as const;
    const error = await asrFailure(Asr.open({ model: 'demo-en', sessions }));
    expect(error.code).toBe('ERR_MODEL_NOT_FOUND');
  });
});

describe('what is left open is settled', () => {
  const load = createRequire(import.meta.url);
  const { settleSessions, settleBatch, nativeLive } = load(
    '../../dist/session/config.js',
  ) as typeof import('../../dist/session/config');
  const features = { hopSamples: 160, sampleRateHz: 16000 };
  const model = (more: { streams?: boolean; offline?: boolean; framesMax?: number }) => {
    const { streams = false, offline = true, framesMax = 5000 } = more;
    const encoder = { subsampling: 8, framesMax, causalSubsampling: streams };
    return {
      files: { vocab: 'v', ...(offline ? { encoder: 'e' } : {}), ...(streams ? { streaming: 's' } : {}) },
      contract: { features, encoder, ...(streams ? { streaming: {} } : {}) },
    } as never;
  };
  const settle = (options: object, more: object) => settleSessions('sessions', options, model(more)).mode;

  test.each([
    [{}, {}, 'buffered'],
    [{}, { streams: true }, 'cache-aware'],
    [{ mode: 'auto' }, { streams: true, offline: false }, 'cache-aware'],
    [{ leftMs: 800 }, { streams: true }, 'buffered'],
    [{ mode: 'segment' }, { streams: true }, 'segment'],
  ])('%o of %o: %s', (options, more, mode) => {
    expect(settle(options, more)).toBe(mode);
  });

  test.each([
    [{ mode: 'cache-aware' }, {}],
    [{ mode: 'buffered' }, { streams: true, offline: false }],
    [{ mode: 'segment' }, { streams: true, offline: false }],
  ])('not %o of %o', (options, more) => {
    const error = thrown(() => settle(options, more));
    expect(error).toMatchObject({ code: 'ERR_BAD_ARGUMENT', field: 'sessions.mode' });
  });

  test('the context fits models of short windows', () => {
    const short = model({ framesMax: 70 }) as Parameters<typeof settleSessions>[2];
    const choice = settleSessions('sessions', {}, short);
    expect(choice).toEqual({ mode: 'buffered', leftMs: 4000, chunkMs: 800, rightMs: 800 });
    expect(nativeLive(choice, short.contract)).toEqual({
      mode: 'buffered',
      leftFrames: 50,
      chunkFrames: 10,
      rightFrames: 10,
    });
    const error = thrown(() => settleSessions('sessions', { leftMs: 4080 }, short));
    expect(error.message).toContain('5600 ms');
  });

  test.each([
    [undefined, { mode: 'buffered', quantized: false, sessionsMax: 64, gpuRows: undefined }, 1],
    [undefined, { mode: 'cache-aware', quantized: false, sessionsMax: 64, gpuRows: undefined }, 8],
    [undefined, { mode: 'cache-aware', quantized: false, sessionsMax: 3, gpuRows: undefined }, 3],
    [undefined, { mode: 'cache-aware', quantized: true, sessionsMax: 64, gpuRows: undefined }, 1],
    [undefined, { mode: 'buffered', quantized: false, sessionsMax: 64, gpuRows: 4 }, 4],
    [16, { mode: 'buffered', quantized: false, sessionsMax: 64, gpuRows: undefined }, 16],
    [1, { mode: 'buffered', quantized: true, sessionsMax: 64, gpuRows: undefined }, 1],
  ] as const)('a batch of %s under %o is %i', (asked, conditions, wanted) => {
    expect(settleBatch('batchMax', asked, conditions)).toBe(wanted);
  });

  test('a batch of an int8 model is refused', async () => {
    const folder = path.join(fixtures, 'models', 'tiny-nemo');
    const error = await asrFailure(Asr.open({ model: folder, precision: 'int8', batchMax: 2 }));
    expect(error).toMatchObject({ code: 'ERR_BAD_ARGUMENT', field: 'options.batchMax' });
  });
});
