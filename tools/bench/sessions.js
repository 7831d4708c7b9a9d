'use strict';
// How many live sessions this machine carries in real time: doubled until they are too many, then halved in between.

const fs = require('node:fs');
const path = require('node:path');
const { bars } = require('./common/chart.js');
const { quantile } = require('./common/statistics.js');
const { home, printable } = require('./common/subjects.js');
const { number } = require('./common/table.js');
const { MODES, makeAudio } = require('./latency.js');
const { measureIn } = require('./measure.js');
const { root } = require('./audio.js');

const SECONDS_STANDARD = 20;
const MODES_STANDARD = 'buffered,cache-aware';
// CONTRACT: real time is held while 95 % of the windows come within this of the write of their last sample, and no write waited for as
// long as WRITE_LAG_MS_MAX. SOURCE: ours. WHY: more is felt in captions, and sessions that fall behind do so more and more.
// TODO: none.
const WINDOW_MS_P95_MAX = 200;
const WRITE_LAG_MS_MAX = 1000;
// CONTRACT: at most these. SOURCE: limits of the package (contracts/limits.json). WHY: it opens no more. TODO: none.
const SESSIONS_MAX = 4096;

async function probe(task, count, audio) {
  const found = await measureIn('latency_child.js', { ...task, count, audio });
  if (found.error !== undefined) return { count, held: false, error: found.error };
  const p95 = quantile(found.windowMs, 0.95);
  return {
    count,
    windowMs: { p50: quantile(found.windowMs, 0.5), p95 },
    writeLagMs: found.writeLagMsMax,
    cores: found.cores,
    rssMB: found.rssMB,
    held: p95 < WINDOW_MS_P95_MAX && found.writeLagMsMax < WRITE_LAG_MS_MAX,
  };
}

/** The most sessions that hold real time, to an eighth: all probes, in order. */
async function climb(measure, max) {
  const probes = [];
  let held = 0;
  let broken = max + 1;
  const take = async (count) => {
    const found = await measure(count);
    probes.push(found);
    if (found.held) held = Math.max(held, count);
    else broken = Math.min(broken, count);
  };
  for (let count = 1; count < broken; count = Math.min(2 * count, max)) {
    await take(count);
    if (count === max) break;
  }
  while (broken - held > Math.max(1, held / 8)) await take(Math.floor((held + broken) / 2));
  return { held, probes };
}

function subjectsOf(options, folder) {
  const asked = (options.modes ?? MODES_STANDARD).split(',');
  const unknown = asked.find((mode) => !Object.hasOwn(MODES, mode));
  if (unknown !== undefined) throw new Error(`expected modes of ${Object.keys(MODES)}, received ${unknown}`);
  const streaming = options['streaming-model'] ?? path.join(root, 'models', 'demo-en-streaming');
  const subjects = asked.map((mode) => ({
    subject: `trt-asr ${mode}`,
    kind: 'ours',
    home: home(options),
    model:
      mode === 'cache-aware'
        ? streaming
        : path.resolve(options.model ?? path.join(root, 'models', 'demo-en')),
    sessions: MODES[mode],
    threads: options.threads,
  }));
  // Sessions of the demo model on one side and of another model on the other would say nothing: the peer needs its graphs.
  if (options.peer !== undefined && options['peer-model'] !== undefined)
    subjects.push({
      subject: 'sherpa-onnx-node, growing window',
      kind: 'peer',
      peer: path.resolve(options.peer),
      model: printable(path.resolve(options['peer-model']), folder),
      decodeEveryMs: 500,
      threads: options.threads,
    });
  return subjects.filter(({ model }) => fs.existsSync(model));
}

async function run(options, folder) {
  const seconds = options.seconds ?? SECONDS_STANDARD;
  const max = options.sessions === undefined ? SESSIONS_MAX : Number(options.sessions);
  if (!Number.isInteger(max) || max < 1 || max > SESSIONS_MAX)
    throw new Error(
      `expected a whole number up to ${SESSIONS_MAX} for --sessions, received ${options.sessions}`,
    );
  const subjects = subjectsOf(options, folder);
  const audio = await makeAudio(options.model ?? 'demo-en', seconds, folder);
  const results = [];
  for (const task of subjects) {
    const measure = async (count) => {
      const found = await probe(task, count, audio);
      const seen =
        found.error ?? `window p95 ${found.windowMs.p95.toFixed(0)} ms, ${found.cores.toFixed(2)} cores`;
      console.error(`sessions: ${task.subject}, ${count}: ${found.held ? 'held' : 'NOT held'}, ${seen}`);
      return found;
    };
    results.push({ subject: task.subject, model: task.model, ...(await climb(measure, max)) });
  }
  const rows = results.flatMap(({ subject, held, probes }) =>
    [...probes]
      .sort((a, b) => a.count - b.count)
      .map((each) =>
        each.error !== undefined
          ? [subject, each.count, `failed: ${each.error.slice(0, 80)}`, '', '', '', '']
          : [
              subject,
              each.count,
              `${number(each.windowMs.p50)} / ${number(each.windowMs.p95)}`,
              number(each.writeLagMs),
              number(each.cores),
              number(each.rssMB),
              each.count === held
                ? held === max
                  ? 'yes, and more was not asked'
                  : 'yes, the most'
                : each.held
                  ? 'yes'
                  : 'no',
            ],
      ),
  );
  return {
    seconds,
    met: results.every(({ held }) => held > 0),
    targets: [],
    tables: [
      {
        title: `Sessions in real time, ${seconds} s each`,
        notes: [
          `Held: p95 of a window's delay below ${WINDOW_MS_P95_MAX} ms, and no write that waited for ${WRITE_LAG_MS_MAX} ms. The most is found to an eighth.`,
        ],
        head: ['subject', 'sessions', 'window p50 / p95, ms', 'write lag, ms', 'cores', 'RSS, MB', 'held'],
        rows,
      },
    ],
    charts: [
      {
        name: 'held',
        description: bars({
          values: results.map(({ subject, held }) => ({
            group: 'sessions',
            subject,
            value: held,
            low: null,
            high: null,
          })),
          y: 'sessions that hold real time',
        }),
      },
    ],
    results,
  };
}

module.exports = { climb, run };
