'use strict';
// The command line of the benchmarks.

const fs = require('node:fs');
const path = require('node:path');
const { parseArgs } = require('node:util');

const USAGE = `usage: npm run bench -- NAME [options]

  features    log-mel features on one core                       [--peer]
  encoder     encoders alone, against the processor's peak       models, [--python] [--lengths 5,10,30]
  decode      the greedy search alone                            models
  e2e         real-time factors of single clips                  models, [--lengths 5,15,30] [--processes N]
  batch       eight clips at once                                models, [--lengths 15]
  startup     from the start of a process to its first token     models
  rss         the most memory of open and one clip               models
  memory      growth of the resident set                         [--minutes N] [--model DIR]
  napi        what the binding costs the event loop
  eventloop   how long the event loop is held up                 [--minutes N | --audio FILE] [--model DIR] [--peer] [--peer-model]
  alloc       heap allocations of the core
  sessions    live sessions that hold real time                  [--modes MODE,MODE...] [--sessions MAX] [--seconds N]
  all         all of the above; --quick: few rounds, no hours
  latency     delays of words in live sessions                   [--seconds N] [--sessions N,N...] [--modes MODE,MODE...]
  context     words over context sizes                           [--clips FOLDER,FOLDER...] [--model DIR]
  stress      hours in one session                               [--hours N] [--modes MODE,MODE...]

  Of single parts, without targets, as programs of the CMake target's name in the build folder:
  trt_asr_bench_linear  matrix products of the packed engine     [THREADS [KERNELS]]
  trt_asr_bench_stages  the stages of a packed encoder           PACKED_FILE [SECONDS [THREADS [ROUNDS]]]

models: the demo model, or (tools/bench/make-full-size.sh makes full-size ones)
  --peer-model DIR      a model in the peer's layout: both libraries run these very files
  --same DIR            the weights of --peer-model as trt-asr prepared them without changing them; judged instead of the files themselves
  --full DIR            the same model in our own form; the targets of our own form are held against it
  --ours NAME=DIR       another form, told and not judged; may be given again
  --raw-peer-model DIR, --raw-full DIR   (e2e, batch, decode) the same before tools/bench/emission.py set a speaking pace

  --peer FOLDER         where sherpa-onnx-node has been installed; without it trt-asr is measured alone
  --python FILE         a Python with onnxruntime and numpy, to run the same encoders
  --package FOLDER      the trt-asr to measure; by default this checkout
  --native FOLDER       a CMake build folder (TRT_ASR_BENCH=ON, TRT_ASR_TESTS=ON); by default build/bench, which is built
  --runs N  --threads N  --audio FILE
  --output FOLDER       writes NAME.json, NAME.md and pictures

Ends with one line of JSON. Exit code 1: a target was missed, or something failed; 2: usage.`;

const TEXTS = [
  'runs',
  'threads',
  'minutes',
  'audio',
  'model',
  'peer',
  'peer-model',
  'raw-peer-model',
  'same',
  'full',
  'raw-full',
  'python',
  'package',
  'native',
  'processes',
  'lengths',
  'seconds',
  'sessions',
  'modes',
  'streaming-model',
  'output',
  'clips',
  'hours',
];
// What has to lie there, and what in it.
const PLACES = {
  peer: path.join('node_modules', 'sherpa-onnx-node'),
  'peer-model': 'tokens.txt',
  'raw-peer-model': 'tokens.txt',
  same: '',
  full: '',
  'raw-full': '',
  python: '',
  package: 'package.json',
  native: 'CMakeCache.txt',
  audio: '',
};
const NUMBERS = ['runs', 'threads', 'minutes', 'seconds', 'hours', 'processes'];

function positive(name, text) {
  const value = Number(text);
  if (!(value > 0)) throw new Error(`expected a positive number for --${name}, received ${text}`);
  return value;
}

function checkPlace(name, folder, inside) {
  const file = path.join(folder, inside);
  if (!fs.existsSync(file))
    throw new Error(`expected ${inside || 'something'} at --${name}, received ${folder}`);
}

/** { name, options } of a command line; throws what is wrong with it. `names`: the benchmarks there are. */
function readOptions(args, names) {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      ...Object.fromEntries(TEXTS.map((key) => [key, { type: 'string' }])),
      ours: { type: 'string', multiple: true },
      quick: { type: 'boolean' },
    },
  });
  const [name, ...rest] = positionals;
  if (name === undefined || !names.includes(name) || rest.length > 0)
    throw new Error(`expected the name of one benchmark: ${names.join(', ')}`);
  for (const key of NUMBERS) if (values[key] !== undefined) values[key] = positive(key, values[key]);
  for (const [key, inside] of Object.entries(PLACES))
    if (values[key] !== undefined) checkPlace(key, values[key], inside);
  for (const text of values.ours ?? []) checkPlace('ours', text.slice(text.indexOf('=') + 1), '');
  if (values.lengths !== undefined)
    for (const length of values.lengths.split(',')) positive('lengths', length);
  return { name, options: values };
}

module.exports = { USAGE, readOptions };
