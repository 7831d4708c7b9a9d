import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import * as path from 'node:path';
import { pack, root, run, succeed } from './consumer';

interface PackageTool {
  LIBRARIES: string[];
  packageDir: string;
  fill(folders: string[], target: string): void;
}
export const tool = createRequire(import.meta.url)('../../tools/native-build/cuda-package.js') as PackageTool;
const standIns = path.join(root, 'test', 'native', 'stand_ins');

/** The native tests' build where it has all of the package's libraries, or undefined where headers or nvcc are missing. */
export function builtLibraries(): string[] | undefined {
  // Not build/Release: what a build for the GPU once left there may be of another ABI by now.
  const folder = path.join(root, 'build', 'cmake', 'test', 'native');
  return tool.LIBRARIES.every((name) => existsSync(path.join(folder, name))) ? [folder] : undefined;
}

/** Compiles one C++ file to a library. */
async function library(source: string, definitions: string[], file: string): Promise<void> {
  const compiler = process.env.CXX ?? 'c++';
  const args = [
    '-std=c++20',
    '-shared',
    '-fPIC',
    '-static-libstdc++',
    '-static-libgcc',
    '-I',
    path.join(root, 'native'),
  ];
  const out = ['-Wl,-z,now', '-o', file, source];
  await succeed(run(compiler, [...args, ...definitions.map((one) => `-D${one}`), ...out], { cwd: root }));
}

/** Stands where TensorRT would: it tells a version, which is all that is asked of it before the plug-in is looked for. */
export async function standInTensorRt(folder: string): Promise<void> {
  mkdirSync(folder, { recursive: true });
  const source = path.join(standIns, 'fake_tensorrt.cpp');
  await library(source, ['FAKE_VERSION=110203'], path.join(folder, 'libnvinfer.so.11'));
}

/** Stands for a build: plug-ins of the right ABI, and a CUDA library of another one, so that nothing of it is ever called. */
export async function standInLibraries(folder: string): Promise<string[]> {
  mkdirSync(folder, { recursive: true });
  const cuda = path.join(folder, 'cuda.cpp');
  const lines = [
    '#include "engine/cuda/cuda_abi.h"',
    'extern "C" __attribute__((visibility("default"))) const TrtAsrCudaLibrary* trt_asr_cuda_library(void) {',
    '  static TrtAsrCudaLibrary library{};',
    '  library.struct_size = sizeof(library);',
    '  return &library;',
    '}',
  ];
  writeFileSync(cuda, `${lines.join('\n')}\n`);
  await library(cuda, [], path.join(folder, 'libtrt_asr_cuda.so'));
  const plugin = path.join(standIns, 'fake_plugin.cpp');
  for (const name of tool.LIBRARIES.filter((one) => one.includes('tensorrt')))
    await library(plugin, ['FAKE_ABI=TRT_ASR_TENSORRT_ABI'], path.join(folder, name));
  return [folder];
}

/** Fills a copy of the package from the folders and packs it. Returns the tarball, and the paths in it with their sizes. */
export async function packCuda(
  folders: string[],
  target: string,
): Promise<{ tarball: string; files: Map<string, number> }> {
  mkdirSync(target, { recursive: true });
  for (const name of ['package.json', 'README.md'])
    await succeed(run('cp', [path.join(tool.packageDir, name), target], { cwd: root }));
  tool.fill(folders, target);
  const packed = await pack(target, path.dirname(target));
  return {
    tarball: path.join(path.dirname(target), packed.filename),
    files: new Map(packed.files.map((file) => [file.path, file.size])),
  };
}
