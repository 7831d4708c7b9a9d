'use strict';
// `npm test`: builds what changed, runs every kind of test, and closes with the line `N passed, N failed`.
// With --sanitize: the native tests alone, under AddressSanitizer and UndefinedBehaviorSanitizer.

const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { buildAddon, commandExists, missingForBuild, root } = require('./native-build/build');

const total = { passed: 0, failed: 0 };
const summary = [];

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

function configureNative(buildDir, sanitize) {
  const args = ['-S', root, '-B', buildDir, '-DTRT_ASR_TESTS=ON', '-DTRT_ASR_ADDON=OFF'];
  if (!fs.existsSync(path.join(buildDir, 'CMakeCache.txt')) && commandExists('ninja'))
    args.push('-G', 'Ninja');
  if (sanitize) args.push('-DCMAKE_BUILD_TYPE=RelWithDebInfo', '-DTRT_ASR_SANITIZE=address,undefined');
  return run('cmake', args);
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
  const jobs = String(os.availableParallelism());
  // Without a limit the loader of a first run could wait for ever on a hung test.
  const ctest = ['--test-dir', buildDir, '--output-on-failure', '--timeout', '300', '-j', jobs];
  const halt = {
    UBSAN_OPTIONS: 'halt_on_error=1:print_stacktrace=1',
    ASAN_OPTIONS: 'detect_leaks=1',
    LSAN_OPTIONS: `suppressions=${path.join(root, 'test', 'native', 'lsan.supp')}:print_suppressions=0`,
  };
  const logFile = path.join(buildDir, 'Testing', 'Temporary', 'LastTest.log');
  fs.rmSync(logFile, { force: true });
  const passed = run('ctest', ctest, sanitize ? halt : {});
  const log = fs.existsSync(logFile) ? fs.readFileSync(logFile, 'utf8') : '';
  return nativeCounts(log, passed);
}

function native(sanitize) {
  const buildDir = path.join(root, 'build', sanitize ? 'native-sanitize' : 'native-tests');
  const jobs = String(os.availableParallelism());
  const built = step(
    'native build',
    () => configureNative(buildDir, sanitize) && run('cmake', ['--build', buildDir, '-j', jobs]),
  );
  if (built) step(sanitize ? 'native, sanitized' : 'native', () => nativeTests(buildDir, sanitize));
}

function vitest() {
  const file = path.join(fs.mkdtempSync(path.join(os.tmpdir(), 'trt-asr-counts-')), 'counts.json');
  const passed = run(bin('vitest'), ['run'], { TRT_ASR_TEST_COUNTS: file });
  const counts = fs.existsSync(file) ? JSON.parse(fs.readFileSync(file, 'utf8')) : { passed: 0, failed: 1 };
  fs.rmSync(path.dirname(file), { recursive: true, force: true });
  if ((!passed && counts.failed === 0) || counts.passed + counts.failed === 0) counts.failed += 1;
  return counts;
}

function typescript() {
  step('typescript build', () => run(bin('tsc'), ['-p', 'tsconfig.json']));
  step('add-on build', () => {
    const missing = missingForBuild();
    for (const line of missing) process.stderr.write(`${line}\n`);
    return missing.length === 0 && buildAddon({ stdio: ['ignore', 'inherit', 'inherit'] }) === 0;
  });
  step('vitest', vitest);
  // A consumer written as an ES module and one in CommonJS, both only compiled.
  step('types', () => run(bin('tsc'), ['-p', path.join('test', 'types')]));
  step('biome', () => run(bin('biome'), ['check', '--no-errors-on-unmatched', '.']));
  step('tidy', () => run(process.execPath, ['tools/tidy.js']));
}

/** The Python that has tools/export and tools/parity installed, or undefined. */
function toolsPython() {
  const candidates = [process.env.TRT_ASR_PYTHON, path.join(root, 'build', 'python', 'bin', 'python')];
  return candidates.find((file) => {
    if (!file) return false;
    const probe = spawnSync(file, ['-c', 'import pytest, trt_asr_export, trt_asr_parity'], {
      stdio: 'ignore',
    });
    return probe.status === 0;
  });
}

/** Runs pytest over one folder. Returns its counts; a run that does not get as far as counting has failed. */
function pytest(python, folder) {
  const child = spawnSync(python, ['-m', 'pytest', '-q', '-p', 'no:cacheprovider', folder], {
    cwd: root,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  process.stdout.write(child.stdout);
  const last = child.stdout.trim().split('\n').at(-1) ?? '';
  const count = (word) => Number(new RegExp(`(\\d+) ${word}`).exec(last)?.[1] ?? 0);
  const counts = { passed: count('passed'), failed: count('failed') + count('errors?') };
  if (child.status !== 0 && counts.failed === 0) counts.failed = 1;
  return counts;
}

function pythonTools() {
  const python = toolsPython();
  if (python === undefined) {
    summary.push(
      '  export, parity   not run: no Python with tools/export and tools/parity (see tools/export/README.md)',
    );
    return;
  }
  step('export', () => pytest(python, 'tools/export/tests'));
  step('parity', () => pytest(python, 'tools/parity/tests'));
}

const sanitize = process.argv.includes('--sanitize');
native(sanitize);
if (!sanitize) {
  typescript();
  pythonTools();
}
process.stdout.write(`\n${summary.join('\n')}\n\n${total.passed} passed, ${total.failed} failed\n`);
process.exitCode = total.failed === 0 && total.passed > 0 ? 0 : 1;
