import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { root, run } from './consumer';

let checkout: string;
beforeEach(async () => {
  checkout = mkdtempSync(path.join(tmpdir(), 'trt-asr-tidy-'));
  await run('git', ['init', '-q'], { cwd: checkout });
  // clang-format is not everywhere, and what it finds is not what is tested here.
  put('.clang-format', 'DisableFormat: true\n');
});
afterEach(() => rmSync(checkout, { recursive: true, force: true }));

function put(file: string, text: string): void {
  mkdirSync(path.dirname(path.join(checkout, file)), { recursive: true });
  writeFileSync(path.join(checkout, file), text);
}

async function tidy(): Promise<{ status: number | string; violations: string[] }> {
  const { status, stdout } = await run(process.execPath, [path.join(root, 'tools/tidy.js'), checkout], {
    cwd: root,
  });
  const violations = stdout.split('\n').filter((line) => /^\S+:\d+: /.test(line));
  return { status, violations };
}

const lines = (count: number) => '  call();\n'.repeat(count);
const compiled = 'file(GLOB core native/text/*.cpp native/engine/ort/*.cpp native/node/*.cpp)\n';

describe('tools/tidy', () => {
  it('passes a tidy checkout', async () => {
    put('CMakeLists.txt', compiled);
    put('native/text/a.cpp', `void a() {\n${lines(90)}}\n`);
    put('native/engine/ort/b.cpp', 'OrtApi* api = load(dlopen(name, 0));\n');
    put('lib/index.ts', "export { a } from './a';\n");
    put('lib/a.ts', '// TODO: drop it once Node 20 is out of support\nexport const a = 1;\n');
    expect(await tidy()).toEqual({ status: 0, violations: [] });
  });

  it('finds a link', async () => {
    symlinkSync(tmpdir(), path.join(checkout, 'elsewhere'));
    const { status, violations } = await tidy();
    expect(status).toBe(1);
    expect(violations).toEqual([expect.stringMatching(/^elsewhere:1: a link/)]);
  });

  it.each([
    ['napi.h outside its room', 'native/text/a.cpp', '\n#include <napi.h>\n', 2, 'native/node'],
    ['the ONNX Runtime API outside its room', 'native/text/a.cpp', 'OrtApi* api;\n', 1, 'native/engine/ort'],
    [
      'a library loaded outside the engines',
      'native/text/a.cpp',
      'auto h = dlopen("x", 0);\n',
      1,
      'native/engine',
    ],
    ['a long C++ function', 'native/text/a.cpp', `int b;\nvoid a() {\n${lines(120)}}\n`, 2, '122 lines'],
    ['a long C++ file', 'native/text/a.cpp', 'int a();\n'.repeat(501), 501, 'two jobs'],
    ['a long TypeScript function', 'lib/index.ts', `export function a() {\n${lines(120)}}\n`, 1, '122 lines'],
    ['a dead TypeScript file', 'lib/a.ts', 'export const a = 1;\n', 1, 'dead file'],
    ['a dead header', 'native/text/a.h', '#pragma once\n', 1, 'dead file'],
    ['a source that nothing compiles', 'native/audio/a.cpp', 'int a;\n', 1, 'dead file'],
    ['a dead tool', 'tools/forgotten.js', 'run();\n', 1, 'dead file'],
    ['a TODO without a reason', 'lib/index.ts', `a();\n// ${'TODO'}\n`, 2, 'reason'],
    ['a tab', 'lib/index.ts', 'a();\n\tb();\n', 2, 'tab'],
    ['trailing whitespace', 'lib/index.ts', 'a();\nb(); \n', 2, 'trailing'],
    ['a missing newline at the end', 'lib/index.ts', 'a();', 1, 'newline'],
    [
      'a lock file that names a registry',
      'package-lock.json',
      `{\n"${'resolved'}": "https://x/a.tgz"\n}\n`,
      2,
      'registry',
    ],
  ])('reports %s', async (_what, file, text, line, words) => {
    put('CMakeLists.txt', compiled);
    put(file, text);
    const { status, violations } = await tidy();
    expect(status).toBe(1);
    expect(violations).toEqual([expect.stringContaining(words)]);
    expect(violations[0]).toMatch(new RegExp(`^${file}:${line}: `));
  });

  it('does not take a word in a comment or a string for a call', async () => {
    put('CMakeLists.txt', compiled);
    put('native/text/a.cpp', '// dlopen(x) of OrtApi\nconst char* a = "dlopen( {{{";\nchar b = \'{\';\n');
    expect(await tidy()).toEqual({ status: 0, violations: [] });
  });
});

describe('this repository', () => {
  it('asks for its packages without naming a registry', () => {
    expect(readFileSync(path.join(root, 'package-lock.json'), 'utf8')).not.toContain('"resolved"');
  });
});
