import { existsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import type { Command } from 'commander';
import { addonCandidates, loadAddon } from '../binding';
import { listModels } from '../model';
import { packageVersion } from './version';

interface Finding {
  name: string;
  ok: boolean;
  found: string;
  remedy?: string;
}

function check(name: string, body: () => string): Finding {
  try {
    return { name, ok: true, found: body() };
  } catch (error) {
    const { message, remedy } = error as { message: string; remedy?: string };
    return { name, ok: false, found: message, ...(remedy === undefined ? {} : { remedy }) };
  }
}

async function findings(): Promise<Finding[]> {
  const models = await listModels();
  const ready = models
    .filter((model) => model.state === 'shipped' || model.state === 'complete')
    .map((model) => model.name);
  return [
    check('trt-asr', packageVersion),
    check(
      'node',
      () => `${process.version} on ${process.platform}-${process.arch}, ${availableParallelism()} processors`,
    ),
    check('native add-on', () => {
      loadAddon();
      return addonCandidates().find((file) => existsSync(file)) ?? 'loaded';
    }),
    check('onnxruntime (cpu)', () => loadAddon().ortVersion()),
    { name: 'tensorrt (cuda)', ok: true, found: 'not part of this version; every model runs on the CPU' },
    ready.length > 0
      ? { name: 'models', ok: true, found: ready.join(', ') }
      : { name: 'models', ok: false, found: 'none', remedy: 'trt-asr models pull NAME' },
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
