import { cpSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { fixtures, GoldenSet } from './golden';

const load = createRequire(import.meta.url);
const { AsrError, Recognizer } = load('../../dist/index.js') as typeof import('../../dist/index');

const hostile = path.join(fixtures, 'models', 'hostile');
const base = mkdtempSync(path.join(tmpdir(), 'trt-asr-hostile-'));
const records = readFileSync(path.join(hostile, 'manifest.txt'), 'utf8')
  .split('\n')
  .map((line) => line.split(' '));
const cases = records
  .filter(([kind]) => kind === 'case')
  .map(([, name, code, stage]) => {
    const why = records
      .find(([kind, owner]) => kind === 'why' && owner === name)
      ?.slice(2)
      .join(' ');
    return { name: name as string, code: code as string, stage: stage as string, why };
  });

/** A copy of tiny-ours with a case's changes. */
function model(name: string): string {
  const dir = path.join(base, name);
  cpSync(path.join(fixtures, 'models', 'tiny-ours'), dir, { recursive: true });
  for (const [kind, owner, file] of records) {
    if (owner !== name) continue;
    if (kind === 'replace') cpSync(path.join(hostile, name, file as string), path.join(dir, file as string));
    if (kind === 'remove') rmSync(path.join(dir, file as string));
  }
  return dir;
}

/** The stage that failed with its error, or 'OK'. */
async function outcome(dir: string, samples: Float32Array): Promise<{ stage: string; error?: unknown }> {
  let asr: Awaited<ReturnType<typeof Recognizer.open>>;
  try {
    asr = await Recognizer.open({ model: dir });
  } catch (error) {
    return { stage: 'open', error };
  }
  try {
    await asr.transcribe(samples);
    return { stage: 'OK' };
  } catch (error) {
    return { stage: 'transcribe', error };
  } finally {
    await asr.close();
  }
}

describe('a broken model ends in its error, from opening to the text', () => {
  const clip = new GoldenSet('tiny').clips.at(-1)?.samples as Float32Array;
  afterAll(() => rmSync(base, { recursive: true, force: true }));

  test.each(cases)('$name: $why -> $code at $stage', async ({ name, code, stage }) => {
    const { stage: failed, error } = await outcome(model(name), clip);
    if (code === 'OK') {
      expect(error).toBeUndefined();
      return;
    }
    expect(error).toBeInstanceOf(AsrError);
    const { code: received, field, message } = error as InstanceType<typeof AsrError>;
    expect({ failed, received, message }).toMatchObject({ failed: stage, received: code });
    expect(field).toBeTruthy();
  });
});
