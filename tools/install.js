'use strict';
// npm's install script. A release carries its add-on under prebuilds/, so here this only proves that it
// loads; a checkout of the sources builds it. npm may skip install scripts, so loading never depends on
// what happens here.

const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { addonPath, buildAddon, missingForBuild, root } = require('./native-build/build');

const prebuilt = path.join(root, 'prebuilds', `${process.platform}-${process.arch}`, 'trt_asr.node');

/** The first line of what kept `file` from loading, or undefined when it loads. */
function loadFailure(file) {
  // A child process takes the test, so that a library which ends the process ends that one.
  const code = 'const m = { exports: {} }; process.dlopen(m, process.argv[1]); m.exports.ortVersion();';
  const child = spawnSync(process.execPath, ['-e', code, file], { encoding: 'utf8' });
  if (child.status === 0) return undefined;
  const told = (child.stderr ?? '').split('\n').find((line) => /error/i.test(line));
  return told ?? `loading it ended node with ${child.signal ?? `status ${child.status}`}`;
}

function fail(causes) {
  const lines = [
    `trt-asr: no working add-on for ${process.platform}-${process.arch}, Node ${process.versions.node}.`,
    ...causes.map((cause) => `  - ${cause}`),
    '  Prebuilt add-ons exist for: linux-x64 (glibc 2.34 or later). Elsewhere remedy the above, then: npm rebuild trt-asr',
    '  To install the JavaScript and the types alone: npm install --ignore-scripts trt-asr',
  ];
  process.stderr.write(`${lines.join('\n')}\n`);
  return 1;
}

function main() {
  // The TypeScript configuration is never packed, so it tells a checkout from a release.
  const checkout = fs.existsSync(path.join(root, 'tsconfig.json'));
  const causes = [];
  if (!checkout) {
    if (fs.existsSync(prebuilt)) {
      const failure = loadFailure(prebuilt);
      if (failure === undefined) return 0;
      causes.push(`${prebuilt}: ${failure}`);
    } else {
      causes.push('the package holds no prebuilt add-on for this platform');
    }
  }
  const missing = missingForBuild();
  if (missing.length > 0) return fail([...causes, ...missing]);
  if (buildAddon() !== 0)
    return fail([...causes, 'building it from source failed; the compiler says why above']);
  const failure = loadFailure(addonPath);
  return failure === undefined ? 0 : fail([...causes, `${addonPath}: ${failure}`]);
}

process.exitCode = main();
