import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import * as path from 'node:path';
import { root } from './cli_support';

export const entry = path.join(root, 'dist', 'index.js');

/** Whether the driver's own files are here; WSL has the second one. */
export const hasDriver = ['/dev/nvidiactl', '/dev/dxg'].some((file) => existsSync(file));

/** TensorRT-RTX and our plug-in for it: `tensorrt` and `plugins` are folders. */
export interface Rtx {
  tensorrt: string;
  plugins: string;
}

/** What real engines can be built with, or why there is nothing of that. */
export function findRtx(): Rtx | string {
  const tensorrt = process.env.TRT_ASR_TEST_TENSORRT_RTX;
  if (!tensorrt) return 'TRT_ASR_TEST_TENSORRT_RTX does not name the folder of libtensorrt_rtx.so.1';
  const folders = [path.join(root, 'build', 'cmake', 'test', 'native'), path.join(root, 'build', 'Release')];
  const plugins = folders.find((folder) => existsSync(path.join(folder, 'libtrt_asr_tensorrt_rtx.so')));
  return plugins === undefined
    ? 'no plug-in for TensorRT-RTX was built (set TENSORRT_ROOT)'
    : { tensorrt, plugins };
}

/** The folder of what stands in for a driver, a TensorRT and our plug-ins in native tests, if it was built. */
export function findStandIns(): string | undefined {
  const folder = path.join(root, 'build', 'cmake', 'test', 'native', 'stand_ins', 'gpu');
  return existsSync(path.join(folder, 'libtrt_asr_onnxruntime.so')) ? folder : undefined;
}

export interface Ran {
  status: unknown;
  stdout: string;
  stderr: string;
}

/**
 * Runs an async script in a process of its own, with `Recognizer`, `AsrError` and `buildEngines` in scope, and none of this
 * process's settings of where NVIDIA's libraries lie but those of `env`.
 */
export function script(body: string, env: Record<string, string> = {}): Promise<Ran> {
  const {
    TRT_ASR_TENSORRT_PATH: _,
    TRT_ASR_PLUGINS_PATH: __,
    TRT_ASR_ENGINE_CACHE: ___,
    ...clean
  } = process.env;
  const prelude = `
    const { Recognizer, AsrError, buildEngines } = require(${JSON.stringify(entry)});
    const told = (work) => work.then((value) => ({ value }), ({ code, message, field }) => ({ code, message, field }));
    const print = (value) => console.log(JSON.stringify(value));
    process.on('unhandledRejection', (error) => { console.error('unhandled', error); process.exit(99); });`;
  return new Promise((resolve) => {
    const options = { timeout: 230_000, env: { ...clean, ...env }, maxBuffer: 1 << 26 };
    execFile(
      process.execPath,
      ['-e', `${prelude}\n(async () => {${body}})();`],
      options,
      (error, stdout, stderr) => {
        resolve({ status: error === null ? 0 : (error.signal ?? error.code), stdout, stderr });
      },
    );
  });
}
