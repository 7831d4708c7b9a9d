'use strict';
// Encoders alone, behind the engine seam: milliseconds, and operations a second against what this processor reaches from registers.

const os = require('node:os');
const path = require('node:path');
const { bars } = require('./common/chart.js');
const { dimensionsOf, encoderGop, resolve } = require('./common/model_files.js');
const { benchProgram } = require('./common/native.js');
const { alternate } = require('./common/rounds.js');
const { median, medianInterval, pairedRatio } = require('./common/statistics.js');
const { home, setsOf } = require('./common/subjects.js');
const { interval, number } = require('./common/table.js');
const { Worker } = require('./common/worker.js');

const RUNS_STANDARD = 5;
const SECONDS_STANDARD = [5, 10, 30];
const PEAK_RUNS = 5;

/** 10^9 operations a second of each kind and thread count: the best of some runs, as a peak is. */
async function measurePeaks(options, threadCounts) {
  const worker = Worker.lines(benchProgram(options, 'peak'), []);
  const peaks = [];
  try {
    for (const kind of ['f32', 'int8']) {
      for (const threads of threadCounts) {
        const runs = [];
        for (let i = 0; i < PEAK_RUNS; i += 1) runs.push(await worker.ask(`run ${kind} ${threads}`));
        const known = runs.filter(({ gops }) => gops !== null);
        if (known.length === 0) continue;
        const gops = Math.max(...known.map((run) => run.gops));
        peaks.push({ kind, threads, gops, instructions: known[0].instructions });
      }
    }
  } finally {
    await worker.end();
  }
  return peaks;
}

/** One task for each graph and way to run it; the Python package runs what the core's first subject with these files runs. */
async function tasksOf(options, folder) {
  const [{ subjects }] = setsOf(options, folder);
  const tasks = [];
  for (const { subject, library, model, role } of subjects) {
    if (library === 'peer') continue;
    const { files, quantized } = await resolve(model, home(options));
    const kind = quantized ? 'int8' : 'f32';
    const base = { model, kind, role, graph: files.encoder };
    tasks.push({ ...base, subject: `${subject}: ${path.basename(files.encoder)}`, of: 'core' });
    if (options.python !== undefined && files.encoder.endsWith('.onnx'))
      tasks.push({ ...base, subject: `onnxruntime (Python): ${subject}`, of: 'python' });
  }
  return tasks;
}

function start(options, task, threads, framesMax) {
  if (task.of === 'core')
    return Worker.lines(benchProgram(options, 'encoder'), [
      task.graph,
      String(threads),
      '1',
      String(framesMax),
    ]);
  return Worker.lines(options.python, [
    path.join(__dirname, 'python', 'ort_encoder.py'),
    task.graph,
    String(threads),
  ]);
}

/** What came of a task with a clip. */
function summarize({ task, seconds }, threads, { values, error }, peaks) {
  const { subject, of, graph, kind, model } = task;
  const base = { subject, of, graph, kind, threads, seconds };
  if (error !== undefined) return { ...base, error };
  const ms = values.map((value) => value.ms);
  const dimensions = dimensionsOf(model);
  const gop = dimensions === undefined ? undefined : encoderGop(dimensions, seconds * 100);
  const gops = gop === undefined ? undefined : (gop * 1000) / median(ms);
  const peak = peaks.find((each) => each.kind === kind && each.threads === threads);
  const ofPeak = gops === undefined || peak === undefined ? undefined : (100 * gops) / peak.gops;
  return { ...base, backend: values[0].backend, ms, time: medianInterval(ms), gop, gops, ofPeak };
}

/** All tasks with all clips, in turns. */
async function measureAll(options, tasks, lengths, runs, threads, peaks) {
  const framesMax = Math.max(...lengths) * 100;
  const opened = tasks.map((task) => ({ task, worker: start(options, task, threads, framesMax) }));
  try {
    const asked = lengths.flatMap((seconds) => opened.map((each) => ({ ...each, seconds })));
    const ask = ({ worker, seconds }) => worker.ask(`run 1 ${Math.round(seconds * 100)}`);
    // The first run of a length claims memory: it is not counted.
    await alternate(asked, 1, ask);
    const found = await alternate(asked, runs, ask, (line) =>
      console.error(`encoder, ${threads} threads: ${line}`),
    );
    return [...found].map(([each, values]) => summarize(each, threads, values, peaks));
  } finally {
    for (const { worker } of opened) await worker.end();
  }
}

/** Adds ONNX Runtime's Python package on the same file, length and thread count, over the core's. */
function addRatios(results) {
  for (const each of results) {
    const same = ({ of, graph, threads, seconds, error }) =>
      of === 'python' &&
      graph === each.graph &&
      threads === each.threads &&
      seconds === each.seconds &&
      !error;
    const python = results.find(same);
    if (each.of === 'core' && each.error === undefined && python !== undefined)
      each.ratio = pairedRatio(python.ms, each.ms);
  }
}

function rowsOf(results) {
  return results.map((each) =>
    each.error !== undefined
      ? [each.subject, each.threads, each.seconds, `failed: ${each.error.slice(0, 80)}`, '', '', '']
      : [
          each.subject,
          each.threads,
          each.seconds,
          interval(each.time),
          number(each.gops),
          each.ofPeak === undefined ? '-' : `${each.ofPeak.toFixed(0)} %`,
          each.ratio === undefined ? '' : interval(each.ratio),
        ],
  );
}

async function run(options, folder) {
  const runs = Math.ceil(options.runs ?? RUNS_STANDARD);
  const lengths = options.lengths === undefined ? SECONDS_STANDARD : options.lengths.split(',').map(Number);
  const cores = os.availableParallelism();
  const threadCounts =
    options.threads === undefined ? [...new Set([1, Math.min(2, cores)])] : [options.threads];
  const peaks = await measurePeaks(options, threadCounts);
  const tasks = await tasksOf(options, folder);
  const results = [];
  for (const threads of threadCounts)
    results.push(...(await measureAll(options, tasks, lengths, runs, threads, peaks)));
  addRatios(results);
  const failed = results.filter(({ error }) => error !== undefined);
  return {
    runs,
    peaks,
    met: failed.length === 0,
    targets: [],
    tables: [
      {
        title: 'Peak of this processor, from registers',
        head: ['operands', 'threads', '10^9 operations a second', 'instructions'],
        rows: peaks.map(({ kind, threads, gops, instructions }) => [
          kind,
          threads,
          number(gops),
          instructions,
        ]),
      },
      {
        title: 'Encoder, one row',
        notes: [
          'A multiply-add is two operations; norms, softmax and activations are not counted. Of the peak: of int8 for quantised graphs, else of',
          "fp32. Ratio: ONNX Runtime's Python package on the same file over this, paired by round.",
        ],
        head: ['subject', 'threads', 'audio, s', 'ms', 'GOP/s', 'of peak', 'ratio'],
        rows: rowsOf(results),
      },
    ],
    charts: [
      {
        name: 'speed',
        description: bars({
          values: results
            .filter(({ error }) => error === undefined)
            .map(({ subject, threads, seconds, ms }) => ({
              panel: `${threads} thread${threads === 1 ? '' : 's'}`,
              group: `${seconds} s`,
              subject,
              ...medianInterval(ms.map((each) => (seconds * 1000) / each)),
            })),
          y: 'seconds of audio a second, encoder alone',
        }),
      },
    ],
    results,
  };
}

module.exports = { run };
