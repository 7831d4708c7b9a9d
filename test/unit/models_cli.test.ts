import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type HubServer, startHub } from './download_server';

const NAME = 'parakeet-tdt-0.6b-v2-int8-sherpa';
const ENCODER = 'encoder.int8.onnx';
const PROGRAM = `
  const { Command } = require('commander');
  const program = new Command();
  require('./dist/cli/models').registerModelsCommands(program);
  program.parseAsync(process.argv.slice(1), { from: 'user' }).catch((error) => {
    process.stderr.write(error.code + ' ' + error.message + '\\n');
    process.exitCode = 1;
  });`;

let hub: HubServer;
let cacheDir: string;
const children: ChildProcess[] = [];

beforeEach(async () => {
  cacheDir = await mkdtemp(path.join(tmpdir(), 'trt-asr-cli-'));
  hub = await startHub({
    'tokens.txt': Buffer.from('<unk> 0\n<blk> 1\n'),
    'joiner.int8.onnx': randomBytes(1_000),
    'decoder.int8.onnx': randomBytes(1_000),
    [ENCODER]: randomBytes(400_000),
  });
});

afterEach(async () => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  await hub.close();
  await rm(cacheDir, { recursive: true, force: true });
});

interface Finished {
  code: number | null;
  stdout: string;
  stderr: string;
}

function start(...args: string[]): { child: ChildProcess; finished: Promise<Finished> } {
  const env = { ...process.env, HF_ENDPOINT: hub.endpoint };
  const child = spawn(process.execPath, ['-e', PROGRAM, '--', 'models', ...args, '--cache-dir', cacheDir], {
    env,
  });
  children.push(child);
  const result: Finished = { code: null, stdout: '', stderr: '' };
  child.stdout?.on('data', (chunk) => (result.stdout += chunk));
  child.stderr?.on('data', (chunk) => (result.stderr += chunk));
  const finished = new Promise<Finished>((resolve) =>
    child.on('close', (code) => resolve({ ...result, code })),
  );
  return { child, finished };
}

const run = (...args: string[]) => start(...args).finished;

/** Sends a part of the encoder and then nothing, to the first that asks. */
function holdFirst(): Promise<void> {
  return new Promise((resolve) => {
    hub.tricks[ENCODER] = (_request, response, count) => {
      if (count > 1) return false;
      response.writeHead(200, { 'content-length': 400_000 });
      response.write((hub.files[ENCODER] as Buffer).subarray(0, 150_000), () => resolve());
      return true;
    };
  });
}

async function partBytes(): Promise<number> {
  const part = path.join(cacheDir, 'models', NAME, `${ENCODER}.part`);
  for (let tries = 0; tries < 200; tries++) {
    const bytes = (await stat(part).catch(() => undefined))?.size ?? 0;
    if (bytes > 0) return bytes;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return 0;
}

describe('trt-asr models', () => {
  test('pull, list, verify and rm, in a pipe without a trace of a bar', async () => {
    const pulled = await run('pull', NAME);
    expect(pulled.stderr).toBe('');
    expect(pulled.stdout).toBe(`${path.join(cacheDir, 'models', NAME)}\n`);
    expect(pulled.code).toBe(0);
    const listed = JSON.parse((await run('list', '--json')).stdout) as { name: string; state: string }[];
    expect(listed.find((model) => model.name === NAME)?.state).toBe('complete');
    expect((await run('list')).stdout).toMatch(
      new RegExp(`^${NAME} +int8 +402 kB +en +CC-BY-4.0 +complete`, 'm'),
    );
    const verified = await run('verify', NAME);
    expect(verified.stdout.split('\n').filter((line) => line.startsWith('ok')).length).toBe(4);
    expect(JSON.parse((await run('rm', NAME, '--json')).stdout).name).toBe(NAME);
    const again = await run('rm', NAME);
    expect(again.code).toBe(1);
    expect(again.stderr).toContain('ERR_MODEL_NOT_FOUND');
  });

  test('Ctrl-C keeps the part and leaves no lock', async () => {
    const held = holdFirst();
    const { child, finished } = start('pull', NAME);
    await held;
    expect(await partBytes()).toBeGreaterThan(0);
    child.kill('SIGINT');
    const result = await finished;
    expect(result.code).toBe(1);
    expect(result.stderr).toContain('interrupted');
    expect(await readdir(path.join(cacheDir, 'locks'))).toEqual([]);
    expect((await run('pull', NAME)).code).toBe(0);
    expect(hub.log.some((line) => line.startsWith(`GET /storage/${ENCODER} bytes=`))).toBe(true);
  });

  test('two processes at once download once', async () => {
    const results = await Promise.all([run('pull', NAME), run('pull', NAME)]);
    expect(results.map((result) => result.code)).toEqual([0, 0]);
    expect(hub.log.filter((line) => line === `GET /storage/${ENCODER}`).length).toBe(1);
    expect((await run('verify', NAME)).code).toBe(0);
  });

  test('a killed process does not block the next one for ever', async () => {
    const held = holdFirst();
    const { child, finished } = start('pull', NAME);
    await held;
    expect(await partBytes()).toBeGreaterThan(0);
    child.kill('SIGKILL');
    await finished;
    expect((await readdir(path.join(cacheDir, 'locks'))).length).toBe(1);
    expect((await run('pull', NAME)).code).toBe(0);
    expect((await run('verify', NAME)).code).toBe(0);
  });
});
