'use strict';
// A library with a model open, asked for one clip, or for many at once, again and again.

const { open } = require('./common/libraries.js');
const { readClip } = require('./common/clips.js');
const { serve } = require('./common/worker.js');

let subject;

/** Wall time, and processor time of all threads of this process. */
async function timed(work) {
  const before = process.cpuUsage();
  const startedMs = performance.now();
  const found = await work();
  const ms = performance.now() - startedMs;
  const { user, system } = process.cpuUsage(before);
  return { ms, cpuMs: (user + system) / 1e3, found };
}

serve({
  async open(task) {
    const startedMs = performance.now();
    subject = await open(task);
    return { version: subject.version, engine: subject.engine, openMs: performance.now() - startedMs };
  },
  async clip({ file }) {
    const samples = readClip(file);
    const { found, ...times } = await timed(() => subject.transcribe(samples));
    return { ...times, ...found };
  },
  async batch({ files }) {
    const list = files.map(readClip);
    const { found, ...times } = await timed(() => subject.transcribeAll(list));
    return { ...times, tokens: found.reduce((sum, { tokens }) => sum + tokens, 0) };
  },
  async features({ file, repeats }) {
    const samples = readClip(file);
    const { ms, cpuMs } = await timed(() => {
      for (let i = 0; i < repeats; i += 1) subject.features(samples);
    });
    return { ms: ms / repeats, cpuMs: cpuMs / repeats };
  },
});
