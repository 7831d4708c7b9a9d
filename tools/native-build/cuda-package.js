'use strict';
// Fills packages/cuda-linux-x64/lib with what that package ships: the TensorRT plug-ins and the CUDA library, built in a tree of
// their own. Needs nvcc and, in TENSORRT_ROOT, the headers of TensorRT 10, 11 and RTX; nothing of NVIDIA's is copied.
//
//   TENSORRT_ROOT=/opt/tensorrt node tools/native-build/cuda-package.js

const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { commandExists, root } = require('./build');

const packageDir = path.join(root, 'packages', 'cuda-linux-x64');
const tree = path.join(root, 'build', 'cuda-package');

/** All of the package's libraries; it is not packed with fewer. */
const LIBRARIES = [
  'libtrt_asr_cuda.so',
  'libtrt_asr_tensorrt_10.so',
  'libtrt_asr_tensorrt_11.so',
  'libtrt_asr_tensorrt_rtx.so',
];

function run(command, args) {
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: 'inherit' });
  if (error) throw error;
  if (status !== 0) throw new Error(`${command} ${args[0]} ended with status ${status}`);
}

/** Builds the libraries and returns the folders that they lie in. */
function build() {
  const folders = [path.join(tree, 'cuda'), path.join(tree, 'test', 'native')];
  // What an earlier build left must not pass for what this one could not make.
  for (const folder of folders)
    for (const name of LIBRARIES) fs.rmSync(path.join(folder, name), { force: true });
  const settings = [
    '-DTRT_ASR_ADDON=OFF',
    '-DTRT_ASR_TESTS=OFF',
    '-DTRT_ASR_CUDA=ON',
    '-DTRT_ASR_TENSORRT=ON',
    `-DTENSORRT_ROOT=${process.env.TENSORRT_ROOT ?? ''}`,
  ];
  const isNew = !fs.existsSync(path.join(tree, 'CMakeCache.txt'));
  const generator = isNew && commandExists('ninja') ? ['-G', 'Ninja'] : [];
  run('cmake', ['-S', root, '-B', tree, ...settings, ...generator]);
  const jobs = ['-j', String(os.availableParallelism())];
  for (const target of ['trt_asr_tensorrt_plugins', 'trt_asr_cuda']) {
    const args = ['--build', tree, ...jobs, '--target', target];
    const { status } = spawnSync('cmake', args, { cwd: root, stdio: 'inherit' });
    // CMake knows no target of what the machine lacks; `fill` says what is missing then.
    if (status !== 0) break;
  }
  return folders;
}

/**
 * Puts the libraries, stripped, and the licence into a folder of the package. Throws when one is in none of the folders, or needs
 * a library of NVIDIA's to load; what was in `target/lib` before is gone.
 */
function fill(folders, target) {
  const found = LIBRARIES.map((name) => folders.map((folder) => path.join(folder, name)).find(fs.existsSync));
  const missing = LIBRARIES.filter((_, index) => found[index] === undefined);
  if (missing.length > 0) {
    throw new Error(
      `not built: ${missing.join(', ')}. All of them need nvcc and, in TENSORRT_ROOT, the headers of TensorRT 10, 11 and RTX.`,
    );
  }
  const lib = path.join(target, 'lib');
  fs.rmSync(lib, { recursive: true, force: true });
  fs.mkdirSync(lib, { recursive: true });
  for (const [index, name] of LIBRARIES.entries()) {
    const file = path.join(lib, name);
    run('strip', ['--strip-unneeded', '-o', file, found[index]]);
    fs.chmodSync(file, 0o755);
    checkNeeds(file);
  }
  fs.copyFileSync(path.join(root, 'LICENSE'), path.join(target, 'LICENSE'));
}

/** CONTRACT: the C library alone. WHY: each is opened on machines without a driver, to tell what is missing. */
function checkNeeds(file) {
  const { status, stdout, error } = spawnSync('readelf', ['-d', file], { encoding: 'utf8' });
  if (error) throw error;
  if (status !== 0) throw new Error(`${file} is no library that readelf can read`);
  const needed = [...stdout.matchAll(/NEEDED.*\[(.+)\]/g)].map((match) => match[1]);
  const other = needed.filter((name) => !/^(libc|libm|libdl|librt|libpthread|ld-linux.*)\.so/.test(name));
  if (other.length > 0) throw new Error(`${file} needs ${other.join(', ')}`);
}

function main() {
  const own = JSON.parse(fs.readFileSync(path.join(packageDir, 'package.json'), 'utf8'));
  const { version } = require(path.join(root, 'package.json'));
  if (own.version !== version)
    throw new Error(`${own.name} is ${own.version}, trt-asr is ${version}: they go together`);
  fill(build(), packageDir);
  for (const name of LIBRARIES) {
    const file = path.join(packageDir, 'lib', name);
    process.stdout.write(`${path.relative(root, file)}  ${fs.statSync(file).size} bytes\n`);
  }
}

module.exports = { LIBRARIES, fill, packageDir };
if (require.main === module) {
  try {
    main();
  } catch (error) {
    process.stderr.write(`cuda-package: ${error.message}\n`);
    process.exitCode = 1;
  }
}
