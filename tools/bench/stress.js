'use strict';
// Hours of audio through one live session of each mode, as fast as it is taken: does memory grow?

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { spawnSync } = require('node:child_process');
const { RATE_HZ, readSamples, root } = require('./audio.js');
const { writePicture } = require('./picture.js');

const HOURS_STANDARD = 24;
const PAUSES_SECONDS = [0.3, 1.2, 0.5, 2.5, 0.8];
const CHUNK_SAMPLES = RATE_HZ / 5;
const SAMPLES_A_RUN = 200;
// WHY: before that, buffers of ONNX Runtime and of the allocator are still finding their sizes.
const WARM_UP_SHARE = 0.1;
// CONTRACT: memory grows by less than 0.5 MB an hour of audio. SOURCE: ours; a leak of one word's text for each word is ten times that. WHY: the resident set
// jitters by some hundred kilobytes, so that a bound of zero would fail by chance. TODO: none.
const SLOPE_MB_MAX = 0.5;

const MODES = {
  buffered: { model: 'demo-en', sessions: { mode: 'buffered' } },
  'cache-aware': { model: 'demo-en-streaming', sessions: { mode: 'cache-aware' } },
  segment: { model: 'demo-en', sessions: { mode: 'segment' } },
};

/** Megabytes an hour of audio, by least squares. */
function slope(points) {
  const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const hours = mean(points.map((point) => point.hours));
  const rss = mean(points.map((point) => point.rssMB));
  const over = points.reduce((sum, point) => sum + (point.hours - hours) * (point.rssMB - rss), 0);
  const under = points.reduce((sum, point) => sum + (point.hours - hours) ** 2, 0);
  return under === 0 ? 0 : over / under;
}

/** Speech and pauses without end, in chunks of 0.2 s that do not meet the speech's own length. */
function* endless(speech) {
  const chunk = new Float32Array(CHUNK_SAMPLES);
  let filled = 0;
  for (let turn = 0; ; turn += 1) {
    const pause = new Float32Array(Math.round(PAUSES_SECONDS[turn % PAUSES_SECONDS.length] * RATE_HZ));
    for (const part of [speech, pause]) {
      for (let at = 0; at < part.length; ) {
        const taken = Math.min(part.length - at, CHUNK_SAMPLES - filled);
        chunk.set(part.subarray(at, at + taken), filled);
        filled += taken;
        at += taken;
        if (filled < CHUNK_SAMPLES) continue;
        yield chunk;
        filled = 0;
      }
    }
  }
}

/** In a process of its own: one mode, told as a line of JSON. */
async function child(name, hours) {
  const { Recognizer } = require(path.join(root, 'dist', 'index.js'));
  const { model, sessions } = MODES[name];
  const speech = await readSamples(path.join(root, 'examples', 'long.mp3'));
  const asr = await Recognizer.open({
    model: path.join(root, 'models', model),
    device: 'cpu',
    sessionsMax: 1,
    sessions,
  });
  const session = asr.openSession({ transcript: false });
  const counts = { partial: 0, final: 0, endpoint: 0, end: 0, words: 0 };
  const reading = (async () => {
    for await (const event of session.events()) {
      counts[event.type] += 1;
      if (event.type === 'final') counts.words += event.words.length;
    }
  })();
  const total = hours * 3600 * RATE_HZ;
  const every = total / SAMPLES_A_RUN;
  const points = [];
  const startedMs = performance.now();
  let written = 0;
  for (const chunk of endless(speech)) {
    if (written >= total) break;
    await session.write(chunk);
    written += chunk.length;
    if (written < points.length * every) continue;
    global.gc();
    points.push({ hours: written / RATE_HZ / 3600, rssMB: process.memoryUsage.rss() / 1e6 });
    process.stderr.write(
      `\r${name}: ${points.at(-1).hours.toFixed(2)} h, ${points.at(-1).rssMB.toFixed(1)} MB `,
    );
  }
  const { durationMs } = await session.end();
  await reading;
  await asr.close();
  const settled = points.filter((point) => point.hours > hours * WARM_UP_SHARE);
  console.log(
    JSON.stringify({
      mode: name,
      hours: durationMs / 3600e3,
      wallSeconds: (performance.now() - startedMs) / 1000,
      counts,
      slopeMBPerHour: slope(settled),
      growthMB: settled.at(-1).rssMB - settled[0].rssMB,
      points,
    }),
  );
}

/** The resident set over the hours, a line for each mode. */
const pictureOf = (modes) => ({
  width: 640,
  height: 320,
  data: { values: modes.flatMap(({ mode, points }) => points.map((point) => ({ mode, ...point }))) },
  mark: 'line',
  encoding: {
    x: { field: 'hours', type: 'quantitative', title: 'hours of audio in one session' },
    y: { field: 'rssMB', type: 'quantitative', title: 'resident set, MB', scale: { zero: true } },
    color: { field: 'mode', type: 'nominal', title: null },
  },
});

async function run(options) {
  const hours = options.hours ?? HOURS_STANDARD;
  const names = options.modes?.split(',') ?? Object.keys(MODES);
  const modes = [];
  for (const name of names) {
    const { status, stdout } = spawnSync(process.execPath, ['--expose-gc', __filename, name, String(hours)], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'inherit'],
      maxBuffer: 1 << 26,
    });
    if (status !== 0) throw new Error(`${name} ended with ${status}`);
    const result = JSON.parse(stdout);
    modes.push(result);
    const { counts } = result;
    console.log(
      `\n${name}: ${result.hours.toFixed(1)} h of audio in ${(result.wallSeconds / 60).toFixed(1)} min, ${counts.final} finals, ${counts.words} words, ` +
        `RSS ${result.slopeMBPerHour.toFixed(3)} MB an hour, ${result.growthMB.toFixed(1)} MB in all`,
    );
  }
  if (options.output !== undefined) {
    fs.mkdirSync(options.output, { recursive: true });
    await writePicture(pictureOf(modes), path.join(options.output, 'stress.png'));
  }
  const met = modes.every((mode) => mode.slopeMBPerHour < SLOPE_MB_MAX);
  return { hours, slopeMBPerHourMax: SLOPE_MB_MAX, cores: os.availableParallelism(), modes, met };
}

module.exports = { run, pictureOf };

if (require.main === module) void child(process.argv[2], Number(process.argv[3]));
