'use strict';
// Real-time factors of single clips: ours and the peer, on the same files and on our own form of the same model.

const { writeClips } = require('./common/clips.js');
const { bars } = require('./common/chart.js');
const { medianInterval, median, pairedRatio } = require('./common/statistics.js');
const { notJudged, setsOf, withRole } = require('./common/subjects.js');
const { interval, number } = require('./common/table.js');
const { allMet, judge } = require('./common/targets.js');
const { alternate } = require('./common/rounds.js');
const { Worker } = require('./common/worker.js');

const RUNS_STANDARD = 6;
const PROCESSES_STANDARD = 2;
const SECONDS_STANDARD = [5, 15, 30];
const SAME_TARGET = 1.8;
const OWN_TARGET = 3;
const DECODE_SHARE_TARGET = 5;
// The clip and thread count that the targets are held against; the others are told.
const JUDGED_SECONDS = 15;

/** All subjects of a set at one thread count, in turns, clip after clip; processes begin anew for each block of rounds. */
async function measureSet({ subjects }, threads, clips, { runs, processes }, say) {
  const found = new Map(subjects.map((subject) => [subject, { values: [] }]));
  for (let block = 0; block < processes; block += 1) {
    const workers = new Map();
    try {
      for (const subject of subjects) {
        const entry = found.get(subject);
        if (entry.error !== undefined) continue;
        const worker = Worker.node('speech_child.js');
        workers.set(subject, worker);
        try {
          Object.assign(entry, await worker.ask({ do: 'open', ...subject, threads }));
          // The first run of a length claims memory: it is not counted.
          for (const { file } of clips) await worker.ask({ do: 'clip', file });
        } catch (error) {
          entry.error = error.message;
        }
      }
      const rounds = Math.floor(runs / processes) + (block < runs % processes ? 1 : 0);
      const alive = subjects.filter((subject) => found.get(subject).error === undefined);
      const tasks = clips.flatMap((clip) => alive.map((subject) => ({ subject, clip })));
      const ask = ({ subject, clip }) => workers.get(subject).ask({ do: 'clip', file: clip.file });
      const measured = await alternate(tasks, rounds, ask, say);
      for (const [{ subject, clip }, { values, error }] of measured) {
        const entry = found.get(subject);
        if (error !== undefined) entry.error = error;
        entry.values.push(...values.map((value) => ({ seconds: clip.seconds, ...value })));
      }
    } finally {
      for (const worker of workers.values()) await worker.end();
    }
  }
  return found;
}

/** One subject, one clip. */
function summarize({ set }, threads, subject, entry, { seconds }) {
  const base = { set, threads, subject: subject.subject, role: subject.role, seconds };
  if (entry.error !== undefined) return { ...base, error: entry.error };
  const values = entry.values.filter((value) => value.seconds === seconds);
  const told = values.filter(({ timings }) => timings !== undefined);
  const share = ({ ms, timings }) => (100 * timings.decodeMs) / ms;
  const stage = (key) => (told.length === 0 ? undefined : median(told.map(({ timings }) => timings[key])));
  return {
    ...base,
    engine: entry.engine,
    version: entry.version,
    ms: values.map(({ ms }) => ms),
    cpuMs: values.map(({ cpuMs }) => cpuMs),
    rtfx: medianInterval(values.map(({ ms }) => (seconds * 1000) / ms)),
    tokensPerSecond: median(values.map(({ tokens }) => tokens / seconds)),
    featuresMs: stage('featuresMs'),
    encoderMs: stage('encoderMs'),
    decodeMs: stage('decodeMs'),
    decodeShare: told.length === 0 ? undefined : medianInterval(told.map(share)),
    text: values[0]?.text,
  };
}

function tables(results) {
  const groups = [...new Set(results.map(({ set, threads }) => `${set}|${threads}`))];
  return groups.map((group) => {
    const [set, threads] = group.split('|');
    const rows = results
      .filter((each) => each.set === set && String(each.threads) === threads)
      .map((each) =>
        each.error !== undefined
          ? [each.subject, each.seconds, `failed: ${each.error.slice(0, 80)}`, ...Array(8).fill('')]
          : [
              each.subject,
              each.seconds,
              interval(each.rtfx),
              each.ratio === undefined ? '' : interval(each.ratio),
              number(median(each.cpuMs)),
              each.cpuRatio === undefined ? '' : interval(each.cpuRatio),
              number(each.tokensPerSecond),
              number(each.featuresMs),
              number(each.encoderMs),
              number(each.decodeMs),
              each.decodeShare === undefined ? '-' : `${number(each.decodeShare.value)} %`,
            ],
      );
    return {
      title: `One clip at a time, ${threads} thread${threads === '1' ? '' : 's'}${set === '' ? '' : `, ${set}`}`,
      notes: [
        'RTFx: seconds of audio a second, median (95 % interval); ratio: to the peer, paired by round; CPU: of all threads.',
      ],
      head: [
        'subject',
        'clip, s',
        'RTFx',
        'ratio',
        'CPU, ms',
        'CPU ratio',
        'tokens/s',
        'features, ms',
        'encoder, ms',
        'decode, ms',
        'decode',
      ],
      rows,
    };
  });
}

/** Adds the ratio to the peer of the same set, thread count and clip. */
function addRatios(results) {
  for (const each of results) {
    const peer = results.find(
      (other) =>
        other.role === 'peer' &&
        other.set === each.set &&
        other.threads === each.threads &&
        other.seconds === each.seconds,
    );
    if (peer === undefined || peer === each || peer.error !== undefined || each.error !== undefined) continue;
    each.ratio = pairedRatio(peer.ms, each.ms);
    each.cpuRatio = pairedRatio(peer.cpuMs, each.cpuMs);
  }
}

function targetsOf(results, subjects, judgedSeconds) {
  const peer = withRole(subjects, 'peer');
  const targets = [];
  for (const threads of [...new Set(results.map((each) => each.threads))]) {
    const of = (role) =>
      results.find(
        (each) =>
          each.set === '' && each.role === role && each.threads === threads && each.seconds === judgedSeconds,
      );
    const name = (what) => `e2e, ${judgedSeconds} s, ${threads} thread${threads === 1 ? '' : 's'}, ${what}`;
    for (const [role, what, bound] of [
      ['same', 'same files', SAME_TARGET],
      ['own', 'own form', OWN_TARGET],
    ]) {
      const unless = notJudged(peer, withRole(subjects, role));
      targets.push(judge(name(what), 'at least', bound, ' x', of(role)?.ratio, unless));
    }
    const best = of('own') ?? of('same');
    const unless = notJudged(
      peer ?? withRole(subjects, 'same') ?? withRole(subjects, 'own'),
      best && withRole(subjects, best.role),
    );
    targets.push(
      judge(name('decode share'), 'at most', DECODE_SHARE_TARGET, ' %', best?.decodeShare, unless),
    );
  }
  return targets;
}

function chartOf(results) {
  const values = results
    .filter(({ error }) => error === undefined)
    .map(({ set, threads, subject, seconds, rtfx }) => ({
      panel: `${threads} thread${threads === 1 ? '' : 's'}${set === '' ? '' : `, ${set}`}`,
      group: `${seconds} s`,
      subject,
      ...rtfx,
    }));
  return { name: 'rtfx', description: bars({ values, y: 'seconds of audio a second' }) };
}

async function run(options, folder) {
  const runs = Math.ceil(options.runs ?? RUNS_STANDARD);
  const processes = Math.min(runs, Math.ceil(options.processes ?? PROCESSES_STANDARD));
  const lengths = options.lengths === undefined ? SECONDS_STANDARD : options.lengths.split(',').map(Number);
  const threadCounts = options.threads === undefined ? [1, 2] : [options.threads];
  const clips = await writeClips(folder, lengths, options.audio);
  const sets = setsOf(options, folder);
  const results = [];
  for (const set of sets) {
    for (const threads of threadCounts) {
      const say = (line) =>
        console.error(`e2e, ${threads} threads${set.set === '' ? '' : `, ${set.set}`}: ${line}`);
      const found = await measureSet(set, threads, clips, { runs, processes }, say);
      for (const [subject, entry] of found)
        for (const clip of clips) results.push(summarize(set, threads, subject, entry, clip));
    }
  }
  addRatios(results);
  const judged = lengths.includes(JUDGED_SECONDS) ? JUDGED_SECONDS : lengths[0];
  const targets = targetsOf(results, sets[0].subjects, judged);
  return {
    runs,
    processes,
    models: sets.map(({ set, subjects }) => ({
      set,
      subjects: subjects.map(({ subject, model }) => ({ subject, model })),
    })),
    met: allMet(targets) && results.every(({ error }) => error === undefined),
    targets,
    tables: tables(results),
    charts: [chartOf(results)],
    results,
  };
}

module.exports = { run };
