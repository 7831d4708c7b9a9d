import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { AsrError as AsrErrorType } from '../../dist/index';
import { run, tiny } from './cli_support';
import { hasDriver, script } from './cuda_support';

// The test runner would load a second copy of each module, and with it a second AsrError.
const load = createRequire(import.meta.url);
const { AsrError, Recognizer } = load('../../dist/index.js') as typeof import('../../dist/index');
type OpenOptions = Parameters<typeof Recognizer.open>[0];

let empty: string;
beforeEach(() => {
  empty = mkdtempSync(path.join(tmpdir(), 'trt-asr-device-'));
});
afterEach(() => rmSync(empty, { recursive: true, force: true }));

async function failure(options: object): Promise<AsrErrorType> {
  const opening = Recognizer.open({ model: tiny, ...options } as OpenOptions);
  const error = await opening.then(
    () => expect.fail('it succeeded'),
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(AsrError);
  return error as AsrErrorType;
}

const libraries = ['libnvinfer.so.11', 'libnvinfer.so.10', 'libtensorrt_rtx.so.1'];
const open = (options: object) => `told(Recognizer.open(${JSON.stringify({ model: tiny, ...options })}))`;

describe("device 'cuda' without NVIDIA's software", () => {
  test.each([
    'cuda',
    'cuda:0',
    'cuda:7',
  ])('%s lists everything that was looked for, and where', async (device) => {
    const { code, message, remedy, field } = await failure({ device, tensorrtPath: empty });
    expect({ code, field }).toEqual({ code: 'ERR_BACKEND_UNAVAILABLE', field: "device 'cuda'" });
    for (const name of libraries) expect(message).toContain(`(${path.join(empty, name)}): not there`);
    expect(message).toContain('NVIDIA driver');
    expect(message).toMatch(/CUDA kernels \(\/.+\/libtrt_asr_cuda\.so\): /);
    expect(remedy).toContain('trt-asr-cuda-linux-x64');
    expect(remedy).toContain('TRT_ASR_TENSORRT_PATH');
    expect(message).not.toContain('..');
  });

  test('nothing of a model is looked at first', async () => {
    const { code } = await failure({ device: 'cuda', tensorrtPath: empty, model: './no-such-folder' });
    expect(code).toBe('ERR_BACKEND_UNAVAILABLE');
  });

  test('the option goes before the environment, and the environment before the system', async () => {
    const other = path.join(empty, 'other');
    const env = { TRT_ASR_TENSORRT_PATH: other };
    const of = async (options: object) => {
      const { status, stdout, stderr } = await script(
        `print(await ${open({ device: 'cuda', ...options })});`,
        env,
      );
      expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
      return JSON.parse(stdout) as { code: string; message: string };
    };
    const named = await of({});
    expect(named.code).toBe('ERR_BACKEND_UNAVAILABLE');
    for (const name of libraries) expect(named.message).toContain(`(${path.join(other, name)}): not there`);
    const option = await of({ tensorrtPath: empty });
    for (const name of libraries) expect(option.message).toContain(`(${path.join(empty, name)}): not there`);
    expect(option.message).not.toContain(other);
  });

  test('plug-ins are looked for in TRT_ASR_PLUGINS_PATH and nowhere else', async () => {
    const env = { TRT_ASR_PLUGINS_PATH: path.join(empty, 'plugins'), TRT_ASR_TENSORRT_PATH: empty };
    const { stdout, stderr } = await script(`print(await ${open({ device: 'cuda' })});`, env);
    expect(stderr).toBe('');
    const { message } = JSON.parse(stdout) as { message: string };
    const places = [...message.matchAll(/CUDA kernels \((.+?)\)/g)].map((match) => match[1]);
    expect(places).toEqual([path.join(empty, 'plugins', 'libtrt_asr_cuda.so')]);
  });

  test('a library that is none is told as such', async () => {
    writeFileSync(path.join(empty, 'libnvinfer.so.11'), 'no library');
    const { code, message } = await failure({ device: 'cuda', tensorrtPath: empty });
    expect(code).toBe('ERR_BACKEND_UNAVAILABLE');
    expect(message).toMatch(/TensorRT 11 \(.+?\/libnvinfer\.so\.11\): file too short/);
  });

  if (!hasDriver) {
    test('without any setting, the system is looked at', async () => {
      const { status, stdout, stderr } = await script(`print(await ${open({ device: 'cuda' })});`);
      expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
      const { code, message } = JSON.parse(stdout) as { code: string; message: string };
      expect(code).toBe('ERR_BACKEND_UNAVAILABLE');
      expect(message).toContain('NVIDIA driver (libcuda.so.1): not there');
    });
  }
});

describe("device 'auto' without NVIDIA's software", () => {
  test('takes the CPU, says why, and is quiet about it', async () => {
    const body = `
      for (const device of [undefined, 'auto']) {
        const asr = await Recognizer.open({ model: ${JSON.stringify(tiny)}, ...(device && { device }) });
        await asr.transcribe(new Float32Array(16000));
        print({ choice: asr.device, used: asr.identity.device });
        await asr.close();
      }`;
    const { status, stdout, stderr } = await script(body, { TRT_ASR_TENSORRT_PATH: empty });
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    const reason = hasDriver ? 'auto: no TensorRT' : 'auto: no NVIDIA driver';
    const line = JSON.stringify({ choice: { device: 'cpu', reason }, used: 'cpu' });
    expect(stdout).toBe(`${line}\n${line}\n`);
  });

  test("'cpu' looks for nothing", async () => {
    const asr = await Recognizer.open({ model: tiny, device: 'cpu', tensorrtPath: empty });
    expect(asr.device).toEqual({ device: 'cpu', reason: 'asked for' });
    await asr.close();
  });

  test('opened many at once, each looks for itself', async () => {
    const opened = await Promise.all(
      Array.from({ length: 8 }, () => Recognizer.open({ model: tiny, tensorrtPath: empty, threads: 1 })),
    );
    expect(new Set(opened.map((asr) => asr.device.device))).toEqual(new Set(['cpu']));
    await Promise.all(opened.map((asr) => asr.close()));
  });
});

describe('values that are refused', () => {
  test.each([
    'gpu',
    'cuda:',
    'cuda:-1',
    'cuda:1000',
    'cuda:0x1',
    'CUDA',
    ' cuda',
    '',
    0,
    null,
    {},
    ['cuda'],
  ])('device %j', async (device) => {
    const { code, message } = await failure({ device });
    expect(code).toBe('ERR_BAD_ARGUMENT');
    expect(message).toContain("'auto', 'cpu', 'cuda' or 'cuda:N'");
  });

  test.each([
    ['tensorrtPath', ''],
    ['tensorrtPath', 7],
    ['engineCacheDir', ''],
    ['enginePrecision', 'int8'],
    ['onEngineProgress', 'print'],
  ])('%s %j', async (name, value) => {
    const { code, message } = await failure({ [name]: value, device: 'cpu' });
    expect(code).toBe('ERR_BAD_ARGUMENT');
    expect(message).toContain(`options.${name}`);
  });
});

describe('trt-asr doctor', () => {
  test("tells of NVIDIA's software what was looked for, as no fault", async () => {
    const { code, stdout, stderr } = await run('doctor', '--json');
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const { findings } = JSON.parse(stdout) as { findings: { name: string; ok: boolean; found: string }[] };
    const finding = findings.find(({ name }) => name === 'tensorrt (cuda)');
    expect(finding?.ok).toBe(true);
    if (!hasDriver) {
      expect(finding?.found).toMatch(/^not used; every model runs on the CPU\. /);
      for (const name of ['libcuda.so.1', ...libraries]) expect(finding?.found).toContain(name);
    }
  });
});
