import { cp, mkdir, mkdtemp, readFile, rename, rm, truncate, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { AsrError } from '../../dist/errors';
import { resolveModel, verifyModel } from '../../dist/model';
import { readReference, validateContract } from '../../dist/model/contract';

const FIXTURES = path.resolve('test/fixtures/models');
const fixture = (name: string) => path.join(FIXTURES, name);

let scratch: string;
beforeEach(async () => {
  scratch = await mkdtemp(path.join(tmpdir(), 'trt-asr-model-'));
});
afterEach(async () => {
  await rm(scratch, { recursive: true, force: true });
});

async function failureOf(work: () => unknown): Promise<AsrError> {
  const error = await Promise.resolve()
    .then(work)
    .then(
      () => new Error('it succeeded'),
      (caught: unknown) => caught,
    );
  expect((error as Error).name).toBe('AsrError');
  return error as AsrError;
}

async function copyOf(name: string): Promise<string> {
  const dir = path.join(scratch, name);
  await cp(fixture(name), dir, { recursive: true });
  return dir;
}

describe('layouts', () => {
  test('ours', async () => {
    const model = await resolveModel(fixture('tiny-ours'));
    expect(model.name).toBe('tiny-ours');
    expect(model.layout).toBe('ours');
    expect(model.source).toBe('folder');
    expect(model.quantized).toBe(false);
    expect(model.files.joint).toBe(path.join(fixture('tiny-ours'), 'joint.onnx'));
    expect(model.contract.encoder).toEqual({
      width: 32,
      subsampling: 8,
      causalSubsampling: false,
      framesMax: 400,
    });
    expect(model.contract.predictor).toEqual({ layers: 2, width: 32 });
    expect(model.contract.tokenizer).toEqual({ vocabulary: 352 });
    expect(model.contract.derived).toBe(false);
    expect(model.contract.decode).toEqual({
      rule: 'tdt',
      blankId: 352,
      durations: [0, 1, 2, 3, 4],
      maxSymbolsPerFrame: 10,
    });
  });

  test('ours with 80 mels and no normalisation', async () => {
    const { contract } = await resolveModel(fixture('tiny-80-none'));
    expect(contract.features.melBins).toBe(80);
    expect(contract.features.normalization).toBe('none');
  });

  test('nemo, fp32 first', async () => {
    const model = await resolveModel(fixture('tiny-nemo'));
    expect(model.layout).toBe('nemo');
    expect(model.files.encoder).toBe(path.join(fixture('tiny-nemo'), 'encoder-model.onnx'));
    expect(model.files.predictor).toBe(path.join(fixture('tiny-nemo'), 'decoder_joint-model.onnx'));
    expect(model.files.vocab).toBe(path.join(fixture('tiny-nemo'), 'vocab.txt'));
    expect(model.files).not.toHaveProperty('joint');
    expect(model.quantized).toBe(false);
    expect(model.contract.derived).toBe(true);
    expect(model.contract.features.melBins).toBe(0);
    expect(model.contract.decode).toEqual({
      rule: 'transducer',
      blankId: -1,
      durations: [],
      maxSymbolsPerFrame: 10,
    });
    expect(model.contract.encoder).toEqual({
      width: 0,
      subsampling: 8,
      causalSubsampling: false,
      framesMax: 5000,
    });
  });

  test('sherpa, int8 when it is asked for', async () => {
    const model = await resolveModel(pathToFileURL(fixture('tiny-sherpa')), { precision: 'int8' });
    expect(model.layout).toBe('sherpa');
    expect(model.files.encoder).toBe(path.join(fixture('tiny-sherpa'), 'encoder.int8.onnx'));
    expect(model.files.predictor).toBe(path.join(fixture('tiny-sherpa'), 'decoder.int8.onnx'));
    expect(model.files.joint).toBe(path.join(fixture('tiny-sherpa'), 'joiner.int8.onnx'));
    expect(model.files.vocab).toBe(path.join(fixture('tiny-sherpa'), 'tokens.txt'));
    expect(model.quantized).toBe(true);
  });

  test('int8 alone is taken without being asked for', async () => {
    const dir = await copyOf('tiny-nemo');
    await unlink(path.join(dir, 'encoder-model.onnx'));
    await unlink(path.join(dir, 'decoder_joint-model.onnx'));
    expect((await resolveModel(dir)).quantized).toBe(true);
    expect((await failureOf(() => resolveModel(dir, { precision: 'fp32' }))).code).toBe(
      'ERR_MODEL_NOT_FOUND',
    );
  });

  test('an int8 encoder beside fp32 decoder and joiner, as they are published', async () => {
    const dir = await copyOf('tiny-sherpa');
    for (const name of ['encoder.onnx', 'decoder.int8.onnx', 'joiner.int8.onnx'])
      await unlink(path.join(dir, name));
    const model = await resolveModel(dir);
    expect(path.basename(model.files.encoder)).toBe('encoder.int8.onnx');
    expect(path.basename(model.files.predictor)).toBe('decoder.onnx');
    expect(model.quantized).toBe(true);
  });

  test('RNN-T of ours', async () => {
    const { contract } = await resolveModel(fixture('variants/rnnt-ours'));
    expect(contract.decode).toEqual({ rule: 'rnnt', blankId: 352, durations: [], maxSymbolsPerFrame: 10 });
  });

  test('CTC of ours: the encoder and its vocabulary alone', async () => {
    const { contract, files } = await resolveModel(fixture('variants/ctc-ours'));
    expect(Object.keys(files)).toEqual(['encoder', 'vocab']);
    expect(contract.encoder.width).toBe(353);
    expect(contract.predictor).toEqual({ layers: 0, width: 0 });
    expect(contract.decode).toEqual({ rule: 'ctc', blankId: 352, durations: [], maxSymbolsPerFrame: 1 });
  });

  test.each([
    ['ctc-nemo', 'nemo', 'vocab.txt', 128],
    ['ctc-80-sherpa', 'sherpa', 'tokens.txt', 0],
  ])('CTC without a contract: %s', async (name, layout, vocab, melBins) => {
    const model = await resolveModel(fixture(`variants/${name}`));
    expect(model.layout).toBe(layout);
    expect(path.basename(model.files.vocab)).toBe(vocab);
    expect(model.files).not.toHaveProperty('predictor');
    expect(model.contract.decode.rule).toBe('ctc');
    expect(model.contract.features.melBins).toBe(melBins);
    expect(model.contract.features.normalization).toBe('per_feature');
    expect(model.contract.derived).toBe(true);
  });

  test('an int8 CTC graph is taken by its name', async () => {
    const dir = await copyOf('variants/ctc-nemo');
    await rename(path.join(dir, 'model.onnx'), path.join(dir, 'model.int8.onnx'));
    expect((await resolveModel(dir)).quantized).toBe(true);
  });

  test("a CTC folder's config.json may not speak of a transducer", async () => {
    const dir = await copyOf('variants/ctc-nemo');
    await writeFile(path.join(dir, 'config.json'), JSON.stringify({ model_type: 'nemo-conformer-tdt' }));
    expect((await failureOf(() => resolveModel(dir))).field).toBe('model_type');
  });

  test("a folder's config.json goes before the reference", async () => {
    const dir = await copyOf('tiny-nemo');
    const config = { model_type: 'nemo-conformer-tdt', features_size: 80, subsampling_factor: 4 };
    await writeFile(path.join(dir, 'config.json'), JSON.stringify(config));
    const { contract } = await resolveModel(dir);
    expect(contract.features.melBins).toBe(80);
    expect(contract.encoder.subsampling).toBe(4);
  });

  test.each([
    ['model_type', { model_type: 'nemo-conformer-ctc' }],
    ['features_size', { features_size: 'many' }],
    ['subsampling_factor', { subsampling_factor: 0 }],
    ['config.json', 'no json {'],
  ])('a config.json with a bad %s is refused by name', async (field, content) => {
    const dir = await copyOf('tiny-nemo');
    await writeFile(
      path.join(dir, 'config.json'),
      typeof content === 'string' ? content : JSON.stringify(content),
    );
    const error = await failureOf(() => resolveModel(dir));
    expect(error.code).toBe('ERR_CONTRACT_MISMATCH');
    expect(error.field).toBe(field);
  });

  test.each([
    'parakeet-tdt-0.6b-v3',
    'fastconformer-ctc-large',
    'fastconformer-ctc-large-streaming',
  ])('the reference contract %s holds', async (name) => {
    const contract = await readReference(name);
    expect(contract.model.name).toBe(name);
    expect(contract.features.log_guard).toBe(2 ** -24);
  });
});

describe('folders that are wrong', () => {
  test('no such folder', async () => {
    const error = await failureOf(() => resolveModel(path.join(scratch, 'nowhere')));
    expect(error.code).toBe('ERR_MODEL_NOT_FOUND');
    expect(error.message).toContain(path.join(scratch, 'nowhere'));
  });

  test('a file instead of a folder', async () => {
    const file = path.join(scratch, 'model.onnx');
    await writeFile(file, 'x');
    const error = await failureOf(() => resolveModel(file));
    expect(error.code).toBe('ERR_MODEL_NOT_FOUND');
    expect(error.received).toContain('a file');
  });

  test('an empty folder', async () => {
    const error = await failureOf(() => resolveModel(scratch));
    expect(error.code).toBe('ERR_MODEL_NOT_FOUND');
    expect(error.received).toContain('empty');
  });

  test('a missing file is named, with what was found and what each layout wants', async () => {
    const dir = await copyOf('tiny-sherpa');
    await unlink(path.join(dir, 'tokens.txt'));
    const error = await failureOf(() => resolveModel(dir));
    expect(error.code).toBe('ERR_MODEL_NOT_FOUND');
    expect(error.expected).toContain('tokens.txt');
    expect(error.expected).toContain('contract.json');
    expect(error.expected).toContain('encoder-model.onnx');
    expect(error.received).toContain('joiner.onnx');
    expect(error.expected).toContain(dir);
  });

  test('an empty graph', async () => {
    const dir = await copyOf('tiny-nemo');
    await truncate(path.join(dir, 'encoder-model.onnx'), 0);
    const error = await failureOf(() => resolveModel(dir));
    expect(error.code).toBe('ERR_MODEL_CORRUPT');
    expect(error.field).toBe('encoder-model.onnx');
  });

  test('a folder where a file should be', async () => {
    const dir = await copyOf('tiny-ours');
    await unlink(path.join(dir, 'joint.onnx'));
    await mkdir(path.join(dir, 'joint.onnx'));
    expect((await failureOf(() => resolveModel(dir))).code).toBe('ERR_MODEL_NOT_FOUND');
  });

  test('a contract larger than any contract', async () => {
    const dir = await copyOf('tiny-ours');
    await writeFile(path.join(dir, 'contract.json'), ' '.repeat((1 << 20) + 1));
    const error = await failureOf(() => resolveModel(dir));
    expect(error.code).toBe('ERR_CONTRACT_MISMATCH');
    expect(error.field).toBe('contract.json');
  });
});

describe('arguments', () => {
  test.each([
    ['an empty string', ''],
    ['a zero byte', 'a\0b'],
    ['a number', 7 as unknown as string],
    ['an address', 'https://example.invalid/model'],
    ['a file: URL with a host', 'file://elsewhere/model'],
  ])('%s is no model', async (_words, model) => {
    const error = await failureOf(() => resolveModel(model));
    // A file: URL with a host is a path on Windows alone.
    expect(error.code).toBe('ERR_BAD_ARGUMENT');
    expect(error.field).toBe('model');
  });

  test('a precision that is none', async () => {
    const error = await failureOf(() => resolveModel(fixture('tiny-nemo'), { precision: 'fp8' as 'fp32' }));
    expect(error.code).toBe('ERR_BAD_ARGUMENT');
    expect(error.field).toBe('precision');
  });

  test('a name that is none lists the names', async () => {
    const error = await failureOf(() => resolveModel('parakeet-tdt-0.6b-v9'));
    expect(error.code).toBe('ERR_MODEL_NOT_FOUND');
    expect(error.message).toContain('parakeet-tdt-0.6b-v3-int8');
    expect(error.message).toContain('demo-en');
  });

  test('an aborted signal', async () => {
    const reason = new Error('stop');
    await expect(resolveModel(fixture('tiny-ours'), { signal: AbortSignal.abort(reason) })).rejects.toBe(
      reason,
    );
  });
});

/** The resolver sees names, sizes and the contract; the cases below need the graphs or the vocabulary to be read. */
const NATIVE_CASES = new Set([
  'encoder-truncated-rehashed',
  'encoder-flipped',
  'encoder-text',
  'vocabulary-short',
  'vocabulary-lines-missing',
  'vocabulary-disordered',
  'vocabulary-no-ids',
  'durations-few',
  'width-wrong',
  'layers-wrong',
  'mels-wrong',
  'input-name',
  'joint-double',
  'joint-rank',
  'joint-width',
  'joint-classes',
  'encoder-bins',
  'files-swapped',
  'encoder-nan',
  'encoder-infinite',
  'joint-nan',
  'lengths-lie',
  'never-blank',
]);

interface HostileCase {
  name: string;
  code: string;
  replace: string[];
  remove: string[];
}

async function hostileCases(): Promise<HostileCase[]> {
  const cases = new Map<string, HostileCase>();
  for (const line of (await readFile(fixture('hostile/manifest.txt'), 'utf8')).split('\n')) {
    const [verb, name, value] = line.split(' ') as [string, string, string];
    if (verb === 'case') cases.set(name, { name, code: value, replace: [], remove: [] });
    if (verb === 'replace' || verb === 'remove') cases.get(name)?.[verb].push(value);
  }
  return [...cases.values()];
}

describe('hostile folders', async () => {
  test.each(await hostileCases())('$name', async ({ name, code, replace, remove }) => {
    const dir = await copyOf('tiny-ours');
    for (const file of replace) await cp(path.join(fixture('hostile'), name, file), path.join(dir, file));
    for (const file of remove) await unlink(path.join(dir, file));
    if (NATIVE_CASES.has(name)) {
      expect((await resolveModel(dir)).layout).toBe('ours');
      return;
    }
    expect((await failureOf(() => resolveModel(dir))).code).toBe(code);
  });
});

describe('contracts', () => {
  const read = async () =>
    JSON.parse(await readFile(path.join(fixture('tiny-ours'), 'contract.json'), 'utf8'));

  test('a good one passes', async () => {
    expect(validateContract(await read(), 'test').tokenizer.vocabulary).toBe(352);
  });

  test.each<[string, unknown]>([
    ['schema', 'trt-asr-contract/2'],
    ['model.name', ''],
    ['features.sample_rate_hz', -16000],
    ['features.mel_bins', 0],
    ['features.mel_bins', 12.5],
    ['features.fft_samples', 511],
    ['features.window_samples', 1024],
    ['features.hop_samples', 0],
    ['features.pre_emphasis', 1],
    ['features.mel_low_hz', 8000],
    ['features.mel_high_hz', 8001],
    ['features.log_guard', 0],
    ['features.normalization', 'all_features'],
    ['features.normalization_epsilon', -1],
    ['encoder.file', '../encoder.onnx'],
    ['encoder.file', '/etc/passwd'],
    ['encoder.file', '..'],
    ['encoder.width', '32'],
    ['encoder.subsampling', 0],
    ['encoder.causal_subsampling', undefined],
    ['encoder.causal_subsampling', 1],
    ['encoder.frames_max', 2 ** 53],
    ['predictor.layers', 0],
    ['joint.file', undefined],
    ['tokenizer.vocabulary', 0],
    ['tokenizer.unk_id', 352],
    ['decode.blank_id', 351],
    ['decode.durations', [1, 2, 3]],
    ['decode.durations', [0, 2, 1]],
    ['decode.durations', [0, 1, 1]],
    ['decode.durations', [0]],
    ['decode.durations', []],
    ['decode.max_symbols_per_frame', 0],
    ['decode.max_symbols_per_frame', undefined],
    ['decode.durations', undefined],
    ['decode.rule', 'beam'],
    ['decode.rule', undefined],
    ['precision', 'fp8'],
    ['precision', undefined],
    ['timebase.hop_ms', 12.5],
    ['timebase.frame_ms', 10],
    ['timebase', undefined],
    ['tokenizer.kind', 'characters'],
    ['encoder.heads', 5],
    ['encoder.heads', 0],
    ['encoder.attention_context', [-1]],
    ['encoder.output_width', 33],
    ['encoder.projected', 1],
    ['encoder.inputs', []],
    ['encoder.inputs.0.name', 'spectrogram'],
    ['encoder.inputs.0.dtype', 'f16'],
    ['encoder.inputs.0.layout', 'BTM'],
    ['encoder.inputs.0.shape', ['B', 128]],
    ['encoder.inputs.0.shape.1', 80],
    ['encoder.inputs.0.shape.2', 3000],
    ['encoder.inputs.0.shape.0', 'b'],
    ['encoder.outputs.1.dtype', 'i32'],
    ['predictor', undefined],
    ['predictor.inputs.1.shape.0', 3],
    ['predictor.outputs.0.name', 'decoded'],
    ['joint.tokens', 352],
    ['joint.durations', 4],
    ['joint.outputs.0.shape.1', 357],
    ['latency', { budget_ms: { min: 150, max: 100 } }],
    ['tolerances', { encoder: { absolute: -1 } }],
    ['tensorrt', { profiles: {} }],
    ['streaming', {}],
    ['files', undefined],
    ['decode.beam', 4],
    ['extra', true],
    ['__proto__x', {}],
  ])('%s = %j is refused by its name', async (field, value) => {
    const contract = await read();
    const keys = field.split('.');
    const last = keys.pop() as string;
    const parent = keys.reduce((object, key) => object[key], contract);
    if (value === undefined) delete parent[last];
    else parent[last] = value;
    const error = await failureOf(() => validateContract(contract, 'test'));
    expect(error.code).toBe('ERR_CONTRACT_MISMATCH');
    // A section that is wrong within is named by what is wrong in it.
    expect(`${error.field}.`.startsWith(`${field}.`)).toBe(true);
    expect(error.expected).toBeTruthy();
    expect(error.received).toBeTruthy();
  });

  test.each<[string, string, Record<string, unknown>]>([
    ['predictor', 'CTC has none', { rule: 'ctc' }],
    ['decode.durations', 'RNN-T has none', { rule: 'rnnt' }],
  ])('%s is refused: %s', async (field, _why, change) => {
    const contract = await read();
    Object.assign(contract.decode, change);
    expect((await failureOf(() => validateContract(contract, 'test'))).field).toBe(field);
  });

  /** A reference contract as a folder would have it, with pins. */
  const pinned = async (name: string) => {
    const contract = JSON.parse(await readFile(`contracts/${name}.contract.json`, 'utf8'));
    const files = [
      contract.encoder,
      contract.predictor,
      contract.joint,
      contract.streaming,
      contract.tokenizer,
    ];
    const pin = { bytes: 1, sha256: '0'.repeat(64) };
    contract.files = Object.fromEntries(files.filter(Boolean).map(({ file }) => [file, pin]));
    return contract;
  };

  test.each<[string, number | string]>([
    ['streaming.cache_channel_frames', 71],
    ['streaming.cache_time_frames', 7],
    ['streaming.inputs.2.shape.2', 71],
    ['streaming.outputs.4.dtype', 'f32'],
    ['streaming.chunk_frames.next', -1],
    ['tensorrt.profiles.encoder.frames.max', 15],
    ['tensorrt.profiles.encoder.batch.opt', 9],
    ['tolerances.encoder.relative', 2],
    ['streaming.parity.seed', -1],
  ])('a streaming contract with %s = %j is refused', async (field, value) => {
    const contract = await pinned('parakeet-tdt-0.6b-v3');
    expect(validateContract(contract, 'test').streaming?.file).toBe('streaming_encoder.onnx');
    const keys = field.split('.');
    const last = keys.pop() as string;
    const parent = keys.reduce((object, key) => object[key], contract);
    expect(parent).toHaveProperty(last);
    parent[last] = value;
    const error = await failureOf(() => validateContract(contract, 'test'));
    expect(error.field).toContain(field.split('.')[0]);
  });

  test('an encoder that is projected is as wide as the joint', async () => {
    const contract = await read();
    contract.joint.width = 48;
    contract.encoder.projected = true;
    expect((await failureOf(() => validateContract(contract, 'test'))).field).toBe('encoder.output_width');
    contract.encoder.output_width = 48;
    contract.encoder.outputs[0].shape[2] = 48;
    contract.joint.inputs[0].shape[2] = 48;
    expect(validateContract(contract, 'test').encoder.projected).toBe(true);
  });

  test('an element of a list is named with its place', async () => {
    const contract = await read();
    contract.decode.durations = [0, 1, -2];
    expect((await failureOf(() => validateContract(contract, 'test'))).field).toBe('decode.durations.2');
  });

  test('a file without a hash is named', async () => {
    const contract = await read();
    delete contract.files['joint.onnx'];
    expect((await failureOf(() => validateContract(contract, 'test'))).field).toBe('files.joint.onnx');
  });

  test.each([null, 3, 'text', [[]]])('%j is no contract', async (value) => {
    const error = await failureOf(() => validateContract(value, 'test'));
    expect(error.code).toBe('ERR_CONTRACT_MISMATCH');
    expect(error.field).toBe('contract');
  });
});

describe('verify', () => {
  test("a folder of ours is checked against its contract's hashes", async () => {
    const result = await verifyModel(fixture('tiny-ours'));
    expect(result.pinned).toBe(true);
    expect(result.files.map((file) => file.file).sort()).toEqual([
      'encoder.onnx',
      'joint.onnx',
      'predictor.onnx',
      'vocab.txt',
    ]);
  });

  test('a flipped byte names the file', async () => {
    const dir = await copyOf('tiny-ours');
    const file = path.join(dir, 'predictor.onnx');
    const bytes = await readFile(file);
    bytes[1000] = (bytes[1000] as number) ^ 1;
    await writeFile(file, bytes);
    const error = await failureOf(() => verifyModel(dir));
    expect(error.code).toBe('ERR_MODEL_CORRUPT');
    expect(error.field).toBe('predictor.onnx');
  });

  test('a folder without hashes says so', async () => {
    const result = await verifyModel(fixture('tiny-sherpa'));
    expect(result.pinned).toBe(false);
    expect(result.files.every((file) => file.status === 'unpinned')).toBe(true);
  });
});
