import * as fs from 'node:fs';
import { createRequire } from 'node:module';
import * as os from 'node:os';
import * as path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { root } from './cli_support';

const load = createRequire(import.meta.url);

interface Subject {
  subject: string;
  role: string;
  model: string;
}
const { notJudged, printable, setsOf } = load('../../tools/bench/common/subjects.js') as {
  notJudged: (peer: Subject | undefined, ours: Subject | undefined) => string | undefined;
  printable: (model: string, folder: string) => string;
  setsOf: (options: Record<string, unknown>, folder: string) => { set: string; subjects: Subject[] }[];
};
const { batchable } = load('../../tools/bench/common/model_files.js') as {
  batchable: (model: string) => Promise<boolean>;
};
const { filesOf } = load('../../tools/bench/common/file_cache.js') as {
  filesOf: (model: string) => string[];
};
const { markdown, number } = load('../../tools/bench/common/table.js') as {
  markdown: (table: { title: string; head: string[]; rows: unknown[][] }) => string;
  number: (value: number | undefined) => string;
};
const { Worker } = load('../../tools/bench/common/worker.js') as {
  Worker: {
    lines: (
      command: string,
      args: string[],
    ) => { ask: (question: string) => Promise<unknown>; end: () => Promise<void> };
  };
};

const models = path.join(root, 'test', 'fixtures', 'models');
let folder: string;
beforeAll(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'trt-asr-bench-test-'));
});
afterAll(() => fs.rmSync(folder, { recursive: true }));

describe('who is measured', () => {
  const roles = (options: Record<string, unknown>) =>
    setsOf(options, folder).map(({ set, subjects }) => [
      set,
      ...subjects.map(({ subject, role }) => `${role}: ${subject}`),
    ]);
  const sherpa = path.join(models, 'tiny-sherpa');
  const ours = path.join(models, 'tiny-ours');

  test('without models the demo model alone', () => {
    expect(roles({})).toEqual([['', 'other: trt-asr, demo']]);
  });

  test("the peer's files for both, our own form, others, and the same before emissions were set", () => {
    const options = {
      peer: folder,
      'peer-model': sherpa,
      full: ours,
      ours: [`tiny=${ours}`],
      'raw-full': ours,
    };
    expect(roles(options)).toEqual([
      [
        '',
        'peer: sherpa-onnx-node',
        'same: trt-asr, same files',
        'own: trt-asr, own form',
        'other: trt-asr, tiny',
      ],
      ['raw emissions', 'own: trt-asr, own form'],
    ]);
  });

  test('weights that were prepared take the place of the files', () => {
    expect(roles({ 'peer-model': sherpa, same: ours })).toEqual([
      ['', 'other: trt-asr, same files', 'same: trt-asr, same weights'],
    ]);
  });

  test('tiny models are not held against targets', () => {
    const [{ subjects } = { subjects: [] }] = setsOf({ peer: folder, 'peer-model': sherpa }, folder);
    const [peer, same] = subjects;
    expect(notJudged(peer, same)).toBe('it is about full-size models');
    expect(notJudged(undefined, same)).toContain('--peer FOLDER');
  });

  test('the peer gets the same graphs, and a vocabulary that it can print', () => {
    const model = path.join(folder, 'model');
    fs.mkdirSync(model);
    fs.writeFileSync(path.join(model, 'encoder.onnx'), 'graph');
    fs.writeFileSync(path.join(model, 'tokens.txt'), '<0x0A> 0\n<0x20> 1\n<0x7F> 2\nx<0x0A> 3\n');
    const copy = printable(model, folder);
    expect(fs.realpathSync(path.join(copy, 'encoder.onnx'))).toBe(
      fs.realpathSync(path.join(model, 'encoder.onnx')),
    );
    expect(fs.readFileSync(path.join(copy, 'tokens.txt'), 'utf8')).toBe(
      '[0A] 0\n<0x20> 1\n[7F] 2\nx<0x0A> 3\n',
    );
  });
});

test('the files of a model that are forgotten: behind links, and what was packed at the first use', () => {
  const model = path.join(folder, 'used');
  fs.mkdirSync(path.join(model, '.trt-asr'), { recursive: true });
  const linked = path.join(folder, 'linked.onnx');
  fs.writeFileSync(linked, 'graph');
  fs.symlinkSync(linked, path.join(model, 'encoder.onnx'));
  const packed = path.join(model, '.trt-asr', 'encoder.packed');
  fs.writeFileSync(packed, 'weights');
  expect(filesOf(model)).toEqual([linked, packed].map((file) => fs.realpathSync(file)));
});

test('of int8 models those alone are batched that the package batches', async () => {
  const model = path.join(folder, 'int8');
  fs.mkdirSync(model);
  for (const name of ['encoder', 'decoder', 'joiner'])
    fs.copyFileSync(
      path.join(models, 'tiny-sherpa', `${name}.int8.onnx`),
      path.join(model, `${name}.int8.onnx`),
    );
  fs.copyFileSync(path.join(models, 'tiny-sherpa', 'tokens.txt'), path.join(model, 'tokens.txt'));
  expect(await batchable(model)).toBe(false);
  expect(await batchable(path.join(models, 'tiny-sherpa'))).toBe(true);
});

test('tables', () => {
  expect([1234.5, 12.34, 1.234, 0.01234, 0, undefined].map(number)).toEqual([
    '1235',
    '12.3',
    '1.23',
    '0.012',
    '0.00',
    '-',
  ]);
  expect(markdown({ title: 't', head: ['a', 'b'], rows: [['x|y', 1]] })).toBe(
    '### t\n\n| a    |   b |\n|------|----:|\n| x\\|y |   1 |\n',
  );
});

test('a program that ends says why, and further questions are refused', async () => {
  const program = "process.stdin.once('data', () => { console.error('no such graph'); process.exit(3); })";
  const worker = Worker.lines(process.execPath, ['-e', program]);
  await expect(worker.ask('run')).rejects.toThrow('ended with 3: no such graph');
  await expect(worker.ask('run')).rejects.toThrow('it has ended');
  await worker.end();
});

test('lines are answered one by one; what is not JSON is passed over', async () => {
  const program =
    "require('node:readline').createInterface({ input: process.stdin }).on('line', (line) => { console.log('log'); console.log(JSON.stringify({ line })); })";
  const worker = Worker.lines(process.execPath, ['-e', program]);
  expect(await worker.ask('a')).toEqual({ line: 'a' });
  expect(await worker.ask('b')).toEqual({ line: 'b' });
  await worker.end();
});
