'use strict';
// The most memory that a process holds which opens a model and transcribes one clip.

const { bars } = require('./common/chart.js');
const { writeClips } = require('./common/clips.js');
const { alternate } = require('./common/rounds.js');
const { median, medianInterval, pairedRatio } = require('./common/statistics.js');
const { notJudged, setsOf, withRole } = require('./common/subjects.js');
const { interval, number } = require('./common/table.js');
const { allMet, judge } = require('./common/targets.js');
const { once } = require('./startup.js');

const RUNS_STANDARD = 3;
const CLIP_SECONDS = 15;
const TARGET = 0.8;

async function run(options, folder) {
  if (process.platform !== 'linux') throw new Error('expected Linux: the peak comes from /proc/self/status');
  const runs = Math.ceil(options.runs ?? RUNS_STANDARD);
  const threads = options.threads ?? 1;
  const [clip] = await writeClips(folder, [CLIP_SECONDS], options.audio);
  const [{ subjects }] = setsOf(options, folder);
  const measure = (subject) => once({ ...subject, threads, file: clip.file });
  // Once before, as the first use of a large model packs it.
  await alternate(subjects, 1, measure);
  const found = await alternate(subjects, runs, measure, (line) => console.error(`rss: ${line}`));
  const results = [...found].map(([{ subject, role, model }, { values, error }]) => {
    const of = (key) => median(values.map((value) => value[key]));
    if (error !== undefined) return { subject, role, model, error };
    const peakMB = values.map((value) => value.peakMB);
    const parts = {
      bareMB: of('bareMB'),
      rssMB: of('rssMB'),
      anonymousMB: of('anonymousMB'),
      fileMB: of('fileMB'),
    };
    return { subject, role, model, peakMB, peak: medianInterval(peakMB), ...parts };
  });
  const peerResult = results.find(({ role, error }) => role === 'peer' && error === undefined);
  for (const each of results)
    if (peerResult !== undefined && each !== peerResult && each.error === undefined)
      each.ratio = pairedRatio(each.peakMB, peerResult.peakMB);
  const judged = withRole(subjects, 'own') ?? withRole(subjects, 'same');
  const targets = [
    judge(
      `rss, peak, ${judged?.subject ?? 'ours'}`,
      'at most',
      TARGET,
      ' x',
      results.find(({ role }) => role === judged?.role)?.ratio,
      notJudged(withRole(subjects, 'peer'), judged),
    ),
  ];
  const rows = results.map((each) =>
    each.error !== undefined
      ? [each.subject, `failed: ${each.error.slice(0, 80)}`, '', '', '', '', '']
      : [
          each.subject,
          interval(each.peak),
          each.ratio === undefined ? '' : interval(each.ratio),
          number(each.rssMB),
          number(each.anonymousMB),
          number(each.fileMB),
          number(each.bareMB),
        ],
  );
  return {
    runs,
    threads,
    clipSeconds: CLIP_SECONDS,
    met: allMet(targets) && results.every(({ error }) => error === undefined),
    targets,
    tables: [
      {
        title: `Memory of open and one clip of ${CLIP_SECONDS} s, ${threads} thread${threads === 1 ? '' : 's'}, MB`,
        notes: [
          'Peak: VmHWM, the most that was resident at any time; after: what is when the clip is done, and its parts. Pages of files are',
          'shared by all processes that map the same files; bare: Node itself, before either library is loaded.',
        ],
        head: ['subject', 'peak', 'ratio', 'after', 'anonymous', 'of files', 'bare'],
        rows,
      },
    ],
    charts: [
      {
        name: 'peak',
        description: bars({
          values: results
            .filter(({ error }) => error === undefined)
            .map(({ subject, peak }) => ({ group: 'peak', subject, ...peak })),
          y: 'peak of the resident set, MB',
        }),
      },
    ],
    results,
  };
}

module.exports = { run };
