'use strict';
// Fills prebuilds/<platform>-<arch>/ with what a release ships: the add-on, the ONNX Runtime library under
// our own name, and the licences of what they contain.
//
//   prebuild.js [ARCH]
//
// ARCH: a processor other than this machine's, by Node's name, for which there is a toolchain file here (arm64).

const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { root } = require('./build');

const stage = path.join(root, 'build', 'stage');
const arch = process.argv[2] ?? process.arch;
const target = path.join(root, 'prebuilds', `${process.platform}-${arch}`);

/** Binutils of the toolchain, where it is not this machine's. */
const STRIP = { arm64: 'aarch64-linux-gnu-strip' };

// SOURCE: the licence and the notices are those of ONNX Runtime's own releases; its npm package carries none.
const licences = path.join(__dirname, 'licenses');

function main() {
  const toolchain = path.join(__dirname, `${process.platform}-${arch}.cmake`);
  if (arch !== process.arch && !fs.existsSync(toolchain)) {
    process.stderr.write(
      `prebuild: no toolchain for ${process.platform}-${arch}: expected ${toolchain}. Name no processor for this machine's, or arm64 on Linux.\n`,
    );
    return 1;
  }
  fs.rmSync(stage, { recursive: true, force: true });
  fs.rmSync(target, { recursive: true, force: true });
  fs.mkdirSync(stage, { recursive: true });
  const args = [
    require.resolve('prebuildify/bin.js'),
    '--napi',
    '--strip',
    ...(arch === process.arch ? [] : [`--arch=${arch}`, `--strip-bin=${STRIP[arch]}`]),
    '--name=trt_asr',
    `--cwd=${stage}`,
    `--out=${root}`,
    `--artifacts=${licences}`,
    `--node-gyp=${path.join(__dirname, 'node-gyp-shim.js')}`,
  ];
  const { status, error } = spawnSync(process.execPath, args, { cwd: root, stdio: 'inherit' });
  if (error) throw error;
  if (status !== 0) return status ?? 1;
  fs.rmSync(stage, { recursive: true, force: true });
  // Headers alone, yet their code is compiled into the add-on.
  const headers = path.dirname(require.resolve('node-addon-api/package.json'));
  fs.copyFileSync(path.join(headers, 'LICENSE.md'), path.join(target, 'node-addon-api.LICENSE.md'));
  for (const name of fs.readdirSync(target)) {
    const { size } = fs.statSync(path.join(target, name));
    process.stdout.write(`${path.relative(root, path.join(target, name))}  ${size} bytes\n`);
  }
  return 0;
}

process.exitCode = main();
