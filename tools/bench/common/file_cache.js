'use strict';
// Drops a model's files from the page cache, as far as a user without root can.

const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');

/** The files of a model, and what was packed of them at their first use. */
const filesOf = (model) =>
  [model, path.join(model, '.trt-asr')]
    .filter((folder) => fs.existsSync(folder))
    .flatMap((folder) => fs.readdirSync(folder).map((name) => fs.realpathSync(path.join(folder, name))))
    .filter((file) => fs.statSync(file).isFile());

/**
 * Asks the kernel to forget each file (posix_fadvise, through dd), and gives the share of the bytes that are still in memory: pages that
 * another process has mapped stay. Undefined where the machine has no `dd` or `fincore` that can tell.
 */
function forget(model) {
  const files = filesOf(model);
  for (const file of files) {
    const { status } = spawnSync('dd', [`if=${file}`, 'iflag=nocache', 'count=0'], { stdio: 'ignore' });
    if (status !== 0) return undefined;
  }
  const { status, stdout } = spawnSync(
    'fincore',
    ['--bytes', '--noheadings', '--output', 'RES,SIZE', ...files],
    {
      encoding: 'utf8',
    },
  );
  if (status !== 0) return undefined;
  const lines = stdout
    .trim()
    .split('\n')
    .map((line) => line.trim().split(/\s+/).map(Number));
  const sum = (column) => lines.reduce((total, line) => total + line[column], 0);
  return sum(1) === 0 ? 0 : sum(0) / sum(1);
}

module.exports = { filesOf, forget };
