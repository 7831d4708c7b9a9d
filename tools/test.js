'use strict';
// `npm test`: builds what changed, runs every kind of test, and closes with the line `N passed, N failed`.
// With --sanitize: the native tests alone, under AddressSanitizer and UndefinedBehaviorSanitizer.

const { spawn, spawnSync } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { buildAddon, cmakeDir, commandExists, missingForBuild, root } = require('./native-build/build');

const total = { passed: 0, failed: 0 };
const summary = [];
/** One line for each thing that was left out, with the reason. */
const skipped = [];

function record(name, passed, failed, seconds) {
  total.passed += passed;
  total.failed += failed;
  summary.push(`  ${name.padEnd(16)} ${passed} passed, ${failed} failed (${seconds.toFixed(0)} s)`);
}

/** Runs a command with its output shown. Returns whether it exited with 0. */
function run(command, args, env = {}) {
  const child = spawnSync(command, args, {
    cwd: root,
    stdio: ['ignore', 'inherit', 'inherit'],
    env: { ...process.env, ...env },
  });
  if (child.error) process.stderr.write(`${command}: ${child.error.message}\n`);
  return child.status === 0;
}

/** Runs one step, which returns true, false, or its own counts; one that throws has failed. */
function step(name, body) {
  process.stdout.write(`\n== ${name}\n`);
  const begin = Date.now();
  let outcome = false;
  try {
    outcome = body();
  } catch (error) {
    process.stderr.write(`${error.stack}\n`);
  }
  const counts =
    typeof outcome === 'boolean' ? { passed: Number(outcome), failed: Number(!outcome) } : outcome;
  record(name, counts.passed, counts.failed, (Date.now() - begin) / 1000);
  return counts.failed === 0;
}

const bin = (name) => path.join(root, 'node_modules', '.bin', name);

const jobs = String(os.availableParallelism());

/** Configures with CMake, whose own lines say what it leaves out where headers or nvcc are missing. */
function cmakeConfigure(args) {
  const child = spawnSync('cmake', args, {
    cwd: root,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  if (child.error) process.stderr.write(`cmake: ${child.error.message}\n`);
  process.stdout.write(child.stdout ?? '');
  for (const [, line] of (child.stdout ?? '').matchAll(/^-- (.*: skipped, .*)$/gm)) skipped.push(line);
  return child.status === 0;
}

/** Configures and builds a tree of the native tests alone, with sanitizers. */
function buildSanitized(buildDir) {
  const args = ['-S', root, '-B', buildDir, '-DTRT_ASR_TESTS=ON', '-DTRT_ASR_ADDON=OFF'];
  if (!fs.existsSync(path.join(buildDir, 'CMakeCache.txt')) && commandExists('ninja'))
    args.push('-G', 'Ninja');
  args.push('-DCMAKE_BUILD_TYPE=RelWithDebInfo', '-DTRT_ASR_SANITIZE=address,undefined');
  return cmakeConfigure(args) && run('cmake', ['--build', buildDir, '-j', jobs]);
}

/** Builds the add-on and the native tests, whose core is one. */
function buildAll() {
  const missing = missingForBuild();
  for (const line of missing) process.stderr.write(`${line}\n`);
  if (missing.length > 0) return false;
  if (buildAddon({ stdio: ['ignore', 'inherit', 'inherit'], cuda: true, tests: true }) !== 0) return false;
  return cmakeConfigure([cmakeDir]);
}

/** Counts the cases that the test executables told of, and one failure for each that ended without telling. */
function nativeCounts(log, ctestPassed) {
  const counts = { passed: 0, failed: 0 };
  const tests = log.split(/^\d+\/\d+ Test: /m).slice(1);
  for (const text of tests) {
    const told = /^(\d+) cases, (\d+) failed$/m.exec(text);
    const passed = /^Test Passed\.$/m.test(text);
    if (told) {
      counts.passed += Number(told[1]) - Number(told[2]);
      counts.failed += Number(told[2]);
    }
    if (!passed && (!told || Number(told[2]) === 0)) counts.failed += 1;
  }
  if ((!ctestPassed && counts.failed === 0) || tests.length === 0) counts.failed += 1;
  return counts;
}

function nativeTests(buildDir, sanitize) {
  // Without a limit the loader of a first run could wait for ever on a hung test. Sanitized, the longest takes minutes of a processor.
  const limit = sanitize ? '1200' : '300';
  const ctest = ['--test-dir', buildDir, '--output-on-failure', '--timeout', limit, '-j', jobs];
  const env = sanitize ? {} : rtxEnvironment();
  const halt = {
    UBSAN_OPTIONS: 'halt_on_error=1:print_stacktrace=1',
    ASAN_OPTIONS: 'detect_leaks=1',
    LSAN_OPTIONS: `suppressions=${path.join(root, 'test', 'native', 'lsan.supp')}:print_suppressions=0`,
  };
  const logFile = path.join(buildDir, 'Testing', 'Temporary', 'LastTest.log');
  fs.rmSync(logFile, { force: true });
  const passed = run('ctest', ctest, sanitize ? halt : env);
  const log = fs.existsSync(logFile) ? fs.readFileSync(logFile, 'utf8') : '';
  return nativeCounts(log, passed);
}

function native(sanitize) {
  const buildDir = sanitize ? path.join(root, 'build', 'native-sanitize') : cmakeDir;
  const built = step('native build', () => (sanitize ? buildSanitized(buildDir) : buildAll()));
  if (built) step(sanitize ? 'native, sanitized' : 'native', () => nativeTests(buildDir, sanitize));
}

function vitest() {
  const file = path.join(fs.mkdtempSync(path.join(os.tmpdir(), 'trt-asr-counts-')), 'counts.json');
  const passed = run(bin('vitest'), ['run'], { TRT_ASR_TEST_COUNTS: file, ...rtxEnvironment() });
  const counts = fs.existsSync(file) ? JSON.parse(fs.readFileSync(file, 'utf8')) : { passed: 0, failed: 1 };
  fs.rmSync(path.dirname(file), { recursive: true, force: true });
  if ((!passed && counts.failed === 0) || counts.passed + counts.failed === 0) counts.failed += 1;
  return counts;
}

function typescript() {
  step('typescript build', () => run(bin('tsc'), ['-p', 'tsconfig.json']));
  step('vitest', vitest);
  // A consumer written as an ES module and one in CommonJS, both only compiled.
  step('types', () => run(bin('tsc'), ['-p', path.join('test', 'types')]));
  step("types, without a browser's", () =>
    run(bin('tsc'), ['-p', path.join('test', 'types', 'tsconfig.node.json')]),
  );
  step('biome', () => run(bin('biome'), ['check', '--no-errors-on-unmatched', '.']));
  step('tidy', () => run(process.execPath, ['tools/tidy.js']));
}

/** The folder of libtensorrt_rtx.so.1: of the environment, else of the Python package; undefined where there is none. */
function rtxFolder() {
  const named = process.env.TRT_ASR_TEST_TENSORRT_RTX;
  if (named) return named;
  const code =
    'import importlib.util as u; s = u.find_spec("tensorrt_rtx_libs"); print(s.submodule_search_locations[0] if s else "")';
  for (const python of pythons()) {
    const probe = spawnSync(python, ['-c', code], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
    const folder = probe.status === 0 ? probe.stdout.trim() : '';
    if (folder !== '' && fs.existsSync(path.join(folder, 'libtensorrt_rtx.so.1'))) return folder;
  }
  return undefined;
}

/** For the tests that build real engines, which TensorRT-RTX does without a GPU. */
function rtxEnvironment() {
  const folder = rtxFolder();
  return folder === undefined ? {} : { TRT_ASR_TEST_TENSORRT_RTX: folder };
}

/** Says what the tests could not have on this machine. */
function noteMissing() {
  if (rtxFolder() === undefined) {
    skipped.push(
      'TensorRT-RTX: not here, no engine was built from C++ and Node (pip install --no-deps tensorrt-rtx-cu13-libs)',
    );
  }
  // The driver's own files; WSL has the second one.
  if (!['/dev/nvidiactl', '/dev/dxg'].some((file) => fs.existsSync(file)))
    skipped.push('GPU: not here, no engine was run (tools/gpu-validate is for a machine that has one)');
}

function pythons() {
  const candidates = [process.env.TRT_ASR_PYTHON, path.join(root, 'build', 'python', 'bin', 'python')];
  return candidates.filter((file) => file && fs.existsSync(file));
}

/** The Python that has tools/export and tools/parity installed, or undefined. */
function toolsPython() {
  return pythons().find((file) => {
    const probe = spawnSync(file, ['-c', 'import pytest, trt_asr_export, trt_asr_parity'], {
      stdio: 'ignore',
    });
    return probe.status === 0;
  });
}

/**
 * Runs pytest over one folder, and shows what it told when it has ended. Returns its counts; a run that does not get as far as
 * counting has failed. What pytest left out is noted with its reasons.
 */
async function pytest(python, folder) {
  const args = ['-m', 'pytest', '-q', '-rs', '-p', 'no:cacheprovider', folder];
  const child = spawn(python, args, { cwd: root, stdio: ['ignore', 'pipe', 'inherit'] });
  let told = '';
  child.stdout.setEncoding('utf8').on('data', (text) => {
    told += text;
  });
  const [status] = await once(child, 'close');
  process.stdout.write(`\n== ${folder}\n${told}`);
  const last = told.trim().split('\n').at(-1) ?? '';
  const count = (word) => Number(new RegExp(`(\\d+) ${word}`).exec(last)?.[1] ?? 0);
  const counts = { passed: count('passed'), failed: count('failed') + count('errors?') };
  for (const [, some, why] of told.matchAll(/^SKIPPED \[(\d+)\] \S+ (.*)$/gm))
    skipped.push(`${folder}: ${some} not run: ${why}`);
  if (status !== 0 && counts.failed === 0) counts.failed = 1;
  return counts;
}

/** The tests in Python, side by side: each of them uses one core. */
async function pythonTools() {
  const python = toolsPython();
  if (python === undefined) {
    skipped.push(
      'tests of tools/export, tools/parity and tools/gpu-validate: no Python with the first two (see tools/export/README.md)',
    );
    return;
  }
  // In gpu-validate every graph becomes an engine of TensorRT-RTX; without its bindings pytest says so.
  const tools = ['export', 'parity', 'gpu-validate'];
  const begin = Date.now();
  const run = async (name) => {
    const { passed, failed } = await pytest(python, `tools/${name}/tests`).catch((error) => {
      process.stderr.write(`${error.stack}\n`);
      return { passed: 0, failed: 1 };
    });
    record(name, passed, failed, (Date.now() - begin) / 1000);
  };
  await Promise.all(tools.map(run));
}

async function main() {
  const sanitize = process.argv.includes('--sanitize');
  native(sanitize);
  if (!sanitize) {
    typescript();
    await pythonTools();
    noteMissing();
  }
  const omitted = skipped.map((line) => `  skipped: ${line}\n`).join('');
  process.stdout.write(
    `\n${summary.join('\n')}\n${omitted}\n${total.passed} passed, ${total.failed} failed\n`,
  );
  process.exitCode = total.failed === 0 && total.passed > 0 ? 0 : 1;
}

main();
