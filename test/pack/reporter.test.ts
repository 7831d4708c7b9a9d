import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import * as path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Outcome, root, run } from './consumer';

let suite: string;
beforeEach(() => {
  // Inside the checkout, so that the files find vitest; build/ is ignored by git.
  mkdirSync(path.join(root, 'build'), { recursive: true });
  suite = mkdtempSync(path.join(root, 'build', 'suite-'));
});
afterEach(() => rmSync(suite, { recursive: true, force: true }));

async function vitest(files: Record<string, string>): Promise<Outcome> {
  const config = {
    test: { include: ['*.test.ts'], pool: 'forks', reporters: [path.join(root, 'test/reporter.ts')] },
  };
  writeFileSync(path.join(suite, 'vitest.config.mjs'), `export default ${JSON.stringify(config)};\n`);
  for (const [name, text] of Object.entries(files)) writeFileSync(path.join(suite, name), text);
  const { TRT_ASR_TEST_COUNTS: _counts, ...env } = process.env;
  return run(path.join(root, 'node_modules/.bin/vitest'), ['run', '--root', suite], { cwd: suite, env });
}

const head = "import { expect, it } from 'vitest';\n";

describe('the closing line', () => {
  it('counts passed and failed tests', async () => {
    const outcome = await vitest({
      'a.test.ts': `${head}it('a', () => {});\nit('b', () => {});\nit('c', () => expect(1).toBe(2));\n`,
    });
    expect(outcome.stdout).toMatch(/^2 passed, 1 failed$/m);
    expect(outcome.status).toBe(1);
  });

  it('counts as failed what cannot be imported, a skipped test and an ended process', async () => {
    const outcome = await vitest({
      'a.test.ts': `${head}it('a', () => {});\n`,
      'import.test.ts': `${head}import './missing';\nit('a', () => {});\n`,
      'skip.test.ts': `${head}it.skip('a', () => {});\n`,
      'crash.test.ts': `${head}it('a', () => process.kill(process.pid, 'SIGSEGV'));\n`,
    });
    const counts = /^(\d+) passed, (\d+) failed$/m.exec(outcome.stdout);
    expect(Number(counts?.[1])).toBe(1);
    expect(Number(counts?.[2])).toBeGreaterThanOrEqual(3);
    expect(outcome.status).toBe(1);
  });
});
