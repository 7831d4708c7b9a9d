'use strict';
// npm run bench -- NAME [options]: see docs/BENCHMARKS.md. Exits with 1 when a target is missed.

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { parseArgs } = require('node:util');
const { root } = require('./audio.js');

const benchmarks = {
  eventloop: require('./eventloop.js'),
  memory: require('./memory.js'),
  latency: require('./latency.js'),
  context: require('./context.js'),
  stress: require('./stress.js'),
};

const usage = `usage: npm run bench -- eventloop [--runs N] [--threads N] [--audio FILE | --minutes N]
                                  [--model DIR] [--peer FOLDER] [--peer-model DIR]
       npm run bench -- memory [--minutes N] [--threads N] [--model DIR]
       npm run bench -- latency [--runs N] [--seconds N] [--sessions N,N...] [--modes MODE,MODE...] [--threads N]
                                [--model DIR] [--streaming-model DIR] [--peer FOLDER --peer-model DIR] [--output FOLDER]
       npm run bench -- context [--clips FOLDER,FOLDER...] [--model DIR] [--output FOLDER]
       npm run bench -- stress [--hours N] [--modes MODE,MODE...] [--output FOLDER]

--peer names a folder in which sherpa-onnx-node has been installed; without it, only trt-asr is measured.
Ends with one line of JSON. Exit code 1: a target was missed; 2: usage.`;

function machine() {
  const [cpu] = os.cpus();
  return {
    cpu: cpu?.model.trim() ?? 'unknown',
    cores: os.availableParallelism(),
    memoryGB: Math.round(os.totalmem() / 1e8) / 10,
    platform: `${process.platform}-${process.arch}`,
    node: process.versions.node,
    loadAverage: os.loadavg()[0],
  };
}

function positive(name, text) {
  const value = Number(text);
  if (!(value > 0)) throw new Error(`expected a positive number for --${name}, received ${text}`);
  return value;
}

function readOptions(args) {
  const text = { type: 'string' };
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      runs: text,
      threads: text,
      minutes: text,
      audio: text,
      model: text,
      peer: text,
      'peer-model': text,
      seconds: text,
      sessions: text,
      modes: text,
      'streaming-model': text,
      output: text,
      clips: text,
      hours: text,
    },
  });
  const [name, ...rest] = positionals;
  if (name === undefined || !Object.hasOwn(benchmarks, name) || rest.length > 0)
    throw new Error(`expected the name of one benchmark: ${Object.keys(benchmarks).join(', ')}`);
  for (const key of ['runs', 'threads', 'minutes', 'seconds', 'hours'])
    if (values[key] !== undefined) values[key] = positive(key, values[key]);
  return { name, options: values };
}

async function main() {
  let asked;
  try {
    asked = readOptions(process.argv.slice(2));
  } catch (error) {
    console.error(`${error.message}\n\n${usage}`);
    process.exitCode = 2;
    return;
  }
  if (!fs.existsSync(path.join(root, 'dist', 'index.js'))) throw new Error('build first: npm run build');
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'trt-asr-bench-'));
  try {
    const before = machine();
    const result = await benchmarks[asked.name].run(asked.options, folder);
    console.log(
      JSON.stringify({ benchmark: asked.name, date: new Date().toISOString(), machine: before, ...result }),
    );
    if (!result.met) process.exitCode = 1;
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
  }
}

void main();
