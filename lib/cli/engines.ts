import * as path from 'node:path';
import type { Command } from 'commander';
import { InvalidArgumentError } from 'commander';
import { loadAddon } from '../binding';
import { cudaPlaces } from '../device';
import { readHeader } from '../engine_cache';
import { type BuildEnginesOptions, buildEngines, type EngineProgress } from '../engines';
import { AsrError } from '../errors';
import { registerEngineCacheCommands } from './engine_cache';
import { interruptible } from './interrupt';
import { bytesText, openBar } from './progress';

interface Options {
  precision: string;
  gpu: number;
  computeCapability?: number[];
  versionCompatible?: boolean;
  hardwareCompatible?: boolean;
  batchMax?: number;
  framesMax?: number;
  engineCache?: string;
  tensorrt?: string;
  cacheDir?: string;
  offline?: boolean;
  rebuild?: boolean;
  json?: boolean;
}

function whole(text: string): number {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError('expected a whole number.');
  return Number(text);
}

function wholes(text: string): number[] {
  return text.split(',').map(whole);
}

async function build(model: string, options: Options): Promise<void> {
  const bar = await openBar('engines');
  const show = ({ graph, phase, done, steps }: EngineProgress) =>
    bar.update({ done, total: Math.max(steps, 1), detail: `${graph}: ${phase}` });
  const given: BuildEnginesOptions = {
    model,
    // buildEngines refuses what is no precision.
    precision: options.precision as BuildEnginesOptions['precision'] & string,
    gpu: options.gpu,
    versionCompatible: options.versionCompatible === true,
    hardwareCompatible: options.hardwareCompatible === true,
    rebuild: options.rebuild === true,
    onEngineProgress: show,
    ...(options.computeCapability === undefined ? {} : { computeCapabilities: options.computeCapability }),
    ...(options.batchMax === undefined ? {} : { batchMax: options.batchMax }),
    ...(options.framesMax === undefined ? {} : { framesMax: options.framesMax }),
    ...(options.engineCache === undefined ? {} : { engineCacheDir: options.engineCache }),
    ...(options.tensorrt === undefined ? {} : { tensorrtPath: options.tensorrt }),
    ...(options.cacheDir === undefined ? {} : { cacheDir: options.cacheDir }),
    ...(options.offline === undefined ? {} : { offline: options.offline }),
  };
  try {
    const engines = await interruptible((signal) => buildEngines({ ...given, signal }));
    bar.stop();
    if (options.json === true) {
      process.stdout.write(`${JSON.stringify({ engines })}\n`);
      return;
    }
    for (const engine of engines) {
      const state = engine.built ? 'built' : 'found';
      process.stdout.write(
        `${engine.graph.padEnd(14)} ${state}  ${bytesText(engine.bytes).padStart(8)}  ${engine.path}\n`,
      );
    }
  } finally {
    bar.stop();
  }
}

async function inspect(
  file: string,
  options: { tensorrt?: string; gpu: number; json?: boolean },
): Promise<void> {
  const found = await loadAddon()
    .inspectEngine(path.resolve(file), cudaPlaces(options.tensorrt), options.gpu)
    .catch((error: unknown) => {
      throw AsrError.from(error);
    });
  if (options.json === true) {
    const layers: unknown = found.layers === '' ? null : JSON.parse(found.layers);
    process.stdout.write(
      `${JSON.stringify({ ...readHeader(found.header), verdict: found.verdict, layers })}\n`,
    );
    return;
  }
  process.stdout.write(`${found.header}here: ${found.verdict}\n`);
}

/** `trt-asr build-engines MODEL` and `inspect-engine FILE`; `list-engines` and `prune-engines` beside them. */
export function registerEngineCommands(program: Command): void {
  program
    .command('build-engines <model>')
    .description(
      'build the TensorRT engines of a model for the GPU at hand, and try them against ONNX Runtime',
    )
    .option('--precision <precision>', 'fp16, bf16 or fp32', 'fp16')
    .option('--gpu <index>', 'which GPU', whole, 0)
    .option(
      '--compute-capability <list>',
      'TensorRT-RTX alone: build for these (80,86,89,120) without a GPU',
      wholes,
    )
    .option('--version-compatible', 'TensorRT 10 and 11 alone: for later releases of the same major, too')
    .option('--hardware-compatible', 'TensorRT 10 and 11 alone: for every GPU since Ampere (8.0)')
    .option('--batch-max <utterances>', 'most utterances at once', whole)
    .option('--frames-max <frames>', 'most feature frames of an utterance, 10 ms each', whole)
    .option('--engine-cache <folder>', 'where engines are kept')
    .option('--tensorrt <folder>', "folder of TensorRT's libraries")
    .option('--cache-dir <folder>', 'where downloaded models lie')
    .option('--offline', 'never touch the network')
    .option('--rebuild', 'build even where an engine is found')
    .option('--json', 'print one JSON object')
    .action(build);
  program
    .command('inspect-engine <file>')
    .description('show what an engine was made of and for, and whether it can be used here')
    .option('--tensorrt <folder>', "folder of TensorRT's libraries")
    .option('--gpu <index>', 'which GPU', whole, 0)
    .option(
      '--json',
      "print one JSON object, with TensorRT's own list of layers where the engine can be loaded",
    )
    .action(inspect);
  registerEngineCacheCommands(program, whole);
}
