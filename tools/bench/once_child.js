'use strict';
// One library opened once in a process of its own: how long until the first text, and how much memory it took.

const fs = require('node:fs');
const { open } = require('./common/libraries.js');
const { readClip } = require('./common/clips.js');

/** Megabytes of lines such as "VmHWM:  123 kB"; Linux alone tells them. */
function memory() {
  const status = fs.readFileSync('/proc/self/status', 'utf8');
  const of = (key) => (Number(new RegExp(`^${key}:\\s+(\\d+) kB`, 'm').exec(status)?.[1]) * 1024) / 1e6;
  return { peakMB: of('VmHWM'), rssMB: of('VmRSS'), anonymousMB: of('RssAnon'), fileMB: of('RssFile') };
}

const nowMs = () => performance.timeOrigin + performance.now();

async function measure(task) {
  const bareMB = memory().rssMB;
  const samples = readClip(task.file);
  const beginMs = nowMs();
  const subject = await open(task);
  const openedMs = nowMs();
  const { text, tokens } = await subject.transcribe(samples);
  const firstMs = nowMs();
  const used = memory();
  // Of all threads, from the start of the process.
  const { user, system } = process.cpuUsage();
  await subject.close();
  return {
    version: subject.version,
    engine: subject.engine,
    openMs: openedMs - beginMs,
    firstMs: firstMs - beginMs,
    processMs: firstMs - task.startedAt,
    cpuMs: (user + system) / 1e3,
    bareMB,
    ...used,
    tokens,
    characters: text.length,
  };
}

process.once('message', async (task) => {
  const answer = await measure(task).catch((error) => ({ error: String(error?.message ?? error) }));
  process.send(answer, () => process.disconnect());
});
