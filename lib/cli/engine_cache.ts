import type { Command } from 'commander';
import { type CachedEngine, type ListEnginesOptions, listEngines, pruneEngines } from '../engine_cache';
import { bytesText } from './progress';
import { table } from './table';

interface CacheOptions {
  engineCache?: string;
  json?: boolean;
}

function inCache(model: string | undefined, { engineCache }: CacheOptions): ListEnginesOptions {
  return {
    ...(model === undefined ? {} : { model }),
    ...(engineCache === undefined ? {} : { engineCacheDir: engineCache }),
  };
}

/** "rtx 10701" is TensorRT-RTX 1.7.1. */
function tensorrtText(line: string | undefined): string {
  const [flavour, version] = (line ?? '').split(' ');
  const number = Number(version);
  const text = [number / 10_000, (number / 100) % 100, number % 100].map(Math.floor).join('.');
  return `${flavour === 'rtx' ? 'TensorRT-RTX' : 'TensorRT'} ${text}`;
}

/** "NVIDIA L4", "Ampere or newer", or the compute capabilities that it was built for. */
function madeFor({ gpu, targets }: Record<string, string>): string {
  return targets === undefined || targets === 'none' ? (gpu ?? '') : `for ${targets}`;
}

function row({ model, header, bytes, lastUsed, damage, path }: CachedEngine): string[] {
  const made =
    damage === undefined
      ? [
          header.graph ?? header.kind ?? '',
          header.precision ?? '',
          tensorrtText(header.tensorrt),
          madeFor(header),
        ]
      : ['damaged', '', '', ''];
  return [model, ...made, bytesText(bytes), `used ${lastUsed.toISOString().slice(0, 10)}`, path];
}

async function list(model: string | undefined, options: CacheOptions): Promise<void> {
  const engines = await listEngines(inCache(model, options));
  process.stdout.write(
    options.json === true ? `${JSON.stringify({ engines })}\n` : table(engines.map(row).sort()),
  );
}

async function prune(
  model: string | undefined,
  options: CacheOptions & { unusedDays: number; all?: boolean; dryRun?: boolean; tensorrt?: string },
): Promise<void> {
  const dryRun = options.dryRun === true;
  const engines = await pruneEngines({
    ...inCache(model, options),
    unusedDays: options.unusedDays,
    all: options.all === true,
    dryRun,
    ...(options.tensorrt === undefined ? {} : { tensorrtPath: options.tensorrt }),
  });
  const bytes = engines.reduce((sum, engine) => sum + engine.bytes, 0);
  if (options.json === true) {
    process.stdout.write(`${JSON.stringify({ dryRun, bytes, engines })}\n`);
    return;
  }
  const files = `${engines.length} ${engines.length === 1 ? 'file' : 'files'}, ${bytesText(bytes)}`;
  const said = `${dryRun ? 'would be deleted' : 'deleted'}: ${files}\n`;
  process.stdout.write(table(engines.map(row).sort()) + said);
}

/** `trt-asr list-engines [MODEL]` and `trt-asr prune-engines [MODEL]`. `whole` reads a whole number. */
export function registerEngineCacheCommands(program: Command, whole: (text: string) => number): void {
  program
    .command('list-engines [model]')
    .description(
      'list the engines in the cache: what they were made of and for, and when they were last used',
    )
    .option('--engine-cache <folder>', 'where engines are kept')
    .option('--json', 'print one JSON object')
    .action(list);
  program
    .command('prune-engines [model]')
    .description('delete engines that were not used of late and that the TensorRT found here cannot use')
    .option('--unused-days <days>', 'those used in these last days stay', whole, 30)
    .option('--all', 'those that the TensorRT found here could use go, too')
    .option('--dry-run', 'say what would be deleted, and delete nothing')
    .option('--engine-cache <folder>', 'where engines are kept')
    .option('--tensorrt <folder>', "folder of TensorRT's libraries")
    .option('--json', 'print one JSON object')
    .action(prune);
}
