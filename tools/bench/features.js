'use strict';
// Log-mel features on one core: the native core by itself, beside the call in which the peer computes them.

const path = require('node:path');
const { root } = require('./audio.js');
const { writeClips } = require('./common/clips.js');
const { benchProgram } = require('./common/native.js');
const { alternate } = require('./common/rounds.js');
const { median, medianInterval, pairedRatio } = require('./common/statistics.js');
const { PEER, printable } = require('./common/subjects.js');
const { interval, number } = require('./common/table.js');
const { allMet, judge } = require('./common/targets.js');
const { Worker } = require('./common/worker.js');

const RUNS_STANDARD = 15;
const REPEATS = 10;
const CLIP_SECONDS = 30;
const TARGET = 1000;

async function run(options, folder) {
  const runs = Math.ceil(options.runs ?? RUNS_STANDARD);
  const [{ file }] = await writeClips(folder, [CLIP_SECONDS], options.audio);
  const tiny = path.join(root, 'test', 'fixtures', 'models', 'tiny-sherpa');
  const subjects = [
    {
      subject: 'trt-asr, native core',
      worker: Worker.lines(benchProgram(options, 'features'), [file]),
      question: `run ${REPEATS}`,
    },
  ];
  try {
    if (options.peer !== undefined) {
      const worker = Worker.node('speech_child.js');
      subjects.push({ subject: PEER, worker, question: { do: 'features', file, repeats: REPEATS } });
      // The features do not depend on the weights: the smallest model will do.
      const model = printable(tiny, folder);
      await worker.ask({ do: 'open', library: 'peer', peer: path.resolve(options.peer), model, threads: 1 });
    }
    for (const { worker, question } of subjects) await worker.ask(question);
    const found = await alternate(subjects, runs, ({ worker, question }) => worker.ask(question));
    const results = [...found].map(([{ subject }, { values, error }]) =>
      error !== undefined
        ? { subject, error }
        : {
            subject,
            ms: values.map(({ ms }) => ms),
            cpuMs: values.map(({ cpuMs }) => cpuMs),
            realTime: medianInterval(values.map(({ cpuMs }) => (CLIP_SECONDS * 1000) / cpuMs)),
          },
    );
    const [ours, peer] = results;
    if (ours.error !== undefined) throw new Error(ours.error);
    if (peer !== undefined && peer.error === undefined) ours.ratio = pairedRatio(peer.cpuMs, ours.cpuMs);
    const targets = [
      judge('features, log-mel on one core', 'at least', TARGET, ' x real time', ours.realTime),
    ];
    return {
      runs,
      clipSeconds: CLIP_SECONDS,
      met: allMet(targets),
      targets,
      tables: [
        {
          title: `Log-mel features of ${CLIP_SECONDS} s on one core`,
          notes: [
            'trt-asr: features and their normalisation, in the native core. The peer: acceptWaveform(), in which it computes its features',
            'on the calling thread; its normalisation comes later and is not in it, the copy of the samples is. By processor time, so that waiting',
            'for a core is not counted.',
          ],
          head: ['subject', 'ms', 'CPU ms', 'x real time a core', 'ratio'],
          rows: results.map((each) =>
            each.error !== undefined
              ? [each.subject, `failed: ${each.error.slice(0, 80)}`, '', '', '']
              : [
                  each.subject,
                  number(median(each.ms)),
                  number(median(each.cpuMs)),
                  interval(each.realTime),
                  each.ratio === undefined ? '' : interval(each.ratio),
                ],
          ),
        },
      ],
      results,
    };
  } finally {
    for (const { worker } of subjects) await worker.end();
  }
}

module.exports = { run };
