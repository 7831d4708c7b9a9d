import { existsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import type { Command } from 'commander';
import { addonCandidates, loadAddon } from '../binding';
import { surveyCuda } from '../device';
import { AsrError, errorMessage } from '../errors';
import { cacheRoot, listModels, resolveModel } from '../model';
import { SHIPPED_MODELS } from '../model/registry';
import { packageVersion } from './version';

interface Finding {
  name: string;
  ok: boolean;
  found: string;
  remedy?: string;
}

/** What was found, or the error that looking for it gave, with its remedy on its own. */
async function check(name: string, body: () => string | Promise<string>, remedy?: string): Promise<Finding> {
  try {
    return { name, ok: true, found: await body() };
  } catch (error) {
    if (!(error instanceof AsrError)) return { name, ok: false, found: String(error) };
    const { code, field, expected, received } = error;
    const toDo = remedy ?? error.remedy;
    const found = errorMessage({ code, field, expected, received });
    return { name, ok: false, found, ...(toDo === undefined ? {} : { remedy: toDo }) };
  }
}

function addonFile(): string {
  loadAddon();
  return addonCandidates().find((file) => existsSync(file)) as string;
}

function aacDecoder(): string {
  try {
    require.resolve('@audio/decode-aac');
    return 'installed; AAC and M4A files are read';
  } catch {
    return 'not installed; AAC and M4A files need it: npm install @audio/decode-aac';
  }
}

async function readyModels(): Promise<string> {
  const models = await listModels();
  const ready = models.filter(({ state }) => state === 'complete' || state === 'unpinned');
  return `${ready.map((model) => model.name).join(', ') || 'none'}, in ${cacheRoot()}`;
}

/** What of NVIDIA's is here. Nothing is missing where it is not: every model runs on the CPU. */
async function cudaFinding(): Promise<Finding> {
  const { looked, tensorrt, gpus, unavailable } = await surveyCuda();
  const list = looked.map(({ what, where, outcome }) => `${what} (${where}): ${outcome}`).join('; ');
  const found =
    unavailable === undefined
      ? `${tensorrt} on ${gpus.map(({ name }) => name).join(', ')}`
      : `not used; every model runs on the CPU. ${list}`;
  return { name: 'tensorrt (cuda)', ok: true, found };
}

async function findings(): Promise<Finding[]> {
  const node = `${process.version} on ${process.platform}-${process.arch}, ${availableParallelism()} processors`;
  const addon = await check('native add-on', addonFile);
  return [
    await check('trt-asr', packageVersion),
    { name: 'node', ok: true, found: node },
    addon,
    addon.ok
      ? await check('onnxruntime (cpu)', () => loadAddon().ortVersion())
      : { name: 'onnxruntime (cpu)', ok: false, found: 'not known: it comes with the add-on' },
    addon.ok
      ? await cudaFinding()
      : { name: 'tensorrt (cuda)', ok: true, found: 'not known: the add-on looks for it' },
    { name: 'aac decoder', ok: true, found: aacDecoder() },
    await check(
      'shipped models',
      async () =>
        (await Promise.all(SHIPPED_MODELS.map((name) => resolveModel(name))))
          .map(({ dir }) => dir)
          .join(', '),
      'Reinstall the package, or download a model of `trt-asr models list` and name it with --model.',
    ),
    await check('downloaded models', readyModels),
  ];
}

/** `trt-asr doctor`: what was found, what is missing, what to do. Exit code 5 when something is missing. */
export function registerDoctorCommand(program: Command): void {
  program
    .command('doctor')
    .description('show what was found, what is missing and what to do')
    .option('--json', 'print one JSON object')
    .action(async (options: { json?: boolean }) => {
      const all = await findings();
      const ok = all.every((finding) => finding.ok);
      if (options.json) {
        process.stdout.write(`${JSON.stringify({ ok, findings: all })}\n`);
      } else {
        for (const { name, ok: good, found, remedy } of all) {
          process.stdout.write(`${good ? 'ok     ' : 'MISSING'}  ${name.padEnd(18)} ${found}\n`);
          if (remedy !== undefined) process.stdout.write(`${' '.repeat(28)}-> ${remedy}\n`);
        }
      }
      process.exitCode = ok ? 0 : 5;
    });
}
