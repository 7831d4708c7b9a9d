'use strict';
// One subject, some sessions in real time, one process: sends to the parent how long words and windows took.

const fs = require('node:fs');
const path = require('node:path');
const { setTimeout: sleep } = require('node:timers/promises');
const { RATE_HZ, root } = require('./audio.js');
const { WordClock } = require('./latency_words.js');

// SOURCE: what sound cards and WebRTC stacks hand over. WHY: a word's delay has half of it on average, for every subject.
const WRITE_MS = 100;
const WRITE_SAMPLES = (RATE_HZ * WRITE_MS) / 1000;
// WHY: sessions that all began at once would ask for their windows at once.
const STAGGER_MS = 617;
const START_MS = 500;

/** When each chunk of a session was written. */
class Writes {
  atMs = [];
  lagMsMax = 0;

  add(dueMs) {
    this.atMs.push(performance.now());
    return dueMs;
  }

  accepted(dueMs) {
    this.lagMsMax = Math.max(this.lagMsMax, performance.now() - dueMs);
  }

  get heardMs() {
    return this.atMs.length * WRITE_MS;
  }

  /** When the sample was written; the last write, when it never was. */
  of(sample) {
    const place = Math.max(0, Math.ceil(sample / WRITE_SAMPLES) - 1);
    return this.atMs[Math.min(place, this.atMs.length - 1)];
  }

  get last() {
    return this.atMs.at(-1);
  }
}

/** Gives `write` the samples, a chunk at a time, each when its last sample would have been recorded. */
async function inRealTime(samples, startMs, writes, write) {
  for (let at = 0; at < samples.length; at += WRITE_SAMPLES) {
    const dueMs = startMs + ((at + WRITE_SAMPLES) * 1000) / RATE_HZ;
    const waitMs = dueMs - performance.now();
    if (waitMs > 0) await sleep(waitMs);
    writes.add(dueMs);
    await write(samples.subarray(at, at + WRITE_SAMPLES));
    writes.accepted(dueMs);
  }
}

/**
 * The sample that a window waits for, from what it made final: the last of its right context, or of the chunk's last feature frame.
 * Undefined where that cannot be told; the last write before the window then stands for it.
 */
function neededSample(recognizer, model, samplesDone) {
  const { mode, rightMs } = recognizer.sessions;
  if (mode === 'buffered') return samplesDone + (rightMs * RATE_HZ) / 1000;
  if (mode !== 'cache-aware') return undefined;
  const folder = fs.existsSync(model) ? model : path.join(root, 'models', model);
  const contract = JSON.parse(fs.readFileSync(path.join(folder, 'contract.json'), 'utf8'));
  const { features, streaming } = contract;
  const shift = streaming.shift_frames.next * features.hop_samples;
  const chunk = Math.max(0, Math.round(samplesDone / shift) - 1);
  const frames = streaming.chunk_frames.first + chunk * streaming.shift_frames.next;
  return (frames - 1) * features.hop_samples + features.fft_samples / 2;
}

async function openOurs({ home = root, model, sessions, count, threads }) {
  const { Recognizer } = require(path.join(home, 'dist', 'index.js'));
  const recognizer = await Recognizer.open({
    model,
    device: 'cpu',
    sessionsMax: count,
    sessions,
    ...(threads === undefined ? {} : { threads }),
  });
  // Every window, also one that changes no text, is told to the session by the core: listen there.
  const { native } = recognizer;
  const openSession = native.openSession.bind(native);
  let watch;
  const watched = (onEvent, rules) => {
    const mine = watch;
    return openSession((event) => {
      if (event.type === 'live') mine(event);
      onEvent(event);
    }, rules);
  };
  Object.defineProperty(native, 'openSession', { value: watched });

  const run = async (samples, startMs, clock, writes, windows) => {
    let done = 0;
    watch = ({ samplesDone }) => {
      // The end brings finals without a window.
      if (samplesDone <= done) return;
      done = samplesDone;
      const needed = neededSample(recognizer, model, samplesDone);
      const fromMs = needed === undefined || needed > samples.length ? writes.last : writes.of(needed);
      windows.push(performance.now() - fromMs);
    };
    const session = recognizer.openSession({ timestamps: 'none', transcript: false });
    const reading = (async () => {
      for await (const event of session.events()) {
        if (event.type !== 'partial' && event.type !== 'final') continue;
        const { text, stableLength = 0 } = event;
        const isFinal = event.type === 'final';
        clock.show(text, { isFinal, stableLength, atMs: performance.now(), heardMs: writes.heardMs });
      }
    })();
    await inRealTime(samples, startMs, writes, (chunk) => session.write(chunk));
    await session.end();
    await reading;
  };
  return { version: require(path.join(home, 'package.json')).version, run, close: () => recognizer.close() };
}

// The peer has no streaming for these models; its own examples decode a growing window again and again, and begin a new one in a
// silence. They find silence by a model that is fetched; here it is found by level, in the same audio of known noise.
const PEER_SILENCE_RMS = 0.01;
const PEER_SILENCE_MS = 500;
const PEER_WINDOW_MS_MAX = 20_000;

function openPeer({ peer, model, decodeEveryMs, threads }) {
  const folder = path.join(peer, 'node_modules', 'sherpa-onnx-node');
  const sherpa = require(folder);
  const recognizer = new sherpa.OfflineRecognizer({
    featConfig: { sampleRate: RATE_HZ, featureDim: 128 },
    modelConfig: {
      transducer: {
        encoder: path.join(model, 'encoder.onnx'),
        decoder: path.join(model, 'decoder.onnx'),
        joiner: path.join(model, 'joiner.onnx'),
      },
      tokens: path.join(model, 'tokens.txt'),
      modelType: 'nemo_transducer',
      numThreads: threads ?? 1,
      provider: 'cpu',
      debug: 0,
    },
  });
  const run = (samples, startMs, clock, writes, windows) =>
    new GrowingWindow(sherpa, recognizer, decodeEveryMs, clock, writes, windows).run(samples, startMs);
  return { version: require(path.join(folder, 'package.json')).version, run, close: async () => {} };
}

/** One session of the peer. */
class GrowingWindow {
  #begin = 0;
  #heard = 0;
  #speech = false;
  #silenceMs = 0;
  #decodedMs = 0;
  #busy = Promise.resolve();
  #working = false;

  constructor(sherpa, recognizer, decodeEveryMs, clock, writes, windows) {
    Object.assign(this, { sherpa, recognizer, decodeEveryMs, clock, writes, windows });
  }

  async run(samples, startMs) {
    this.samples = samples;
    await inRealTime(samples, startMs, this.writes, async (chunk) => this.#hear(chunk));
    if (this.#speech) this.#decode(true);
    await this.#busy;
  }

  #hear(chunk) {
    this.#heard += chunk.length;
    const rms = Math.sqrt(chunk.reduce((sum, value) => sum + value * value, 0) / chunk.length);
    this.#silenceMs = rms < PEER_SILENCE_RMS ? this.#silenceMs + WRITE_MS : 0;
    if (rms >= PEER_SILENCE_RMS) this.#speech = true;
    const lengthMs = ((this.#heard - this.#begin) * 1000) / RATE_HZ;
    // In silence the window keeps what may be the beginning of the next word.
    if (!this.#speech) this.#begin = Math.max(this.#begin, this.#heard - 3 * WRITE_SAMPLES);
    else if (this.#silenceMs >= PEER_SILENCE_MS || lengthMs >= PEER_WINDOW_MS_MAX) this.#decode(true);
    else if (this.writes.heardMs - this.#decodedMs >= this.decodeEveryMs && !this.#working)
      this.#decode(false);
  }

  /** A decode that is due while another one works is left out, unless it is the last of its window. */
  #decode(isFinal) {
    const window = this.samples.subarray(this.#begin, this.#heard);
    const { last: writtenMs, heardMs } = this.writes;
    this.#decodedMs = heardMs;
    if (isFinal) {
      this.#begin = this.#heard;
      this.#speech = false;
      this.#silenceMs = 0;
    }
    this.#working = true;
    this.#busy = this.#busy.then(async () => {
      const stream = this.recognizer.createStream();
      stream.acceptWaveform({ samples: window, sampleRate: RATE_HZ });
      const { text } = await this.recognizer.decodeAsync(stream);
      const atMs = performance.now();
      this.windows.push(atMs - writtenMs);
      this.clock.show(text, { isFinal, stableLength: 0, atMs, heardMs });
      this.#working = false;
    });
  }
}

async function measure(task) {
  const subject = task.kind === 'ours' ? await openOurs(task) : openPeer(task);
  const audio = task.audio.map(({ file }) => new Float32Array(Uint8Array.from(fs.readFileSync(file)).buffer));
  const sessions = Array.from({ length: task.count }, (_, index) => {
    const { words } = task.audio[index % task.audio.length];
    return {
      samples: audio[index % audio.length],
      clock: new WordClock(words),
      writes: new Writes(),
      windows: [],
    };
  });
  const beginMs = performance.now();
  const cpuBefore = process.cpuUsage();
  const endLagsMs = await Promise.all(
    sessions.map(async ({ samples, clock, writes, windows }, index) => {
      const startMs = beginMs + START_MS + ((index * STAGGER_MS) % 2000);
      await sleep(startMs - performance.now());
      await subject.run(samples, startMs, clock, writes, windows);
      return performance.now() - writes.last;
    }),
  );
  const cpu = process.cpuUsage(cpuBefore);
  const wallMs = performance.now() - beginMs;
  await subject.close();
  /** How long after a word's last sample was written something became of it. */
  const delays = (key) =>
    sessions.flatMap(({ clock, writes }) =>
      clock.words
        .filter((word) => word[key] !== undefined)
        .map((word) => word[key] - writes.of((word.endMs * RATE_HZ) / 1000)),
    );
  return {
    version: subject.version,
    words: sessions.reduce((sum, { clock }) => sum + clock.words.length, 0),
    shownMs: delays('shownMs'),
    stableMs: delays('stableMs'),
    finalMs: delays('finalMs'),
    windowMs: sessions.flatMap(({ windows }) => windows),
    writeLagMsMax: Math.max(...sessions.map(({ writes }) => writes.lagMsMax)),
    endLagMsMax: Math.max(...endLagsMs),
    cores: (cpu.user + cpu.system) / 1000 / wallMs,
    rssMB: process.memoryUsage.rss() / 1e6,
  };
}

process.once('message', async (task) => {
  const answer = await measure(task).catch((error) => ({ error: String(error?.message ?? error) }));
  process.send(answer, () => process.disconnect());
});
