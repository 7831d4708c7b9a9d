// Sessions that are dropped, and processes and threads that end under them.
import { execFile } from 'node:child_process';
import * as path from 'node:path';
import { describe, expect, test } from 'vitest';
import { fixtures } from './golden';

const entry = path.resolve(import.meta.dirname, '..', '..', 'dist', 'index.js');
const model = path.join(fixtures, 'models', 'tiny-ours');

const helpers = `
  const { Recognizer } = require(${JSON.stringify(entry)});
  const { Worker, parentPort } = require('node:worker_threads');
  const asr = (more = {}) => Recognizer.open({ model: ${JSON.stringify(model)}, ...more });
  const noise = (seconds) => Float32Array.from({ length: 16000 * seconds }, (_, i) => Math.sin(i * i) * 0.3);
  const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
`;

/** Runs a script in a process of its own. */
function run(script: string, flags: string[]): Promise<{ status: unknown; stdout: string; stderr: string }> {
  const source = `${helpers}
    const sweep = async () => { for (let i = 0; i < 8; i++) { gc(); await sleep(15); } };
    process.on('unhandledRejection', (error) => { console.error('unhandled', error); process.exit(99); });
    (async () => {${script}})();`;
  return new Promise((resolve) => {
    execFile(process.execPath, [...flags, '-e', source], { timeout: 100_000 }, (error, stdout, stderr) => {
      resolve({ status: error === null ? 0 : (error.signal ?? error.code), stdout, stderr });
    });
  });
}

async function expectClean(script: string, stdout: string, flags = ['--expose-gc']): Promise<void> {
  expect(await run(script, flags)).toEqual({ status: 0, stdout, stderr: '' });
}

/** A worker thread that runs a body with the same helpers. */
const worker = (body: string) =>
  `const start = () => new Worker(${JSON.stringify(`${helpers}(async () => {${body}})();`)}, { eval: true });`;

describe('a promise that nobody awaits', () => {
  test('does not end the process when its session is closed or aborted, or its recognizer closed', async () => {
    await expectClean(
      `const works = {
         write: (session) => { session.write(noise(40)); session.write(noise(1)); },
         end: async (session) => { session.write(noise(40)); session.end(); },
         read: (session) => { session.events().next(); },
       };
       const ends = {
         close: ({ session }) => session.close(),
         abort: async ({ abort }) => { abort.abort(new Error('enough')); },
         recognizer: ({ it }) => it.close(),
       };
       for (const [work, begin] of Object.entries(works)) for (const [how, end] of Object.entries(ends)) {
         const it = await asr();
         const abort = new AbortController();
         const session = it.openSession({ signal: abort.signal });
         begin(session);
         await sleep(5);
         await end({ it, session, abort });
         session.write(noise(1));
         session.end();
         await sleep(5);
         await it.close();
         console.log(work, how);
       }`,
      ['write', 'end', 'read']
        .flatMap((work) => ['close', 'abort', 'recognizer'].map((how) => `${work} ${how}\n`))
        .join(''),
    );
  });

  test.each([
    ['no samples', 'session.write([1])', 'ERR_BAD_ARGUMENT'],
    ['a number that is no sample', 'session.write(Float32Array.of(NaN))', 'ERR_BAD_ARGUMENT'],
    ['too much', 'for (let i = 0; i < 70; i++) session.write(noise(1))', 'ERR_OVERLOADED'],
    ['what comes after the end', 'session.end(); session.write(noise(1))', 'ERR_CLOSED'],
  ])('ends it when its write is refused: %s', async (_, script, code) => {
    const { status, stderr } = await run(
      `const it = await asr(); const session = it.openSession(); ${script}; await sleep(1000);`,
      [],
    );
    expect(status).toBe(99);
    expect(stderr).toContain(code);
  });
});

describe('garbage collection', () => {
  test('takes a thousand sessions that were dropped, with their slots', async () => {
    await expectClean(
      `const it = await asr({ sessionsMax: 16 });
       let opened = 0;
       let before = 0;
       while (opened < 1000) {
         try {
           const session = it.openSession({ sampleRateHz: opened % 2 ? 16000 : 44100 });
           opened += 1;
           if (opened % 3 === 0) void session.events();
           if (opened % 5 === 0) session.end().catch(() => {});
           else session.write(noise(0.5)).catch(() => {});
         } catch (error) {
           if (error.code !== 'ERR_SESSION_LIMIT') throw error;
           gc();
           await sleep(5);
         }
         if (opened === 200) { await sweep(); before = process.memoryUsage().rss; }
       }
       await sweep();
       const all = Array.from({ length: 16 }, () => it.openSession());
       console.log(all.length, process.memoryUsage().rss - before < 40e6);
       await it.close();`,
      '16 true\n',
    );
  });

  test('takes one whose writes wait, whose reader waits, and whose signal lives on', async () => {
    await expectClean(
      `const it = await asr({ sessionsMax: 3 });
       const signal = new AbortController().signal;
       (() => {
         it.openSession({ signal }).write(noise(100)).catch(() => {});
         void (async (events) => { for await (const _ of events); })(it.openSession({ signal }).events());
         void it.createTransform({ signal }).write(noise(1));
       })();
       for (let i = 0; i < 100; i++) {
         await sweep();
         try { const all = [1, 2, 3].map(() => it.openSession()); console.log('free'); break; } catch {}
       }
       await it.close();`,
      'free\n',
    );
  });

  test('takes what listened on the signal of many, and Node finds no leak', async () => {
    await expectClean(
      `const { getEventListeners } = require('node:events');
       const it = await asr({ sessionsMax: 20 });
       const { signal } = new AbortController();
       (() => { for (let i = 0; i < 20; i++) it.openSession({ signal }); })();
       const before = getEventListeners(signal, 'abort').length;
       for (let i = 0; i < 100 && getEventListeners(signal, 'abort').length > 0; i++) await sweep();
       console.log(before, getEventListeners(signal, 'abort').length);
       await it.close();`,
      '1 0\n',
    );
  });

  test('takes one whose write waits for a reader who will not come, and says so', async () => {
    const { status, stdout, stderr } = await run(
      `const it = await asr({ sessionsMax: 1 });
       (() => {
         const session = it.openSession({ endpoint: { silenceMs: 100, maxUtteranceMs: 1000 } });
         session.events();
         session.write(noise(300));
       })();
       for (let i = 0; i < 200; i++) {
         await sweep();
         try { it.openSession(); console.log('free'); break; } catch {}
       }
       await it.close();`,
      ['--expose-gc'],
    );
    expect({ status, stdout }).toEqual({ status: 0, stdout: 'free\n' });
    expect(stderr).toContain('garbage-collected while a write waited for its events to be read');
  });

  test('leaves one alone of which somebody waits for the end', async () => {
    await expectClean(
      `const it = await asr();
       const end = (() => { const session = it.openSession(); session.write(noise(40)); return session.end(); })();
       const events = []; const streamed = (async () => { for await (const event of it.stream(noise(40))) events.push(event); })();
       for (let i = 0; i < 20; i++) { gc(); await sleep(5); }
       const { durationMs } = await end; await streamed;
       console.log(durationMs, events.at(-1).durationMs);`,
      '40000 40000\n',
    );
  });
});

describe('the process ends as it should', () => {
  test('by itself, with an idle session that nobody closed', async () => {
    await expectClean(
      `const it = await asr(); const session = it.openSession(); await session.write(noise(1)); globalThis.kept = session;
       console.log('open');`,
      'open\n',
    );
  });

  test('not before what is waited for has come', async () => {
    await expectClean(
      `const it = await asr(); const session = it.openSession(); session.write(noise(60));
       session.end().then((t) => console.log(t.durationMs));`,
      '60000\n',
    );
  });

  test('at once, on process.exit in the middle of sessions', async () => {
    await expectClean(
      `const it = await asr({ sessionsMax: 8 });
       for (let i = 0; i < 8; i++) { const session = it.openSession(); session.events().next(); session.write(noise(40)); }
       await sleep(30); console.log('leaving'); process.exit(0);`,
      'leaving\n',
    );
  });

  test('with the recognizer closed and the sessions dropped', async () => {
    await expectClean(
      `const it = await asr({ sessionsMax: 4 });
       for (let i = 0; i < 4; i++) it.openSession();
       await it.close(); console.log('closed');`,
      'closed\n',
    );
  });
});

describe('worker threads', () => {
  test('terminated in the middle of a write, again and again, leave the others alone', async () => {
    await expectClean(
      `${worker(`const it = await asr({ sessionsMax: 4 }); parentPort.postMessage('open');
         for (let i = 0; i < 4; i++) (async () => { const session = it.openSession({ sampleRateHz: i % 2 ? 48000 : 16000 });
           (async () => { for await (const _ of session.events()); })();
           for (;;) await session.write(noise(i + 1)); })();`)}
       const it = await asr();
       for (let round = 0; round < 6; round++) {
         const one = start();
         await new Promise((resolve) => one.once('message', resolve));
         await sleep(20 + 30 * round);
         await one.terminate();
       }
       const session = it.openSession(); await session.write(noise(3)); console.log((await session.end()).durationMs);
       await it.close();`,
      '3000\n',
    );
  });

  test('that end by themselves with open sessions are gone', async () => {
    await expectClean(
      `${worker(`const it = await asr(); const session = it.openSession(); await session.write(noise(2)); parentPort.postMessage('open');`)}
       for (let round = 0; round < 3; round++) await new Promise((resolve) => start().on('exit', resolve));
       console.log('gone');`,
      'gone\n',
    );
  });
});
