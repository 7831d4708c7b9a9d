import { execFile } from 'node:child_process';
import * as path from 'node:path';
import { describe, expect, test } from 'vitest';
import { fixtures } from './golden';

const entry = path.resolve(import.meta.dirname, '..', '..', 'dist', 'index.js');
const model = path.join(fixtures, 'models', 'tiny-ours');

/** Runs a script in a process of its own; `asr()` opens the tiny model, `noise(seconds)` makes samples. */
function run(
  script: string,
  flags: string[] = [],
): Promise<{ status: unknown; stdout: string; stderr: string }> {
  const prelude = `
    const { Recognizer, AsrError } = require(${JSON.stringify(entry)});
    const { Worker, isMainThread, parentPort } = require('node:worker_threads');
    const asr = (more = {}) => Recognizer.open({ model: ${JSON.stringify(model)}, ...more });
    const noise = (seconds) => Float32Array.from({ length: 16000 * seconds }, (_, i) => Math.sin(i * i) * 0.3);
    const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
    process.on('unhandledRejection', (error) => { console.error('unhandled', error); process.exit(99); });
  `;
  const source = `${prelude}\n(async () => {${script}})();`;
  return new Promise((resolve) => {
    execFile(process.execPath, [...flags, '-e', source], { timeout: 50_000 }, (error, stdout, stderr) => {
      resolve({ status: error === null ? 0 : (error.signal ?? error.code), stdout, stderr });
    });
  });
}

async function expectClean(script: string, stdout: string, flags?: string[]): Promise<void> {
  expect(await run(script, flags)).toEqual({ status: 0, stdout, stderr: '' });
}

/** The source of a worker thread that has the same helpers. */
const inWorker = (body: string) => `
  const source = ${JSON.stringify(body)};
  const { workerData } = require('node:worker_threads');
  const start = () => new Worker(
    'const { Recognizer } = require(' + JSON.stringify(${JSON.stringify(entry)}) + ');' +
    'const { parentPort } = require("node:worker_threads");' +
    'const asr = () => Recognizer.open({ model: ' + JSON.stringify(${JSON.stringify(model)}) + ' });' +
    'const noise = (seconds) => Float32Array.from({ length: 16000 * seconds }, (_, i) => Math.sin(i * i) * 0.3);' +
    '(async () => {' + source + '})();', { eval: true });
`;

describe('the process ends as it should', () => {
  test('by itself, with an idle recognizer that nobody closed', async () => {
    await expectClean(`await asr(); console.log('open');`, 'open\n');
  });

  test('by itself, with several of them', async () => {
    await expectClean(`await Promise.all([asr(), asr(), asr()]); console.log('open');`, 'open\n');
  });

  test('not before work that is under way is done', async () => {
    await expectClean(
      `const it = await asr(); it.transcribe(noise(5)).then((t) => console.log(t.durationMs));`,
      '5000\n',
    );
  });

  test('at once, on process.exit in the middle of a transcription', async () => {
    await expectClean(
      `const it = await asr(); for (let i = 0; i < 8; i++) it.transcribe(noise(29)); await sleep(30);
       console.log('leaving'); process.exit(0);`,
      'leaving\n',
    );
  });

  test('at once, on process.exit while a model loads', async () => {
    await expectClean(
      `asr(); await new Promise(setImmediate); console.log('leaving'); process.exit(0);`,
      'leaving\n',
    );
  });
});

describe('worker threads', () => {
  test('several transcribe at once and agree', async () => {
    const body = `const it = await asr(); const t = await it.transcribe(noise(4)); await it.close(); parentPort.postMessage(t.text);`;
    await expectClean(
      `${inWorker(body)}
       const texts = await Promise.all([1, 2, 3].map(() => new Promise((resolve, reject) =>
         start().on('message', resolve).on('error', reject))));
       const it = await asr(); texts.push((await it.transcribe(noise(4))).text); await it.close();
       console.log(new Set(texts).size, texts[0].length > 0);`,
      '1 true\n',
    );
  });

  test('terminated in the middle of a window, again and again, leave the others alone', async () => {
    const body = `const it = await asr(); parentPort.postMessage('open'); for (;;) await it.transcribe(noise(20));`;
    await expectClean(
      `${inWorker(body)}
       const it = await asr();
       for (let round = 0; round < 5; round++) {
         const worker = start();
         await new Promise((resolve) => worker.once('message', resolve));
         await sleep(20 + 40 * round);
         await worker.terminate();
       }
       console.log((await it.transcribe(noise(3))).durationMs);
       await it.close();`,
      '3000\n',
    );
  });

  test('terminated while it is deaf and events wait for it', async () => {
    const body = `const it = await asr(); it.transcribe(noise(5)); it.transcribe(noise(6)); await new Promise(setImmediate);
      it.close(); parentPort.postMessage('deaf'); for (;;);`;
    await expectClean(
      `${inWorker(body)}
       for (let round = 0; round < 4; round++) {
         const worker = start();
         await new Promise((resolve) => worker.once('message', resolve));
         await sleep(150);
         await worker.terminate();
       }
       console.log('fine');`,
      'fine\n',
    );
  });

  test('terminated while a model loads', async () => {
    const body = `parentPort.postMessage('loading'); await asr();`;
    await expectClean(
      `${inWorker(body)}
       for (let round = 0; round < 5; round++) {
         const worker = start();
         await new Promise((resolve) => worker.once('message', resolve));
         await sleep(3 * round);
         await worker.terminate();
       }
       console.log('fine');`,
      'fine\n',
    );
  });
});

describe('garbage collection', () => {
  test('takes recognizers that nobody closed, with their threads and memory', async () => {
    await expectClean(
      `const { readdirSync } = require('node:fs');
       const threads = () => readdirSync('/proc/self/task').length;
       const one = async () => { const it = await asr({ sessionsMax: 2 }); await it.transcribe(noise(1)); };
       await one();
       const before = threads();
       for (let i = 0; i < 30; i++) await one();
       for (let i = 0; i < 10; i++) { gc(); await sleep(20); }
       console.log(threads() - before < 10);`,
      'true\n',
      ['--expose-gc'],
    );
  });

  test('leaves a recognizer that is at work alone', async () => {
    await expectClean(
      `let work; { const it = await asr(); work = it.transcribe(noise(20)); }
       for (let i = 0; i < 10; i++) { gc(); await sleep(5); }
       console.log((await work).durationMs);`,
      '20000\n',
      ['--expose-gc'],
    );
  });
});
