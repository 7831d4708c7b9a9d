'use strict';
// What context costs and gains in buffered sessions: the words of sessions over context sizes against those of whole recordings, on single
// clips and on long files glued from them.

const fs = require('node:fs');
const path = require('node:path');
const { RATE_HZ, readSamples, root } = require('./audio.js');
const { writePicture } = require('./picture.js');
const { total, wordErrors, wordsOf } = require('./words.js');

// [left, chunk, right] in milliseconds.
// SOURCE: NeMo's default, its low-latency setting, and steps between and beyond them.
const CONTEXTS = [
  [10000, 2000, 2000],
  [10000, 2000, 1040],
  [10000, 1040, 1040],
  [5600, 1040, 1040],
  [5600, 640, 640],
  [5600, 320, 640],
  [5600, 320, 320],
  [2000, 2000, 2000],
  [2000, 2000, 0],
  [0, 2000, 2000],
];
const GLUED_SECONDS = 60;
const GAPS_SECONDS = [0.16, 0.4, 0.9];

/** Folders of NAME.wav beside NAME.txt; without one, the examples. */
function clipsOf(folders) {
  return folders.flatMap((folder) =>
    fs
      .readdirSync(folder)
      .filter(
        (name) => fs.existsSync(path.join(folder, `${path.parse(name).name}.txt`)) && !name.endsWith('.txt'),
      )
      .map((name) => ({
        file: path.join(folder, name),
        text: fs.readFileSync(path.join(folder, `${path.parse(name).name}.txt`), 'utf8').trim(),
      })),
  );
}

/** Utterances one after the other with gaps of several lengths, in files of about a minute. */
function glue(clips) {
  const files = [];
  let parts = [];
  let samples = 0;
  clips.forEach((clip, index) => {
    const gap = Math.round(GAPS_SECONDS[index % GAPS_SECONDS.length] * RATE_HZ);
    parts.push(clip);
    samples += clip.samples.length + gap;
    if (samples < GLUED_SECONDS * RATE_HZ && index + 1 < clips.length) return;
    const audio = new Float32Array(samples);
    let at = 0;
    parts.forEach((part, place) => {
      audio.set(part.samples, at);
      at +=
        part.samples.length +
        Math.round(GAPS_SECONDS[(index - parts.length + 1 + place) % GAPS_SECONDS.length] * RATE_HZ);
    });
    files.push({
      samples: audio,
      text: parts.map((part) => part.text).join(' '),
      alone: parts.map((part) => part.offline).join(' '),
    });
    parts = [];
    samples = 0;
  });
  return files;
}

/** How often a word follows itself. */
function doubled(text) {
  const words = wordsOf(text);
  return words.filter((word, index) => index > 0 && word === words[index - 1]).length;
}

async function heardLive(asr, samples) {
  const session = asr.openSession({ timestamps: 'none' });
  await session.write(samples);
  return (await session.end()).text;
}

async function measure(Recognizer, model, context, sets) {
  const [leftMs, chunkMs, rightMs] = context;
  const asr = await Recognizer.open({
    model,
    device: 'cpu',
    sessionsMax: 2,
    sessions: { mode: 'buffered', leftMs, chunkMs, rightMs },
  });
  try {
    const out = { leftMs, chunkMs, rightMs };
    for (const [name, clips] of Object.entries(sets)) {
      const against = [];
      const truth = [];
      // Words that a seam doubled: repeated where whole recordings do not repeat them.
      let repeated = 0;
      for (const clip of clips) {
        const text = await heardLive(asr, clip.samples);
        against.push(wordErrors(clip.offline, text));
        truth.push(wordErrors(clip.text, text));
        repeated += Math.max(0, doubled(text) - doubled(clip.offline));
      }
      out[name] = { againstOffline: total(against), againstTruth: total(truth), repeated };
    }
    return out;
  } finally {
    await asr.close();
  }
}

/** Word errors that sessions add to whole recordings, over the delay that a context means. */
const pictureOf = (curve) => ({
  width: 480,
  height: 320,
  data: {
    values: curve.flatMap(({ leftMs, chunkMs, rightMs, ...sets }) =>
      ['clips', 'glued'].map((set) => ({
        set,
        context: `${leftMs / 1000}-${chunkMs / 1000}-${rightMs / 1000}`,
        percent: 100 * sets[set].againstOffline.rate,
      })),
    ),
  },
  mark: { type: 'line', point: true },
  encoding: {
    x: { field: 'context', type: 'nominal', sort: null, title: 'left-chunk-right, s' },
    y: { field: 'percent', type: 'quantitative', title: 'words that differ from whole recordings, %' },
    color: { field: 'set', type: 'nominal', title: null },
  },
});

async function run(options) {
  const { Recognizer } = require(path.join(root, 'dist', 'index.js'));
  const model = options.model ?? 'demo-en';
  const clips = clipsOf(options.clips?.split(',') ?? [path.join(root, 'examples')]);
  const asr = await Recognizer.open({ model, device: 'cpu' });
  for (const clip of clips) {
    clip.samples = await readSamples(clip.file);
    clip.offline = (await asr.transcribe(clip.samples, { timestamps: 'none' })).text;
  }
  const glued = glue(clips);
  for (const file of glued) file.offline = (await asr.transcribe(file.samples, { timestamps: 'none' })).text;
  await asr.close();
  const offline = {
    clips: total(clips.map((clip) => wordErrors(clip.text, clip.offline))),
    glued: total(glued.map((file) => wordErrors(file.text, file.offline))),
    gluedAgainstAlone: total(glued.map((file) => wordErrors(file.alone, file.offline))),
  };
  const curve = [];
  for (const context of CONTEXTS) {
    const point = await measure(Recognizer, model, context, { clips, glued });
    curve.push(point);
    const percent = ({ rate }) => `${(100 * rate).toFixed(2)} %`;
    const told = ({ againstOffline, againstTruth }) =>
      `${percent(againstTruth)} (against offline ${percent(againstOffline)})`;
    console.error(
      `${context.join('-')}: clips ${told(point.clips)}, glued ${told(point.glued)}, repeated ${point.clips.repeated + point.glued.repeated}`,
    );
  }
  if (options.output !== undefined) {
    fs.mkdirSync(options.output, { recursive: true });
    await writePicture(pictureOf(curve), path.join(options.output, 'context.png'));
  }
  // CONTRACT: at 10-2-2 s the word error rate rises by at most 1 % of the words against whole recordings.
  const [standard] = curve;
  const rise = standard.clips.againstTruth.rate - offline.clips.rate;
  return { clips: clips.length, glued: glued.length, offline, curve, rise, met: rise <= 0.01 };
}

module.exports = { run, pictureOf };
