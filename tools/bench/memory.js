'use strict';
// How far the resident set grows while hours of audio are transcribed, against one minute in the same process.

const path = require('node:path');
const os = require('node:os');
const { root, writeSpeech, standardModel } = require('./audio.js');

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

  const { Recognizer } = require(path.join(root, 'dist', 'index.js'));
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
  const met = growthMB < GROWTH_TARGET_MB;
  console.log(`model ${path.basename(model)}, ${threads} threads`);
  console.log(`RSS after 1 minute of audio          ${afterMinuteMB.toFixed(0)} MB`);
  console.log(
    `RSS, highest, in ${minutes} minutes of audio  ${peakMB.toFixed(0)} MB (at its end ${endMB.toFixed(0)} MB)`,
  );
  console.log(
    `growth                               ${growthMB.toFixed(0)} MB; target < ${GROWTH_TARGET_MB} MB: ${met ? 'met' : 'MISSED'}`,
  );
  console.log(
    `${(durationMs / 60000).toFixed(1)} minutes, ${words.length} words, ${tokens.length} tokens, ${(wallMs / 1000).toFixed(1)} s\n`,
  );
  const amounts = { words: words.length, tokens: tokens.length, characters: text.length };
  return {
    minutes,
    model,
    threads,
    met,
    targetMB: GROWTH_TARGET_MB,
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
