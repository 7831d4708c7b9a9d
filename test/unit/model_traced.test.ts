import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { fixtures, type GoldenClip, GoldenSet } from './golden';
import { asrFailure, Recognizer } from './session_support';

// As the command line loads it: one copy of each module.
const load = createRequire(import.meta.url);
const { checkFolder } = load(
  '../../dist/model/contract_check.js',
) as typeof import('../../dist/model/contract_check');
const { resolveModel } = load('../../dist/model.js') as typeof import('../../dist/model');

/** What sherpa-onnx's export scripts write into the metadata of a graph with these numbers. */
function metadata(window: number, shift: number, layers: number): Record<string, string> {
  return {
    vocab_size: '56',
    window_size: String(window),
    chunk_shift: String(shift),
    normalize_type: '',
    cache_last_channel_dim1: String(layers),
    cache_last_channel_dim2: '70',
    cache_last_channel_dim3: '16',
    cache_last_time_dim1: String(layers),
    cache_last_time_dim2: '16',
    cache_last_time_dim3: '8',
    pred_rnn_layers: '1',
    pred_hidden: '16',
    subsampling_factor: '8',
    model_type: 'EncDecHybridRNNTCTCBPEModel',
  };
}

/** A protobuf field of fewer than 128 bytes. */
function field(number: number, content: Buffer | string): Buffer {
  const bytes = Buffer.from(content);
  expect(bytes.length).toBeLessThan(128);
  return Buffer.concat([Buffer.from([(number << 3) | 2, bytes.length]), bytes]);
}

/** ModelProto.metadata_props is field 14, and fields may stand in any order. */
const withMetadata = (graph: Buffer, values: Record<string, string>) =>
  Buffer.concat([
    graph,
    ...Object.entries(values).map(([key, value]) =>
      field(14, Buffer.concat([field(1, key), field(2, value)])),
    ),
  ]);

let scratch: string;
beforeAll(async () => {
  scratch = await mkdtemp(path.join(tmpdir(), 'trt-asr-traced-'));
});
afterAll(() => rm(scratch, { recursive: true, force: true }));

let folders = 0;
/** A folder of the fixtures' files under other names; the first one is the encoder, which gets the metadata. */
async function folder(
  files: Record<string, string>,
  values: Record<string, string> = {},
  config?: object,
): Promise<string> {
  const dir = path.join(scratch, String(folders++));
  await mkdir(dir);
  const source = (name: string) => path.join(fixtures, 'models', 'traced', name);
  const [encoder, ...others] = Object.entries(files);
  if (encoder === undefined) throw new Error('no files');
  await writeFile(path.join(dir, encoder[0]), withMetadata(await readFile(source(encoder[1])), values));
  for (const [name, from] of others) await copyFile(source(from), path.join(dir, name));
  if (config !== undefined) await writeFile(path.join(dir, 'config.json'), JSON.stringify(config));
  return dir;
}

const transducer = metadata(25, 16, 2);
const sherpa = (values = transducer, suffix = '') =>
  folder(
    {
      [`encoder${suffix}.onnx`]: 'encoder.onnx',
      [`decoder${suffix}.onnx`]: 'decoder.onnx',
      [`joiner${suffix}.onnx`]: 'joiner.onnx',
      'tokens.txt': 'tokens.txt',
    },
    values,
  );
const nemo = (config?: object) =>
  folder(
    {
      'encoder-model.onnx': 'encoder.onnx',
      'decoder_joint-model.onnx': 'decoder_joint.onnx',
      'vocab.txt': 'tokens.txt',
    },
    {},
    config,
  );
const ctc = (vocabulary: string, values = {}) =>
  folder({ 'model.onnx': 'ctc.onnx', [vocabulary]: 'tokens.txt' }, values);

/** Writes of 1 sample to a second. */
async function hear(asr: Recognizer, clip: GoldenClip, seed: number) {
  const session = asr.openSession({ endpoint: { silenceMs: 10_000, maxUtteranceMs: 600_000 } });
  let state = seed;
  for (let at = 0; at < clip.samples.length; ) {
    state = (state * 1664525 + 1013904223) % 2 ** 32;
    const length = Math.ceil(10 ** ((state / 2 ** 32) * 4.2));
    await session.write(clip.samples.subarray(at, at + length));
    at += length;
  }
  return session.end();
}

describe('what NeMo streams, a folder of another exporter streams', () => {
  test.each([
    ["sherpa-onnx's RNN-T", 'sherpa', 'rnnt', () => sherpa()],
    ["sherpa-onnx's RNN-T, by the names of int8", 'sherpa', 'rnnt', () => sherpa(transducer, '.int8')],
    ["NeMo's TDT", 'nemo', 'tdt', () => nemo()],
    ["NeMo's TDT with a config.json", 'nemo', 'tdt', () => nemo({ model_type: 'nemo-conformer-tdt' })],
    ["sherpa-onnx's CTC", 'sherpa', 'ctc', () => ctc('tokens.txt', metadata(17, 8, 1))],
    ["NeMo's CTC", 'nemo', 'ctc', () => ctc('vocab.txt')],
  ])('%s', async (_, layout, rule, make) => {
    const asr = await Recognizer.open({ model: await make(), device: 'cpu', sessionsMax: 4 });
    expect(asr.sessions).toEqual({ mode: 'cache-aware' });
    const golden = new GoldenSet(`traced/${rule}`);
    let tokens = 0;
    for (const clip of golden.clips) {
      const found = await asr.transcribe(clip.samples);
      expect(found.identity.layout).toBe(layout);
      expect(found.tokens.map(({ id }) => id)).toEqual(clip.tokens);
      expect(found.tokens.map(({ frame }) => frame)).toEqual(clip.frames);
      tokens += clip.tokens.length;
    }
    expect(tokens).toBeGreaterThan(25);
    // Live, two at once of each clip: caches and batches are not mixed up. A blank at the end of all is no word, and is left out.
    const blank = 19;
    const words = (ids: number[]) => (ids.at(-1) === blank ? ids.slice(0, -1) : ids);
    for (const pair of [golden.clips.slice(-2), golden.clips.slice(-4, -2)]) {
      const heard = await Promise.all([...pair, ...pair].map((clip, seed) => hear(asr, clip, seed)));
      const wanted = [...pair, ...pair].map((clip) => words(clip.tokens));
      expect(heard.map((one) => one.tokens.map(({ id }) => id))).toEqual(wanted);
    }
    await asr.close();
  });

  test('only chunk after chunk', async () => {
    const error = await asrFailure(
      Recognizer.open({ model: await nemo(), device: 'cpu', sessions: { mode: 'buffered' } }),
    );
    expect(error).toMatchObject({ code: 'ERR_BAD_ARGUMENT', field: 'options.sessions.mode' });
    expect(error.remedy).toBe('The folder has a streaming encoder alone.');
  });
});

describe('what is derived', () => {
  test('the section of a contract, from constants or metadata alike', async () => {
    const [one, other] = await Promise.all([nemo(), sherpa()].map(async (dir) => resolveModel(await dir)));
    expect(one?.contract.streaming).toEqual({
      chunkFirst: 16,
      chunkNext: 16,
      shiftFirst: 16,
      shiftNext: 16,
      preEncode: 9,
      firstPadding: 9,
      dropEncoded: 2,
      cacheDrop: 0,
      outputFrames: 2,
      channelFrames: 70,
      timeFrames: 8,
      layers: 2,
      channelWidth: 16,
    });
    expect(other?.contract).toEqual(one?.contract);
    expect(one?.contract.features.normalization).toBe('none');
    expect(one?.contract.encoder).toMatchObject({ subsampling: 8, causalSubsampling: true });
    expect(Object.keys(one?.files ?? {}).sort()).toEqual(['predictor', 'streaming', 'vocab']);
  });

  test('int8 by the names of the files', async () => {
    const { quantized, files } = await resolveModel(await sherpa(transducer, '.int8'));
    expect(quantized).toBe(true);
    expect(files.encoder).toBeUndefined();
  });

  test('`contract check` tells what became of it', async () => {
    const report = await checkFolder(await sherpa());
    expect(report).toMatchObject({ layout: 'sherpa', source: 'derived', ok: true, findings: [] });
    expect(report.model).toMatchObject({ rule: 'rnnt', melBins: 80, normalization: 'none', vocabulary: 56 });
    expect((await checkFolder(await nemo())).model).toMatchObject({ rule: 'tdt', durations: 5 });
  });
});

describe('what is refused', () => {
  test.each([
    ['cache_last_channel_dim2', '56'],
    ['cache_last_time_dim3', '30'],
    ['chunk_shift', '32'],
    ['normalize_type', 'per_feature'],
    ['subsampling_factor', 'eight'],
  ])('metadata that says otherwise than the graph: %s = %s', async (key, value) => {
    const dir = await sherpa({ ...transducer, [key]: value });
    const error = await asrFailure(Recognizer.open({ model: dir, device: 'cpu' }));
    expect(error.code).toBe('ERR_CONTRACT_MISMATCH');
    expect(error.field).toContain(key);
    expect(error.remedy).not.toBe('');
    const report = await checkFolder(dir);
    expect(report.ok).toBe(false);
    expect(report.findings.map((finding) => finding.field)).toEqual([error.field]);
  });

  test('a subsampling that the graph has not', async () => {
    const dir = await nemo({ subsampling_factor: 4 });
    const error = await asrFailure(Recognizer.open({ model: dir, device: 'cpu' }));
    expect(error.code).toBe('ERR_CONTRACT_MISMATCH');
    expect(error.field).toContain('encoder-model.onnx');
  });
});
