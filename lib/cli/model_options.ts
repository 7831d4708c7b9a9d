import { type Command, InvalidArgumentError, Option } from 'commander';
import type { Device } from '../device';
import { type OpenOptions, Recognizer } from '../recognizer';
import { type Bar, bytesText, openBar } from './progress';

/** What the commands that run a model have in common. */
export interface ModelOptions {
  model: string;
  device: string;
  precision?: 'fp32' | 'int8';
  threads?: number;
  cacheDir?: string;
  offline?: boolean;
}

/** Reads a whole number from `min` to `max`. */
export function count(max: number, min = 1): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^\d+$/.test(text) || value < min || value > max)
      throw new InvalidArgumentError(`It must be a whole number from ${min} to ${max}.`);
    return value;
  };
}

export function addModelOptions(command: Command): Command {
  return command
    .option('-m, --model <model>', 'name of the registry, or a folder', 'demo-en')
    .option('--device <device>', 'where to run: auto, cpu, cuda or cuda:N', 'auto')
    .addOption(new Option('--precision <precision>', "which of the model's files").choices(['fp32', 'int8']))
    .option('--threads <count>', 'threads of a computation', count(256))
    .option('--cache-dir <folder>', 'where downloaded models lie')
    .option('--offline', 'never touch the network');
}

/** Opens the recognizer of the command line; a download shows its progress. */
export async function openRecognizer(
  options: ModelOptions,
  more: Partial<OpenOptions>,
  signal: AbortSignal,
): Promise<Recognizer> {
  let bar: Promise<Bar> | undefined;
  try {
    return await Recognizer.open({
      model: options.model,
      // Recognizer.open refuses what is no device.
      device: options.device as Device,
      ...(options.precision === undefined ? {} : { precision: options.precision }),
      ...(options.threads === undefined ? {} : { threads: options.threads }),
      ...(options.cacheDir === undefined ? {} : { cacheDir: options.cacheDir }),
      ...(options.offline === undefined ? {} : { offline: options.offline }),
      ...more,
      signal,
      onProgress: ({ bytesDone, bytesTotal, remainingMs }) => {
        bar ??= openBar(options.model);
        const detail = `${bytesText(bytesDone)} of ${bytesText(bytesTotal)}`;
        void bar.then((shown) => shown.update({ done: bytesDone, total: bytesTotal, detail, remainingMs }));
      },
    });
  } finally {
    (await bar)?.stop();
  }
}
