'use strict';
// Heap allocations of the core once a recognizer is open, from the native test that counts them (test/native/heap_test.cpp).

const { spawnSync } = require('node:child_process');
const path = require('node:path');
const { nativeTest } = require('./common/native.js');
const { allMet, judge } = require('./common/targets.js');

// The counter takes the place of malloc, so it is an executable of its own: nothing in the add-on counts.
async function run(options) {
  const { status, stdout, error } = spawnSync(nativeTest(options, 'heap_test'), [], { encoding: 'utf8' });
  if (error !== undefined) throw error;
  const results = [...stdout.matchAll(/^ +(\S+): (\d+) by the core, (\d+) inside ONNX Runtime$/gm)].map(
    ([, file, core, library]) => ({
      subject: file.split(path.sep).slice(-2).join('/'),
      core: Number(core),
      library: Number(library),
    }),
  );
  if (results.length === 0) throw new Error(`expected counts of heap_test, received: ${stdout.slice(-500)}`);
  const core = results.reduce((sum, each) => sum + each.core, 0);
  const targets = [
    judge('alloc, by the core after open, recordings', 'at most', 0, '', core),
    judge(
      'alloc, failures of heap_test (live modes, alone and in batches, too)',
      'at most',
      0,
      '',
      status === 0 ? 0 : 1,
    ),
  ];
  return {
    met: allMet(targets),
    targets,
    tables: [
      {
        title: 'Heap allocations after open',
        notes: [
          'Three recordings of 78 s each, written in pieces of 0.25 s: 936 pieces, start and end of the recordings among them.',
        ],
        head: ['model', 'by the core', 'inside ONNX Runtime'],
        rows: results.map((each) => [each.subject, each.core, each.library]),
      },
    ],
    results,
  };
}

module.exports = { run };
