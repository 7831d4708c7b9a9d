'use strict';
// How long after a word has been spoken its text is shown and final, with some sessions in real time at once, beside sherpa-onnx-node.

const fs = require('node:fs');
const path = require('node:path');
const { RATE_HZ, readSamples, root } = require('./audio.js');
const { measureIn } = require('./measure.js');
const { plot } = require('./latency_plot.js');

const COUNTS_STANDARD = [1, 2, 4, 8];
const SECONDS_STANDARD = 60;
const DECODE_EVERY_MS_STANDARD = 500;
const EXAMPLES = ['long.mp3', 'weather.flac', 'welcome.wav', 'question.mp3'];
// CONTRACT: real time is held when no write waited for longer. SOURCE: half of the default chunk. WHY: a session that falls behind
// does so more and more, so that any bound shows it; a shorter one would count single pauses of a busy machine. TODO: none.
const WRITE_LAG_MS_MAX = 1000;
// CONTRACT: nor when windows come later than this (p95). SOURCE: a default chunk. WHY: a slot takes 31 s of audio, so that in a short run a session that falls
// behind shows it here first. TODO: none.
const WINDOW_LAG_MS_MAX = 2000;

const MODES = {
  buffered: { mode: 'buffered' },
  'buffered-fast': { mode: 'buffered', leftMs: 5600, chunkMs: 320, rightMs: 320 },
  'cache-aware': { mode: 'cache-aware' },
  segment: { mode: 'segment' },
};

/** Speech of `seconds`, in as many files as there are examples, each with another one first; words as the whole files give them. */
async function makeAudio(model, seconds, folder) {
  const { Recognizer } = require(path.join(root, 'dist', 'index.js'));
  const clips = await Promise.all(EXAMPLES.map((name) => readSamples(path.join(root, 'examples', name))));
  const asr = await Recognizer.open({ model, device: 'cpu' });
  try {
    const audio = [];
    for (let first = 0; first < clips.length; first++) {
      const samples = new Float32Array(seconds * RATE_HZ);
      for (let at = 0, turn = first; at < samples.length; turn++) {
        const clip = clips[turn % clips.length].subarray(0, samples.length - at);
        samples.set(clip, at);
        at += clip.length;
      }
      const file = path.join(folder, `speech-${first}.f32`);
      fs.writeFileSync(file, new Uint8Array(samples.buffer));
      const { words } = await asr.transcribe(samples, { timestamps: 'word' });
      audio.push({ file, words: words.map(({ text, endMs }) => ({ text, endMs })) });
    }
    return audio;
  } finally {
    await asr.close();
  }
}

function percentiles(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN;
  return { p50: at(0.5), p95: at(0.95), p99: at(0.99), count: sorted.length };
}

/** All runs of a subject with a number of sessions. */
function summarize({ subject, count }, runs) {
  const failed = runs.find(({ error }) => error !== undefined);
  if (failed !== undefined) return { subject, count, error: failed.error };
  const all = (key) => runs.flatMap((run) => run[key]);
  const largest = (key) => Math.max(...all(key));
  const words = all('words').reduce((sum, value) => sum + value, 0);
  const writeLagMs = largest('writeLagMsMax');
  const windowMs = percentiles(all('windowMs'));
  return {
    subject,
    count,
    version: runs[0].version,
    words,
    missed: words - all('finalMs').length,
    shownMs: percentiles(all('shownMs')),
    stableMs: percentiles(all('stableMs')),
    finalMs: percentiles(all('finalMs')),
    windowMs,
    cores: all('cores').reduce((sum, value) => sum + value, 0) / runs.length,
    rssMB: largest('rssMB'),
    writeLagMs,
    endLagMs: largest('endLagMsMax'),
    heldRealTime: writeLagMs < WRITE_LAG_MS_MAX && windowMs.p95 < WINDOW_LAG_MS_MAX,
  };
}

/** A table for people. */
function markdown(results, { seconds, runs }) {
  const three = ({ p50, p95, p99 }) => [p50, p95, p99].map((value) => value.toFixed(0)).join(' / ');
  const rows = results.map((each) =>
    each.error !== undefined
      ? [each.subject, each.count, `not measured: ${each.error}`, ...Array(8).fill('')]
      : [
          each.subject,
          each.count,
          three(each.shownMs),
          three(each.stableMs),
          three(each.finalMs),
          three(each.windowMs),
          each.cores.toFixed(2),
          `${each.writeLagMs.toFixed(0)}`,
          `${each.missed} of ${each.words}`,
          each.heldRealTime ? 'yes' : 'NO',
        ],
  );
  const head = [
    '',
    'sessions',
    'shown',
    'stable',
    'final',
    'window',
    'cores',
    'write lag',
    'other words',
    'real time held',
  ];
  return [
    `${seconds} s of speech in each session, ${runs} runs; milliseconds, p50 / p95 / p99. Shown, stable, final: from the write of`,
    `a word's last sample; window: from the write of the last sample that it needs.`,
    '',
    `| ${head.join(' | ')} |`,
    `|${head.map((_, index) => (index === 0 ? '---' : '--:')).join('|')}|`,
    ...rows.map((row) => `| ${row.join(' | ')} |`),
    '',
  ].join('\n');
}

function subjectsOf(options) {
  const model = options.model ?? 'demo-en';
  const asked = (options.modes ?? 'buffered,buffered-fast,cache-aware,segment').split(',');
  const unknown = asked.find((mode) => !Object.hasOwn(MODES, mode));
  if (unknown !== undefined) throw new Error(`expected modes of ${Object.keys(MODES)}, received ${unknown}`);
  const streaming = options['streaming-model'] ?? path.join(root, 'models', 'demo-en-streaming');
  const subjects = asked
    .filter((mode) => mode !== 'cache-aware' || fs.existsSync(streaming))
    .map((mode) => ({
      subject: `trt-asr ${mode}`,
      kind: 'ours',
      model: mode === 'cache-aware' ? streaming : model,
      sessions: MODES[mode],
    }));
  if (options.peer === undefined) return subjects;
  if (options['peer-model'] === undefined)
    throw new Error("--peer needs --peer-model: the model's graphs in the peer's layout");
  const peer = {
    subject: 'sherpa-onnx-node, growing window',
    kind: 'peer',
    peer: path.resolve(options.peer),
    model: path.resolve(options['peer-model']),
    decodeEveryMs: DECODE_EVERY_MS_STANDARD,
  };
  return [...subjects, peer];
}

async function run(options, folder) {
  const seconds = options.seconds ?? SECONDS_STANDARD;
  const runs = Math.ceil(options.runs ?? 1);
  const counts = options.sessions?.split(',').map(Number) ?? COUNTS_STANDARD;
  if (!counts.every((count) => Number.isInteger(count) && count > 0))
    throw new Error(`expected whole numbers for --sessions, received ${options.sessions}`);
  const subjects = subjectsOf(options);
  const audio = await makeAudio(options.model ?? 'demo-en', seconds, folder);
  const tasks = counts.flatMap((count) => subjects.map((subject) => ({ ...subject, count })));
  const measured = tasks.map(() => []);
  // Alternating, so that a change of the machine's load meets all subjects.
  for (let turn = 0; turn < runs; turn += 1) {
    for (const [index, task] of tasks.entries()) {
      const threads = options.threads === undefined ? {} : { threads: options.threads };
      measured[index].push(await measureIn('latency_child.js', { ...task, ...threads, audio }));
      console.error(`run ${turn + 1}: ${task.subject}, ${task.count} sessions: done`);
    }
  }
  const results = tasks.map((task, index) => summarize(task, measured[index]));
  const table = markdown(results, { seconds, runs });
  console.log(table);
  const ours = results.filter((_, index) => tasks[index].kind === 'ours');
  const outcome = {
    seconds,
    runs,
    counts,
    results,
    met: ours.every(({ heldRealTime }) => heldRealTime === true),
  };
  if (options.output !== undefined) {
    fs.mkdirSync(options.output, { recursive: true });
    fs.writeFileSync(path.join(options.output, 'latency.json'), `${JSON.stringify(outcome, undefined, 2)}\n`);
    fs.writeFileSync(path.join(options.output, 'latency.md'), table);
    await plot(results, path.join(options.output, 'latency.png'));
  }
  return outcome;
}

module.exports = { MODES, makeAudio, run };
