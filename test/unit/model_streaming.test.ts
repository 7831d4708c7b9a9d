import { cp, mkdtemp, readFile, rm, unlink, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

// As the command line loads it: one copy of each module.
const load = createRequire(import.meta.url);
const { resolveModel } = load('../../dist/model.js') as typeof import('../../dist/model');
const { nativeContract, readReference, validateContract } = load(
  '../../dist/model/contract.js',
) as typeof import('../../dist/model/contract');
const { checkFolder } = load(
  '../../dist/model/contract_check.js',
) as typeof import('../../dist/model/contract_check');
const { loadAddon } = load('../../dist/binding.js') as typeof import('../../dist/binding');
const { AsrError } = load('../../dist/errors.js') as typeof import('../../dist/errors');

const fixture = (name: string) => path.resolve('test/fixtures/models/streaming', name);

let scratch: string;
beforeEach(async () => {
  scratch = await mkdtemp(path.join(tmpdir(), 'trt-asr-streaming-'));
});
afterEach(() => rm(scratch, { recursive: true, force: true }));

type Json = { [key: string]: Json } & Json[] & (string | number | boolean);
const read = async (name: string): Promise<Json> =>
  JSON.parse(await readFile(path.join(fixture(name), 'contract.json'), 'utf8'));

async function failureOf(work: () => unknown): Promise<InstanceType<typeof AsrError>> {
  const error = await Promise.resolve()
    .then(work)
    .then(
      () => new Error('it succeeded'),
      (caught: unknown) => caught,
    );
  expect(error).toBeInstanceOf(AsrError);
  return error as InstanceType<typeof AsrError>;
}

describe('a folder whose only encoder is a streaming one', () => {
  test('CTC: chunks of one encoder frame', async () => {
    const { files, contract, layout } = await resolveModel(fixture('ctc'));
    expect(layout).toBe('ours');
    expect(files).toEqual({
      streaming: path.join(fixture('ctc'), 'streaming_model.onnx'),
      vocab: path.join(fixture('ctc'), 'tokens.txt'),
    });
    expect(contract.streaming).toEqual({
      chunkFirst: 1,
      chunkNext: 8,
      shiftFirst: 1,
      shiftNext: 8,
      preEncode: 9,
      firstPadding: 16,
      dropEncoded: 2,
      cacheDrop: 0,
      outputFrames: 1,
      channelFrames: 70,
      timeFrames: 8,
      layers: 2,
      channelWidth: 32,
    });
    expect(contract.encoder.width).toBe(353);
  });

  test('RNN-T: its predictor and joint as ever', async () => {
    const { files, contract } = await resolveModel(fixture('rnnt'));
    expect(Object.keys(files).sort()).toEqual(['joint', 'predictor', 'streaming', 'vocab']);
    expect(contract.streaming?.outputFrames).toBe(2);
    expect(contract.decode.rule).toBe('rnnt');
  });

  test('a streaming graph that is missing is named', async () => {
    await cp(fixture('ctc'), scratch, { recursive: true });
    await unlink(path.join(scratch, 'streaming_model.onnx'));
    const error = await failureOf(() => resolveModel(scratch));
    expect(error.code).toBe('ERR_MODEL_NOT_FOUND');
    expect(error.expected).toContain('streaming_model.onnx');
  });

  test('a streaming graph that the contract does not pin is named', async () => {
    const contract = await read('ctc');
    delete contract.files?.['streaming_model.onnx'];
    const error = await failureOf(() => validateContract(contract, 'test'));
    expect(error.field).toBe('files.streaming_model.onnx');
  });

  test.each<[field: string, section: string, change: Record<string, unknown>]>([
    ['encoder.causal_subsampling', 'encoder', { causal_subsampling: false }],
    ['features.normalization', 'features', { normalization: 'per_feature' }],
    ['streaming.cache_drop_frames', 'streaming', { cache_drop_frames: 3 }],
  ])('is refused when it cannot hear live audio: %s', async (field, section, change) => {
    const contract = await read('rnnt');
    Object.assign(contract[section] as Json, change);
    const error = await failureOf(() => validateContract(contract, 'test'));
    expect(error.code).toBe('ERR_CONTRACT_MISMATCH');
    expect(error.field).toBe(field);
    expect(error.expected).toContain('as encoder.file is missing');
  });

  test('without its streaming section there is no encoder at all', async () => {
    const contract = await read('ctc');
    delete contract.streaming;
    expect((await failureOf(() => validateContract(contract, 'test'))).field).toBe('encoder.file');
  });

  test.each(['file', 'inputs', 'outputs'])('encoder.%s alone is half a graph', async (name) => {
    const contract = await read('ctc');
    const part = name === 'file' ? 'streaming_model.onnx' : contract.streaming?.[name];
    Object.assign(contract.encoder as Json, {
      [name]: name === 'file' ? part : (part as Json).slice(0, 2),
    });
    const error = await failureOf(() => validateContract(contract, 'test'));
    expect(error.field).toBe(name === 'file' ? 'encoder.inputs' : 'encoder.file');
    expect(error.expected).toContain(`beside encoder.${name}`);
  });

  test('contract check opens it, and tells what differs from the graph', async () => {
    const report = await checkFolder(fixture('ctc'));
    expect(report.findings).toEqual([]);
    expect(report.model).toMatchObject({
      backend: 'onnxruntime',
      melBins: 80,
      encoderWidth: 353,
      rule: 'ctc',
    });
    await cp(fixture('ctc'), scratch, { recursive: true });
    const contract = await read('ctc');
    const streaming = contract.streaming as Json;
    Object.assign(streaming.chunk_frames as Json, { first: 9, next: 16 });
    Object.assign(streaming.shift_frames as Json, { first: 9, next: 16 });
    Object.assign(streaming, { output_frames: 2 });
    await writeFile(path.join(scratch, 'contract.json'), JSON.stringify(contract));
    const fields = (await checkFolder(scratch)).findings.map(({ field }) => field);
    expect(fields).toContain('streaming_model.onnx: metadata.streaming.output_frames');
  });
});

describe('a streaming graph beside the offline one', () => {
  test('is given to the core when it serves live audio', async () => {
    const contract = nativeContract(await readReference('fastconformer-ctc-large-streaming'));
    expect(contract.streaming).toMatchObject({ chunkFirst: 105, chunkNext: 112, outputFrames: 14 });
    expect(contract.streaming).toMatchObject({ layers: 17, channelWidth: 512, channelFrames: 70 });
  });

  test('is left out when it is there for comparisons', async () => {
    const reference = await readReference('parakeet-tdt-0.6b-v3');
    expect(reference.streaming).toBeDefined();
    expect(nativeContract(reference)).not.toHaveProperty('streaming');
    expect(nativeContract(await readReference('fastconformer-ctc-large'))).not.toHaveProperty('streaming');
  });

  test('what a contract may leave out follows from the rest', async () => {
    const reference = await readReference('fastconformer-ctc-large-streaming');
    const { shift_frames, first_padding_frames, ...streaming } = { ...reference.streaming };
    expect([shift_frames, first_padding_frames]).toEqual([{ first: 105, next: 112 }, 16]);
    const shorter = { ...reference, streaming: streaming as NonNullable<typeof reference.streaming> };
    expect(nativeContract(shorter)).toEqual(nativeContract(reference));
  });
});

describe('the core reads what it is given', () => {
  const config = async () => {
    const { files, contract } = await resolveModel(fixture('ctc'));
    return { files, contract, threads: 1, sessionsMax: 1, lanes: 1, batchMax: 1, batchWaitMs: 0 };
  };
  const live = { mode: 'cache-aware', leftFrames: 125, chunkFrames: 25, rightFrames: 25 };

  test('the streaming section, live sessions and batches', async () => {
    const recognizer = await loadAddon().openRecognizer({
      ...(await config()),
      batchMax: 2,
      batchWaitMs: 5,
      live: live as never,
    });
    expect(recognizer.describe()).toMatchObject({ encoderWidth: 353, melBins: 80, framesMax: 400 });
    await recognizer.close();
  });

  test.each<[field: string, change: (given: Json) => void]>([
    ['config.contract.streaming.chunkNext', ({ contract }) => delete contract?.streaming?.chunkNext],
    [
      'config.contract.streaming.layers',
      ({ contract }) => Object.assign(contract?.streaming as Json, { layers: 1.5 }),
    ],
    ['config.files.streaming', ({ files }) => Object.assign(files as Json, { streaming: 7 })],
    ['files.encoder', ({ files, contract }) => delete files?.streaming && delete contract?.streaming],
    ['config.live.mode', (given) => Object.assign(given, { live: { ...live, mode: 'whispered' } })],
    ['config.live.chunkFrames', (given) => Object.assign(given, { live: { ...live, chunkFrames: '25' } })],
    ['config.live.silero', (given) => Object.assign(given, { live: { ...live, silero: 1 } })],
    ['batchMax', (given) => Object.assign(given, { batchMax: 0 })],
    ['batchWaitMs', (given) => Object.assign(given, { batchWaitMs: -1 })],
    ['config.batchMax', (given) => Object.assign(given, { batchMax: 'many' })],
    ['config.lanes', (given) => delete given.lanes],
  ])('%s is refused by its name', async (field, change) => {
    const given = structuredClone(await config());
    change(given as unknown as Json);
    const error = await Promise.resolve()
      .then(() => loadAddon().openRecognizer(given))
      .then(
        () => 'it opened',
        (caught: unknown) => AsrError.from(caught),
      );
    expect(error).toMatchObject({ code: 'ERR_BAD_ARGUMENT', field });
  });
});
