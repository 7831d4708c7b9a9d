import type { Precision } from '../model';
import { type OptimizedPrecision, type OptimizeProgress, optimizeModel } from '../model/optimize';
import { interruptible } from './interrupt';
import { bytesText, openBar } from './progress';

export interface OptimizeCliOptions {
  output: string;
  precision: string;
  from?: string;
  force?: boolean;
  json?: boolean;
  cacheDir?: string;
}

/** `models optimize`: a model folder for this package's own kernels. */
export async function optimize(model: string, options: OptimizeCliOptions): Promise<void> {
  const bar = await openBar('optimize');
  const show = ({ graph, phase, done, steps, index, count }: OptimizeProgress) => {
    const share = steps > 0 ? done / steps : 0;
    bar.update({ done: index + share, total: count, detail: `${graph}: ${phase}` });
  };
  try {
    const made = await interruptible((signal) =>
      optimizeModel(model, {
        output: options.output,
        // optimizeModel refuses what is no precision.
        precision: options.precision as OptimizedPrecision,
        ...(options.from === undefined ? {} : { from: options.from as Precision }),
        force: options.force === true,
        ...(options.cacheDir === undefined ? {} : { cacheDir: options.cacheDir }),
        signal,
        onProgress: show,
      }),
    );
    bar.stop();
    if (options.json === true) {
      process.stdout.write(`${JSON.stringify(made, null, 2)}\n`);
      return;
    }
    for (const { file, bytes, precision, seen } of made.files) {
      process.stdout.write(
        `${file.padEnd(30)} ${precision.padEnd(5)} ${bytesText(bytes).padStart(8)}  ${seen}\n`,
      );
    }
    process.stdout.write(`${made.dir}\n`);
  } finally {
    bar.stop();
  }
}
