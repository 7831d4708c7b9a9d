#!/usr/bin/env node
// Live captions: what is being spoken, from a microphone, or from a file at the pace at which it was recorded.
//
//   node examples/live-captions.mjs examples/welcome.wav
//   node examples/live-captions.mjs --mic --model parakeet-tdt-0.6b-v3-int8
//
// On a terminal the last line is the sentence that is still open: what may yet change is dim. Elsewhere only finished
// sentences are printed, with their times. Ctrl-C ends the audio; what was said until then is still shown.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Recognizer } from 'trt-asr';

const RATE_HZ = 16000;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    mic: { type: 'boolean', default: false },
    recorder: { type: 'string' },
    model: { type: 'string', default: 'demo-en' },
    silence: { type: 'string', default: '800' },
  },
});
const listens = values.mic || values.recorder !== undefined;
if (listens === (positionals.length === 1)) {
  console.error('usage: live-captions.mjs FILE | --mic | --recorder COMMAND  [--model NAME] [--silence MS]');
  process.exit(2);
}

/** Programs that give the microphone as bare 16-bit samples; the first one that is installed is taken. */
function recorders() {
  if (values.recorder !== undefined) return [values.recorder.split(' ')];
  const device = {
    linux: ['-f', 'pulse', '-i', 'default'],
    darwin: ['-f', 'avfoundation', '-i', ':0'],
    win32: ['-f', 'dshow', '-i', 'audio=default'],
  }[process.platform];
  const pcm = ['-ac', '1', '-ar', `${RATE_HZ}`, '-f', 's16le', '-'];
  return [
    ['arecord', '-q', '-t', 'raw', '-f', 'S16_LE', '-c', '1', '-r', `${RATE_HZ}`],
    ...(device === undefined ? [] : [['ffmpeg', '-v', 'error', ...device, ...pcm]]),
  ];
}

/** Starts a program and resolves with what it writes, or with undefined where it is not installed. */
async function start([program, ...args], stop) {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const closed = new Promise((resolve) => child.once('close', (...how) => resolve(how)));
  const found = await once(child, 'spawn').then(
    () => true,
    () => false,
  );
  if (!found) return undefined;
  stop.addEventListener('abort', () => child.kill(), { once: true });
  return output(program, child.stdout, closed, stop);
}

/** What a program writes, until it ends or is stopped. One that failed has ended the audio; it is told behind the captions. */
async function* output(program, samples, closed, stop) {
  yield* samples;
  const [code, signal] = await closed;
  if (code !== 0 && !stop.aborted) fail(`${program} ended with ${signal ?? `exit code ${code}`}`);
}

/** The microphone's samples. */
async function listen(stop) {
  const commands = recorders();
  for (const command of commands) {
    const samples = await start(command, stop);
    if (samples !== undefined) return { rateHz: RATE_HZ, samples };
  }
  const programs = commands.map(([program]) => program).join(' or ');
  throw new Error(`could not start ${programs}; name a program by --recorder`);
}

/** Rate and samples of a WAV file of 16-bit integers, one channel. */
function readWav(bytes) {
  let at = 12;
  let format;
  while (at + 8 <= bytes.length) {
    const name = bytes.toString('latin1', at, at + 4);
    const length = bytes.readUInt32LE(at + 4);
    const content = bytes.subarray(at + 8, at + 8 + length);
    if (name === 'fmt ') format = content;
    if (name === 'data' && format?.readUInt16LE(2) === 1 && format.readUInt16LE(14) === 16)
      return { rateHz: format.readUInt32LE(4), pcm: content };
    at += 8 + length + (length % 2);
  }
  return undefined;
}

/** A tenth of a second at a time, each when its last sample would have been spoken. */
async function* paced(pcm, rateHz, stop) {
  const piece = Math.round(rateHz / 10) * 2;
  const startedMs = performance.now();
  for (let at = 0; at < pcm.length && !stop.aborted; at += piece) {
    const part = pcm.subarray(at, at + piece);
    const dueMs = startedMs + ((at + part.length) / 2 / rateHz) * 1000;
    await sleep(Math.max(0, dueMs - performance.now()));
    yield part;
  }
}

/** A file as if it were live. What is no plain WAV file goes through ffmpeg, which decodes and paces it. */
async function openFile(file, stop) {
  const wav = readWav(await readFile(file));
  if (wav !== undefined) return { rateHz: wav.rateHz, samples: paced(wav.pcm, wav.rateHz, stop) };
  const pcm = ['-ac', '1', '-ar', `${RATE_HZ}`, '-f', 's16le', '-'];
  const samples = await start(['ffmpeg', '-v', 'error', '-re', '-i', file, ...pcm], stop);
  if (samples === undefined) throw new Error(`${file} is no 16-bit mono WAV file, and ffmpeg was not found`);
  return { rateHz: RATE_HZ, samples };
}

function fail(message) {
  console.error(`live-captions: ${message}`);
  process.exitCode = 1;
}

function clock(ms) {
  const seconds = Math.floor(ms / 1000);
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
}

/** Shows events as they come. */
async function captions(events) {
  const terminal = process.stdout.isTTY === true;
  const clear = terminal ? '\r\x1b[K' : '';
  for await (const event of events) {
    if (event.type === 'final') {
      process.stdout.write(`${clear}[${clock(event.startMs)}] ${event.text}\n`);
    } else if (event.type === 'partial' && terminal) {
      const { text, stableLength } = event;
      // A line that wraps cannot be rewritten: show its end.
      const from = Math.max(0, text.length - (process.stdout.columns || 80) + 1);
      const settled = text.slice(from, Math.max(from, stableLength));
      const open = text.slice(Math.max(from, stableLength));
      process.stdout.write(`${clear}${settled}\x1b[2m${open}\x1b[22m`);
    } else if (event.type === 'end') {
      process.stdout.write(clear);
      const { durationMs, timings } = event;
      const computedMs = timings.featuresMs + timings.encoderMs + timings.decodeMs;
      const share = ((100 * computedMs) / Math.max(1, durationMs)).toFixed(1);
      console.error(`${(durationMs / 1000).toFixed(1)} s of audio; computing took ${share} % of that time`);
    }
  }
}

const stopping = new AbortController();
process.once('SIGINT', () => stopping.abort());
let asr;
try {
  asr = await Recognizer.open({ model: values.model, sessionsMax: 1 });
  const { rateHz, samples } = listens
    ? await listen(stopping.signal)
    : await openFile(positionals[0], stopping.signal);
  // One pipeline: a slow reader of the captions slows the recognizer, and a full recognizer the source.
  await pipeline(
    samples,
    asr.createTransform({
      sampleRateHz: rateHz,
      timestamps: 'none',
      endpoint: { silenceMs: Number(values.silence) },
    }),
    captions,
  );
} catch (error) {
  fail(error.message);
} finally {
  // A program that still runs would keep this one alive.
  stopping.abort();
  await asr?.close();
}
