'use strict';
// Eight clips that come at once: what a service pays for them, in either library's best way.

const os = require('node:os');
const { bars } = require('./common/chart.js');
const { writeClips } = require('./common/clips.js');
const { batchable } = require('./common/model_files.js');
const { alternate } = require('./common/rounds.js');
const { median, medianInterval, pairedRatio } = require('./common/statistics.js');
const { notJudged, setsOf, withRole } = require('./common/subjects.js');
const { interval, number } = require('./common/table.js');
const { allMet, judge } = require('./common/targets.js');
const { Worker } = require('./common/worker.js');

const RUNS_STANDARD = 5;
const CLIPS = 8;
// The clips of the target, unless other ones alone are asked for.
const SECONDS_STANDARD = 15;
const TARGET = 3.5;

// decodeAsync runs on libuv's threads, of which there are 4 otherwise.
const PEER_ENVIRONMENT = { UV_THREADPOOL_SIZE: String(CLIPS) };

/** The ways in which a user of a library would run eight clips on this machine. */
async function waysOf(subject, cores) {
  const lanes = {
    way: `${cores} lanes of 1 thread`,
    options: { sessionsMax: CLIPS, lanes: cores, threads: 1 },
  };
  const batch = {
    way: `1 lane of ${cores} threads, batches of ${CLIPS}`,
    options: { sessionsMax: CLIPS, lanes: 1, threads: cores, batchMax: CLIPS },
  };
  const peer = [
    { way: `decodeAsync, ${CLIPS} streams, 1 thread each`, options: { call: 'decodeAsync', threads: 1 } },
    {
      way: `decodeAsync, ${CLIPS} streams, ${cores} threads each`,
      options: { call: 'decodeAsync', threads: cores },
    },
    { way: `decode, one after the other, ${cores} threads`, options: { call: 'decode', threads: cores } },
  ];
  const ours = async () => ((await batchable(subject.model, subject.home)) ? [lanes, batch] : [lanes]);
  return (subject.library === 'peer' ? peer : await ours()).map((way) => ({ ...subject, ...way }));
}

async function measureSet({ subjects }, clips, runs, say) {
  const cores = os.availableParallelism();
  const tasks = (await Promise.all(subjects.map((subject) => waysOf(subject, cores)))).flat();
  const files = clips.map(({ file }) => file);
  const workers = new Map();
  try {
    const failed = new Map();
    for (const task of tasks) {
      const worker = Worker.node('speech_child.js', task.library === 'peer' ? PEER_ENVIRONMENT : {});
      workers.set(task, worker);
      try {
        await worker.ask({ do: 'open', ...task, ...task.options });
        await worker.ask({ do: 'batch', files });
      } catch (error) {
        failed.set(task, { values: [], error: error.message });
      }
    }
    const alive = tasks.filter((task) => !failed.has(task));
    const found = await alternate(alive, runs, (task) => workers.get(task).ask({ do: 'batch', files }), say);
    return new Map(tasks.map((task) => [task, failed.get(task) ?? found.get(task)]));
  } finally {
    for (const worker of workers.values()) await worker.end();
  }
}

/** The way with the shortest median of a subject in a set. */
function bestOf(results, set, role) {
  const ways = results.filter((each) => each.set === set && each.role === role && each.error === undefined);
  return ways.sort((a, b) => median(a.ms) - median(b.ms))[0];
}

async function run(options, folder) {
  const runs = Math.ceil(options.runs ?? RUNS_STANDARD);
  const lengths = options.lengths === undefined ? [SECONDS_STANDARD] : options.lengths.split(',').map(Number);
  const clipSeconds = lengths.includes(SECONDS_STANDARD) ? SECONDS_STANDARD : lengths[0];
  const clips = await writeClips(folder, Array(CLIPS).fill(clipSeconds), options.audio);
  const seconds = CLIPS * clipSeconds;
  const sets = setsOf(options, folder);
  const results = [];
  for (const set of sets) {
    const found = await measureSet(set, clips, runs, (line) => console.error(`batch: ${line}`));
    for (const [{ subject, role, way }, { values, error }] of found) {
      const ms = values.map((value) => value.ms);
      const measured = {
        ms,
        cpuMs: values.map(({ cpuMs }) => cpuMs),
        rtfx: medianInterval(ms.map((each) => (seconds * 1000) / each)),
        tokens: median(values.map(({ tokens }) => tokens)),
      };
      results.push({ set: set.set, subject, role, way, ...(error === undefined ? measured : { error }) });
    }
    const peer = bestOf(results, set.set, 'peer');
    for (const each of results) {
      if (each.set !== set.set || each.error !== undefined || peer === undefined || each.role === 'peer')
        continue;
      each.ratio = pairedRatio(peer.ms, each.ms);
    }
  }
  const { subjects } = sets[0];
  const peer = withRole(subjects, 'peer');
  const targets = [
    ['same', 'same files'],
    ['own', 'own form'],
  ].map(([role, what]) =>
    // One target: our own form, or the same files where there is no other.
    judge(
      `batch, ${CLIPS} clips of ${clipSeconds} s, ${what}`,
      'at least',
      TARGET,
      ' x',
      bestOf(results, '', role)?.ratio,
      role === 'same' && withRole(subjects, 'own') !== undefined
        ? 'the target is about our own form'
        : notJudged(peer, withRole(subjects, role)),
    ),
  );
  const rows = results.map((each) =>
    each.error !== undefined
      ? [
          `${each.subject}${each.set === '' ? '' : `, ${each.set}`}`,
          each.way,
          `failed: ${each.error.slice(0, 80)}`,
          '',
          '',
          '',
          '',
        ]
      : [
          `${each.subject}${each.set === '' ? '' : `, ${each.set}`}`,
          each.way,
          number(median(each.ms) / 1000),
          interval(each.rtfx),
          each.ratio === undefined ? '' : interval(each.ratio),
          number(median(each.cpuMs) / 1000),
          number(each.tokens / seconds),
        ],
  );
  return {
    runs,
    clips: CLIPS,
    clipSeconds,
    met: allMet(targets) && results.every(({ error }) => error === undefined),
    targets,
    tables: [
      {
        title: `${CLIPS} clips of ${clipSeconds} s at once`,
        notes: ["Ratio: to the peer's fastest way of the same set, paired by round."],
        head: ['subject', 'way', 's', 'RTFx', 'ratio', 'CPU, s', 'tokens/s'],
        rows,
      },
    ],
    charts: [
      {
        name: 'rtfx',
        description: bars({
          values: results
            .filter(({ error }) => error === undefined)
            .map(({ set, subject, way, rtfx }) => ({ panel: set, group: subject, subject: way, ...rtfx })),
          y: 'seconds of audio a second',
        }),
      },
    ],
    results,
  };
}

module.exports = { run };
