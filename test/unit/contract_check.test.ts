import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cp, mkdtemp, readFile, rm, unlink, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Contract } from '../../dist/model/contract';
import type { ContractReport } from '../../dist/model/contract_check';

// As the command line loads it: one copy of each module.
const load = createRequire(import.meta.url);
const { checkFolder } = load(
  '../../dist/model/contract_check.js',
) as typeof import('../../dist/model/contract_check');

const root = path.resolve(import.meta.dirname, '..', '..');
const models = path.join(root, 'test', 'fixtures', 'models');
const main = path.join(root, 'dist', 'cli', 'main.js');

let scratch: string;
beforeAll(async () => {
  scratch = await mkdtemp(path.join(tmpdir(), 'trt-asr-contract-'));
});
afterAll(() => rm(scratch, { recursive: true, force: true }));

function run(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [main, 'contract', 'check', ...args], {
    encoding: 'utf8',
  });
  return { status, stdout, stderr };
}

async function copyOf(name: string, edit?: (contract: Record<string, never>) => void): Promise<string> {
  const dir = await mkdtemp(path.join(scratch, 'model-'));
  await cp(path.join(models, name), dir, { recursive: true });
  if (edit !== undefined) {
    const file = path.join(dir, 'contract.json');
    const contract = JSON.parse(await readFile(file, 'utf8'));
    edit(contract);
    await writeFile(file, JSON.stringify(contract));
  }
  return dir;
}

/** A field of a protobuf message whose value is bytes. */
function lengthDelimited(field: number, value: Buffer): Buffer {
  const length = value.length < 128 ? [value.length] : [128 | (value.length & 127), value.length >> 7];
  return Buffer.concat([Buffer.from([(field << 3) | 2, ...length]), value]);
}

/** Adds metadata to a graph as tools/export writes it, and puts the file's new bytes and hash into the contract. */
async function carry(dir: string, file: string, metadata: Record<string, string>): Promise<void> {
  // SOURCE: onnx.proto: ModelProto.metadata_props is field 14, its key 1 and its value 2; messages that follow one another are merged.
  const entries = Object.entries(metadata).map(([key, value]) =>
    lengthDelimited(
      14,
      Buffer.concat([lengthDelimited(1, Buffer.from(key)), lengthDelimited(2, Buffer.from(value))]),
    ),
  );
  const graph = path.join(dir, file);
  const content = Buffer.concat([await readFile(graph), ...entries]);
  await writeFile(graph, content);
  const contract = JSON.parse(await readFile(path.join(dir, 'contract.json'), 'utf8'));
  contract.files[file] = {
    bytes: content.length,
    sha256: createHash('sha256').update(content).digest('hex'),
  };
  await writeFile(path.join(dir, 'contract.json'), JSON.stringify(contract));
}

const fieldsOf = (report: ContractReport) => report.findings.map(({ field }) => field);

describe('trt-asr contract check', () => {
  test.each([
    ['tiny-ours', 'tdt'],
    ['tiny-80-none', 'tdt'],
    ['variants/rnnt-ours', 'rnnt'],
    ['variants/ctc-ours', 'ctc'],
    ['variants/ctc-causal', 'ctc'],
  ])('%s holds to its contract', async (name, rule) => {
    const report = await checkFolder(path.join(models, name));
    expect(report.findings).toEqual([]);
    expect(report).toMatchObject({ ok: true, layout: 'ours', source: 'contract.json' });
    expect(report.model).toMatchObject({ rule, vocabulary: 352, frameMs: 80 });
  });

  test.each([
    ['tiny-nemo', 'nemo', 'tdt', 128, 'per_feature'],
    ['tiny-sherpa', 'sherpa', 'tdt', 128, 'per_feature'],
    ['variants/rnnt-nemo', 'nemo', 'rnnt', 128, 'per_feature'],
    ['variants/ctc-nemo', 'nemo', 'ctc', 128, 'per_feature'],
    ['variants/ctc-80-sherpa', 'sherpa', 'ctc', 80, 'none'],
  ])('%s has no contract, and what was derived is told', async (name, layout, rule, melBins, normalization) => {
    const report = await checkFolder(path.join(models, name));
    expect(report).toMatchObject({ ok: true, layout, source: 'derived' });
    expect(report.model).toMatchObject({ rule, melBins, normalization, framesMax: 5000, subsampling: 8 });
  });

  test('prints what it found, in words and as JSON, and exits with 0', () => {
    const dir = path.join(models, 'variants/ctc-80-sherpa');
    const words = run(dir);
    expect(words).toMatchObject({ status: 0, stderr: '' });
    expect(words.stdout).toContain('derived from its graphs');
    expect(words.stdout).toContain('ctc, 80 mel bins (none)');
    const json = run(dir, '--json');
    expect(json).toMatchObject({ status: 0, stderr: '' });
    expect(JSON.parse(json.stdout)).toMatchObject({ ok: true, findings: [], model: { rule: 'ctc' } });
  });

  test('all that differs is told: relations, files, graphs and vocabulary', async () => {
    const dir = await copyOf('tiny-ours', (contract: Record<string, never>) => {
      const { timebase, encoder, predictor, joint, files } = contract as never as Record<
        string,
        Record<string, never>
      >;
      Object.assign(timebase as object, { hop_ms: 20 });
      Object.assign((encoder?.outputs as { shape: unknown[] }[])[0]?.shape as object, { 2: 48 });
      Object.assign(predictor as object, { width: 48 });
      Object.assign(joint as object, { durations: 4 });
      Object.assign((files as Record<string, object>)['joint.onnx'] as object, { bytes: 1 });
      Object.assign((files as Record<string, object>)['encoder.onnx'] as object, { sha256: 'f'.repeat(64) });
    });
    const vocab = path.join(dir, 'vocab.txt');
    const lines = (await readFile(vocab, 'utf8')).split('\n');
    await writeFile(vocab, `${lines.slice(0, 300).join('\n')}\n`);
    const report = await checkFolder(dir);
    expect(report.ok).toBe(false);
    expect(report.model).toBeUndefined();
    const fields = fieldsOf(report);
    for (const field of [
      'timebase.hop_ms',
      'encoder.outputs.0.shape.2',
      'predictor.outputs.0.shape.2',
      'joint.durations',
      'files.joint.onnx.bytes',
      'files.encoder.onnx.sha256',
      'files.vocab.txt.bytes',
      'files.vocab.txt.sha256',
      'encoder.onnx: outputs.encoded.shape.2',
      'vocab.txt: pieces',
    ])
      expect(fields).toContain(field);
    const { stdout, status } = run(dir);
    expect(status).toBe(2);
    for (const field of fields) expect(stdout).toContain(field);
    expect(stdout).toContain(`${fields.length} differences`);
  });

  test('every field that breaks the schema is told at once', async () => {
    const dir = await copyOf('tiny-ours', (contract) => {
      Object.assign(contract, { precision: 'fp8', extra: 1 });
      Object.assign((contract as { decode: object }).decode, { rule: 'beam' });
    });
    expect(fieldsOf(await checkFolder(dir)).sort()).toEqual(['decode.rule', 'extra', 'precision']);
  });

  test('a graph with other tensors than the contract says', async () => {
    const dir = await copyOf('tiny-ours');
    await cp(path.join(models, 'variants/ctc-ours/model.onnx'), path.join(dir, 'encoder.onnx'));
    const fields = fieldsOf(await checkFolder(dir));
    expect(fields).toContain('encoder.onnx: inputs.features');
    expect(fields).toContain('encoder.onnx: inputs.processed_signal');
    expect(fields).toContain('encoder.onnx: outputs.encoded');
  });

  test('a graph of another element type, rank or extent than the contract says', async () => {
    const dir = await copyOf('tiny-ours');
    const hostile = (name: string) => path.join(models, 'hostile', name, 'joint.onnx');
    await cp(hostile('joint-double'), path.join(dir, 'joint.onnx'));
    expect(fieldsOf(await checkFolder(dir))).toContain('joint.onnx: outputs.logits.dtype');
    await cp(hostile('joint-rank'), path.join(dir, 'joint.onnx'));
    expect(fieldsOf(await checkFolder(dir))).toContain('joint.onnx: inputs.encoded.shape');
    await cp(hostile('joint-classes'), path.join(dir, 'joint.onnx'));
    expect(fieldsOf(await checkFolder(dir))).toContain('joint.onnx: outputs.logits.shape.1');
  });

  test('what a graph carries of the contract in its metadata', async () => {
    const dir = await copyOf('tiny-ours');
    const { features, encoder, decode } = JSON.parse(
      await readFile(path.join(dir, 'contract.json'), 'utf8'),
    ) as Contract;
    await carry(dir, 'encoder.onnx', {
      trt_asr_graph: 'encoder',
      'trt_asr.precision': '"fp32"',
      'trt_asr.features.log_guard': '5.960464477539063e-08',
      'trt_asr.features.normalization': JSON.stringify(features.normalization),
      'trt_asr.encoder.layers': `${encoder.layers}`,
      'trt_asr.encoder.attention_context': '[-1, -1]',
    });
    await carry(dir, 'joint.onnx', { 'trt_asr.decode.durations': JSON.stringify(decode.durations) });
    expect(features.log_guard).toBe(2 ** -24);
    expect(await checkFolder(dir)).toMatchObject({ ok: true, findings: [] });
  });

  test('a graph that carries other numbers than the contract says', async () => {
    const dir = await copyOf('tiny-ours');
    await carry(dir, 'encoder.onnx', {
      'trt_asr.precision': '"int8"',
      'trt_asr.features.normalization': '"none"',
      'trt_asr.encoder.layers': '17',
      'trt_asr.encoder.frames_max': 'junk',
      'trt_asr.encoder.attention_context': '[70, 13]',
      'trt_asr.encoder.toString': '1',
    });
    await carry(dir, 'joint.onnx', { 'trt_asr.decode.durations': '[0, 1, 2, 3]' });
    const { findings, ok } = await checkFolder(dir);
    expect(ok).toBe(false);
    expect(findings).toEqual([
      { field: 'encoder.onnx: metadata.encoder.attention_context', expected: '[-1,-1]', received: '[70,13]' },
      { field: 'encoder.onnx: metadata.encoder.frames_max', expected: '400', received: '"junk"' },
      { field: 'encoder.onnx: metadata.encoder.layers', expected: '2', received: '17' },
      { field: 'encoder.onnx: metadata.encoder.toString', expected: 'no such field', received: '1' },
      {
        field: 'encoder.onnx: metadata.features.normalization',
        expected: '"per_feature"',
        received: '"none"',
      },
      { field: 'encoder.onnx: metadata.precision', expected: '"fp32"', received: '"int8"' },
      { field: 'joint.onnx: metadata.decode.durations', expected: '[0,1,2,3,4]', received: '[0,1,2,3]' },
    ]);
  });

  test('a file that is missing, and one that is no graph', async () => {
    const dir = await copyOf('tiny-ours');
    await unlink(path.join(dir, 'predictor.onnx'));
    await writeFile(path.join(dir, 'joint.onnx'), 'no graph');
    const fields = fieldsOf(await checkFolder(dir));
    expect(fields).toContain('files.predictor.onnx');
    expect(fields).toContain('files.joint.onnx.bytes');
    expect(fields).toContain(path.join(dir, 'joint.onnx'));
  });

  test('a contract that is no JSON', async () => {
    const dir = await copyOf('tiny-ours');
    await writeFile(path.join(dir, 'contract.json'), '{');
    expect(fieldsOf(await checkFolder(dir))).toEqual(['contract.json']);
  });

  test('a foreign folder whose features are not understood', async () => {
    const report = await checkFolder(path.join(models, 'variants/ctc-odd-features'));
    expect(report).toMatchObject({ ok: false, source: 'derived' });
    expect(report.findings[0]?.received).toBe('all_features');
  });

  test('wrong use, and a folder that is not there', () => {
    expect(run().status).toBe(2);
    expect(run('--jsn', models).status).toBe(2);
    const missing = run(path.join(scratch, 'nowhere'));
    expect(missing.status).toBe(4);
    expect(missing.stderr).toContain('ERR_MODEL_NOT_FOUND');
    expect(run(models).status).toBe(4);
  });
});

describe('what is generated from contracts/', () => {
  test('is up to date', () => {
    const tool = path.join(root, 'tools', 'generate', 'index.js');
    expect(execFileSync(process.execPath, [tool, '--check'], { encoding: 'utf8' })).toBe('');
  });
});
