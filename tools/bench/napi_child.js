'use strict';
// What the binding costs the event loop: writes that complete no window, and writes with the event of their window.

const fs = require('node:fs');
const path = require('node:path');
const { performance } = require('node:perf_hooks');
const { setTimeout: sleep } = require('node:timers/promises');
const { RATE_HZ, root } = require('./audio.js');

// The smallest cache-aware model there is: one encoder frame, 80 ms of audio, a window.
const MODEL = path.join(root, 'test', 'fixtures', 'models', 'streaming', 'ctc');
const WINDOW_SAMPLES = (RATE_HZ * 80) / 1000;
// A chunk of 10 ms, as WebRTC hands over.
const CHUNK_SAMPLES = (RATE_HZ * 10) / 1000;
const WARM_UP = 500;
const BATCH = 100;
// Windows whose events wait for the loop: as many as the core takes ahead of the encoder.
const BURST = 12;
const HOLD_UP_MS = 120;

const us = (from, to) => Number(to - from) / 1e3;

/** Microseconds that this thread has been on a core. */
function threadUs() {
  return Number(fs.readFileSync(`/proc/self/task/${process.pid}/schedstat`, 'utf8').split(' ')[0]) / 1e3;
}

/** A session whose native events are seen when their callback begins. */
async function openWatched(home) {
  const { Recognizer } = require(path.join(home, 'dist', 'index.js'));
  const recognizer = await Recognizer.open({
    model: MODEL,
    device: 'cpu',
    threads: 1,
    lanes: 1,
    sessionsMax: 1,
    sessions: { mode: 'cache-aware' },
  });
  const { native } = recognizer;
  const openNative = native.openSession.bind(native);
  let told = () => {};
  Object.defineProperty(native, 'openSession', {
    value: (onEvent, rules) =>
      openNative((event) => {
        if (event.type === 'live') told(event, process.hrtime.bigint());
        onEvent(event);
      }, rules),
  });
  const session = recognizer.openSession({ transcript: false, timestamps: 'none' });
  const reading = (async () => {
    for await (const _ of session.events());
  })();
  const end = async () => {
    await session.end();
    await reading;
    await recognizer.close();
  };
  const watch = (listener) => {
    told = listener;
  };
  return { session, watch, end };
}

/** Writes until a window has just been told, so that the next one comes with the last chunk of a whole window, and not before. */
async function alignTo(session, next, small) {
  for (let windows = 0; windows < 3; windows += 1) {
    let told = false;
    void next().then(() => {
      told = true;
    });
    while (!told) {
      await session.write(small);
      await sleep(20);
    }
  }
}

/**
 * Microseconds of one event after the other: the loop is held up until the windows of a long write are computed, so that their events
 * wait and are handled in a row, by a loop that need not wake up, while nothing else runs.
 */
async function burstOf(session, watch, noise) {
  const at = [];
  const all = new Promise((resolve) => {
    watch(() => {
      at.push(process.hrtime.bigint());
      if (at.length === BURST) resolve();
    });
  });
  await session.write(noise(BURST * WINDOW_SAMPLES));
  const heldUpUntil = performance.now() + HOLD_UP_MS;
  while (performance.now() < heldUpUntil);
  // Those that came before the loop was held up did not wait.
  const waited = at.length;
  await all;
  return at.slice(waited + 1).map((each, index) => us(at[waited + index], each));
}

async function measure({ home, count }) {
  const { session, watch, end } = await openWatched(home);
  /** The next window's event, to be asked for before it is written. */
  const next = () => new Promise((resolve) => watch((event, at) => resolve({ event, at })));
  const noise = (length) => Float32Array.from({ length }, () => (Math.random() - 0.5) * 0.02);
  const small = noise(CHUNK_SAMPLES);
  const whole = noise(WINDOW_SAMPLES);
  await alignTo(session, next, small);

  const callUs = [];
  const writeUs = [];
  const deliveryUs = [];
  const writes = WINDOW_SAMPLES / CHUNK_SAMPLES;
  for (let at = 0; at < WARM_UP + count; at += 1) {
    const window = next();
    let last;
    for (let i = 0; i < writes; i += 1) {
      const before = process.hrtime.bigint();
      const taken = session.write(small);
      const called = process.hrtime.bigint();
      await taken;
      const after = process.hrtime.bigint();
      last = before;
      if (at < WARM_UP || i + 1 === writes) continue;
      callUs.push(us(before, called));
      writeUs.push(us(before, after));
    }
    const { event, at: arrived } = await window;
    const computedUs = (event.featuresMs + event.encoderMs + event.decodeMs) * 1e3;
    if (at >= WARM_UP) deliveryUs.push(us(last, arrived) - computedUs);
  }

  // The loop's thread does nothing else here: what it was on a core for is the write, going to sleep, waking up, and the event.
  const cpuUs = [];
  for (let batch = 0; batch < count / BATCH; batch += 1) {
    const beforeUs = threadUs();
    for (let i = 0; i < BATCH; i += 1) {
      const window = next();
      await session.write(whole);
      await window;
    }
    cpuUs.push((threadUs() - beforeUs) / BATCH);
  }
  const eventUs = [];
  for (let burst = 0; burst < count / BURST; burst += 1)
    eventUs.push(...(await burstOf(session, watch, noise)));
  await end();
  return { callUs, writeUs, deliveryUs, eventUs, cpuUs };
}

process.once('message', async (task) => {
  const answer = await measure(task).catch((error) => ({ error: String(error?.message ?? error) }));
  process.send(answer, () => process.disconnect());
});
