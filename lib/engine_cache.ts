import { loadAddon, type NativeCachedFile } from './binding';
import { cudaPlaces } from './device';
import { engineCache } from './engines';
import { AsrError } from './errors';
import { checkBoolean, checkInteger, checkOptions, checkText } from './options';

/** A file of the engine cache, as its header tells of it. */
export interface CachedEngine {
  path: string;
  /** Name of the folder in the cache that it lies in: the model's. */
  model: string;
  bytes: number;
  lastUsed: Date;
  /** What it was made of and for: `graph`, `tensorrt`, `gpu`, `precision` and so on. Empty when it is damaged. */
  header: Record<string, string>;
  /** Where it was tried against ONNX Runtime and what was seen, the newest trial first. */
  trials: EngineTrial[];
  /** Why it cannot be used, when it is damaged. */
  damage?: string;
}

export interface EngineTrial {
  where: string;
  seen: string;
}

export interface ListEnginesOptions {
  /** Of this model alone, by the name of its folder in the cache. */
  model?: string;
  /** Default: `TRT_ASR_ENGINE_CACHE`, then the platform's cache folder. */
  engineCacheDir?: string;
}

export interface PruneEnginesOptions extends ListEnginesOptions {
  /** Engines that were used in these last days stay. Default 30. */
  unusedDays?: number;
  /** Engines that the TensorRT of this machine could use go, too. Default: they stay, however old. */
  all?: boolean;
  /** Tells what would go, and deletes nothing. */
  dryRun?: boolean;
  /** Folder of TensorRT's libraries. Default: `TRT_ASR_TENSORRT_PATH`, then the system's. */
  tensorrtPath?: string;
}

/** The `name: value` lines of an engine's header. */
export function readHeader(text: string): { header: Record<string, string>; trials: EngineTrial[] } {
  const header: Record<string, string> = {};
  const trials: EngineTrial[] = [];
  for (const line of text.split('\n')) {
    const at = line.indexOf(': ');
    if (at < 0) continue;
    const [name, value] = [line.slice(0, at), line.slice(at + 2)];
    const trial = trials.at(-1);
    if (name === 'checked_on' && value !== 'none') trials.push({ where: value, seen: '' });
    if (name === 'checks' && trial !== undefined) trial.seen = value;
    // Of several machines' trials the newest stands first.
    header[name] ??= value;
  }
  return { header, trials };
}

function cached({ path, model, bytes, usedMs, header, damage }: NativeCachedFile): CachedEngine {
  const file = { path, model, bytes, lastUsed: new Date(usedMs), ...readHeader(header) };
  return damage === '' ? file : { ...file, damage };
}

async function taken(files: Promise<NativeCachedFile[]>): Promise<CachedEngine[]> {
  try {
    return (await files).map(cached);
  } catch (error) {
    throw AsrError.from(error);
  }
}

/**
 * The engines in the cache, read from their headers; the TensorRT that made them is not needed. Rejects with ERR_MODEL_NOT_FOUND
 * for a model that has none.
 */
export async function listEngines(options: ListEnginesOptions = {}): Promise<CachedEngine[]> {
  checkOptions('options', options, ['model', 'engineCacheDir']);
  checkText('options.model', options.model);
  checkText('options.engineCacheDir', options.engineCacheDir);
  return taken(loadAddon().listEngines(engineCache(options.engineCacheDir), options.model ?? ''));
}

/**
 * Deletes engines that have not been used for some time and that the TensorRT of this machine cannot use, or that are damaged;
 * with them what TensorRT keeps beside them. Gives what went. Rejects with ERR_BACKEND_UNAVAILABLE without a TensorRT to go by,
 * unless `all` is set; with ERR_MODEL_NOT_FOUND for a model that has no engines.
 */
export async function pruneEngines(options: PruneEnginesOptions = {}): Promise<CachedEngine[]> {
  const known = ['model', 'engineCacheDir', 'unusedDays', 'all', 'dryRun', 'tensorrtPath'];
  checkOptions('options', options, known);
  checkText('options.model', options.model);
  checkText('options.engineCacheDir', options.engineCacheDir);
  checkText('options.tensorrtPath', options.tensorrtPath);
  checkBoolean('options.all', options.all);
  checkBoolean('options.dryRun', options.dryRun);
  const unusedDays = checkInteger('options.unusedDays', options.unusedDays, 30, 0, 36_500);
  return taken(
    loadAddon().pruneEngines(
      engineCache(options.engineCacheDir),
      options.model ?? '',
      cudaPlaces(options.tensorrtPath),
      unusedDays,
      options.all === true,
      options.dryRun === true,
    ),
  );
}
