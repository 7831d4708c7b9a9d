import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Transcript } from '../../dist/index';
import { wav } from './audio_support';
import { audio, run, start, tiny, transcribe } from './cli_support';
import { startHub } from './download_server';

const load = createRequire(import.meta.url);
const { Recognizer } = load('../../dist/index.js') as typeof import('../../dist/index');

const clips = [audio('reference.wav'), audio('speech.mp3'), audio('speech.opus')] as const;
const bad = audio('make.sh');
/** What the API says of each clip. */
const spoken = new Map<string, Transcript>();
let scratch: string;

const text = (clip: string): string => (spoken.get(clip) as Transcript).text;

beforeAll(async () => {
  scratch = await mkdtemp(path.join(tmpdir(), 'trt-asr-cli-'));
  const asr = await Recognizer.open({ model: tiny });
  for (const clip of clips) spoken.set(clip, await asr.transcribe(clip));
  await asr.close();
});

afterAll(() => rm(scratch, { recursive: true, force: true }));

describe('trt-asr transcribe', () => {
  test("prints the API's text, and nothing else, into a pipe", async () => {
    const result = await transcribe(clips[0]);
    expect(result).toMatchObject({ code: 0, stderr: '', stdout: `${text(clips[0])}\n` });
    expect(text(clips[0])).not.toBe('');
  });

  test('several files come in the order of the command line', async () => {
    const files = [clips[1], clips[0], clips[2], clips[0]];
    const result = await transcribe('--concurrency', '4', ...files);
    expect(result).toMatchObject({ code: 0, stderr: '' });
    expect(result.stdout).toBe(files.map((file) => `${file}: ${text(file)}\n`).join(''));
  });

  test('reads standard input', async () => {
    const { child, finished } = start(['transcribe', '-m', tiny, '-f', 'json', '-']);
    child.stdin.end(await readFile(clips[1]));
    const result = await finished;
    expect(result).toMatchObject({ code: 0, stderr: '' });
    expect(JSON.parse(result.stdout)).toMatchObject({ source: '-', text: text(clips[1]) });
  });

  test('bad standard input is told at once, while its writer still holds the pipe', async () => {
    const { child, finished } = start(['transcribe', '-m', tiny, '-']);
    child.stdin.write('no audio '.repeat(100_000));
    const result = await finished;
    expect(result).toMatchObject({ code: 3, stdout: '' });
    expect(result.stderr).toMatch(/^trt-asr: -: ERR_AUDIO_DECODE: Expected audio .*\n$/);
  });

  test('a bad file among good ones does not stop them', async () => {
    const result = await transcribe(clips[0], bad, clips[1]);
    expect(result.stdout).toBe(`${clips[0]}: ${text(clips[0])}\n${clips[1]}: ${text(clips[1])}\n`);
    expect(result.stderr).toMatch(/^trt-asr: .*make\.sh: ERR_AUDIO_DECODE: .*\n$/);
    expect(result.code).toBe(3);
  });

  test('the first bad file on the command line decides the exit code', async () => {
    const missing = path.join(scratch, 'missing.wav');
    const [one, other] = await Promise.all([transcribe(missing, bad), transcribe(bad, missing)]);
    expect(one.code).toBe(2);
    expect(other.code).toBe(3);
    expect(one.stderr.split('\n').map((line) => line.match(/ERR_\w+/)?.[0])).toEqual([
      'ERR_BAD_ARGUMENT',
      'ERR_AUDIO_DECODE',
      undefined,
    ]);
  });

  test.each([
    ['a missing file', 'missing.wav', undefined, 2],
    ['an empty file', 'empty.wav', '', 3],
    ['text under the name of audio', 'text.wav', 'Dear diary, '.repeat(1000), 3],
    ['a folder', 'folder.wav', null, 2],
  ])('%s', async (_, name, content, code) => {
    const file = path.join(scratch, name);
    if (content === null) await mkdir(file);
    else if (content !== undefined) await writeFile(file, content);
    const result = await transcribe(file);
    expect(result).toMatchObject({ code, stdout: '' });
    expect(result.stderr).toMatch(/^trt-asr: .*: ERR_\w+: Expected .*\n$/);
    expect(result.stderr).toContain(`trt-asr: ${file}: `);
  });

  test('json is one object a line, with the timestamps that were asked for', async () => {
    const result = await transcribe('--format', 'json', '--timestamps', 'token', clips[0], clips[1]);
    const lines = result.stdout.split('\n');
    expect(lines.pop()).toBe('');
    const parsed = lines.map((line) => JSON.parse(line) as Transcript & { source: string });
    expect(parsed.map(({ source }) => source)).toEqual(clips.slice(0, 2));
    parsed.forEach((each, index) => {
      const { words, tokens } = spoken.get(clips[index] as string) as Transcript;
      expect(each).toMatchObject({ words, tokens });
    });
  });

  test('json without timestamps has neither words nor tokens', async () => {
    const result = await transcribe('--format', 'json', '--timestamps', 'none', clips[0]);
    expect(JSON.parse(result.stdout)).toMatchObject({ text: text(clips[0]), words: [], tokens: [] });
  });

  test('subtitles are well formed and hold all words', async () => {
    const [srt, vtt] = await Promise.all([
      transcribe('-f', 'srt', clips[0]),
      transcribe('-f', 'vtt', clips[0]),
    ]);
    expect(srt.stdout).toMatch(/^(\d+\n\d\d:\d\d:\d\d,\d{3} --> \d\d:\d\d:\d\d,\d{3}\n.+\n\n?)+$/);
    expect(vtt.stdout).toMatch(/^WEBVTT\n(\n\d\d:\d\d:\d\d\.\d{3} --> \d\d:\d\d:\d\d\.\d{3}\n.+\n)+$/);
    const words = (spoken.get(clips[0]) as Transcript).words.map((word) => word.text).join(' ');
    expect(
      vtt.stdout
        .split('\n')
        .filter((line) => line !== '' && !/WEBVTT|-->/.test(line))
        .join(' '),
    ).toBe(words);
  });

  test('a reader that leaves early is no error', async () => {
    const { child, finished } = start(['transcribe', '-m', tiny, '-c', '1', ...Array(30).fill(clips[0])]);
    child.stdout.once('data', () => child.stdout.destroy());
    expect(await finished).toMatchObject({ code: 0, signal: null, stderr: '' });
  });

  test('Ctrl-C ends it soon with 130', async () => {
    const { child, finished } = start(['transcribe', '-m', tiny, '-']);
    const noise = Buffer.from(Array.from({ length: 320_000 }, () => Math.floor(Math.random() * 256)));
    const shape = { tag: 1, bits: 16, channels: 1, rateHz: 16000 };
    child.stdin.write(wav(noise, { ...shape, dataBytes: 0x7fffffff, riffBytes: 0x7fffffff }));
    // Thirty such blocks do not fit the pipe: when they are gone, windows have been computed.
    for (let blocks = 0; blocks < 30; blocks++)
      await new Promise((resolve) => child.stdin.write(noise, resolve));
    const sentMs = Date.now();
    child.kill('SIGINT');
    expect(await finished).toMatchObject({ code: 130, stdout: '', stderr: 'trt-asr: interrupted\n' });
    expect(Date.now() - sentMs).toBeLessThan(5000);
  });
});

test.each([
  'transcribe',
  'stream',
])('%s looks where models were downloaded to, and nowhere else', async (command) => {
  const cache = path.join(scratch, 'downloads');
  const result = await run(
    command,
    '-m',
    'parakeet-tdt-0.6b-v3',
    '--cache-dir',
    cache,
    '--offline',
    clips[0],
  );
  expect(result).toMatchObject({ code: 4, stdout: '' });
  expect(result.stderr).toContain(`ERR_MODEL_NOT_FOUND: Expected parakeet-tdt-0.6b-v3 in ${cache}`);
});

describe('--output', () => {
  test('a file, in a folder that is made for it', async () => {
    const output = path.join(scratch, 'new', 'deep', 'words.txt');
    expect(await transcribe(clips[0], '-o', output)).toMatchObject({ code: 0, stdout: '', stderr: '' });
    expect(await readFile(output, 'utf8')).toBe(`${text(clips[0])}\n`);
  });

  test('a folder for several, where files of one name do not overwrite each other', async () => {
    const output = path.join(scratch, 'several');
    const other = path.join(scratch, 'Reference.mp3');
    const third = path.join(scratch, 'reference-2.opus');
    await copyFile(clips[1], other);
    await copyFile(clips[2], third);
    expect((await transcribe(clips[0], other, bad, third, '-o', output)).code).toBe(3);
    expect((await readdir(output)).sort()).toEqual(['Reference-2.txt', 'reference-2-2.txt', 'reference.txt']);
    const read = (name: string) => readFile(path.join(output, name), 'utf8');
    expect(await read('reference.txt')).toBe(`${text(clips[0])}\n`);
    expect(await read('Reference-2.txt')).toBe(`${text(clips[1])}\n`);
    expect(await read('reference-2-2.txt')).toBe(`${text(clips[2])}\n`);
  });

  test('a folder for one file, named so by its slash', async () => {
    const output = `${path.join(scratch, 'one')}/`;
    expect((await transcribe(clips[0], '-f', 'vtt', '-o', output)).code).toBe(0);
    expect(await readFile(path.join(output, 'reference.vtt'), 'utf8')).toMatch(/^WEBVTT\n\n/);
  });

  test('a path that cannot be written is a bad argument, before anything is transcribed', async () => {
    const file = path.join(scratch, 'plain');
    await writeFile(file, '');
    for (const args of [
      [clips[0], '-o', path.join(file, 'words.txt')],
      [clips[0], clips[1], '-o', file],
    ]) {
      const result = await transcribe(...args);
      expect(result).toMatchObject({ code: 2, stdout: '' });
      expect(result.stderr).toMatch(/^trt-asr: ERR_BAD_ARGUMENT: Expected .* for --output .*\n$/);
    }
  });

  test('a target that cannot be written does not stop the others', async () => {
    const output = path.join(scratch, 'blocked');
    await mkdir(path.join(output, 'reference.txt'), { recursive: true });
    const result = await transcribe(clips[0], clips[1], '-o', output);
    expect(result.code).toBe(2);
    expect(result.stderr).toMatch(/^trt-asr: .*reference\.wav: ERR_BAD_ARGUMENT: .*EISDIR.*\n$/);
    expect(await readFile(path.join(output, 'speech.txt'), 'utf8')).toBe(`${text(clips[1])}\n`);
  });

  test('an input is never overwritten', async () => {
    const file = path.join(scratch, 'spoken.txt');
    await copyFile(clips[0], file);
    const result = await transcribe(file, '-o', scratch);
    expect(result.code).toBe(2);
    expect(result.stderr).toContain('another path than that of an input');
    expect((await readFile(file)).equals(await readFile(clips[0]))).toBe(true);
  });
});

describe('the command line', () => {
  test.each([
    [['--nonsense']],
    [['nonsense']],
    [['models', 'nonsense']],
    [['transcribe']],
    [['transcribe', 'a.wav', '--nonsense']],
    [['transcribe', 'a.wav', '--format', 'pdf']],
    [['transcribe', 'a.wav', '--concurrency', '1.5']],
    [['transcribe', 'a.wav', '--concurrency', '9999']],
    [['transcribe', 'a.wav', '--threads', '0x8']],
    [['transcribe', 'a.wav', '--device', 'abacus']],
    [['transcribe', '-', '-']],
    [['transcribe', 'a.wav', '-f', 'srt', '--timestamps', 'none']],
    [['transcribe', 'a.wav', 'b.wav', '-f', 'srt']],
  ])('%j is a wrong use', async (args) => {
    const result = await run(...args);
    expect(result).toMatchObject({ code: 2, stdout: '' });
    expect(result.stderr).not.toBe('');
    expect(result.stderr).not.toMatch(/^ +at /m);
  });

  test('--help tells the commands and the exit codes', async () => {
    const result = await run('--help');
    expect(result).toMatchObject({ code: 0, stderr: '' });
    for (const command of ['transcribe', 'models', 'contract', 'doctor'])
      expect(result.stdout).toContain(`  ${command} `);
    for (const code of [0, 1, 2, 3, 4, 5, 6, 130])
      expect(result.stdout).toMatch(new RegExp(`^  ${code} +\\w`, 'm'));
  });

  test('--version is that of the package', async () => {
    const { version } = load('../../package.json') as { version: string };
    expect(await run('--version')).toMatchObject({ code: 0, stdout: `${version}\n`, stderr: '' });
  });

  test('a user without a home transcribes, and learns where a download has no place', async () => {
    const env = { HOME: '', XDG_CACHE_HOME: undefined };
    const withoutHome = (...args: string[]) => {
      const { child, finished } = start(args, { env });
      child.stdin.end();
      return finished;
    };
    expect(await withoutHome('transcribe', '--model', tiny, audio('reference.wav'))).toMatchObject({
      code: 0,
      stderr: '',
    });
    const refused = await withoutHome('models', 'list');
    expect(refused).toMatchObject({ code: 2, stdout: '' });
    expect(refused.stderr).toMatch(/ERR_BAD_ARGUMENT: .* for cacheDir .*XDG_CACHE_HOME/);
  });

  test('asking for a GPU is refused, not replaced', async () => {
    for (const device of ['cuda', 'cuda:1']) {
      const result = await transcribe(clips[0], '--device', device);
      expect(result).toMatchObject({ code: 5, stdout: '' });
      expect(result.stderr).toMatch(/^trt-asr: ERR_BACKEND_UNAVAILABLE: Expected .*\n$/);
    }
  });

  test.each([
    ['a name that is none', 'nonsense', 'ERR_MODEL_NOT_FOUND'],
    ['a folder that is missing', './nonsense/', 'ERR_MODEL_NOT_FOUND'],
    ['a folder without a model', path.dirname(bad), 'ERR_MODEL_NOT_FOUND'],
    ['a contract that does not fit', path.join(tiny, '..', 'hostile', 'blank-text'), 'ERR_CONTRACT_MISMATCH'],
  ])('a model that cannot be opened: %s', async (_, model, code) => {
    const result = await run('transcribe', clips[0], '--model', model);
    expect(result).toMatchObject({ code: 4, stdout: '' });
    expect(result.stderr).toMatch(new RegExp(`^trt-asr: ${code}: Expected .*\\n$`));
  });

  test('a download that fails ends with 6, Ctrl-C in one with 130', async () => {
    const hub = await startHub({});
    const pull = ['models', 'pull', 'parakeet-tdt-0.6b-v2-int8-sherpa'];
    const args = [...pull, '--endpoint', hub.endpoint, '--cache-dir', path.join(scratch, 'cache')];
    const failed = await run(...args);
    expect(failed).toMatchObject({ code: 6, stdout: '' });
    expect(failed.stderr).toMatch(/^trt-asr: ERR_DOWNLOAD: Expected .*\n$/);

    for (const name of ['tokens.txt', 'joiner.int8.onnx', 'decoder.int8.onnx', 'encoder.int8.onnx'])
      hub.files[name] = Buffer.from('<blk> 0\n');
    const asked = new Promise<void>((resolve) => {
      // No answer ever comes.
      hub.tricks['tokens.txt'] = () => {
        resolve();
        return true;
      };
    });
    const { child, finished } = start(args);
    expect(await Promise.race([asked, finished])).toBeUndefined();
    child.kill('SIGINT');
    expect(await finished).toMatchObject({ code: 130, stdout: '', stderr: 'trt-asr: interrupted\n' });
    await hub.close();
  });
});
