'use strict';
// One subject, one transcription, one process: sends the delays of its event loop to the parent.

const fs = require('node:fs');
const path = require('node:path');
const { monitorEventLoopDelay, PerformanceObserver } = require('node:perf_hooks');
const { setTimeout: sleep } = require('node:timers/promises');

const IDLE_MS = 2000;

// CONTRACT: at most 30 s. SOURCE: the models' position tables, which the peer leaves to its caller to respect.
// WHY: one decode of a longer piece fails. TODO: none.
const PEER_PIECE_SECONDS = 25;

/** Delay of the event loop while `work` runs: p50, p99 and maximum of the time between two ticks of a 1 ms timer. */
async function observe(work) {
  const histogram = monitorEventLoopDelay({ resolution: 1 });
  histogram.enable();
  await work();
  // A block at the very end is counted by the tick that follows it.
  await sleep(5);
  histogram.disable();
  return {
    p50Ms: histogram.percentile(50) / 1e6,
    p99Ms: histogram.percentile(99) / 1e6,
    maxMs: histogram.max / 1e6,
    ticks: histogram.count,
  };
}

/** What the scheduler of Linux says of this thread: time on a core and time ready but waiting for one. */
function threadTimes() {
  try {
    const text = fs.readFileSync(`/proc/self/task/${process.pid}/schedstat`, 'utf8');
    const [runNs = Number.NaN, waitNs = Number.NaN] = text.split(' ').map(Number);
    return { runMs: runNs / 1e6, waitMs: waitNs / 1e6 };
  } catch {
    return { runMs: Number.NaN, waitMs: Number.NaN };
  }
}

async function openOurs({ home, model, audio, threads }) {
  const { Recognizer } = require(path.join(home, 'dist', 'index.js'));
  const recognizer = await Recognizer.open({ model, threads });
  return {
    version: require(path.join(home, 'package.json')).version,
    transcribe: async () => (await recognizer.transcribe(audio)).text,
    close: () => recognizer.close(),
  };
}

/** The peer as its examples use it: the file read at once, then a stream and a decode for each piece. */
function openPeer({ peer, model, audio, threads, call }) {
  const folder = path.join(peer, 'node_modules', 'sherpa-onnx-node');
  const sherpa = require(folder);
  const recognizer = new sherpa.OfflineRecognizer({
    featConfig: { sampleRate: 16000, featureDim: 128 },
    modelConfig: {
      transducer: {
        encoder: path.join(model, 'encoder.onnx'),
        decoder: path.join(model, 'decoder.onnx'),
        joiner: path.join(model, 'joiner.onnx'),
      },
      tokens: path.join(model, 'tokens.txt'),
      modelType: 'nemo_transducer',
      numThreads: threads,
      provider: 'cpu',
      debug: 0,
    },
  });
  const transcribe = async () => {
    const { samples, sampleRate } = sherpa.readWave(audio);
    const texts = [];
    for (let at = 0; at < samples.length; at += PEER_PIECE_SECONDS * sampleRate) {
      const stream = recognizer.createStream();
      stream.acceptWaveform({ samples: samples.slice(at, at + PEER_PIECE_SECONDS * sampleRate), sampleRate });
      if (call === 'decodeAsync') {
        texts.push((await recognizer.decodeAsync(stream)).text);
        continue;
      }
      recognizer.decode(stream);
      texts.push(recognizer.getResult(stream).text);
      // The loop gets its turn between two pieces, as a considerate caller would let it.
      await new Promise(setImmediate);
    }
    return texts.join(' ');
  };
  return { version: require(path.join(folder, 'package.json')).version, transcribe, close: () => {} };
}

async function measure(task) {
  const subject = task.kind === 'ours' ? await openOurs(task) : openPeer(task);
  await sleep(200);
  const idle = await observe(() => sleep(IDLE_MS));

  const pauses = [];
  const garbage = new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) pauses.push({ kind: entry.detail.kind, ms: entry.duration });
  });
  garbage.observe({ entryTypes: ['gc'] });
  let text = '';
  const before = threadTimes();
  const startedMs = performance.now();
  const busy = await observe(async () => {
    text = await subject.transcribe();
  });
  const wallMs = performance.now() - startedMs;
  const after = threadTimes();
  await sleep(20);
  garbage.disconnect();
  await subject.close();
  const above = (ms) => Math.max(0, ms - idle.p50Ms);
  return {
    version: subject.version,
    p50Ms: above(busy.p50Ms),
    p99Ms: above(busy.p99Ms),
    maxMs: above(busy.maxMs),
    ticks: busy.ticks,
    idleP50Ms: idle.p50Ms,
    idleP99Ms: above(idle.p99Ms),
    idleMaxMs: above(idle.maxMs),
    garbagePauses: pauses.length,
    garbagePauseMsMax: Math.max(0, ...pauses.map(({ ms }) => ms)),
    wallMs,
    loopThreadRunMs: after.runMs - before.runMs,
    loopThreadWaitMs: after.waitMs - before.waitMs,
    characters: text.length,
  };
}

process.once('message', async (task) => {
  const answer = await measure(task).catch((error) => ({ error: String(error?.message ?? error) }));
  process.send(answer, () => process.disconnect());
});
