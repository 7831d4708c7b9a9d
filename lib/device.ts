import * as path from 'node:path';
import { type CudaPlaces, type CudaSurvey, loadAddon } from './binding';
import { AsrError, badArgument } from './errors';

export type Device = 'auto' | 'cpu' | 'cuda' | `cuda:${number}`;

/** The device that was taken, and why. */
export interface DeviceChoice {
  device: 'cpu' | `cuda:${number}`;
  reason: string;
  /** What makes it slower than it could be, where something does. */
  remarks?: string;
}

/** The package that carries the plug-ins for TensorRT. */
export const CUDA_PACKAGE = 'trt-asr-cuda-linux-x64';

/** Where NVIDIA's libraries and our plug-ins are looked for: the option, then the environment, then the package, then the system. */
export function cudaPlaces(tensorrtPath?: string): CudaPlaces {
  const tensorrt = tensorrtPath ?? process.env.TRT_ASR_TENSORRT_PATH;
  return { tensorrt: tensorrt || undefined, plugins: process.env.TRT_ASR_PLUGINS_PATH || pluginPackage() };
}

function pluginPackage(): string | undefined {
  try {
    return path.join(path.dirname(require.resolve(`${CUDA_PACKAGE}/package.json`)), 'lib');
  } catch {
    return undefined;
  }
}

/** What of NVIDIA's is on this machine. Never rejects for what is missing: that stands in `unavailable`. */
export async function surveyCuda(tensorrtPath?: string): Promise<CudaSurvey> {
  const found = await loadAddon().surveyCuda(cudaPlaces(tensorrtPath));
  if (found.unavailable !== undefined) found.unavailable = AsrError.from(found.unavailable);
  return found;
}

/** The first thing that is missing, in a few words: what device 'auto' tells of its choice. */
function firstMissing({ gpus, tensorrt, looked }: CudaSurvey): string {
  const of = (what: string) => looked.filter((one) => one.what.startsWith(what));
  if (gpus.length === 0) {
    const outcome = of('NVIDIA driver')[0]?.outcome ?? 'not there';
    return outcome === 'not there' ? 'no NVIDIA driver' : `NVIDIA driver: ${outcome}`;
  }
  if (tensorrt !== undefined) return 'no CUDA kernels';
  // One that is there and has no plug-in says more than one that is not there.
  const library = of('TensorRT').find((one) => one.found);
  return library === undefined ? 'no TensorRT' : `no plug-in for ${library.what}`;
}

/** A device as it was asked for; a number is a GPU's. */
export type AskedDevice = 'auto' | 'cpu' | number;

/** Throws ERR_BAD_ARGUMENT for what is no device. */
export function parseDevice(device: unknown): AskedDevice {
  if (device === undefined || device === 'auto') return 'auto';
  if (device === 'cpu') return 'cpu';
  const match = typeof device === 'string' ? /^cuda(?::(\d{1,3}))?$/.exec(device) : null;
  if (match === null) throw badArgument('device', "'auto', 'cpu', 'cuda' or 'cuda:N'", device);
  return Number(match[1] ?? 0);
}

/**
 * Chooses a device. There is no silent fall-back: asking for a GPU that cannot be used rejects with ERR_BACKEND_UNAVAILABLE, which
 * lists what was looked for and where; 'auto' takes the CPU then and says why.
 */
export async function chooseDevice(asked: AskedDevice, tensorrtPath?: string): Promise<DeviceChoice> {
  if (asked === 'cpu') return { device: 'cpu', reason: 'asked for' };
  const found = await surveyCuda(tensorrtPath);
  if (asked === 'auto' && found.unavailable !== undefined) {
    return { device: 'cpu', reason: `auto: ${firstMissing(found)}` };
  }
  if (found.unavailable !== undefined) throw found.unavailable;
  const index = asked === 'auto' ? 0 : asked;
  const gpu = found.gpus[index];
  if (gpu === undefined) {
    throw new AsrError({
      code: 'ERR_BACKEND_UNAVAILABLE',
      field: 'device',
      expected: `one of ${found.gpus.map((_, at) => `'cuda:${at}'`).join(', ')}`,
      received: `'cuda:${index}'`,
      remedy: 'Name a GPU that is there; `trt-asr doctor` lists them.',
    });
  }
  const reason =
    asked === 'auto' ? `auto: ${gpu.name}, ${found.tensorrt}` : `asked for: ${gpu.name}, ${found.tensorrt}`;
  return { device: `cuda:${index}`, reason };
}
