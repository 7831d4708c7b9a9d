'use strict';
// npm run bench -- NAME [options]: see docs/BENCHMARKS.md. Exits with 1 when a target is missed.

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { describeMachine } = require('./common/machine.js');
const { readOptions, USAGE } = require('./common/options.js');
const { bodyOf, dataOf, write } = require('./common/output.js');
const { home } = require('./common/subjects.js');
const { sentence } = require('./common/targets.js');

const benchmarks = {
  features: './features.js',
  encoder: './encoder.js',
  decode: './decode.js',
  e2e: './e2e.js',
  batch: './batch.js',
  startup: './startup.js',
  rss: './rss.js',
  memory: './memory.js',
  napi: './napi.js',
  eventloop: './eventloop.js',
  alloc: './alloc.js',
  sessions: './sessions.js',
};
const others = { latency: './latency.js', context: './context.js', stress: './stress.js' };
// Few rounds: whether everything runs, and roughly how fast.
const QUICK = { runs: 2, processes: 1, minutes: 2, seconds: 10, sessions: '16' };

/** One benchmark: printed, written to --output, and given back. */
async function measure(name, options, folder) {
  const machine = describeMachine(home(options), options.peer);
  const found = await require({ ...benchmarks, ...others }[name]).run(options, folder);
  const date = new Date().toISOString();
  const result = { benchmark: name, date, machine, loadAfter: os.loadavg()[0], ...found };
  console.log(bodyOf(result));
  // The three older ones write their own.
  const writes = options.output !== undefined && !Object.hasOwn(others, name);
  return { result, text: writes ? await write(path.resolve(options.output), result) : '' };
}

/** One after the other; one that fails does not end the others. */
async function measureAll(options, folder) {
  const results = [];
  const texts = [];
  for (const name of Object.keys(benchmarks)) {
    console.error(`--- ${name}`);
    try {
      const { result, text } = await measure(name, { ...(options.quick ? QUICK : {}), ...options }, folder);
      results.push(dataOf(result));
      texts.push(text);
    } catch (error) {
      console.error(`${name}: ${error.message}`);
      results.push({ benchmark: name, met: false, error: error.message, targets: [] });
      texts.push(`## ${name}\n\nfailed: ${error.message}\n`);
    }
  }
  const told = results.flatMap(({ benchmark, targets = [], error }) => [
    ...targets.map((target) => `- ${sentence(target)}`),
    ...(error === undefined ? [] : [`- ${benchmark}: FAILED, ${error}`]),
  ]);
  const summary = ['## Targets', '', ...told, ''].join('\n');
  console.log(summary);
  const result = { benchmark: 'all', met: results.every(({ met }) => met), results };
  if (options.output !== undefined) {
    fs.mkdirSync(options.output, { recursive: true });
    fs.writeFileSync(path.join(options.output, 'all.json'), `${JSON.stringify(result, undefined, 2)}\n`);
    fs.writeFileSync(path.join(options.output, 'all.md'), [summary, ...texts].join('\n'));
  }
  return result;
}

async function main() {
  let asked;
  try {
    asked = readOptions(process.argv.slice(2), [...Object.keys(benchmarks), 'all', ...Object.keys(others)]);
  } catch (error) {
    console.error(`${error.message}\n\n${USAGE}`);
    process.exitCode = 2;
    return;
  }
  const { name, options } = asked;
  if (!fs.existsSync(path.join(home(options), 'dist', 'index.js')))
    throw new Error('build first: npm run build');
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'trt-asr-bench-'));
  try {
    const result =
      name === 'all' ? await measureAll(options, folder) : (await measure(name, options, folder)).result;
    console.log(JSON.stringify(dataOf(result)));
    if (!result.met) process.exitCode = 1;
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
  }
}

main().catch((error) => {
  console.error(error.message);
  process.exitCode = 1;
});
