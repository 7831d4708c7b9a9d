import type { Command } from 'commander';
import {
  type DownloadProgress,
  listModels,
  type ModelStatus,
  pullModel,
  removeModel,
  verifyModel,
} from '../model';
import { interruptible } from './interrupt';
import { optimize } from './optimize';
import { type Bar, bytesText, openBar } from './progress';
import { table } from './table';

interface CommonOptions {
  json?: boolean;
  cacheDir?: string;
}

function printJson(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value, null, 2)}\n`);
}

function listRow(model: ModelStatus): string[] {
  const languages =
    model.languages.length > 3 ? `${model.languages.length} languages` : model.languages.join(',');
  const note = model.runHere ? '' : 'not run by this project';
  return [model.name, model.precision, bytesText(model.bytes), languages, model.license, model.state, note];
}

async function list(options: CommonOptions): Promise<void> {
  const models = await listModels({ cacheDir: options.cacheDir });
  if (options.json === true) return printJson(models);
  const head = ['NAME', 'PRECISION', 'SIZE', 'LANGUAGES', 'LICENCE', 'STATE', ''];
  process.stdout.write(table([head, ...models.map(listRow)]));
}

function showDownload(bar: Bar, progress: DownloadProgress): void {
  const speed = progress.bytesPerSecond === undefined ? '' : `, ${bytesText(progress.bytesPerSecond)}/s`;
  const amount = `${bytesText(progress.bytesDone)} of ${bytesText(progress.bytesTotal)}${speed}`;
  const detail =
    progress.phase === 'waiting' ? 'another process downloads it' : `${amount} ${progress.file ?? ''}`;
  bar.update({
    done: progress.bytesDone,
    total: progress.bytesTotal,
    detail,
    remainingMs: progress.remainingMs,
  });
}

async function pull(name: string, options: CommonOptions & { endpoint?: string }): Promise<void> {
  const bar = await openBar(name);
  const dir = await interruptible((signal) =>
    pullModel(name, {
      cacheDir: options.cacheDir,
      endpoint: options.endpoint,
      signal,
      onProgress: (progress) => showDownload(bar, progress),
    }),
  ).finally(() => bar.stop());
  if (options.json === true) return printJson({ name, dir });
  process.stdout.write(`${dir}\n`);
}

async function remove(name: string, options: CommonOptions): Promise<void> {
  const bytes = await removeModel(name, { cacheDir: options.cacheDir });
  if (options.json === true) return printJson({ name, bytes });
  process.stdout.write(`${name} removed, ${bytesText(bytes)} free\n`);
}

async function verify(name: string, options: CommonOptions): Promise<void> {
  const result = await interruptible((signal) => verifyModel(name, { cacheDir: options.cacheDir, signal }));
  if (options.json === true) return printJson(result);
  process.stdout.write(
    table(result.files.map((file) => [file.status, bytesText(file.bytes), file.file, file.sha256])),
  );
  if (!result.pinned)
    process.stderr.write('Some files have no hash to compare with: they were put there by hand.\n');
}

/**
 * Adds `models list|pull|rm|verify|optimize`. Results go to standard output, the bar to standard error and only on a terminal;
 * errors are thrown as AsrError for the program to print and to turn into an exit code.
 */
export function registerModelsCommands(program: Command): void {
  const models = program.command('models').description('list, download, remove and check models');
  const command = (usage: string, description: string) =>
    models
      .command(usage)
      .description(description)
      .option('--json', 'print JSON')
      .option('--cache-dir <folder>', 'where downloads are kept');
  command('list', 'list the models that can be named, and what is on the disk').action(list);
  command('pull <name>', 'download a model, or complete a download')
    .option('--endpoint <url>', 'the hub or a mirror of it (default: $HF_ENDPOINT, or the hub)')
    .action(pull);
  command('rm <name>', 'remove a downloaded model').action(remove);
  command('verify <model>', 'read every byte of a model (a name or a folder) and compare the hashes').action(
    verify,
  );
  command('optimize <model>', "pack a model (a name or a folder) for this package's own kernels on the CPU")
    .requiredOption('-o, --output <folder>', 'the model folder to make')
    .option('--precision <precision>', 'as-published, or int8: quantise what is fp32', 'as-published')
    .option('--from <precision>', 'fp32 or int8: which graphs of a folder that has both')
    .option('--force', 'replace a folder that an earlier run made')
    .action(optimize);
}
