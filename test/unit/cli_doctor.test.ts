import { cp, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { audio, type Finished, root, start, tiny } from './cli_support';

let home: string;

/** The package as installed, without what is compiled and without a model. */
beforeEach(async () => {
  home = await mkdtemp(path.join(tmpdir(), 'trt-asr-doctor-'));
  for (const part of ['dist', 'contracts', 'package.json'])
    await cp(path.join(root, part), path.join(home, part), { recursive: true });
  await symlink(path.join(root, 'node_modules'), path.join(home, 'node_modules'));
  await mkdir(path.join(home, 'models'));
});

afterEach(() => rm(home, { recursive: true, force: true }));

const linkAddon = () => symlink(path.join(root, 'build'), path.join(home, 'build'));
const linkModels = async () => {
  for (const name of ['demo-en', 'demo-en-streaming']) await symlink(tiny, path.join(home, 'models', name));
};

function runHere(...args: string[]): Promise<Finished> {
  const { child, finished } = start(args, { program: path.join(home, 'dist', 'cli', 'main.js') });
  child.stdin.end();
  return finished;
}

interface Report {
  ok: boolean;
  findings: { name: string; ok: boolean; found: string; remedy?: string }[];
}

async function report(): Promise<{ code: number | null; ok: boolean; missing: string[]; all: Report }> {
  const { code, stdout } = await runHere('doctor', '--json');
  const all = JSON.parse(stdout) as Report;
  const missing = all.findings.filter((finding) => !finding.ok).map((finding) => finding.name);
  return { code, ok: all.ok, missing, all };
}

describe('trt-asr doctor', () => {
  test('all there', async () => {
    await linkAddon();
    await linkModels();
    expect(await report()).toMatchObject({ code: 0, ok: true, missing: [] });
    const { code, stdout, stderr } = await runHere('doctor');
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).not.toContain('MISSING');
    expect(stdout).toMatch(/^ok +onnxruntime \(cpu\) +\d+\.\d+\.\d+$/m);
  });

  test('no add-on: says so, says what to do, and the rest still works', async () => {
    await linkModels();
    const { code, ok, missing, all } = await report();
    expect({ code, ok, missing }).toEqual({
      code: 5,
      ok: false,
      missing: ['native add-on', 'onnxruntime (cpu)'],
    });
    const addon = all.findings.find((finding) => finding.name === 'native add-on');
    expect(addon?.found).toContain(`${process.platform}-${process.arch}`);
    expect(addon?.found).toContain(`no such file: ${path.join(home, 'build', 'Release', 'trt_asr.node')}, `);
    expect(addon?.remedy).toContain('npm rebuild trt-asr');
    const human = await runHere('doctor');
    expect(human).toMatchObject({ code: 5, stderr: '' });
    expect(human.stdout).toMatch(/^MISSING +native add-on +Expected .*\n +-> .*Reinstall/m);
    expect((await runHere('models', 'list')).code).toBe(0);
    const transcribed = await runHere('transcribe', audio('reference.wav'));
    expect(transcribed).toMatchObject({ code: 5, stdout: '' });
    expect(transcribed.stderr).toMatch(/^trt-asr: ERR_BACKEND_UNAVAILABLE: Expected an add-on for .*\n$/);
  });

  test('an add-on that is no library', async () => {
    await mkdir(path.join(home, 'build', 'Release'), { recursive: true });
    await writeFile(path.join(home, 'build', 'Release', 'trt_asr.node'), 'no library');
    const { code, missing } = await report();
    expect(code).toBe(5);
    expect(missing).toContain('native add-on');
  });

  test('no shipped model', async () => {
    await linkAddon();
    const { code, missing, all } = await report();
    expect({ code, missing }).toEqual({ code: 5, missing: ['shipped models'] });
    expect(all.findings.find((finding) => finding.name === 'shipped models')?.remedy).toContain('--model');
    expect((await runHere('transcribe', audio('reference.wav'))).code).toBe(4);
  });

  test('a damaged shipped model', async () => {
    await linkAddon();
    await cp(tiny, path.join(home, 'models', 'demo-en'), { recursive: true });
    await writeFile(path.join(home, 'models', 'demo-en', 'contract.json'), '{');
    const { code, missing } = await report();
    expect(code).toBe(5);
    expect(missing).toContain('shipped models');
  });
});
