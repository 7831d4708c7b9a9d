#!/usr/bin/env node
'use strict';
// prebuildify calls this in place of node-gyp, in a staging folder: it builds the add-on as always and
// copies the result to where node-gyp would have left it. prebuildify moves the file it finds, so staging
// keeps build/Release whole for a test run that loads from there.

const fs = require('node:fs');
const path = require('node:path');
const { buildAddon, places } = require('./build');

/** What the add-on's package ships. NVIDIA's parts, which may lie there from a build, have a package of their own. */
const SHIPPED = /^(trt_asr\.node|libtrt_asr_onnxruntime\.(so|dylib)|trt_asr_onnxruntime\.dll)$/;

// prebuildify says for which processor.
const { PREBUILD_ARCH: arch = process.arch } = process.env;
const status = buildAddon(arch === process.arch ? {} : { arch, cuda: false });
if (status === 0) {
  const from = path.dirname(places(arch).addon);
  const to = path.join(process.cwd(), 'build', 'Release');
  fs.mkdirSync(to, { recursive: true });
  for (const name of fs.readdirSync(from)) {
    if (SHIPPED.test(name)) fs.copyFileSync(path.join(from, name), path.join(to, name));
  }
}
process.exitCode = status;
