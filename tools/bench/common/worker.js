'use strict';
// A process that stays open and is asked again and again: Node programs by messages, others by lines.

const { fork, spawn } = require('node:child_process');
const path = require('node:path');
const readline = require('node:readline');

// WHY: opening and one clip of a full-size model take seconds; a process that hangs should not hang the benchmark for the night.
const ANSWER_MS_MAX = 15 * 60_000;

class Worker {
  #child;
  #errors = '';
  #waiting;
  #ended;

  constructor(child) {
    this.#child = child;
    child.stderr.on('data', (data) => {
      this.#errors = (this.#errors + data).slice(-2000);
    });
    child.on('error', (error) => this.#settle({ error: error.message }));
    this.#ended = new Promise((resolve) => {
      child.on('close', (code, signal) => {
        this.#settle({ error: `ended with ${code ?? signal}: ${this.#errors.trim()}` });
        this.#waiting = null;
        resolve();
      });
    });
  }

  /** A program of this folder's parent that calls `serve`. */
  static node(program, env = {}) {
    const child = fork(path.join(__dirname, '..', program), {
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
      env: { ...process.env, ...env },
    });
    const worker = new Worker(child);
    child.on('message', (answer) => worker.#settle(answer));
    worker.put = (question) => child.send(question);
    return worker;
  }

  /** A program that reads a line for each question and writes one of JSON for each answer. */
  static lines(command, args) {
    const child = spawn(command, args, { stdio: 'pipe' });
    const worker = new Worker(child);
    // What a program that has ended does not read is told by its end.
    child.stdin.on('error', () => {});
    readline.createInterface({ input: child.stdout }).on('line', (line) => {
      if (line.startsWith('{')) worker.#settle({ value: JSON.parse(line) });
    });
    worker.put = (question) => child.stdin.write(`${question}\n`);
    return worker;
  }

  #settle(answer) {
    const waiting = this.#waiting;
    if (!waiting) return;
    this.#waiting = undefined;
    clearTimeout(waiting.timer);
    if (answer.error === undefined) waiting.resolve(answer.value);
    else waiting.reject(new Error(answer.error));
  }

  /** One question at a time. Rejects with the subject's own message. */
  ask(question) {
    if (this.#waiting === null) return Promise.reject(new Error(`it has ended: ${this.#errors.trim()}`));
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#settle({ error: `no answer in ${ANSWER_MS_MAX / 1000} s` });
        this.#child.kill('SIGKILL');
      }, ANSWER_MS_MAX);
      this.#waiting = { resolve, reject, timer };
      this.put(question);
    });
  }

  async end() {
    // The worker disconnects by itself: where this side does, Node 20 gives no 'close'.
    if (this.#child.connected) this.#child.send({ do: 'quit' });
    this.#child.stdin?.end();
    await this.#ended;
  }
}

/** In the worker: `handlers[question.do](question)` answers. */
function serve(handlers) {
  process.on('message', async (question) => {
    if (question.do === 'quit') {
      process.disconnect();
      return;
    }
    const answer = await Promise.resolve(question)
      .then((asked) => handlers[asked.do](asked))
      .then(
        (value) => ({ value: value ?? null }),
        (error) => ({ error: String(error?.message ?? error) }),
      );
    process.send(answer);
  });
  process.on('disconnect', () => process.exit(0));
}

module.exports = { Worker, serve };
