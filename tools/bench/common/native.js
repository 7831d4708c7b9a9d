'use strict';
// The executables of tools/bench/native and the native tests that benchmarks use: found in the folder that is named, else built.

const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { root } = require('../audio.js');

const BUILD = path.join(root, 'build', 'bench');

function cmake(args) {
  const { status, error } = spawnSync('cmake', args, { stdio: ['ignore', 'ignore', 'inherit'] });
  if (error !== undefined) throw new Error(`expected CMake: ${error.message}`);
  if (status !== 0) throw new Error(`cmake ${args.join(' ')} ended with ${status}`);
}

/** Path of a target's executable at `place` in a CMake build folder; builds it in build/bench where --native names none. */
function executable(options, target, place, alongside) {
  if (options.native !== undefined) {
    const file = path.join(path.resolve(options.native), place);
    if (!fs.existsSync(file))
      throw new Error(`expected ${place} in --native ${options.native}: build the target ${target}`);
    return file;
  }
  if (!fs.existsSync(path.join(BUILD, 'CMakeCache.txt'))) console.error(`building ${target} in ${BUILD}`);
  const wanted = ['ADDON=OFF', 'CUDA=OFF', 'TESTS=ON', 'BENCH=ON'].map((each) => `-DTRT_ASR_${each}`);
  cmake(['-S', root, '-B', BUILD, '-DCMAKE_BUILD_TYPE=Release', ...wanted]);
  cmake(['--build', BUILD, '--parallel', String(os.availableParallelism()), '--target', target, alongside]);
  return path.join(BUILD, place);
}

const benchProgram = (options, name) =>
  executable(
    options,
    `trt_asr_bench_${name}`,
    path.join('bench', `trt_asr_bench_${name}`),
    'trt_asr_bench_ort',
  );

const nativeTest = (options, name) =>
  executable(options, name, path.join('test', 'native', name), 'trt_asr_test_ort');

module.exports = { benchProgram, nativeTest };
