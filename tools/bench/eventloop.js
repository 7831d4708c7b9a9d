'use strict';
// How long the event loop is held up while a long file is transcribed, beside sherpa-onnx-node.

const os = require('node:os');
const path = require('node:path');
const fs = require('node:fs');
const { root, convertToWav, writeSpeech, standardModel } = require('./audio.js');
const { measureIn } = require('./measure.js');
const { median, medianInterval } = require('./common/statistics.js');
const { home, printable } = require('./common/subjects.js');
const { allMet, judge } = require('./common/targets.js');

const P99_TARGET_MS = 5;
const RUNS_STANDARD = 5;
const MINUTES_STANDARD = 2;

function summarize(subject, runs) {
  const failed = runs.find((run) => run.error !== undefined);
  if (failed !== undefined) return { subject, error: failed.error };
  const medians = {};
  for (const key of Object.keys(runs[0])) {
    if (typeof runs[0][key] === 'number') medians[key] = median(runs.map((run) => run[key]));
  }
  return { subject, version: runs[0].version, ...medians, runs };
}

function tableOf(results, seconds, runs) {
  const columns = ['p50Ms', 'p99Ms', 'maxMs', 'idleP99Ms', 'wallMs', 'loopThreadRunMs', 'loopThreadWaitMs'];
  return {
    title: `Delay of the event loop while ${seconds.toFixed(0)} s of audio are transcribed`,
    notes: [
      `Medians of ${runs} runs, in ms above the idle loop's p50; run, wait: the loop's thread on a core, and ready but waiting for one.`,
    ],
    head: ['subject', 'p50', 'p99', 'max', 'idle p99', 'wall', 'run', 'wait'],
    rows: results.map((result) =>
      result.error !== undefined
        ? [result.subject, `not measured: ${result.error.slice(0, 80)}`, ...Array(6).fill('')]
        : [result.subject, ...columns.map((key) => result[key].toFixed(2))],
    ),
  };
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
  const ours = { kind: 'ours', home: home(options), audio, threads };
  const tasks = [{ ...ours, subject: 'trt-asr', model }];
  if (options.peer !== undefined) {
    const peer = {
      kind: 'peer',
      peer: path.resolve(options.peer),
      model: printable(peerModel, folder),
      audio,
      threads,
    };
    // On the peer's graphs too, so that one row differs in nothing but the library.
    if (peerModel !== model) tasks.push({ ...ours, subject: "trt-asr, the peer's model", model: peerModel });
    tasks.push({ ...peer, subject: 'sherpa-onnx-node decode', call: 'decode' });
    tasks.push({ ...peer, subject: 'sherpa-onnx-node decodeAsync', call: 'decodeAsync' });
  }
  const measured = new Map(tasks.map((task) => [task.subject, []]));
  // Alternating, so that a change of the machine's load meets all subjects.
  for (let turn = 0; turn < runs; turn += 1)
    for (const task of tasks) measured.get(task.subject).push(await measureIn('eventloop_child.js', task));
  const results = [...measured].map(([subject, each]) => summarize(subject, each));
  const [first] = results;
  if (first.error !== undefined) throw new Error(first.error);
  const ratios = {};
  // Below the resolution of 1 ms a ratio would compare noise.
  for (const { subject, error, p99Ms, maxMs } of results.slice(1)) {
    if (error !== undefined) continue;
    ratios[subject] = { p99: p99Ms / Math.max(1, first.p99Ms), max: maxMs / Math.max(1, first.maxMs) };
    const { p99, max } = ratios[subject];
    console.log(
      `${subject} / trt-asr: p99 ${p99.toFixed(1)} x, max ${max.toFixed(1)} x (delays under 1 ms count as 1 ms)`,
    );
  }
  const p99 = medianInterval(first.runs.map((each) => each.p99Ms));
  const targets = [judge('eventloop, p99 of the delay', 'below', P99_TARGET_MS, ' ms', p99)];
  const met = allMet(targets);
  return {
    seconds,
    threads,
    model,
    peerModel,
    met,
    targets,
    tables: [tableOf(results, seconds, runs)],
    ratios,
    results,
  };
}

module.exports = { run };
