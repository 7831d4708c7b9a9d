import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import * as path from 'node:path';

export const root = path.join(__dirname, '..', '..');
export const tiny = path.join(root, 'test', 'fixtures', 'models', 'tiny-ours');
export const audio = (name: string): string => path.join(root, 'test', 'fixtures', 'audio', name);

export interface Finished {
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

export interface Started {
  child: ChildProcessWithoutNullStreams;
  finished: Promise<Finished>;
}

/** Runs the program as a user does, in pipes. */
export function start(
  args: readonly string[],
  options: { cwd?: string; program?: string; env?: NodeJS.ProcessEnv } = {},
): Started {
  const program = options.program ?? path.join(root, 'dist', 'cli', 'main.js');
  const child = spawn(process.execPath, [program, ...args], {
    cwd: options.cwd,
    env: { ...process.env, NO_COLOR: undefined, FORCE_COLOR: undefined, ...options.env },
  });
  const result = { stdout: '', stderr: '' };
  child.stdout.on('data', (chunk) => (result.stdout += chunk));
  child.stderr.on('data', (chunk) => (result.stderr += chunk));
  // A program that refuses its arguments does not read what is written to it.
  child.stdin.on('error', () => {});
  const finished = new Promise<Finished>((resolve) =>
    child.on('close', (code, signal) => resolve({ ...result, code, signal })),
  );
  return { child, finished };
}

export function run(...args: string[]): Promise<Finished> {
  const { child, finished } = start(args);
  child.stdin.end();
  return finished;
}

export const transcribe = (...args: string[]): Promise<Finished> =>
  run('transcribe', '--model', tiny, ...args);
