import {
  cp,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Contract } from '../../dist/model/contract';
import type { OptimizeProgress } from '../../dist/model/optimize';
import { root, run } from './cli_support';

// As the command line loads it: one copy of each module.
const load = createRequire(import.meta.url);
const { optimizeModel } = load('../../dist/model/optimize.js') as typeof import('../../dist/model/optimize');
const { openModelFolder } = load('../../dist/model/layout.js') as typeof import('../../dist/model/layout');
const { checkFolder } = load(
  '../../dist/model/contract_check.js',
) as typeof import('../../dist/model/contract_check');

const models = path.join(root, 'test', 'fixtures', 'models');
const demo = path.join(root, 'models', 'demo-en');
const welcome = path.join(root, 'examples', 'welcome.wav');

let scratch: string;
beforeAll(async () => {
  scratch = await mkdtemp(path.join(tmpdir(), 'trt-asr-optimize-'));
});
afterAll(() => rm(scratch, { recursive: true, force: true }));

const fresh = async () => path.join(await mkdtemp(path.join(scratch, 'out-')), 'model');

async function rejection(promise: Promise<unknown>): Promise<{ code: string; message: string }> {
  return promise.then(
    () => {
      throw new Error('expected a rejection');
    },
    (error) => error,
  );
}

describe('a folder of packed graphs', () => {
  test('of a model with a contract opens like any other, and holds to its contract', async () => {
    const output = await fresh();
    const told: OptimizeProgress[] = [];
    const made = await optimizeModel(path.join(models, 'tiny-ours'), {
      output,
      onProgress: (progress) => told.push(progress),
    });
    expect(made.dir).toBe(output);
    expect(made.files.map(({ file, kind, precision }) => [file, kind, precision])).toEqual([
      ['encoder.packed', 'encoder', 'fp32'],
      ['predictor.packed', 'predictor', 'fp32'],
      ['joint.packed', 'joint', 'fp32'],
    ]);
    expect((await readdir(output)).sort()).toEqual(
      ['contract.json', 'encoder.packed', 'joint.packed', 'predictor.packed', 'vocab.txt'].sort(),
    );
    const contract = JSON.parse(await readFile(path.join(output, 'contract.json'), 'utf8')) as Contract;
    expect(Object.keys(contract.files ?? {}).sort()).toEqual([
      'encoder.packed',
      'joint.packed',
      'predictor.packed',
      'vocab.txt',
    ]);
    expect(contract.precision).toBe('fp32');
    const report = await checkFolder(output);
    expect(report.findings).toEqual([]);
    expect(report.model?.rule).toBe('tdt');
    expect(told.every(({ index, count, done, steps }) => index < 3 && count === 3 && done <= steps)).toBe(
      true,
    );
  });

  test.each([
    ['tiny-nemo', 'fp32', ['decoder_joint-model.packed', 'encoder-model.packed', 'vocab.txt']],
    ['tiny-nemo', 'int8', ['decoder_joint-model.int8.packed', 'encoder-model.int8.packed', 'vocab.txt']],
    ['tiny-sherpa', 'fp32', ['decoder.packed', 'encoder.packed', 'joiner.packed', 'tokens.txt']],
    [
      'tiny-sherpa',
      'int8',
      ['decoder.int8.packed', 'encoder.int8.packed', 'joiner.int8.packed', 'tokens.txt'],
    ],
  ] as const)('of the layout %s, %s', async (name, from, files) => {
    const output = await fresh();
    await optimizeModel(path.join(models, name), { output, from });
    const names = (await readdir(output)).filter((file) => file !== 'config.json').sort();
    expect(names).toEqual([...files]);
    const folder = await openModelFolder(output);
    expect(folder.layout).toBe(name.slice('tiny-'.length));
    expect(folder.precision).toBe(from);
    const report = await checkFolder(output);
    expect(report.findings).toEqual([]);
  });

  test('with a vocabulary of another name is replaced, too; papers are files alone', async () => {
    const source = path.join(await mkdtemp(path.join(scratch, 'named-')), 'model');
    await cp(path.join(models, 'tiny-ours'), source, { recursive: true });
    const contract = JSON.parse(await readFile(path.join(source, 'contract.json'), 'utf8')) as Contract;
    const { [contract.tokenizer.file]: pin, ...files } = contract.files ?? {};
    await rename(path.join(source, contract.tokenizer.file), path.join(source, 'pieces.txt'));
    contract.tokenizer.file = 'pieces.txt';
    contract.files = { ...files, ...(pin === undefined ? {} : { 'pieces.txt': pin }) };
    await writeFile(path.join(source, 'contract.json'), JSON.stringify(contract));
    await mkdir(path.join(source, 'LICENSE'));
    await writeFile(path.join(source, 'README.md'), 'whose it is');
    const output = await fresh();
    await optimizeModel(source, { output });
    await optimizeModel(source, { output, force: true });
    expect((await readdir(output)).sort()).toEqual(
      [
        'README.md',
        'contract.json',
        'encoder.packed',
        'joint.packed',
        'pieces.txt',
        'predictor.packed',
      ].sort(),
    );
  });

  test('is packed as a whole: no layout mixes packed graphs with others', async () => {
    const made = await fresh();
    await optimizeModel(path.join(models, 'tiny-sherpa'), { output: made });
    const mixed = await mkdtemp(path.join(scratch, 'mixed-'));
    await cp(path.join(made, 'encoder.packed'), path.join(mixed, 'encoder.packed'));
    for (const name of ['decoder.onnx', 'joiner.onnx', 'tokens.txt'])
      await cp(path.join(models, 'tiny-sherpa', name), path.join(mixed, name));
    expect((await rejection(openModelFolder(mixed))).code).toBe('ERR_MODEL_NOT_FOUND');
    // What is complete is taken.
    await cp(path.join(models, 'tiny-sherpa', 'encoder.onnx'), path.join(mixed, 'encoder.onnx'));
    expect((await openModelFolder(mixed)).files.encoder).toBe(path.join(mixed, 'encoder.onnx'));

    const ours = await fresh();
    await optimizeModel(path.join(models, 'tiny-ours'), { output: ours });
    const contract = JSON.parse(await readFile(path.join(ours, 'contract.json'), 'utf8')) as Contract;
    await cp(path.join(models, 'tiny-ours', 'joint.onnx'), path.join(ours, 'joint.onnx'));
    if (contract.joint !== undefined) contract.joint.file = 'joint.onnx';
    const source = await readFile(path.join(models, 'tiny-ours', 'contract.json'), 'utf8');
    const pin = (JSON.parse(source) as Contract).files?.['joint.onnx'];
    if (pin !== undefined) contract.files = { ...contract.files, 'joint.onnx': pin };
    delete contract.files?.['joint.packed'];
    await writeFile(path.join(ours, 'contract.json'), JSON.stringify(contract));
    const error = await rejection(openModelFolder(ours));
    expect(error.code).toBe('ERR_CONTRACT_MISMATCH');
    expect(error.message).toContain('joint.onnx');
  });

  test('of int8 graphs under plain names tells that they are', async () => {
    const source = await mkdtemp(path.join(scratch, 'plain-'));
    for (const stem of ['encoder', 'decoder', 'joiner']) {
      const quantised = stem === 'decoder' ? '' : '.int8';
      await cp(
        path.join(models, 'tiny-sherpa', `${stem}${quantised}.onnx`),
        path.join(source, `${stem}.onnx`),
      );
    }
    await cp(path.join(models, 'tiny-sherpa', 'tokens.txt'), path.join(source, 'tokens.txt'));
    const output = await fresh();
    const made = await optimizeModel(source, { output });
    expect(made.files.map(({ file }) => file)).toEqual([
      'encoder.int8.packed',
      'decoder.packed',
      'joiner.int8.packed',
    ]);
    expect((await openModelFolder(output)).precision).toBe('int8');
  });

  test.each(['ctc-ours', 'ctc-nemo', 'ctc-80-sherpa'])('of the CTC model %s', async (name) => {
    const output = await fresh();
    const made = await optimizeModel(path.join(models, 'variants', name), { output });
    expect(made.files.map(({ kind }) => kind)).toEqual(['encoder']);
    expect((await checkFolder(output)).findings).toEqual([]);
  });

  test('quantised here, it says so', async () => {
    const output = await fresh();
    const made = await optimizeModel(path.join(models, 'tiny-ours'), { output, precision: 'int8' });
    expect(made.files.map(({ precision }) => precision)).toEqual([
      'int8-packed',
      'int8-packed',
      'int8-packed',
    ]);
    expect((await checkFolder(output)).findings).toEqual([]);
    const contract = JSON.parse(await readFile(path.join(output, 'contract.json'), 'utf8')) as Contract;
    expect(contract.precision).toBe('int8');
    expect(contract.tolerances).toBeUndefined();
    expect((await openModelFolder(output)).precision).toBe('int8');
    const foreign = await fresh();
    await optimizeModel(path.join(models, 'tiny-sherpa'), { output: foreign, precision: 'int8' });
    expect(await readdir(foreign)).toContain('encoder.int8.packed');
    expect((await openModelFolder(foreign)).precision).toBe('int8');
  });
});

describe('what is refused leaves nothing behind', () => {
  test('a graph that cannot be packed, with the node', async () => {
    const output = await fresh();
    const causal = await rejection(optimizeModel(path.join(models, 'variants', 'ctc-causal'), { output }));
    expect(causal.code).toBe('ERR_CONTRACT_MISMATCH');
    expect(causal.message).toContain('LayerNormalization');
    const streaming = await rejection(optimizeModel(path.join(models, 'streaming', 'rnnt'), { output }));
    expect(streaming.code).toBe('ERR_CONTRACT_MISMATCH');
    expect(await readdir(path.dirname(output))).toEqual([]);
  });

  test('arguments', async () => {
    const output = await fresh();
    const source = path.join(models, 'tiny-ours');
    const cases: [object, RegExp][] = [
      [{}, /options\.output/],
      [{ output: '' }, /options\.output/],
      [{ output, precision: 'fp8' }, /options\.precision/],
      [{ output, from: 'fp16' }, /options\.from/],
      [{ output, force: 1 }, /options\.force/],
      [{ output, froce: true }, /options\.froce/],
      [{ output: source }, /a folder outside of/],
      [{ output: path.join(source, 'packed') }, /a folder outside of/],
      [{ output: welcome }, /a folder/],
    ];
    for (const [options, message] of cases) {
      const error = await rejection(optimizeModel(source, options as { output: string }));
      expect(error.code).toBe('ERR_BAD_ARGUMENT');
      expect(error.message).toMatch(message);
    }
    const absent = await rejection(optimizeModel(path.join(scratch, 'absent'), { output }));
    expect(absent.code).toBe('ERR_MODEL_NOT_FOUND');
    expect(await readdir(path.dirname(output))).toEqual([]);
  });

  test('a folder that holds something: replaced only when it is an optimized model, and asked for', async () => {
    const output = await fresh();
    const source = path.join(models, 'tiny-ours');
    await mkdir(output);
    await optimizeModel(source, { output });
    const first = (await stat(path.join(output, 'contract.json'))).ino;
    const again = await rejection(optimizeModel(source, { output }));
    expect(again.message).toContain('--force');
    await optimizeModel(source, { output, force: true });
    expect((await stat(path.join(output, 'contract.json'))).ino).not.toBe(first);
    await writeFile(path.join(output, 'notes.md'), 'mine');
    const mine = await rejection(optimizeModel(source, { output, force: true }));
    expect(mine.message).toContain('notes.md');
    // A folder of packed graphs is not packed again.
    await rm(path.join(output, 'notes.md'));
    const packed = await rejection(optimizeModel(output, { output: await fresh() }));
    expect(packed.code).toBe('ERR_BAD_ARGUMENT');
    expect(packed.message).toContain('encoder.packed');
  });

  test('a folder of which anything is no file that was made here', async () => {
    const output = await fresh();
    const source = path.join(models, 'tiny-ours');
    await optimizeModel(source, { output });
    const refused = async (name: string) => {
      const error = await rejection(optimizeModel(source, { output, force: true }));
      expect(error.code).toBe('ERR_BAD_ARGUMENT');
      expect(error.message).toContain(name);
    };
    // Names alone say nothing: folders and links are somebody's.
    await mkdir(path.join(output, 'README.md'));
    await writeFile(path.join(output, 'README.md', 'mine'), 'mine');
    await refused('README.md');
    expect(await readFile(path.join(output, 'README.md', 'mine'), 'utf8')).toBe('mine');
    await rm(path.join(output, 'README.md'), { recursive: true });
    await symlink(welcome, path.join(output, 'other.packed'));
    await refused('other.packed');
    await rm(path.join(output, 'other.packed'));
    expect((await optimizeModel(source, { output, force: true })).files).toHaveLength(3);
    expect(await readdir(path.dirname(output))).toEqual(['model']);
  });

  test('a folder around the source, by whatever path', async () => {
    const around = await mkdtemp(path.join(scratch, 'around-'));
    const source = path.join(around, 'a', 'model');
    await cp(path.join(models, 'tiny-ours'), source, { recursive: true });
    await writeFile(path.join(around, 'old.packed'), 'old');
    const link = `${around}-link`;
    await symlink(around, link);
    for (const output of [around, path.join(around, 'a'), link, path.join(link, 'a', 'model', 'packed')]) {
      const error = await rejection(optimizeModel(source, { output, force: true }));
      expect(error.code).toBe('ERR_BAD_ARGUMENT');
      expect(error.message).toContain('a folder outside of');
    }
    // Two points at the start of a name lead nowhere.
    const inside = await rejection(optimizeModel(source, { output: path.join(source, '..packed') }));
    expect(inside.message).toContain('a folder outside of');
    expect((await readdir(source)).sort()).toEqual((await readdir(path.join(models, 'tiny-ours'))).sort());
  });

  test('an output that somebody else filled in the meantime', async () => {
    const source = path.join(models, 'tiny-ours');
    for (const before of ['nothing', 'an empty folder', 'an optimized model']) {
      const output = await fresh();
      if (before === 'an empty folder') await mkdir(output);
      if (before === 'an optimized model') await optimizeModel(source, { output });
      const making = rejection(optimizeModel(demo, { output, force: true }));
      // The first check is over when there is a place for the new files.
      const staged = async () => {
        const [beside, inside] = await Promise.all([
          readdir(path.dirname(output)),
          readdir(output).catch(() => []),
        ]);
        return [...beside, ...inside].some((name) => name.endsWith('.tmp'));
      };
      while (!(await staged())) await sleep(1);
      await mkdir(output, { recursive: true });
      await writeFile(path.join(output, 'notes.md'), 'mine');
      const error = await making;
      expect([before, error.code]).toEqual([before, 'ERR_BAD_ARGUMENT']);
      expect(error.message).toContain('notes.md');
      expect(await readFile(path.join(output, 'notes.md'), 'utf8')).toBe('mine');
      expect(await readdir(path.dirname(output))).toEqual(['model']);
      expect((await readdir(output)).filter((name) => name.endsWith('.tmp'))).toEqual([]);
    }
  });

  test('links: to an empty folder, which is filled; to an optimized one, which is replaced; to nothing', async () => {
    const source = path.join(models, 'tiny-ours');
    const [output, link] = [await fresh(), await fresh()];
    await mkdir(output);
    await symlink(output, link);
    const inode = (await stat(output)).ino;
    await optimizeModel(source, { output: link });
    expect((await stat(output)).ino).toBe(inode);
    expect(await readdir(output)).toContain('encoder.packed');
    await optimizeModel(source, { output: link, force: true });
    expect((await stat(output)).ino).not.toBe(inode);
    expect((await openModelFolder(link)).precision).toBe('fp32');
    const broken = `${link}-broken`;
    await symlink(path.join(scratch, 'nowhere'), broken);
    const error = await rejection(optimizeModel(source, { output: broken }));
    expect(error.code).toBe('ERR_BAD_ARGUMENT');
    expect(error.message).toContain('broken link');
  });

  test('when the signal aborts', async () => {
    const output = await fresh();
    const reason = new Error('enough');
    const before = await rejection(optimizeModel(demo, { output, signal: AbortSignal.abort(reason) }));
    expect(before).toBe(reason);
    const controller = new AbortController();
    const during = await rejection(
      optimizeModel(demo, { output, signal: controller.signal, onProgress: () => controller.abort(reason) }),
    );
    expect(during).toBe(reason);
    expect(await readdir(path.dirname(output))).toEqual([]);
  });

  test('a graph that is damaged', async () => {
    const source = path.join(await mkdtemp(path.join(scratch, 'damaged-')), 'model');
    await cp(path.join(models, 'tiny-sherpa'), source, { recursive: true });
    const file = path.join(source, 'encoder.onnx');
    await writeFile(file, (await readFile(file)).subarray(0, 100_000));
    const output = await fresh();
    const error = await rejection(optimizeModel(source, { output }));
    expect(error.code).toBe('ERR_MODEL_CORRUPT');
    expect(await readdir(path.dirname(output))).toEqual([]);
  });
});

describe('trt-asr models optimize', () => {
  test('packs the shipped model, which then hears the same', async () => {
    const output = await fresh();
    const made = await run('models', 'optimize', 'demo-en', '--output', output);
    expect(made.stderr).toBe('');
    expect(made.code).toBe(0);
    expect(made.stdout).toContain('encoder.packed');
    expect(made.stdout.trimEnd().endsWith(output)).toBe(true);
    const [packed, published] = await Promise.all([
      run('transcribe', '--model', output, welcome),
      run('transcribe', '--model', demo, welcome),
    ]);
    expect(packed.code).toBe(0);
    expect(packed.stdout.length).toBeGreaterThan(10);
    expect(packed.stdout).toBe(published.stdout);
  });

  test('prints JSON, and refuses with exit codes', async () => {
    const output = await fresh();
    const source = path.join(models, 'tiny-ours');
    const made = await run('models', 'optimize', source, '-o', output, '--precision', 'int8', '--json');
    expect(made.code).toBe(0);
    expect(JSON.parse(made.stdout).files).toHaveLength(3);
    const again = await run('models', 'optimize', source, '-o', output);
    expect(again.code).toBe(2);
    expect(again.stderr).toContain('--force');
    expect((await run('models', 'optimize', source, '-o', output, '--force')).code).toBe(0);
    expect((await run('models', 'optimize', source)).code).toBe(2);
    expect((await run('models', 'optimize', source, '-o', output, '--precision', 'fp4')).code).toBe(2);
  });
});
