'use strict';
// How long the event loop is held up while a long file is transcribed, beside sherpa-onnx-node.

const os = require('node:os');
const path = require('node:path');
const fs = require('node:fs');
const { root, convertToWav, writeSpeech, standardModel } = require('./audio.js');
const { measureIn } = require('./measure.js');

const P99_TARGET_MS = 5;
const RUNS_STANDARD = 5;
const MINUTES_STANDARD = 2;

function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

function summarize(subject, runs) {
  const failed = runs.find((run) => run.error !== undefined);
  if (failed !== undefined) return { subject, error: failed.error };
  const medians = {};
  for (const key of Object.keys(runs[0])) {
    if (typeof runs[0][key] === 'number') medians[key] = median(runs.map((run) => run[key]));
  }
  return { subject, version: runs[0].version, ...medians, runs };
}

function row(cells) {
  return cells.map((cell, index) => (index === 0 ? cell.padEnd(32) : cell.padStart(9))).join(' ');
}

function print(results, seconds, runs) {
  console.log(
    `${seconds.toFixed(0)} s of audio, medians of ${runs} runs; all in ms, delays above the idle loop's p50\n`,
  );
  console.log(row(['', 'p50', 'p99', 'max', 'idle p99', 'wall', 'run', 'wait']));
  for (const result of results) {
    if (result.error !== undefined) {
      console.log(`${result.subject}: not measured: ${result.error}`);
      continue;
    }
    const { p50Ms, p99Ms, maxMs, idleP99Ms, wallMs, loopThreadRunMs, loopThreadWaitMs } = result;
    const numbers = [p50Ms, p99Ms, maxMs, idleP99Ms, wallMs, loopThreadRunMs, loopThreadWaitMs].map((value) =>
      value.toFixed(2),
    );
    console.log(row([result.subject, ...numbers]));
  }
  console.log("(run, wait: the loop's thread on a core, and ready but waiting for one)\n");
}

/**
 * A copy of the peer's model without the byte pieces of control characters: a model of random weights emits them, and
 * the peer (seen with 1.13.8) puts them bare into JSON that its own wrapper then fails to parse. The graphs are the same.
 */
function peerCopy(model, folder) {
  const copy = path.join(folder, 'peer-model');
  fs.cpSync(model, copy, { recursive: true });
  const tokens = path.join(copy, 'tokens.txt');
  const printable = fs.readFileSync(tokens, 'utf8').replace(/^<0x([01][0-9A-F]|7F)> /gm, '[$1] ');
  fs.writeFileSync(tokens, printable);
  return copy;
}

async function run(options, folder) {
  const runs = Math.ceil(options.runs ?? RUNS_STANDARD);
  const threads = options.threads ?? os.availableParallelism();
  const audio = path.join(folder, 'long.wav');
  const example = options.audio ?? path.join(root, 'examples', 'long.mp3');
  const seconds =
    fs.existsSync(example) && options.minutes === undefined
      ? await convertToWav(path.resolve(example), audio)
      : await writeSpeech(audio, (options.minutes ?? MINUTES_STANDARD) * 60);
  const model = path.resolve(options.model ?? standardModel());
  const peerModel = path.resolve(
    options['peer-model'] ?? path.join(root, 'test/fixtures/models/tiny-sherpa'),
  );
  const tasks = [{ subject: 'trt-asr', kind: 'ours', model, audio, threads }];
  if (options.peer !== undefined) {
    const peer = {
      kind: 'peer',
      peer: path.resolve(options.peer),
      model: peerCopy(peerModel, folder),
      audio,
      threads,
    };
    // On the peer's graphs too, so that one row differs in nothing but the library.
    if (peerModel !== model)
      tasks.push({ subject: "trt-asr, the peer's model", kind: 'ours', model: peerModel, audio, threads });
    tasks.push({ ...peer, subject: 'sherpa-onnx-node decode', call: 'decode' });
    tasks.push({ ...peer, subject: 'sherpa-onnx-node decodeAsync', call: 'decodeAsync' });
  }
  const measured = new Map(tasks.map((task) => [task.subject, []]));
  // Alternating, so that a change of the machine's load meets all subjects.
  for (let turn = 0; turn < runs; turn += 1)
    for (const task of tasks) measured.get(task.subject).push(await measureIn('eventloop_child.js', task));
  const results = [...measured].map(([subject, each]) => summarize(subject, each));
  print(results, seconds, runs);
  const [ours] = results;
  if (ours.error !== undefined) throw new Error(ours.error);
  const ratios = {};
  // Below the resolution of 1 ms a ratio would compare noise.
  for (const { subject, error, p99Ms, maxMs } of results.slice(1)) {
    if (error !== undefined) continue;
    ratios[subject] = { p99: p99Ms / Math.max(1, ours.p99Ms), max: maxMs / Math.max(1, ours.maxMs) };
    const { p99, max } = ratios[subject];
    console.log(
      `${subject} / trt-asr: p99 ${p99.toFixed(1)} x, max ${max.toFixed(1)} x (delays under 1 ms count as 1 ms)`,
    );
  }
  const met = ours.p99Ms < P99_TARGET_MS;
  console.log(`target: p99 < ${P99_TARGET_MS} ms: ${met ? 'met' : 'MISSED'} (${ours.p99Ms.toFixed(2)} ms)\n`);
  return { seconds, threads, model, peerModel, met, targetP99Ms: P99_TARGET_MS, ratios, results };
}

module.exports = { run };
