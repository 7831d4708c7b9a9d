import { existsSync, readFileSync } from 'node:fs';
import * as path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Consumer, root, run } from './consumer';
import { builtLibraries, packCuda, standInLibraries, standInTensorRt, tool } from './cuda_package';

const { version } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')) as { version: string };
const prebuilds = `prebuilds/${process.platform}-${process.arch}`;
const welcome = path.join(root, 'examples', 'welcome.wav');
// The file's own words, to the letter.
const welcomeText = readFileSync(path.join(root, 'examples', 'welcome.txt'), 'utf8').trim();

const consumer = new Consumer();
beforeAll(() => consumer.install());
afterAll(() => consumer.remove());

/** Transcribes the file named by the first argument, and prints the text as JSON; `Recognizer` must be in scope. */
const transcribe = `
async function transcribe(file) {
  const asr = await Recognizer.open({ model: 'demo-en', device: 'cpu' });
  try {
    return (await asr.transcribe(file)).text;
  } finally {
    await asr.close();
  }
}
`;
const report = 'transcribe(process.argv[2]).then((text) => process.stdout.write(text));';

describe('the packed tarball', () => {
  it.each([
    'package.json',
    'README.md',
    'LICENSE',
    'CHANGELOG.md',
    'dist/index.js',
    'dist/index.mjs',
    'dist/index.d.ts',
    'dist/index.d.mts',
    'dist/cli/main.js',
    'contracts/schema.json',
    'models/demo-en/contract.json',
    'models/demo-en/README.md',
    'models/demo-en-streaming/contract.json',
    'models/demo-en-streaming/streaming_encoder.onnx',
    'tools/install.js',
    `${prebuilds}/trt_asr.node`,
    `${prebuilds}/libtrt_asr_onnxruntime.so`,
  ])('holds %s', (file) => {
    expect(consumer.files.get(file) ?? 0).toBeGreaterThan(0);
  });

  it('holds the licence and the notices of ONNX Runtime beside its library', () => {
    const beside = [...consumer.files.keys()].filter((file) => file.startsWith(`${prebuilds}/`));
    expect(beside.filter((file) => /onnxruntime.*licen[cs]e/i.test(file))).toHaveLength(1);
    expect(beside.filter((file) => /onnxruntime.*notices/i.test(file))).toHaveLength(1);
  });

  it('holds no tests, build trees, caches or other packages', () => {
    const strays =
      /(^|\/)(test|build|node_modules|__pycache__|\.ci|docs)\/|\.(pyc|o|a|log|tgz)$|tsconfig|vitest/;
    expect([...consumer.files.keys()].filter((file) => strays.test(file))).toEqual([]);
  });

  it('holds every file that package.json points at', () => {
    const manifest = JSON.parse(
      readFileSync(path.join(consumer.dir, 'node_modules/trt-asr/package.json'), 'utf8'),
    );
    const entries = JSON.stringify([manifest.main, manifest.types, manifest.exports, manifest.bin]);
    const named = [...entries.matchAll(/"(?:\.\/)?((?:dist\/|package\.json)[^"]*)"/g)].map(
      (match) => match[1] ?? '',
    );
    expect(named.filter((file) => !consumer.files.has(file))).toEqual([]);
  });

  it("holds nothing of the GPU's package", () => {
    expect(
      [...consumer.files.keys()].filter((file) => /tensorrt_|libtrt_asr_cuda|cuda-package/.test(file)),
    ).toEqual([]);
  });

  it('stays small enough to install at every deployment', () => {
    // CONTRACT: about 46 MB of ONNX Runtime, at most 10 MB of model, and little else.
    expect([...consumer.files.values()].reduce((sum, bytes) => sum + bytes, 0)).toBeLessThan(75e6);
    expect(consumer.tarballBytes).toBeLessThan(40e6);
  });
});

describe('the prebuilt libraries', () => {
  const file = (name: string) => path.join(consumer.dir, 'node_modules', 'trt-asr', prebuilds, name);

  it('export the Node-API entries alone', async () => {
    const { stdout } = await run('nm', ['-D', '--defined-only', file('trt_asr.node')], { cwd: root });
    const names = stdout.split('\n').map((line) => line.split(' ').pop() ?? '');
    expect(names.filter(Boolean).sort()).toEqual([
      'napi_register_module_v1',
      'node_api_module_get_api_version_v1',
    ]);
  });

  it('need nothing but the C library', async () => {
    const { stdout } = await run('readelf', ['-d', file('trt_asr.node')], { cwd: root });
    const needed = [...stdout.matchAll(/NEEDED.*\[(.+)\]/g)].map((match) => match[1] ?? '');
    expect(needed.filter((name) => !/^(libc|libm|libdl|libpthread|ld-linux.*)\.so/.test(name))).toEqual([]);
  });

  it('carry ONNX Runtime under a name of our own', async () => {
    const { stdout } = await run('readelf', ['-d', file('libtrt_asr_onnxruntime.so')], { cwd: root });
    expect(/SONAME.*\[(.+)\]/.exec(stdout)?.[1]).toBe('libtrt_asr_ort.so');
  });
});

describe('a folder with the tarball installed, an empty HOME and no compiler', () => {
  it('has no other package of ONNX Runtime', () => {
    expect(existsSync(path.join(consumer.dir, 'node_modules', 'onnxruntime-node'))).toBe(false);
  });

  it('passes the install script without a word', async () => {
    const outcome = await consumer.run('node', ['node_modules/trt-asr/tools/install.js']);
    expect(outcome).toEqual({ status: 0, stdout: '', stderr: '' });
  });

  it('transcribes from an ES module', async () => {
    const source = `import { Recognizer } from 'trt-asr';\n${transcribe}${report}`;
    const outcome = await consumer.script('module.mjs', source, [welcome]);
    expect(outcome).toEqual({ status: 0, stdout: expect.stringContaining(welcomeText), stderr: '' });
  });

  it('transcribes from CommonJS', async () => {
    const source = `const { Recognizer } = require('trt-asr');\n${transcribe}${report}`;
    const outcome = await consumer.script('common.cjs', source, [welcome]);
    expect(outcome).toEqual({ status: 0, stdout: expect.stringContaining(welcomeText), stderr: '' });
  });

  it('has one copy of every class, however it is loaded', async () => {
    const source = `
      import { createRequire } from 'node:module';
      import * as esm from 'trt-asr';
      const cjs = createRequire(import.meta.url)('trt-asr');
      const differing = Object.keys(cjs).filter((name) => name !== 'default' && cjs[name] !== esm[name]);
      process.stdout.write(JSON.stringify({ differing, classes: typeof esm.Recognizer + ' ' + typeof esm.AsrError }));`;
    const outcome = await consumer.script('same.mjs', source);
    const stdout = '{"differing":[],"classes":"function function"}';
    expect(outcome).toEqual({ status: 0, stdout, stderr: '' });
  });

  it('transcribes in two worker threads and in the main one at once', async () => {
    const source = `
      const { Worker, isMainThread, parentPort, workerData } = require('node:worker_threads');
      const { Recognizer } = require('trt-asr');
      ${transcribe}
      if (isMainThread) {
        const file = process.argv[2];
        const inWorker = () => new Promise((resolve, reject) => {
          const worker = new Worker(__filename, { workerData: file });
          let text;
          worker.on('message', (message) => { text = message; });
          worker.on('error', reject);
          worker.on('exit', () => resolve(text));
        });
        Promise.all([inWorker(), inWorker(), transcribe(file)])
          .then((texts) => process.stdout.write([...new Set(texts)].join('|')));
      } else {
        transcribe(workerData).then((text) => parentPort.postMessage(text));
      }`;
    const outcome = await consumer.script('worker.cjs', source, [welcome]);
    expect(outcome).toEqual({ status: 0, stdout: expect.stringContaining(welcomeText), stderr: '' });
    expect(outcome.stdout).not.toContain('|');
  });

  it('answers npx trt-asr --version', async () => {
    const outcome = await consumer.run('npx', ['trt-asr', '--version']);
    expect(outcome).toEqual({ status: 0, stdout: `${version}\n`, stderr: '' });
  });

  it('transcribes by npx trt-asr transcribe', async () => {
    const outcome = await consumer.run('npx', ['trt-asr', 'transcribe', welcome, '--model', 'demo-en']);
    expect(outcome).toEqual({ status: 0, stdout: expect.stringContaining(welcomeText), stderr: '' });
  });

  it('leaves nothing in HOME', () => {
    expect(consumer.leftInHome()).toEqual([]);
  });
});

describe('beside onnxruntime-node in one process', () => {
  beforeAll(() => consumer.addOnnxruntimeNode());
  const peer = `
    async function peer() {
      const { InferenceSession } = require('onnxruntime-node');
      const session = await InferenceSession.create(require('node:path').join(__dirname, 'node_modules/trt-asr/models/demo-en/predictor.onnx'));
      return session.inputNames.length;
    }`;

  it.each([
    ['first', 'peer().then(async (inputs) => [inputs, await transcribe(process.argv[2])])'],
    ['second', 'transcribe(process.argv[2]).then(async (text) => [await peer(), text])'],
  ])('works when the peer is loaded %s', async (order, sequence) => {
    const source = `
      ${transcribe.replaceAll('Recognizer.open', "require('trt-asr').Recognizer.open")}
      ${peer}
      ${sequence}.then((both) => process.stdout.write(both.join(' ')));`;
    const outcome = await consumer.script(`peer_${order}.cjs`, source, [welcome]);
    expect(outcome.stderr).toBe('');
    expect(outcome.status).toBe(0);
    expect(outcome.stdout).toMatch(/^3 /);
    expect(outcome.stdout).toContain(welcomeText);
  });
});

describe('with trt-asr-cuda-linux-x64 installed beside it', () => {
  const installed = path.join(consumer.dir, 'node_modules', 'trt-asr-cuda-linux-x64');
  const tensorrt = path.join(consumer.base, 'tensorrt');
  const built = builtLibraries();
  if (built === undefined)
    process.stdout.write(
      'tarball.test.ts: trt-asr-cuda-linux-x64 is packed with stand-ins, as its libraries were not built\n',
    );
  let files: Map<string, number>;
  beforeAll(async () => {
    await standInTensorRt(tensorrt);
    const folders = built ?? (await standInLibraries(path.join(consumer.base, 'stand_ins')));
    const packed = await packCuda(folders, path.join(consumer.base, 'cuda-linux-x64'));
    files = packed.files;
    await consumer.add(packed.tarball);
  });

  it('the package holds its libraries, its licence and its page, and nothing else', () => {
    const libraries = tool.LIBRARIES.map((name) => `lib/${name}`);
    expect([...files.keys()].sort()).toEqual(['LICENSE', 'README.md', ...libraries, 'package.json'].sort());
    expect([...files.values()].reduce((sum, bytes) => sum + bytes, 0)).toBeLessThan(20e6);
  });

  it('goes with this version, and only where it runs', () => {
    const manifest = JSON.parse(readFileSync(path.join(installed, 'package.json'), 'utf8'));
    const own = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'));
    expect(manifest).toMatchObject({ version, os: ['linux'], cpu: ['x64'], license: own.license });
    expect(own.peerDependencies[manifest.name]).toBe(version);
    expect(own.peerDependenciesMeta[manifest.name]).toEqual({ optional: true });
  });

  it('is not packed when a library is missing', () => {
    const target = path.join(consumer.base, 'incomplete');
    expect(() => tool.fill([tensorrt], target)).toThrow(/not built: libtrt_asr_cuda\.so, .*TENSORRT_ROOT/);
    expect(existsSync(target)).toBe(false);
  });

  it('is found by trt-asr, which says what is missing besides', async () => {
    const source = `
      const { Recognizer } = require('trt-asr');
      Recognizer.open({ model: 'demo-en', device: 'cuda', tensorrtPath: process.argv[2] })
        .then((asr) => asr.close(), ({ code, message }) => process.stdout.write(code + ' ' + message));`;
    const { status, stdout, stderr } = await consumer.script('cuda.cjs', source, [tensorrt]);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(stdout).toMatch(/^ERR_BACKEND_UNAVAILABLE /);
    const plugin = path.join(installed, 'lib', 'libtrt_asr_tensorrt_11.so');
    expect(stdout).toContain(`TensorRT 11 (${path.join(tensorrt, 'libnvinfer.so.11')}): version 11.2.3`);
    expect(stdout).toContain(`plug-in for TensorRT 11 (${plugin}): ABI `);
    expect(stdout).toContain(`CUDA kernels (${path.join(installed, 'lib', 'libtrt_asr_cuda.so')}): ABI `);
  });

  it("leaves device 'auto' on the CPU, where the driver is missing", async () => {
    const source = `
      const { Recognizer } = require('trt-asr');
      Recognizer.open({ model: 'demo-en', tensorrtPath: process.argv[2] }).then(async (asr) => {
        const { text } = await asr.transcribe(process.argv[3]);
        process.stdout.write(asr.device.device + ' ' + asr.device.reason + ' ' + text);
        await asr.close();
      });`;
    const outcome = await consumer.script('auto.cjs', source, [tensorrt, welcome]);
    expect(outcome).toEqual({ status: 0, stdout: expect.stringContaining(welcomeText), stderr: '' });
    expect(outcome.stdout).toMatch(/^cpu auto: /);
  });

  it('leaves nothing in HOME', () => {
    expect(consumer.leftInHome()).toEqual([]);
  });
});
