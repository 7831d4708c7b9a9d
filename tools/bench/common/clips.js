'use strict';
// Speech of given lengths, as files of bare f32 samples that every subject reads.

const fs = require('node:fs');
const path = require('node:path');
const { RATE_HZ, readSamples, root } = require('../audio.js');

const SPEECH = path.join(root, 'examples', 'long.mp3');

/** Clips of these seconds, each from where the one before ended, from the start again when the speech is over. */
async function writeClips(folder, seconds, source = SPEECH) {
  const speech = await readSamples(path.resolve(source));
  let at = 0;
  return seconds.map((length, index) => {
    const samples = Math.round(length * RATE_HZ);
    if (samples > speech.length)
      throw new Error(
        `expected at least ${length} s of speech in ${source}, received ${speech.length / RATE_HZ}`,
      );
    if (at + samples > speech.length) at = 0;
    const file = path.join(folder, `clip-${index}-${length}.f32`);
    fs.writeFileSync(file, new Uint8Array(speech.slice(at, at + samples).buffer));
    at += samples;
    return { file, seconds: length };
  });
}

const readClip = (file) => new Float32Array(Uint8Array.from(fs.readFileSync(file)).buffer);

module.exports = { readClip, writeClips };
