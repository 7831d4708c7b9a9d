'use strict';
// `npm run parity -- COMMAND ...`: finds a Python that can climb the ladder and runs the package beside this file.

const { spawnSync } = require('node:child_process');
const path = require('node:path');

const root = path.resolve(__dirname, '..', '..');
const needed = 'torch, onnx, onnxruntime, sentencepiece, matplotlib';
/** A virtual environment's Python, or nothing when there is no such environment. */
const pythonOf = (folder) => (folder ? [path.join(folder, 'bin', 'python')] : []);
// What somebody names comes before what lies about.
const candidates = [
  ...(process.env.TRT_ASR_PYTHON ? [process.env.TRT_ASR_PYTHON] : []),
  ...pythonOf(process.env.VIRTUAL_ENV),
  ...pythonOf(path.join(root, 'build', 'python')),
  'python3',
];

/** The first Python that imports what is needed, or undefined. */
function findPython() {
  return candidates.find(
    (python) => spawnSync(python, ['-c', `import ${needed}`], { stdio: 'ignore' }).status === 0,
  );
}

const python = findPython();
if (python === undefined) {
  process.stderr.write(
    `expected a Python with ${needed} in TRT_ASR_PYTHON, an active virtual environment, build/python or python3, received none. ` +
      'Make one: python3 -m venv build/python && build/python/bin/pip install -e tools/export -e tools/parity\n',
  );
  process.exit(2);
}

const folders = ['export', 'parity'].map((name) => path.join(root, 'tools', name));
const known = process.env.PYTHONPATH ? [process.env.PYTHONPATH] : [];
const child = spawnSync(python, ['-m', 'trt_asr_parity', ...process.argv.slice(2)], {
  stdio: 'inherit',
  env: { ...process.env, PYTHONPATH: [...folders, ...known].join(path.delimiter) },
});
if (child.error) process.stderr.write(`${python}: ${child.error.message}\n`);
process.exit(child.status ?? 2);
