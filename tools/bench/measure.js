'use strict';

const { fork } = require('node:child_process');
const path = require('node:path');

/** One measurement in a process of its own; an error message of the subject comes back as `{ error }`. */
function measureIn(program, task) {
  return new Promise((resolve, reject) => {
    const child = fork(path.join(__dirname, program), {
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    let answer;
    let errors = '';
    child.stderr.on('data', (data) => {
      errors = (errors + data).slice(-2000);
    });
    child.on('message', (message) => {
      answer = message;
    });
    child.on('error', reject);
    // 'close', not 'exit': the pipe of stderr is read to its end by then.
    child.on('close', (code, signal) =>
      resolve(answer ?? { error: `ended with ${code ?? signal}: ${errors.trim()}` }),
    );
    child.send(task);
  });
}

module.exports = { measureIn };
