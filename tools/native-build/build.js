'use strict';
// Builds the add-on with cmake-js. npm's build script, binding.gyp, the install script, the tests and the
// prebuild all come through here, so there is one way to build it.
//
//   build.js [--cuda]
//
// With --cuda, or with TENSORRT_ROOT in the environment: also the CUDA library and the TensorRT plug-ins, beside the add-on.

const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

const root = path.resolve(__dirname, '..', '..');
const cmakeDir = path.join(root, 'build', 'cmake');

/** Where the built add-on lies; the ONNX Runtime library lies beside it. */
const addonPath = path.join(root, 'build', 'Release', 'trt_asr.node');

/** As `cmakeDir` and `addonPath`, for a processor by Node's name: builds for another one lie apart. */
function places(arch) {
  if (arch === process.arch) return { tree: cmakeDir, addon: addonPath };
  return {
    tree: path.join(root, 'build', `cmake-${arch}`),
    addon: path.join(root, 'build', arch, 'trt_asr.node'),
  };
}

/** What CMake is to be told of a processor that is not this machine's. */
function crossSettings(arch) {
  if (arch === process.arch) return {};
  return {
    CMAKE_TOOLCHAIN_FILE: path.join(__dirname, `${process.platform}-${arch}.cmake`),
    TRT_ASR_ADDON_DIR: path.dirname(places(arch).addon),
  };
}

/** npm packages a build needs; a packed release does not depend on them, as its prebuild needs none. */
const buildPackages = ['cmake-js', 'node-addon-api', 'node-api-headers', 'onnxruntime-node'];

function resolvable(request) {
  try {
    return require.resolve(request, { paths: [root] });
  } catch {
    return undefined;
  }
}

function commandExists(command) {
  return (process.env.PATH ?? '')
    .split(path.delimiter)
    .some((folder) => folder !== '' && fs.existsSync(path.join(folder, command)));
}

/** What keeps this machine from building, as sentences with their remedy; empty when nothing does. */
function missingForBuild() {
  const { devDependencies = {} } = require(path.join(root, 'package.json'));
  const missing = [];
  const packages = buildPackages.filter((name) => resolvable(`${name}/package.json`) === undefined);
  if (packages.length > 0) {
    const wanted = packages.map((name) => `${name}@${devDependencies[name] ?? 'latest'}`).join(' ');
    missing.push(`npm packages are missing: npm install --no-save --ignore-scripts ${wanted}`);
  }
  if (!commandExists('cmake'))
    missing.push('CMake 3.18 or later is missing: install it with the system package manager');
  const compilers = [process.env.CXX, 'c++', 'g++', 'clang++'].filter(Boolean);
  if (!compilers.some((name) => path.isAbsolute(name) || commandExists(name))) {
    missing.push('a C++20 compiler is missing: install g++ 11 or later, or clang++ 14 or later');
  }
  return missing;
}

/**
 * What CMake is to be told of NVIDIA's parts. WHY: nvcc takes minutes for its GPUs, so that a machine that happens to have it
 * builds these on request alone.
 */
function nvidiaSettings(cuda) {
  const wanted = cuda ? 'ON' : 'OFF';
  return {
    TRT_ASR_CUDA: wanted,
    TRT_ASR_TENSORRT: wanted,
    TENSORRT_ROOT: cuda ? (process.env.TENSORRT_ROOT ?? '') : '',
  };
}

/** Whether the build tree was configured otherwise: building in it would not ask these settings again. */
function isConfiguredOtherwise(tree, settings) {
  const cache = fs.readFileSync(path.join(tree, 'CMakeCache.txt'), 'utf8');
  return Object.entries(settings).some(
    ([name, value]) => new RegExp(`^${name}:[A-Z]+=(.*)$`, 'm').exec(cache)?.[1] !== value,
  );
}

/**
 * Builds what changed. Returns the exit status; the tools' output goes to `stdio`. `cuda`: NVIDIA's parts too, as far as nvcc and
 * headers are found; a tree that has them keeps them, so that none is left behind beside a newer add-on. `tests`: the native tests
 * too, in the same tree, so that the core is compiled once. `arch`: the processor, by Node's name.
 */
function buildAddon({
  stdio = 'inherit',
  cuda = Boolean(process.env.TENSORRT_ROOT),
  tests = false,
  arch = process.arch,
} = {}) {
  // gyp and npm export make's flags and jobserver; a nested build that inherits them waits for tokens
  // that never come.
  const env = { ...process.env };
  delete env.MAKEFLAGS;
  delete env.MFLAGS;
  delete env.MAKELEVEL;
  const cmakeJs = path.join(path.dirname(resolvable('cmake-js/package.json')), 'bin', 'cmake-js');
  const jobs = String(os.availableParallelism());
  const { tree } = places(arch);
  const isNew = !fs.existsSync(path.join(tree, 'CMakeCache.txt'));
  const settings = {
    ...(isNew ? crossSettings(arch) : {}),
    ...(cuda || isNew ? nvidiaSettings(cuda) : {}),
    ...(tests ? { TRT_ASR_TESTS: 'ON' } : {}),
  };
  const given = Object.entries(settings).map(([name, value]) => `--CD${name}=${value}`);
  const target = tests ? [] : ['--target', 'trt_asr_release'];
  const common = ['--directory', root, '--out', tree, '--parallel', jobs, ...target, ...given];
  const steps = !isNew && isConfiguredOtherwise(tree, settings) ? ['configure', 'compile'] : ['compile'];
  for (const step of steps) {
    const { status, error } = spawnSync(process.execPath, [cmakeJs, step, ...common], {
      cwd: root,
      env,
      stdio,
    });
    if (error) throw error;
    if (status !== 0) return status ?? 1;
  }
  return 0;
}

function main() {
  const missing = missingForBuild();
  if (missing.length > 0) {
    process.stderr.write(
      `trt-asr: the add-on cannot be built here.\n${missing.map((line) => `  - ${line}\n`).join('')}`,
    );
    return 1;
  }
  return process.argv.includes('--cuda') ? buildAddon({ cuda: true }) : buildAddon();
}

module.exports = { addonPath, buildAddon, cmakeDir, commandExists, missingForBuild, places, root };
if (require.main === module) process.exitCode = main();
