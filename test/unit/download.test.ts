import { createHash, randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { AsrError } from '../../dist/errors';
import {
  type DownloadProgress,
  listModels,
  type PullOptions,
  pullModel,
  removeModel,
  resolveModel,
  verifyModel,
} from '../../dist/model';
import { cutAfter, type HubServer, startHub } from './download_server';

const NAME = 'parakeet-tdt-0.6b-v3-int8';
const ENCODER = 'encoder-model.int8.onnx';
const JOINT = 'decoder_joint-model.int8.onnx';
const LIMITS = { stallTimeoutMs: 300, retriesMax: 2, backoffMs: 10 };

let hub: HubServer;
let cacheDir: string;

beforeEach(async () => {
  cacheDir = await mkdtemp(path.join(tmpdir(), 'trt-asr-download-'));
  hub = await startHub({
    'config.json': Buffer.from(
      '{"model_type":"nemo-conformer-tdt","features_size":128,"subsampling_factor":8}',
    ),
    'vocab.txt': Buffer.from('<unk> 0\n\u2581a 1\n<blk> 2\n'),
    [JOINT]: randomBytes(20_000),
    [ENCODER]: randomBytes(300_000),
  });
});

afterEach(async () => {
  await hub.close();
  await rm(cacheDir, { recursive: true, force: true });
});

const dirOf = () => path.join(cacheDir, 'models', NAME);
const pull = (options: PullOptions = {}) =>
  pullModel(NAME, { cacheDir, endpoint: hub.endpoint, limits: LIMITS, ...options });
const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');

async function failureOf(work: Promise<unknown>): Promise<AsrError> {
  const error = await work.then(
    () => new Error('it succeeded'),
    (caught: unknown) => caught,
  );
  expect((error as Error).name).toBe('AsrError');
  return error as AsrError;
}

async function expectComplete(): Promise<void> {
  for (const [name, bytes] of Object.entries(hub.files)) {
    expect(sha256(await readFile(path.join(dirOf(), name)))).toBe(sha256(bytes));
  }
  expect((await readdir(dirOf())).sort()).toEqual([...Object.keys(hub.files), 'trt-asr-model.json'].sort());
}

describe('a whole download', () => {
  test('brings every file, pins its hash and resolves', async () => {
    expect(await pull()).toBe(dirOf());
    await expectComplete();
    const marker = JSON.parse(await readFile(path.join(dirOf(), 'trt-asr-model.json'), 'utf8'));
    expect(marker.files[ENCODER]).toEqual({
      bytes: 300_000,
      sha256: sha256(hub.files[ENCODER] as Buffer),
      sha256_source: 'hub',
    });
    expect(marker.files['vocab.txt'].sha256_source).toBe('computed');
    const model = await resolveModel(NAME, { cacheDir, offline: true });
    expect(model.source).toBe('cache');
    expect(model.layout).toBe('nemo');
    expect(model.quantized).toBe(true);
    expect(model.files.encoder).toBe(path.join(dirOf(), ENCODER));
  });

  test('asks for the pinned revision of the repository', async () => {
    await pull();
    const wanted =
      '/istupakov/parakeet-tdt-0.6b-v3-onnx/resolve/8f23f0c03c8761650bdb5b40aaf3e40d2c15f1ce/vocab.txt';
    expect(hub.log).toContain(`GET ${wanted}`);
  });

  test('asks nothing of the network the second time', async () => {
    await pull();
    const requests = hub.log.length;
    await pull();
    await resolveModel(NAME, { cacheDir, endpoint: hub.endpoint });
    expect(hub.log.length).toBe(requests);
  });

  test('reports bytes that only grow and end at the total', async () => {
    const seen: DownloadProgress[] = [];
    await pull({ onProgress: (progress) => seen.push(progress) });
    const total = Object.values(hub.files).reduce((sum, bytes) => sum + bytes.length, 0);
    const downloading = seen.filter((progress) => progress.phase === 'downloading');
    const done = downloading.map((progress) => progress.bytesDone);
    expect(done).toEqual([...done].sort((a, b) => a - b));
    expect(downloading.at(-1)?.bytesDone).toBe(total);
    expect(downloading.at(-1)?.bytesTotal).toBe(total);
  });

  test('works through resolveModel by name', async () => {
    const model = await resolveModel(NAME, { cacheDir, endpoint: hub.endpoint, limits: LIMITS });
    expect(model.name).toBe(NAME);
    await expectComplete();
  });

  test('takes the sibling of the wanted precision', async () => {
    const model = await resolveModel('parakeet-tdt-0.6b-v3', {
      cacheDir,
      endpoint: hub.endpoint,
      limits: LIMITS,
      precision: 'int8',
    });
    expect(model.name).toBe(NAME);
  });

  test('honours HF_ENDPOINT', async () => {
    const before = process.env.HF_ENDPOINT;
    process.env.HF_ENDPOINT = `${hub.endpoint}/`;
    try {
      await pullModel(NAME, { cacheDir, limits: LIMITS });
    } finally {
      if (before === undefined) delete process.env.HF_ENDPOINT;
      else process.env.HF_ENDPOINT = before;
    }
    await expectComplete();
  });
});

describe('trouble on the way', () => {
  test('a cut connection is resumed where it ended', async () => {
    hub.tricks[ENCODER] = cutAfter(hub, ENCODER, 100_000);
    await pull();
    await expectComplete();
    expect(hub.log).toContain(`GET /storage/${ENCODER} bytes=100000-`);
  });

  test('a server without ranges is asked for the whole again', async () => {
    hub.ranges = false;
    hub.tricks[ENCODER] = cutAfter(hub, ENCODER, 100_000);
    await pull();
    await expectComplete();
  });

  test('an answer that is too short and without a length is noticed', async () => {
    hub.tricks[ENCODER] = (_request, response, count) => {
      if (count > 1) return false;
      response.writeHead(200);
      response.end((hub.files[ENCODER] as Buffer).subarray(0, 50_000));
      return true;
    };
    await pull();
    await expectComplete();
  });

  test('a wrong hash is an error, and the bytes are thrown away', async () => {
    hub.announced[ENCODER] = 'a'.repeat(64);
    const error = await failureOf(pull());
    expect(error.code).toBe('ERR_DOWNLOAD');
    expect(error.message).toContain(ENCODER);
    expect(error.received).toContain('a'.repeat(64));
    expect(existsSync(path.join(dirOf(), ENCODER))).toBe(false);
    expect(existsSync(path.join(dirOf(), `${ENCODER}.part`))).toBe(false);
    expect(existsSync(path.join(dirOf(), 'trt-asr-model.json'))).toBe(false);
  });

  test('a wrong git hash of a small file is an error', async () => {
    hub.announced['vocab.txt'] = 'b'.repeat(40);
    const error = await failureOf(pull());
    expect(error.code).toBe('ERR_DOWNLOAD');
    expect(error.message).toContain('vocab.txt');
  });

  test('a damaged part of an earlier run is fetched again', async () => {
    hub.tricks[ENCODER] = (_request, response) => {
      response.writeHead(200, { 'content-length': 300_000 });
      response.write((hub.files[ENCODER] as Buffer).subarray(0, 80_000), () =>
        setTimeout(() => response.destroy(), 20),
      );
      return true;
    };
    await failureOf(pull({ limits: { ...LIMITS, retriesMax: 0 } }));
    const part = path.join(dirOf(), `${ENCODER}.part`);
    const bytes = await readFile(part);
    bytes[10] = (bytes[10] as number) ^ 0xff;
    await writeFile(part, bytes);
    hub.tricks = {};
    await pull();
    await expectComplete();
  });

  test('a stalled server ends in an error that says so', async () => {
    hub.tricks[ENCODER] = (_request, response) => {
      response.writeHead(200, { 'content-length': 300_000 });
      response.write(Buffer.alloc(10));
      return true;
    };
    const error = await failureOf(pull({ limits: { stallTimeoutMs: 80, retriesMax: 1, backoffMs: 5 } }));
    expect(error.code).toBe('ERR_DOWNLOAD');
    expect(error.received).toContain('no data for 80 ms');
  });

  test('a slow server that keeps sending is waited for', async () => {
    hub.tricks[JOINT] = (_request, response) => {
      const bytes = hub.files[JOINT] as Buffer;
      response.writeHead(200, { 'content-length': bytes.length });
      let sent = 0;
      const timer = setInterval(() => {
        response.write(bytes.subarray(sent, sent + 2_000));
        sent += 2_000;
        if (sent < bytes.length) return;
        clearInterval(timer);
        response.end();
      }, 50);
      return true;
    };
    await pull({ limits: { ...LIMITS, stallTimeoutMs: 250 } });
    await expectComplete();
  });

  test('404 is not tried again', async () => {
    delete hub.files[ENCODER];
    const error = await failureOf(pull());
    expect(error.code).toBe('ERR_DOWNLOAD');
    expect(error.received).toContain('404');
    expect(hub.log.filter((line) => line.includes(ENCODER)).length).toBe(1);
  });

  test('500 and then 200 is a success', async () => {
    hub.tricks[ENCODER] = (_request, response, count) => {
      if (count > 2) return false;
      response.writeHead(500).end('later');
      return true;
    };
    hub.headTricks[JOINT] = (_request, response, count) => {
      if (count > 1) return false;
      response.writeHead(503).end();
      return true;
    };
    await pull();
    await expectComplete();
  });

  test('500 for ever is an error with the status', async () => {
    hub.tricks[ENCODER] = (_request, response) => {
      response.writeHead(500).end();
      return true;
    };
    const error = await failureOf(pull());
    expect(error.code).toBe('ERR_DOWNLOAD');
    expect(error.received).toContain('HTTP 500');
    expect(hub.log.filter((line) => line.startsWith(`GET /storage/${ENCODER}`)).length).toBe(3);
  });

  test('a mirror without HEAD still works, and hashes are computed', async () => {
    for (const name of Object.keys(hub.files)) {
      hub.headTricks[name] = (_request, response) => {
        response.writeHead(405).end();
        return true;
      };
    }
    await pull();
    await expectComplete();
    const marker = JSON.parse(await readFile(path.join(dirOf(), 'trt-asr-model.json'), 'utf8'));
    expect(marker.files[ENCODER].sha256_source).toBe('computed');
  });

  test('redirects in a circle end', async () => {
    hub.headTricks['config.json'] = (request, response) => {
      response.writeHead(302, { location: request.url as string }).end();
      return true;
    };
    const error = await failureOf(pull());
    expect(error.received).toContain('redirects');
  });

  test('a file that changed on the server is not joined with an old part', async () => {
    hub.tricks[ENCODER] = cutAfter(hub, ENCODER, 100_000);
    await failureOf(pull({ limits: { ...LIMITS, retriesMax: 0 } }));
    expect((await stat(path.join(dirOf(), `${ENCODER}.part`))).size).toBe(100_000);
    hub.files[ENCODER] = randomBytes(300_000);
    await pull();
    await expectComplete();
  });
});

describe('offline', () => {
  test('a refused connection names host, cause and the folder for files', async () => {
    const { endpoint } = hub;
    await hub.close();
    const error = await failureOf(pull());
    expect(error.code).toBe('ERR_DOWNLOAD');
    expect(error.message).toContain(new URL(endpoint).host);
    expect(error.message).toContain('ECONNREFUSED');
    expect(error.message).toContain(dirOf());
    expect(error.message).toContain(ENCODER);
  });

  test('offline: nothing is asked, and the error says how to get it', async () => {
    const error = await failureOf(resolveModel(NAME, { cacheDir, endpoint: hub.endpoint, offline: true }));
    expect(error.code).toBe('ERR_MODEL_NOT_FOUND');
    expect(error.message).toContain(`trt-asr models pull ${NAME}`);
    expect(hub.log).toEqual([]);
  });

  test('files put there by hand are used, and a pull keeps the right ones', async () => {
    await mkdir(dirOf(), { recursive: true });
    for (const [name, bytes] of Object.entries(hub.files)) await writeFile(path.join(dirOf(), name), bytes);
    const model = await resolveModel(NAME, { cacheDir, offline: true });
    expect(model.source).toBe('cache');
    expect((await verifyModel(NAME, { cacheDir })).pinned).toBe(false);
    await pull();
    expect(hub.log.filter((line) => line.startsWith('GET'))).toEqual([]);
    expect((await verifyModel(NAME, { cacheDir })).pinned).toBe(true);
  });

  test('an endpoint that is no address is refused', async () => {
    const error = await failureOf(pull({ endpoint: 'ftp://example.invalid' }));
    expect(error.code).toBe('ERR_BAD_ARGUMENT');
    expect(error.field).toBe('endpoint');
  });

  test('a cache folder that cannot be made is an error with its path', async () => {
    const file = path.join(cacheDir, 'file');
    await writeFile(file, '');
    const error = await failureOf(pull({ cacheDir: path.join(file, 'cache') }));
    expect(error.code).toBe('ERR_DOWNLOAD');
    expect(error.field).toBe('cacheDir');
  });
});

describe('abort and concurrency', () => {
  test('an abort before the start rejects with the reason', async () => {
    const reason = new Error('not now');
    await expect(pull({ signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    expect(hub.log).toEqual([]);
  });

  test('an abort midway leaves a part, no marker and no lock; the next pull resumes', async () => {
    const controller = new AbortController();
    const reason = new Error('enough');
    hub.tricks[ENCODER] = (_request, response, count) => {
      if (count > 1) return false;
      response.writeHead(200, { 'content-length': 300_000, etag: '"x"' });
      response.write((hub.files[ENCODER] as Buffer).subarray(0, 120_000));
      return true;
    };
    const onProgress = (progress: DownloadProgress) => {
      if (progress.bytesDone >= 120_000) controller.abort(reason);
    };
    const limits = { ...LIMITS, stallTimeoutMs: 5_000 };
    await expect(pull({ signal: controller.signal, onProgress, limits })).rejects.toBe(reason);
    const part = await stat(path.join(dirOf(), `${ENCODER}.part`));
    expect(part.size).toBeGreaterThan(0);
    expect(existsSync(path.join(dirOf(), 'trt-asr-model.json'))).toBe(false);
    expect(await readdir(path.join(cacheDir, 'locks'))).toEqual([]);
    await pull();
    await expectComplete();
    expect(hub.log.some((line) => line.startsWith(`GET /storage/${ENCODER} bytes=`))).toBe(true);
  });

  test('two pulls at once fetch every file once', async () => {
    const phases = new Set<string>();
    const onProgress = (progress: DownloadProgress) => phases.add(progress.phase);
    await Promise.all([pull({ onProgress }), pull({ onProgress }), pull({ onProgress })]);
    await expectComplete();
    expect(phases.has('waiting')).toBe(true);
    expect(hub.log.filter((line) => line === `GET /storage/${ENCODER}`).length).toBe(1);
  });

  test('waiting for the lock ends with an abort', async () => {
    const first = new AbortController();
    hub.tricks[ENCODER] = (_request, response) => {
      response.writeHead(200, { 'content-length': 300_000 });
      response.write(Buffer.alloc(10));
      return true;
    };
    const limits = { ...LIMITS, stallTimeoutMs: 10_000 };
    let holder: Promise<unknown> = Promise.resolve();
    await new Promise<void>((resolve) => {
      const onProgress = (progress: DownloadProgress) => progress.phase === 'downloading' && resolve();
      holder = pull({ signal: first.signal, limits, onProgress }).catch((error: unknown) => error);
    });
    const reason = new Error('no patience');
    const second = new AbortController();
    const waiting = pull({
      signal: second.signal,
      limits,
      onProgress: (progress) => progress.phase === 'waiting' && second.abort(reason),
    });
    await expect(waiting).rejects.toBe(reason);
    first.abort();
    expect(((await holder) as Error).name).toBe('AbortError');
  });
});

describe('list, verify and remove', () => {
  test('list says what is there', async () => {
    const before = (await listModels({ cacheDir })).find((model) => model.name === NAME);
    expect(before?.state).toBe('absent');
    expect(before?.runHere).toBe(false);
    await pull();
    const after = (await listModels({ cacheDir })).find((model) => model.name === NAME);
    expect(after?.state).toBe('complete');
    expect(after?.bytes).toBe(Object.values(hub.files).reduce((sum, bytes) => sum + bytes.length, 0));
  });

  test('verify finds one flipped bit and names the file', async () => {
    await pull();
    expect((await verifyModel(NAME, { cacheDir })).files.every((file) => file.status === 'ok')).toBe(true);
    const file = path.join(dirOf(), ENCODER);
    const bytes = await readFile(file);
    bytes[200_000] = (bytes[200_000] as number) ^ 1;
    await writeFile(file, bytes);
    const error = await failureOf(verifyModel(NAME, { cacheDir }));
    expect(error.code).toBe('ERR_MODEL_CORRUPT');
    expect(error.field).toBe(ENCODER);
  });

  test('a truncated file in the cache is noticed without reading it, and fetched again', async () => {
    await pull();
    await truncate(path.join(dirOf(), ENCODER), 1000);
    const error = await failureOf(resolveModel(NAME, { cacheDir, offline: true }));
    expect(error.code).toBe('ERR_MODEL_NOT_FOUND');
    await resolveModel(NAME, { cacheDir, endpoint: hub.endpoint, limits: LIMITS });
    await expectComplete();
  });

  test('a damaged marker is as good as none', async () => {
    await pull();
    await writeFile(
      path.join(dirOf(), 'trt-asr-model.json'),
      '{"schema": "trt-asr-model/1", "files": {"x": 1}}',
    );
    expect((await listModels({ cacheDir })).find((model) => model.name === NAME)?.state).toBe('unpinned');
  });

  test('remove takes the folder away, and says so when there is none', async () => {
    await pull();
    expect(await removeModel(NAME, { cacheDir })).toBeGreaterThan(320_000);
    expect(existsSync(dirOf())).toBe(false);
    expect((await failureOf(removeModel(NAME, { cacheDir }))).code).toBe('ERR_MODEL_NOT_FOUND');
  });

  test('the shipped model is not removed', async () => {
    expect((await failureOf(removeModel('demo-en', { cacheDir }))).code).toBe('ERR_BAD_ARGUMENT');
  });

  test('a name that is none lists those that exist', async () => {
    const error = await failureOf(pullModel('../../etc', { cacheDir }));
    expect(error.code).toBe('ERR_MODEL_NOT_FOUND');
    expect(error.message).toContain(NAME);
  });
});
