'use strict';
// From the start of a process to its first token, with the model's files in the page cache and without.

const { bars } = require('./common/chart.js');
const { writeClips } = require('./common/clips.js');
const { forget } = require('./common/file_cache.js');
const { alternate } = require('./common/rounds.js');
const { median, medianInterval, pairedRatio } = require('./common/statistics.js');
const { notJudged, setsOf, withRole } = require('./common/subjects.js');
const { interval, number } = require('./common/table.js');
const { allMet, judge } = require('./common/targets.js');
const { measureIn } = require('./measure.js');

const RUNS_STANDARD = 5;
// WHY: long enough for a token, short enough that the encoder's own time is not what is compared.
const CLIP_SECONDS = 2;
const TARGET = 0.6;

/** A process that opens the library, transcribes one clip and ends. Rejects with what the library says. */
async function once(task) {
  const startedAt = performance.timeOrigin + performance.now();
  const found = await measureIn('once_child.js', { ...task, startedAt });
  if (found.error !== undefined) throw new Error(found.error);
  return found;
}

function tableOf(results, threads) {
  const rows = results.map((each) =>
    each.error !== undefined
      ? [each.subject, each.cache, `failed: ${each.error.slice(0, 80)}`, '', '', '', '', '', '']
      : [
          each.subject,
          each.cache,
          number(each.openMs),
          number(each.firstMs),
          interval(each.process),
          each.ratio === undefined ? '' : interval(each.ratio),
          number(median(each.cpuMs)),
          each.cpuRatio === undefined ? '' : interval(each.cpuRatio),
          each.leftInCache === undefined ? '' : `${number(100 * each.leftInCache)} %`,
        ],
  );
  return {
    title: `Start-up, ${threads} thread${threads === 1 ? '' : 's'}, a clip of ${CLIP_SECONDS} s`,
    notes: [
      'open: from the call to a recognizer, the library being loaded too; first token: from the same moment; process: from its start.',
      'Cold: the kernel was asked to forget the files of the model, without root; in cache: what stayed in memory all the same.',
    ],
    head: [
      'subject',
      'files',
      'open, ms',
      'first token, ms',
      'process, ms',
      'ratio',
      'CPU, ms',
      'CPU ratio',
      'in cache',
    ],
    rows,
  };
}

async function run(options, folder) {
  const runs = Math.ceil(options.runs ?? RUNS_STANDARD);
  const threads = options.threads ?? 1;
  const [clip] = await writeClips(folder, [CLIP_SECONDS], options.audio);
  const [{ subjects }] = setsOf(options, folder);
  const tasks = ['warm', 'cold'].flatMap((cache) => subjects.map((subject) => ({ ...subject, cache })));
  // Once before, so that the warm runs are.
  const before = await alternate(subjects, 1, (subject) => once({ ...subject, threads, file: clip.file }));
  const broken = [...before]
    .filter(([, { error }]) => error !== undefined)
    .map(([subject]) => subject.subject);
  const measure = async (task) => {
    // What a cold run reads is in the cache again for the warm runs of the next round.
    const left = task.cache === 'cold' ? forget(task.model) : undefined;
    return { ...(await once({ ...task, threads, file: clip.file })), left };
  };
  const found = await alternate(tasks, runs, measure, (line) => console.error(`startup: ${line}`));
  const results = [...found].map(([{ subject, role, cache, model }, { values, error }]) => ({
    subject,
    role,
    cache,
    model,
    ...(error === undefined && !broken.includes(subject)
      ? {
          processMs: values.map(({ processMs }) => processMs),
          process: medianInterval(values.map(({ processMs }) => processMs)),
          cpuMs: values.map(({ cpuMs }) => cpuMs),
          openMs: median(values.map(({ openMs }) => openMs)),
          firstMs: median(values.map(({ firstMs }) => firstMs)),
          tokens: median(values.map(({ tokens }) => tokens)),
          leftInCache: values[0].left === undefined ? undefined : median(values.map(({ left }) => left)),
        }
      : { error: error ?? 'failed before' }),
  }));
  for (const each of results) {
    const peer = results.find(({ role, cache }) => role === 'peer' && cache === each.cache);
    if (peer === undefined || peer === each || peer.error !== undefined || each.error !== undefined) continue;
    each.ratio = pairedRatio(each.processMs, peer.processMs);
    each.cpuRatio = pairedRatio(each.cpuMs, peer.cpuMs);
  }
  const peer = withRole(subjects, 'peer');
  const judged = withRole(subjects, 'own') ?? withRole(subjects, 'same');
  const of = (cache) => results.find((each) => each.role === judged?.role && each.cache === cache)?.ratio;
  const targets = ['warm', 'cold'].map((cache) =>
    judge(
      `startup, process to first token, ${cache} files, ${judged?.subject ?? 'ours'}`,
      'at most',
      TARGET,
      ' x',
      of(cache),
      notJudged(peer, judged) ??
        (cache === 'cold' ? 'without root the page cache is not under control' : undefined),
    ),
  );
  return {
    runs,
    threads,
    clipSeconds: CLIP_SECONDS,
    met: allMet(targets) && results.every(({ error }) => error === undefined),
    targets,
    tables: [tableOf(results, threads)],
    charts: [
      {
        name: 'process',
        description: bars({
          values: results
            .filter(({ error }) => error === undefined)
            .map(({ subject, cache, process }) => ({ group: cache, subject, ...process })),
          y: 'ms from process start to first token',
        }),
      },
    ],
    results,
  };
}

module.exports = { once, run };
