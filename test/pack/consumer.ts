import { execFile } from 'node:child_process';
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import * as path from 'node:path';

export const root = path.resolve(import.meta.dirname, '..', '..');

export interface Outcome {
  status: number | string;
  stdout: string;
  stderr: string;
}

/** Runs a program to its end without blocking this one. A signal that ended it stands in `status`. */
export function run(
  file: string,
  args: string[],
  options: { cwd: string; env?: NodeJS.ProcessEnv },
): Promise<Outcome> {
  return new Promise((resolve) => {
    const limits = { timeout: 240_000, maxBuffer: 1 << 26 };
    const child = execFile(file, args, { ...options, ...limits }, (error, stdout, stderr) => {
      resolve({ status: error === null ? 0 : (error.signal ?? error.code ?? 'unknown'), stdout, stderr });
    });
    child.stdin?.end();
  });
}

/** npm's own settings of this machine that an empty HOME would lose: where packages come from, and through what. */
async function networkSettings(): Promise<NodeJS.ProcessEnv> {
  const kept = Object.entries(process.env).filter(([name]) =>
    /_proxy$|^NODE_EXTRA_CA_CERTS$|^SSL_CERT_/i.test(name),
  );
  const settings: NodeJS.ProcessEnv = Object.fromEntries(kept);
  for (const key of ['registry', 'cache', 'cafile']) {
    const { stdout } = await run('npm', ['config', 'get', key], { cwd: root });
    const value = stdout.trim();
    if (value !== '' && value !== 'null') settings[`npm_config_${key}`] = value;
  }
  return settings;
}

/** What `npm pack` tells of a tarball. */
export interface Packed {
  filename: string;
  size: number;
  files: { path: string; size: number }[];
}

/** Packs the package in `folder` into `destination`. */
export async function pack(folder: string, destination: string): Promise<Packed> {
  // The scripts stay out: `prepare` would rewrite dist/ under the feet of the tests that run beside this.
  const args = ['pack', '--json', '--ignore-scripts', '--pack-destination', destination];
  const { stdout } = await succeed(run('npm', args, { cwd: folder }));
  const [packed] = JSON.parse(stdout) as [Packed];
  return packed;
}

/** A folder into which the packed tarball is installed, with nothing around it that a fresh machine would lack. */
export class Consumer {
  readonly base = realpathSync(mkdtempSync(path.join(tmpdir(), 'trt-asr-pack-')));
  readonly dir = path.join(this.base, 'app');
  readonly home = path.join(this.base, 'home');
  private readonly bin = path.join(this.base, 'bin');
  private env: NodeJS.ProcessEnv = {};
  /** Paths inside the tarball, with their sizes in bytes. */
  files = new Map<string, number>();
  tarballBytes = 0;

  /** Makes the real prebuild, packs it, and installs the tarball. Throws with npm's words when one of them fails. */
  async install(): Promise<void> {
    for (const folder of [this.dir, this.home, this.bin]) mkdirSync(folder);
    // Node and a shell, as in a slim container: no compiler, no CMake, no Python.
    const node = realpathSync(process.execPath);
    symlinkSync(node, path.join(this.bin, 'node'));
    symlinkSync('/bin/sh', path.join(this.bin, 'sh'));
    for (const name of ['npm', 'npx']) {
      const { stdout } = await run('sh', ['-c', `command -v ${name}`], { cwd: root });
      symlinkSync(realpathSync(stdout.trim()), path.join(this.bin, name));
    }
    this.env = { ...(await networkSettings()), PATH: this.bin, HOME: this.home, CI: 'true' };

    await succeed(run(process.execPath, ['tools/native-build/prebuild.js'], { cwd: root }));
    const packed = await pack(root, this.base);
    this.tarballBytes = packed.size;
    this.files = new Map(packed.files.map((file) => [file.path, file.size]));
    writeFileSync(path.join(this.dir, 'package.json'), '{ "private": true }\n');
    await this.add(path.join(this.base, packed.filename));
  }

  /** Installs a tarball beside what is there, as a user does. */
  async add(tarball: string): Promise<void> {
    await succeed(this.run('npm', ['install', '--prefer-offline', '--no-audit', '--no-fund', tarball]));
  }

  /** Runs a program found on the bare PATH, in the consumer's folder and environment. */
  run(program: 'node' | 'npm' | 'npx', args: string[]): Promise<Outcome> {
    return run(path.join(this.bin, program), args, { cwd: this.dir, env: this.env });
  }

  /** Writes a script into the consumer's folder and runs it with Node. */
  script(name: string, source: string, args: string[] = []): Promise<Outcome> {
    writeFileSync(path.join(this.dir, name), source);
    return this.run('node', [name, ...args]);
  }

  /** Puts the development copy of `onnxruntime-node` beside the installed package, this platform's part alone. */
  addOnnxruntimeNode(): void {
    const modules = path.join(root, 'node_modules');
    for (const name of ['onnxruntime-node', 'onnxruntime-common']) {
      const from = path.join(modules, name);
      const platforms = /[\\/]bin[\\/]napi-v\d+[\\/](.+)$/;
      cpSync(from, path.join(this.dir, 'node_modules', name), {
        recursive: true,
        filter: (file) => {
          const inside = platforms.exec(file)?.[1]?.split(path.sep);
          if (inside === undefined) return true;
          return inside[0] === process.platform && (inside[1] ?? process.arch) === process.arch;
        },
      });
    }
  }

  /** What lies in HOME, but for npm's own folder. */
  leftInHome(): string[] {
    return readdirSync(this.home).filter((name) => name !== '.npm');
  }

  remove(): void {
    rmSync(this.base, { recursive: true, force: true });
  }
}

export async function succeed(outcome: Promise<Outcome>): Promise<Outcome> {
  const { status, stdout, stderr } = await outcome;
  if (status !== 0) throw new Error(`exit status ${status}\n${stdout}\n${stderr}`);
  return { status, stdout, stderr };
}
