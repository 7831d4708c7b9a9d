import { existsSync, mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { BuiltEngine, CachedEngine, DeviceChoice } from '../../dist/index';
import { root, run } from './cli_support';
import { findStandIns, script } from './cuda_support';

// The test runner would load a second copy of each module.
const load = createRequire(import.meta.url);
const { listEngines, pruneEngines } = load('../../dist/index.js') as typeof import('../../dist/index');

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'trt-asr-engine-cache-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe('the engine cache', () => {
  const engineCacheDir = () => path.join(folder, 'engines');

  test.each([
    [() => listEngines({ model: 5 } as never), 'options.model'],
    [() => listEngines({ models: 'demo-en' } as never), 'options.models'],
    [() => pruneEngines({ unusedDays: -1 }), 'options.unusedDays'],
    [() => pruneEngines({ unusedDays: 1.5 }), 'options.unusedDays'],
    [() => pruneEngines({ all: 'yes' } as never), 'options.all'],
    [() => pruneEngines({ dryRun: 1 } as never), 'options.dryRun'],
    [() => pruneEngines({ engineCacheDir: '' }), 'options.engineCacheDir'],
    [() => pruneEngines({ tensorrtPath: '' }), 'options.tensorrtPath'],
  ] as const)('refuses %s', async (call, field) => {
    await expect(call()).rejects.toMatchObject({ code: 'ERR_BAD_ARGUMENT', field });
  });

  test('an empty TRT_ASR_ENGINE_CACHE is none, and not the working directory', () => {
    const { engineCache } = load('../../dist/engines.js') as typeof import('../../dist/engines');
    const before = process.env.TRT_ASR_ENGINE_CACHE;
    delete process.env.TRT_ASR_ENGINE_CACHE;
    const standard = engineCache();
    process.env.TRT_ASR_ENGINE_CACHE = '';
    const found = engineCache();
    if (before === undefined) delete process.env.TRT_ASR_ENGINE_CACHE;
    else process.env.TRT_ASR_ENGINE_CACHE = before;
    expect(standard).toMatch(/engines$/);
    expect(found).toBe(standard);
  });

  test('a damaged engine is listed as that, and pruned by its age', async () => {
    const file = path.join(engineCacheDir(), 'my-model', `${'0'.repeat(64)}.plan`);
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(file, 'no engine at all');
    const [engine] = await listEngines({ engineCacheDir: engineCacheDir() });
    expect(engine).toMatchObject({ path: file, model: 'my-model', bytes: 16, header: {}, trials: [] });
    expect(engine?.damage).toContain(file);
    expect(Date.now() - (engine as CachedEngine).lastUsed.getTime()).toBeLessThan(3_600_000);
    const prune = (more: object) =>
      pruneEngines({ engineCacheDir: engineCacheDir(), all: true, ...more }).then((gone) => gone.length);
    expect(await prune({})).toBe(0);
    const old = new Date(Date.now() - 40 * 86_400_000);
    utimesSync(file, old, old);
    expect(await prune({ unusedDays: 50 })).toBe(0);
    expect(await prune({ dryRun: true })).toBe(1);
    expect(existsSync(file)).toBe(true);
    await expect(prune({ model: 'other' })).rejects.toMatchObject({
      code: 'ERR_MODEL_NOT_FOUND',
      expected: 'one of my-model',
    });
    expect(await prune({ model: 'my-model' })).toBe(1);
    expect(existsSync(file)).toBe(false);
  });
});

describe('the commands', () => {
  test('list-engines and prune-engines: an empty cache, an unknown model, no TensorRT to go by', async () => {
    const cache = ['--engine-cache', folder];
    expect(await run('list-engines', ...cache)).toMatchObject({ code: 0, stdout: '', stderr: '' });
    const unknown = await run('list-engines', 'demo-xx', ...cache);
    expect(unknown).toMatchObject({ code: 4, stdout: '' });
    expect(unknown.stderr).toMatch(/^trt-asr: ERR_MODEL_NOT_FOUND: .*demo-xx.*\n$/);
    const without = await run('prune-engines', ...cache, '--tensorrt', folder);
    expect(without).toMatchObject({ code: 5, stdout: '' });
    expect(without.stderr).toContain('ERR_BACKEND_UNAVAILABLE');
    const all = await run('prune-engines', '--all', ...cache, '--json');
    expect({ code: all.code, ...JSON.parse(all.stdout) }).toEqual({
      code: 0,
      dryRun: false,
      bytes: 0,
      engines: [],
    });
    expect((await run('prune-engines', '--unused-days', 'many')).code).toBe(2);
    expect((await run('prune-engines', '--unused-days', '99999')).code).toBe(2);
  });
});

const standIns = findStandIns();
if (standIns === undefined)
  process.stdout.write('engine_cache.test.ts: no engine is opened: no stand-ins of a GPU were built\n');
else onStandIns(standIns);

/** A GPU that is none: what is found, built and taken, and nothing of what NVIDIA's software does. */
function onStandIns(standIns: string): void {
  const model = path.join(root, 'models', 'demo-en');
  const speech = path.join(root, 'examples', 'welcome.wav');
  const machine = (tensorrt: string, more: object = {}) => ({
    LD_LIBRARY_PATH: standIns,
    TRT_ASR_PLUGINS_PATH: standIns,
    TRT_ASR_TENSORRT_PATH: path.join(standIns, tensorrt),
    TRT_ASR_ENGINE_CACHE: folder,
    ...more,
  });
  async function built(env: Record<string, string>, options: object): Promise<BuiltEngine[]> {
    const given = JSON.stringify({ model, precision: 'fp32', ...options });
    const { status, stdout, stderr } = await script(`print(await buildEngines(${given}));`, env);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    return JSON.parse(stdout) as BuiltEngine[];
  }
  /** What the recognizer heard, and where the engines in the cache were tried. */
  async function heard(env: Record<string, string>): Promise<{ text: string; engines: CachedEngine[] }> {
    const given = JSON.stringify({ model, device: 'cuda', enginePrecision: 'fp32' });
    const { status, stdout, stderr } = await script(
      `const asr = await Recognizer.open(${given});
       print((await asr.transcribe(${JSON.stringify(speech)})).text);
       await asr.close();`,
      env,
    );
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    return { text: JSON.parse(stdout) as string, engines: await listEngines({ engineCacheDir: folder }) };
  }

  describe('Recognizer.open over stand-ins of a GPU', { timeout: 240_000 }, () => {
    test('takes engines that an earlier TensorRT made for a class of GPUs', async () => {
      const options = { versionCompatible: true, hardwareCompatible: true };
      const engines = await built(machine('.'), options);
      expect(engines.map(({ graph }) => graph)).toEqual(['encoder', 'predictor', 'joint']);
      const other = { STAND_IN_GPU_NAME: 'NVIDIA B200', STAND_IN_CAPABILITY: '100' };
      const seen = await heard(machine('newer', other));
      expect(seen.text).toContain('speech recognition');
      expect(seen.engines).toHaveLength(3);
      for (const { header, trials } of seen.engines) {
        expect(header).toMatchObject({
          gpu: 'Ampere or newer',
          version_compatible: '1',
          hardware_compatible: '1',
        });
        expect(trials.map(({ where }) => where.split(',')[0])).toEqual(['NVIDIA B200 0', 'Stand-in GPU 0']);
      }
      // build-engines makes those of this GPU, which come first from then on.
      expect((await built(machine('newer', other), {})).every((engine) => engine.built)).toBe(true);
    });

    test('takes engines that TensorRT-RTX built for its compute capability without a GPU', async () => {
      await built(machine('rtx', { STAND_IN_GPUS: '0' }), { computeCapabilities: [89, 120] });
      const seen = await heard(machine('rtx'));
      expect(seen.text).toContain('speech recognition');
      expect(seen.engines.map(({ header, trials }) => [header.targets, trials.length])).toEqual(
        new Array(3).fill(['89 120', 1]),
      );
    });

    test('tells what makes a recognizer slower than it could be, and nothing where nothing does', async () => {
      const given = JSON.stringify({ model, device: 'cuda', enginePrecision: 'fp32' });
      const taken = async (more: object): Promise<DeviceChoice> => {
        const asked = `const asr = await Recognizer.open(${given}); print(asr.device); await asr.close();`;
        const { status, stdout, stderr } = await script(asked, machine('.', more));
        expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
        return JSON.parse(stdout) as DeviceChoice;
      };
      expect(Object.keys(await taken({}))).toEqual(['device', 'reason']);
      const slower = await taken({ STAND_IN_NO_CAPTURE: '1' });
      expect(slower).toMatchObject({ device: 'cuda:0', remarks: expect.stringContaining('capture') });
    });
  });
}
