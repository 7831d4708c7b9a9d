import {
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { AsrError as AsrErrorType, BuiltEngine, CachedEngine, EngineProgress } from '../../dist/index';
import { root, run, start, tiny } from './cli_support';
import { findRtx, hasDriver, type Ran, script } from './cuda_support';

// The test runner would load a second copy of each module, and with it a second AsrError.
const load = createRequire(import.meta.url);
const { AsrError, buildEngines } = load('../../dist/index.js') as typeof import('../../dist/index');
type Options = Parameters<typeof buildEngines>[0];

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'trt-asr-engines-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

async function failure(options: object): Promise<AsrErrorType> {
  const error = await buildEngines({ model: tiny, tensorrtPath: folder, ...options } as Options).then(
    () => expect.fail('it succeeded'),
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(AsrError);
  return error as AsrErrorType;
}

/** A model whose graphs are int8 alone. */
function quantized(): string {
  const from = path.join(root, 'test', 'fixtures', 'models', 'tiny-nemo');
  const to = path.join(folder, 'quantized');
  cpSync(from, to, { recursive: true, filter: (file) => !/model\.onnx$/.test(file) });
  return to;
}

describe('buildEngines refuses', () => {
  test.each([
    ['precision', 'int8'],
    ['precision', 16],
    ['gpu', -1],
    ['gpu', 256],
    ['gpu', '0'],
    ['batchMax', 0],
    ['batchMax', 4097],
    ['framesMax', 0],
    ['framesMax', 1.5],
    ['computeCapabilities', 89],
    ['computeCapabilities', ['89']],
    ['computeCapabilities', [8.9]],
    ['engineCacheDir', ''],
    ['tensorrtPath', 5],
    ['cacheDir', ''],
    ['versionCompatible', 1],
    ['hardwareCompatible', 'ampere'],
    ['rebuild', 'yes'],
    ['offline', 1],
    ['signal', {}],
    ['onProgress', true],
    ['onEngineProgress', 'print'],
    ['engineCache', '/tmp'],
  ])('%s: %j', async (name, value) => {
    const { code, message } = await failure({ [name]: value });
    expect(code).toBe('ERR_BAD_ARGUMENT');
    expect(message).toContain(`options.${name}`);
  });

  test.each([undefined, null, 'demo-en', []])('%j as options', async (options) => {
    const error = await buildEngines(options as never).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 'ERR_BAD_ARGUMENT' });
  });

  test('an unknown model', async () => {
    expect((await failure({ model: 'demo-xx' })).code).toBe('ERR_MODEL_NOT_FOUND');
    expect((await failure({ model: path.join(folder, 'none') })).code).toBe('ERR_MODEL_NOT_FOUND');
  });

  test('quantised graphs, by the name of their folder', async () => {
    const model = quantized();
    const { code, message, remedy } = await failure({ model });
    expect(code).toBe('ERR_ENGINE_BUILD');
    expect(message).toContain(`fp32 graphs in ${model}`);
    expect(message).toContain('int8');
    expect(remedy).toContain("device: 'cpu'");
  });

  test('packed graphs, by the name of their folder', async () => {
    const model = path.join(folder, 'packed');
    expect((await run('models', 'optimize', tiny, '--output', model)).code).toBe(0);
    const { code, field, message, remedy } = await failure({ model });
    expect({ code, field }).toEqual({ code: 'ERR_ENGINE_BUILD', field: 'model' });
    expect(message).toContain(`ONNX graphs in ${model}`);
    expect(message).toContain('packed ones, which run on the CPU alone');
    expect(remedy).toContain("device: 'cpu'");
  });

  test('a quantised model of the registry, before it is downloaded', async () => {
    const { code, message } = await failure({ model: 'parakeet-tdt-0.6b-v3-int8', cacheDir: folder });
    expect(code).toBe('ERR_ENGINE_BUILD');
    expect(message).toContain('parakeet-tdt-0.6b-v3-int8');
    expect(readdirSync(folder)).toEqual([]);
  });

  test('to go on without TensorRT, and says where it was looked for', async () => {
    const { code, message } = await failure({});
    expect(code).toBe('ERR_BACKEND_UNAVAILABLE');
    expect(message).toContain(`(${path.join(folder, 'libtensorrt_rtx.so.1')}): not there`);
    const without = await failure({ computeCapabilities: [89] });
    expect(without.code).toBe('ERR_BACKEND_UNAVAILABLE');
    // What is not needed without a GPU is not asked for.
    expect(without.expected).not.toContain('driver');
  });

  test('to begin when the signal is aborted already', async () => {
    const reason = new Error('changed my mind');
    const building = buildEngines({ model: tiny, signal: AbortSignal.abort(reason) });
    await expect(building).rejects.toBe(reason);
  });
});

describe('the commands without TensorRT', () => {
  const build = (...args: string[]) => run('build-engines', ...args, '--tensorrt', folder);

  test.each([
    ['no backend', 5, [tiny]],
    ['a precision that is none', 2, [tiny, '--precision', 'int8']],
    ['a number that is none', 2, [tiny, '--batch-max', 'many']],
    ['a capability that is none', 2, [tiny, '--compute-capability', '8.9']],
    ['no model', 2, []],
    ['an unknown model', 4, ['demo-xx']],
  ] as const)('build-engines: %s', async (_, expected, args) => {
    const { code, stdout, stderr } = await build(...args);
    expect({ code, stdout }).toEqual({ code: expected, stdout: '' });
    expect(stderr).not.toBe('');
    expect(stderr).not.toMatch(/\n\s+at /);
  });

  test('build-engines: quantised graphs', async () => {
    const { code, stderr } = await build(quantized(), '--json');
    expect(code).toBe(7);
    expect(stderr).toMatch(/^trt-asr: ERR_ENGINE_BUILD: Expected fp32 graphs in .*\n$/);
  });

  test('inspect-engine: no file, and a file that is no engine', async () => {
    const none = await run('inspect-engine', path.join(folder, 'none.plan'));
    expect(none).toMatchObject({ code: 4, stdout: '' });
    expect(none.stderr).toMatch(/^trt-asr: ERR_MODEL_NOT_FOUND: .*none\.plan.*\n$/);
    writeFileSync(path.join(folder, 'text.plan'), 'no engine at all');
    const text = await run('inspect-engine', path.join(folder, 'text.plan'), '--json');
    expect(text).toMatchObject({ code: 7, stdout: '' });
    expect(text.stderr).toMatch(/^trt-asr: ERR_ENGINE_STALE: .*text\.plan.*\n$/);
  });
});

const rtx = findRtx();
if (typeof rtx === 'string') process.stdout.write(`engines.test.ts: no engine is built: ${rtx}\n`);
else withRtx(rtx.tensorrt, rtx.plugins);

function withRtx(tensorrt: string, plugins: string): void {
  const demo = path.join(root, 'models', 'demo-en');
  const graphs = ['encoder', 'predictor', 'joint'];
  const env = { TRT_ASR_PLUGINS_PATH: plugins };
  const plans = (cache: string): string[] =>
    readdirSync(cache, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.plan'));
  const options = (more: object = {}) =>
    JSON.stringify({
      model: tiny,
      tensorrtPath: tensorrt,
      engineCacheDir: folder,
      computeCapabilities: [89],
      ...more,
    });
  async function quiet(body: string): Promise<string> {
    const { status, stdout, stderr }: Ran = await script(body, env);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    return stdout;
  }

  // Building takes seconds on a machine with nothing else to do.
  describe('engines of TensorRT-RTX', { timeout: 240_000 }, () => {
    test('are built with progress, found again, built anew on request, and apart for each precision', async () => {
      const stdout = await quiet(`
        const seen = [];
        const onEngineProgress = (progress) => seen.push(progress);
        print(await buildEngines({ ...${options()}, onEngineProgress }));
        print(seen);
        print(await buildEngines(${options()}));
        print(await buildEngines(${options({ rebuild: true })}));
        print(await buildEngines(${options({ precision: 'fp32', batchMax: 2, framesMax: 200 })}));`);
      const lines = stdout
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line));
      const [first, seen, again, anew, other] = lines as [
        BuiltEngine[],
        EngineProgress[],
        BuiltEngine[],
        BuiltEngine[],
        BuiltEngine[],
      ];
      expect(first.map(({ graph, built }) => ({ graph, built }))).toEqual(
        graphs.map((graph) => ({ graph, built: true })),
      );
      for (const { path: file, bytes } of first)
        expect(readFileSync(file).length).toBeGreaterThanOrEqual(bytes);
      for (const { graph, done, steps } of seen) {
        expect(graphs).toContain(graph);
        expect(done).toBeLessThanOrEqual(Math.max(steps, 1));
      }
      expect(again).toEqual(first.map((engine) => ({ ...engine, built: false })));
      expect(anew.map(({ graph, built, path: file }) => ({ graph, built, file }))).toEqual(
        first.map(({ graph, path: file }) => ({ graph, built: true, file })),
      );
      const files = new Set(first.map(({ path: file }) => file));
      for (const { built, path: file } of other)
        expect({ built, known: files.has(file) }).toEqual({ built: true, known: false });
    });

    if (!hasDriver) {
      test('are for a GPU that is there, unless capabilities are named', async () => {
        const { computeCapabilities: _, ...others } = JSON.parse(options()) as Record<string, unknown>;
        const { code, message } = await failure(others);
        expect(code).toBe('ERR_BACKEND_UNAVAILABLE');
        expect(message).toContain('NVIDIA driver (libcuda.so.1): not there');
      });
    }

    test('a capability that TensorRT-RTX does not know is refused', async () => {
      const stdout = await quiet(
        `print(await told(buildEngines(${options({ computeCapabilities: [77] })})));`,
      );
      expect(JSON.parse(stdout)).toMatchObject({
        code: expect.stringMatching(/^ERR_(ENGINE_BUILD|BAD_ARGUMENT)$/),
      });
      expect(plans(folder)).toEqual([]);
    });

    test('an abort in the middle rejects with its reason, and leaves nothing that looks finished', async () => {
      const stdout = await quiet(`
        const controller = new AbortController();
        const reason = new Error('enough');
        const onEngineProgress = () => controller.abort(reason);
        const given = ${options({ model: demo, computeCapabilities: [80, 86, 89, 120] })};
        const error = await buildEngines({ ...given, onEngineProgress, signal: controller.signal }).catch((one) => one);
        print(error === reason);`);
      expect(stdout).toBe('true\n');
      expect(plans(folder).length).toBeLessThan(graphs.length);
      // The same cache serves the next one.
      const next = await quiet(`print(await buildEngines(${options({ model: demo })}));`);
      expect((JSON.parse(next) as BuiltEngine[]).map(({ graph }) => graph)).toEqual(graphs);
    });

    test('a worker thread that is terminated in the middle of a build ends it', async () => {
      const stdout = await quiet(`
        const { Worker } = require('node:worker_threads');
        const source = ${JSON.stringify(`
          const { parentPort, workerData } = require('node:worker_threads');
          const { buildEngines } = require(workerData.entry);
          buildEngines({ ...workerData.options, onEngineProgress: (progress) => parentPort.postMessage(progress.graph) });`)};
        const workerData = {
          entry: require.resolve(${JSON.stringify(path.join(root, 'dist', 'index.js'))}),
          options: ${options({ model: demo, computeCapabilities: [80, 86, 89, 120] })},
        };
        const worker = new Worker(source, { eval: true, workerData });
        await new Promise((resolve) => worker.once('message', resolve));
        const begun = Date.now();
        await worker.terminate();
        print({ ended: true, soon: Date.now() - begun < 30000 });`);
      expect(JSON.parse(stdout)).toEqual({ ended: true, soon: true });
      expect(plans(folder).length).toBeLessThan(graphs.length);
    });

    test('two processes at once build each engine once', async () => {
      const both = await Promise.all([0, 1].map(() => quiet(`print(await buildEngines(${options()}));`)));
      const [one, two] = both.map((stdout) => JSON.parse(stdout) as BuiltEngine[]) as [
        BuiltEngine[],
        BuiltEngine[],
      ];
      expect(one.map(({ path: file }) => file)).toEqual(two.map(({ path: file }) => file));
      one.forEach((engine, index) => {
        expect(Number(engine.built) + Number(two[index]?.built)).toBe(1);
      });
      expect(plans(folder)).toHaveLength(graphs.length);
    });
  });

  describe('the commands with TensorRT-RTX', { timeout: 240_000 }, () => {
    let cache: string;
    let engines: BuiltEngine[];
    const before = process.env.TRT_ASR_PLUGINS_PATH;
    const arguments_ = () => [
      tiny,
      '--tensorrt',
      tensorrt,
      '--engine-cache',
      cache,
      '--compute-capability',
      '89,120',
    ];
    beforeAll(async () => {
      process.env.TRT_ASR_PLUGINS_PATH = plugins;
      cache = mkdtempSync(path.join(tmpdir(), 'trt-asr-engine-cache-'));
      const { code, stdout, stderr } = await run('build-engines', ...arguments_(), '--json');
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
      engines = (JSON.parse(stdout) as { engines: BuiltEngine[] }).engines;
    });
    afterAll(() => {
      if (before === undefined) delete process.env.TRT_ASR_PLUGINS_PATH;
      else process.env.TRT_ASR_PLUGINS_PATH = before;
      rmSync(cache, { recursive: true, force: true });
    });

    test('build-engines prints a line for each', async () => {
      const { code, stdout, stderr } = await run('build-engines', ...arguments_());
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
      expect(
        stdout
          .trim()
          .split('\n')
          .map((line) => line.split(/\s+/).slice(0, 2)),
      ).toEqual(graphs.map((graph) => [graph, 'found']));
    });

    test('build-engines is interrupted by Ctrl-C', async () => {
      const args = [
        demo,
        '--tensorrt',
        tensorrt,
        '--engine-cache',
        folder,
        '--compute-capability',
        '80,86,89,120',
      ];
      const { child, finished } = start(['build-engines', ...args]);
      // A lock file says that a build has begun.
      while (
        !readdirSync(folder, { recursive: true, encoding: 'utf8' }).some((name) => name.endsWith('.lock'))
      )
        await new Promise((resolve) => setTimeout(resolve, 50));
      child.kill('SIGINT');
      const { code } = await finished;
      expect(code).toBe(130);
    });

    test('inspect-engine tells what an engine was made of and for, and how it stands here', async () => {
      const file = engines[0]?.path as string;
      const { code, stdout, stderr } = await run('inspect-engine', file, '--tensorrt', tensorrt);
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
      for (const line of ['graph: encoder', 'precision: fp16', 'targets: 89 120'])
        expect(stdout).toContain(`${line}\n`);
      const json = await run('inspect-engine', file, '--tensorrt', tensorrt, '--json');
      const { header, verdict, layers } = JSON.parse(json.stdout);
      expect(header).toMatchObject({
        graph: 'encoder',
        precision: 'fp16',
        tensorrt: expect.stringMatching(/^rtx 1\d{4}$/),
      });
      expect(verdict).not.toMatch(/\.\.|Expected/);
      if (hasDriver) return;
      expect(verdict).toBe('whole, and of the TensorRT that is here; not loaded: no GPU that can be used');
      expect(layers).toBeNull();
    });

    test('list-engines and prune-engines know the engines, and keep what this TensorRT can use', async () => {
      const listed = await run('list-engines', '--engine-cache', cache, '--json');
      expect(listed).toMatchObject({ code: 0, stderr: '' });
      const found = (JSON.parse(listed.stdout) as { engines: CachedEngine[] }).engines;
      expect(found.map((engine) => engine.path).sort()).toEqual(engines.map((engine) => engine.path).sort());
      for (const engine of found) {
        expect(graphs).toContain(engine.header.graph);
        expect(engine.header.targets).toBe('89 120');
        expect(engine.trials).toEqual([]);
      }
      const text = await run('list-engines', '--engine-cache', cache);
      expect(text.stdout).toMatch(/ encoder +fp16 +TensorRT-RTX 1\.\d+\.\d+ +for 89 120 /);
      const old = new Date(Date.now() - 40 * 86_400_000);
      for (const engine of found) utimesSync(engine.path, old, old);
      const prune = (...more: string[]) =>
        run('prune-engines', '--engine-cache', cache, '--tensorrt', tensorrt, ...more);
      expect(await prune()).toMatchObject({ code: 0, stdout: 'deleted: 0 files, 0 B\n' });
      const all = await prune('--all', '--dry-run');
      expect(all.code).toBe(0);
      expect(all.stdout).toMatch(/would be deleted: 3 files, /);
      for (const engine of engines) expect(existsSync(engine.path)).toBe(true);
    });

    test('compatibility that TensorRT-RTX has not got is refused', async () => {
      for (const flag of ['--version-compatible', '--hardware-compatible']) {
        const { code, stderr } = await run('build-engines', ...arguments_(), flag);
        expect(code).toBe(2);
        expect(stderr).toContain('ERR_BAD_ARGUMENT');
      }
    });

    test('inspect-engine without TensorRT still reads the header', async () => {
      const file = engines[1]?.path as string;
      const { code, stdout } = await run('inspect-engine', file, '--tensorrt', folder);
      expect(code).toBe(0);
      expect(stdout).toContain('graph: predictor\n');
      expect(stdout).toMatch(/^here: not known: no TensorRT/m);
    });

    test('inspect-engine refuses an engine that was cut short or changed', async () => {
      const cut = path.join(folder, 'cut.plan');
      const changed = path.join(folder, 'changed.plan');
      const whole = readFileSync(engines[2]?.path as string);
      writeFileSync(cut, whole);
      truncateSync(cut, whole.length - 100);
      whole[whole.length - 50] = (whole[whole.length - 50] as number) ^ 1;
      writeFileSync(changed, whole);
      for (const file of [cut, changed]) {
        const { code, stdout, stderr } = await run('inspect-engine', file, '--tensorrt', tensorrt);
        expect({ code, stdout }).toEqual({ code: 7, stdout: '' });
        expect(stderr).toContain(`ERR_ENGINE_STALE`);
        expect(stderr).toContain(file);
      }
    });
  });

  if (!hasDriver) {
    test("TensorRT-RTX without a driver: device 'auto' takes the CPU and says why, 'cuda' says what is there", async () => {
      const given = { model: tiny, tensorrtPath: tensorrt };
      const stdout = await quiet(`
        const asr = await Recognizer.open(${JSON.stringify(given)});
        print(asr.device);
        await asr.close();
        print(await told(Recognizer.open(${JSON.stringify({ ...given, device: 'cuda' })})));`);
      const [choice, error] = stdout
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line));
      expect(choice).toEqual({ device: 'cpu', reason: 'auto: no NVIDIA driver' });
      expect(error.code).toBe('ERR_BACKEND_UNAVAILABLE');
      expect(error.message).toMatch(/TensorRT-RTX 1 \(.+?\/libtensorrt_rtx\.so\.1\): version 1\.\d+\.\d+;/);
      expect(error.message).toMatch(/plug-in for TensorRT-RTX 1 \(.+?\): ABI \d+;/);
      expect(error.message).toContain('NVIDIA driver (libcuda.so.1): not there');
    });
  }
}
