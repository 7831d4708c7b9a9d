'use strict';
// The machine that numbers were measured on.

const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

// What kernels of matrix products choose by.
const FEATURES =
  /^(sse4_2|avx|avx2|fma|f16c|avx_vnni|avx512(f|bw|vl|_vnni|_bf16|_fp16)|amx_(tile|int8|bf16)|asimd|asimddp|i8mm|bf16|sve2?)$/;

function read(file) {
  try {
    return fs.readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

function cpuFeatures() {
  const line = /^(?:flags|Features)\s*:(.*)$/m.exec(read('/proc/cpuinfo'))?.[1] ?? '';
  return line.split(/\s+/).filter((flag) => FEATURES.test(flag));
}

function versionOf(folder) {
  try {
    return JSON.parse(fs.readFileSync(path.join(folder, 'package.json'), 'utf8')).version;
  } catch {
    return undefined;
  }
}

function commitOf(folder) {
  const { status, stdout } = spawnSync('git', ['-C', folder, 'rev-parse', '--short=12', 'HEAD'], {
    encoding: 'utf8',
  });
  return status === 0 ? stdout.trim() : undefined;
}

/** `home`: the package that is measured; `peer`: the folder in which the peer was installed. */
function describeMachine(home, peer) {
  const [cpu] = os.cpus();
  return {
    cpu: cpu?.model.trim() ?? 'unknown',
    features: cpuFeatures(),
    hypervisor: /^flags.*\bhypervisor\b/m.test(read('/proc/cpuinfo')),
    governor: read('/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor').trim() || undefined,
    cores: os.availableParallelism(),
    memoryGB: Math.round(os.totalmem() / 1e8) / 10,
    memoryFreeGB: Math.round(os.freemem() / 1e8) / 10,
    platform: `${process.platform}-${process.arch}`,
    kernel: os.release(),
    node: process.versions.node,
    trtAsr: versionOf(home),
    commit: commitOf(home),
    ...(peer === undefined ? {} : { peer: versionOf(path.join(peer, 'node_modules', 'sherpa-onnx-node')) }),
    loadAverage: os.loadavg()[0],
  };
}

/** One paragraph. */
function machineText(machine) {
  const { cpu, cores, features, memoryGB, platform, kernel, node, trtAsr, commit, peer, loadAverage } =
    machine;
  const where = machine.hypervisor ? ', a virtual machine' : '';
  const versions = [
    `trt-asr ${trtAsr}${commit === undefined ? '' : ` (${commit})`}`,
    ...(peer === undefined ? [] : [`sherpa-onnx-node ${peer}`]),
    `Node ${node}`,
  ];
  return `${cpu}, ${cores} cores (${features.join(' ')})${where}, ${memoryGB} GB, ${platform}, kernel ${kernel}; ${versions.join(', ')}; load before: ${loadAverage.toFixed(2)}`;
}

module.exports = { describeMachine, machineText };
