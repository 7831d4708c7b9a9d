'use strict';
// The greedy search alone: steps a second, what a token costs, and its share of the whole.

const { writeClips } = require('./common/clips.js');
const { resolve } = require('./common/model_files.js');
const { benchProgram } = require('./common/native.js');
const { alternate } = require('./common/rounds.js');
const { median, medianInterval } = require('./common/statistics.js');
const { home, notJudged, setsOf, withRole } = require('./common/subjects.js');
const { interval, number } = require('./common/table.js');
const { allMet, judge } = require('./common/targets.js');
const { Worker } = require('./common/worker.js');

const RUNS_STANDARD = 5;
const CLIP_SECONDS = 30;
const TARGET = 5;

async function start(options, { model }, threads, file) {
  const { files } = await resolve(model, home(options));
  const { encoder, predictor, joint, vocab } = files;
  const graphs = [encoder, predictor, joint === undefined || joint === '' ? '-' : joint];
  return Worker.lines(benchProgram(options, 'decode'), [...graphs, vocab, String(threads), file]);
}

async function run(options, folder) {
  const runs = Math.ceil(options.runs ?? RUNS_STANDARD);
  const threads = options.threads ?? 1;
  const [{ file }] = await writeClips(folder, [CLIP_SECONDS], options.audio);
  const sets = setsOf(options, folder);
  const results = [];
  for (const { set, subjects } of sets) {
    const ours = subjects.filter(({ library }) => library === 'ours');
    const workers = new Map();
    try {
      for (const subject of ours) workers.set(subject, await start(options, subject, threads, file));
      const ask = (subject) => workers.get(subject).ask('run');
      await alternate(ours, 1, ask);
      const found = await alternate(ours, runs, ask, (line) => console.error(`decode: ${line}`));
      for (const [{ subject, role }, { values, error }] of found) {
        if (error !== undefined) {
          results.push({ set, subject, role, error });
          continue;
        }
        const share = ({ featuresMs, encoderMs, decodeMs }) =>
          (100 * decodeMs) / (featuresMs + encoderMs + decodeMs);
        const [{ jointRuns, predictorRuns, tokens, frames }] = values;
        const decodeMs = median(values.map((each) => each.decodeMs));
        results.push({
          set,
          subject,
          role,
          runs: values,
          decodeMs,
          stepsPerSecond: (jointRuns * 1000) / decodeMs,
          usPerStep: (decodeMs * 1000) / jointRuns,
          jointRuns,
          predictorRuns,
          tokens,
          frames,
          share: medianInterval(values.map(share)),
        });
      }
    } finally {
      for (const worker of workers.values()) await worker.end();
    }
  }
  const judged =
    withRole(sets[0].subjects, 'own') ?? withRole(sets[0].subjects, 'same') ?? sets[0].subjects[0];
  const share = results.find(({ set, subject }) => set === '' && subject === judged.subject)?.share;
  const targets = [
    judge(
      `decode, share of features, encoder and search, ${judged.subject}`,
      'at most',
      TARGET,
      ' %',
      share,
      notJudged(judged, judged),
    ),
  ];
  const rows = results.map((each) => {
    const name = `${each.subject}${each.set === '' ? '' : `, ${each.set}`}`;
    if (each.error !== undefined) return [name, `failed: ${each.error.slice(0, 80)}`, ...Array(7).fill('')];
    return [
      name,
      number(each.decodeMs),
      each.jointRuns,
      each.predictorRuns,
      number(each.tokens / CLIP_SECONDS),
      number(each.stepsPerSecond),
      number(each.usPerStep),
      `${interval(each.share)} %`,
    ];
  });
  return {
    runs,
    threads,
    clipSeconds: CLIP_SECONDS,
    met: allMet(targets) && results.every(({ error }) => error === undefined),
    targets,
    tables: [
      {
        title: `Greedy search over ${CLIP_SECONDS} s of audio, ${threads} thread${threads === 1 ? '' : 's'}`,
        notes: [
          'In the native core, over the encoder output of real speech. A step is a run of the joint; the predictor runs after tokens alone.',
        ],
        head: ['subject', 'ms', 'joint runs', 'predictor runs', 'tokens/s', 'steps/s', 'us a step', 'share'],
        rows,
      },
    ],
    results,
  };
}

module.exports = { run };
