'use strict';
// How far the resident set grows while hours of audio are transcribed, against one minute in the same process.

const path = require('node:path');
const os = require('node:os');
const { writeSpeech, standardModel } = require('./audio.js');
const { home } = require('./common/subjects.js');
const { number } = require('./common/table.js');
const { allMet, judge } = require('./common/targets.js');

const GROWTH_TARGET_MB = 200;
const MINUTES_STANDARD = 120;
const SAMPLE_EVERY_MS = 50;

const rssMB = () => process.memoryUsage.rss() / 1e6;

async function run(options, folder) {
  const minutes = options.minutes ?? MINUTES_STANDARD;
  const model = path.resolve(options.model ?? standardModel());
  const short = path.join(folder, 'short.wav');
  const long = path.join(folder, 'long.wav');
  await writeSpeech(short, 60);
  await writeSpeech(long, minutes * 60);

  const { Recognizer } = require(path.join(home(options), 'dist', 'index.js'));
  const threads = options.threads ?? os.availableParallelism();
  const recognizer = await Recognizer.open({ model, threads });
  await recognizer.transcribe(short);
  const afterMinuteMB = rssMB();
  let peakMB = afterMinuteMB;
  const sampler = setInterval(() => {
    peakMB = Math.max(peakMB, rssMB());
  }, SAMPLE_EVERY_MS);
  const startedMs = performance.now();
  const { text, words, tokens, durationMs } = await recognizer.transcribe(long);
  const wallMs = performance.now() - startedMs;
  clearInterval(sampler);
  const endMB = rssMB();
  peakMB = Math.max(peakMB, endMB);
  await recognizer.close();

  const growthMB = peakMB - afterMinuteMB;
  const growth = { value: growthMB, low: null, high: null };
  const targets = [judge(`memory, growth in ${minutes} minutes`, 'below', GROWTH_TARGET_MB, ' MB', growth)];
  const amounts = { words: words.length, tokens: tokens.length, characters: text.length };
  return {
    minutes,
    model,
    threads,
    met: allMet(targets),
    targets,
    tables: [
      {
        title: `Resident set in ${minutes} minutes of audio, MB`,
        notes: [
          `${path.basename(model)}, ${threads} threads; ${words.length} words and ${tokens.length} tokens in ${(wallMs / 1000).toFixed(1)} s.`,
        ],
        head: ['', 'MB'],
        rows: [
          ['after 1 minute', number(afterMinuteMB)],
          ['highest', number(peakMB)],
          ['at the end', number(endMB)],
          ['growth', number(growthMB)],
        ],
      },
    ],
    afterMinuteMB,
    peakMB,
    endMB,
    growthMB,
    wallMs,
    durationMs,
    ...amounts,
  };
}

module.exports = { run };
