import * as path from 'node:path';
import { type GraphDescription, type GraphTensor, loadAddon, type NativeDescription } from '../binding';
import { AsrError } from '../errors';
import { fileBytes } from './cache';
import { examine, readJsonFile } from './contract';
import { type Finding, Findings, show } from './contract_findings';
import { namedFiles } from './contract_relations';
import type { Contract, ContractTensor } from './contract_types.generated';
import { sha256OfFile } from './download';
import { CONTRACT_FILE, isPacked, layoutOf, listFolder, type ModelLayout, openModelFolder } from './layout';

/** What a model folder is, and all in which it differs from its contract. */
export interface ContractReport {
  dir: string;
  layout: ModelLayout;
  /** Where the numbers come from: the folder's contract, or its graphs and a reference contract. */
  source: 'contract.json' | 'derived';
  ok: boolean;
  findings: Finding[];
  /** What the core made of the model; absent when it was not opened, as something differs. */
  model?: NativeDescription;
}

/** The contract's spelling of element types, and the core's. */
const DTYPES = { f32: 'float32', f16: 'float16', i32: 'int32', i64: 'int64' } as const;

// SOURCE: tools/export writes into a graph's metadata what its inputs and outputs do not show: under this prefix and a field's path
// stands the JSON of the contract's value (contract.py, metadata_of).
const CARRIED_PREFIX = 'trt_asr.';

/** What a contract says of one graph. */
type GraphSection = NonNullable<Contract['predictor' | 'joint' | 'streaming']>;

/** An error of the model itself becomes a finding; any other is thrown on. */
function found(error: unknown, findings: Findings): void {
  const { code, field, expected, received, message } = AsrError.from(error);
  if (code !== 'ERR_CONTRACT_MISMATCH' && code !== 'ERR_MODEL_CORRUPT' && code !== 'ERR_MODEL_NOT_FOUND')
    throw error;
  findings.add(field ?? 'model', expected ?? 'a model that loads', received ?? message);
}

async function checkPins(
  dir: string,
  contract: Contract,
  findings: Findings,
  signal?: AbortSignal,
): Promise<void> {
  for (const [name, pin] of Object.entries(contract.files ?? {})) {
    signal?.throwIfAborted();
    const file = path.join(dir, name);
    const bytes = await fileBytes(file);
    if (bytes === undefined) {
      findings.add(`files.${name}`, `a file in ${dir}`, 'no such file');
      continue;
    }
    findings.require(bytes === pin.bytes, `files.${name}.bytes`, String(pin.bytes), bytes);
    const sha256 = await sha256OfFile(file, signal);
    if (sha256 !== pin.sha256) findings.add(`files.${name}.sha256`, pin.sha256, sha256);
  }
}

function compareTensor(
  declared: ContractTensor,
  received: GraphTensor,
  field: string,
  findings: Findings,
): void {
  const dtype = DTYPES[declared.dtype];
  if (dtype !== received.dtype) findings.add(`${field}.dtype`, dtype, received.dtype);
  if (received.rank !== declared.shape.length) {
    findings.add(`${field}.shape`, `${declared.shape.length} extents`, `${received.rank} extents`);
    return;
  }
  declared.shape.forEach((extent, axis) => {
    const graph = received.shape[axis];
    // A graph may leave open what the contract fixes; the core binds the contract's extent.
    if (graph === -1 || graph === extent) return;
    const expected = typeof extent === 'string' ? `an extent that varies (${extent})` : String(extent);
    findings.add(`${field}.shape.${axis}`, expected, String(graph));
  });
}

function compareTensors(
  declared: readonly ContractTensor[],
  received: readonly GraphTensor[],
  field: string,
  findings: Findings,
): void {
  const names = received.map(({ name }) => name);
  for (const tensor of declared) {
    const same = received.find(({ name }) => name === tensor.name);
    if (same === undefined) findings.add(`${field}.${tensor.name}`, 'a tensor of that name', show(names));
    else compareTensor(tensor, same, `${field}.${tensor.name}`, findings);
  }
  for (const name of names) {
    const declaredToo = declared.some((tensor) => tensor.name === name);
    if (!declaredToo) findings.add(`${field}.${name}`, 'no such tensor', 'one that the contract lacks');
  }
}

/** What a dotted path names in a contract; undefined when there is no such field. */
function valueAt(contract: Contract, fieldPath: string): unknown {
  return fieldPath.split('.').reduce<unknown>((at, key) => {
    const inside = typeof at === 'object' && at !== null && Object.hasOwn(at, key);
    return inside ? (at as Record<string, unknown>)[key] : undefined;
  }, contract);
}

/** The value of a JSON text; the text itself when it is none. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}

/** A graph that tools/export did not write has no such keys, and nothing is compared. */
function compareMetadata(
  contract: Contract,
  metadata: Record<string, string>,
  field: string,
  findings: Findings,
): void {
  for (const key of Object.keys(metadata).sort()) {
    if (!key.startsWith(CARRIED_PREFIX)) continue;
    const fieldPath = key.slice(CARRIED_PREFIX.length);
    const declared = valueAt(contract, fieldPath);
    const carried = parsed(metadata[key] ?? '');
    if (JSON.stringify(declared) === JSON.stringify(carried)) continue;
    const expected = declared === undefined ? 'no such field' : show(declared);
    findings.add(`${field}.${fieldPath}`, expected, show(carried));
  }
}

/** The graphs that a contract names. */
function graphSections(contract: Contract): Pick<GraphSection, 'file' | 'inputs' | 'outputs'>[] {
  const { encoder, predictor, joint, streaming } = contract;
  const { file, inputs, outputs } = encoder;
  const whole = file !== undefined && inputs !== undefined && outputs !== undefined;
  const sections = [whole ? { file, inputs, outputs } : undefined, predictor, joint, streaming];
  return sections.filter((section) => section !== undefined);
}

async function checkGraph(
  dir: string,
  contract: Contract,
  section: Pick<GraphSection, 'file' | 'inputs' | 'outputs'>,
  findings: Findings,
): Promise<void> {
  let graph: GraphDescription;
  try {
    graph = await loadAddon().describeGraph(path.join(dir, section.file));
  } catch (error) {
    found(error, findings);
    return;
  }
  compareTensors(section.inputs, graph.inputs, `${section.file}: inputs`, findings);
  compareTensors(section.outputs, graph.outputs, `${section.file}: outputs`, findings);
  compareMetadata(contract, graph.metadata, `${section.file}: metadata`, findings);
}

function checkVocabulary(dir: string, { tokenizer }: Contract, findings: Findings): void {
  try {
    const pieces = loadAddon().vocabularySize(path.join(dir, tokenizer.file));
    const expected = String(tokenizer.vocabulary);
    findings.require(pieces === tokenizer.vocabulary, `${tokenizer.file}: pieces`, expected, pieces);
  } catch (error) {
    found(error, findings);
  }
}

/** Opens the model as a recognizer would, and tells what the core made of it. */
async function openedModel(dir: string, findings: Findings): Promise<NativeDescription | undefined> {
  try {
    const { files, contract } = await openModelFolder(dir);
    const config = { files, contract, threads: 1, sessionsMax: 1, lanes: 1, batchMax: 1, batchWaitMs: 0 };
    // Packed graphs run on their own engine alone; others are checked on ONNX Runtime, where no pack is written beside them.
    const cpu = isPacked(files) ? { cpu: { engine: 'auto' as const, cacheDir: dir } } : {};
    const recognizer = await loadAddon().openRecognizer({ ...config, ...cpu });
    const description = recognizer.describe();
    await recognizer.close();
    return description;
  } catch (error) {
    found(error, findings);
    return undefined;
  }
}

async function readValue(dir: string, findings: Findings): Promise<unknown> {
  try {
    return await readJsonFile(path.join(dir, CONTRACT_FILE));
  } catch (error) {
    found(error, findings);
    return undefined;
  }
}

/** Compares a folder with its contract.json, as far as each step leaves something to compare. */
async function checkOurs(
  dir: string,
  findings: Findings,
  signal?: AbortSignal,
): Promise<NativeDescription | undefined> {
  const value = await readValue(dir, findings);
  if (findings.all.length > 0) return undefined;
  const contract = examine(value, 'folder', findings);
  if (contract === undefined) return undefined;
  await checkPins(dir, contract, findings, signal);
  const there = new Set(await listFolder(dir));
  for (const section of graphSections(contract)) {
    signal?.throwIfAborted();
    if (there.has(section.file)) await checkGraph(dir, contract, section, findings);
  }
  if (there.has(contract.tokenizer.file)) checkVocabulary(dir, contract, findings);
  const complete = namedFiles(contract).every(([, file]) => there.has(file));
  return complete && findings.all.length === 0 ? openedModel(dir, findings) : undefined;
}

/**
 * Checks a model folder: the contract's form and relations, the files' bytes and hashes, the graphs' inputs, outputs and what
 * their metadata carries of the contract, the vocabulary's size. A folder of another layout has no contract; there it tells
 * what is derived. All differences are told. Errors: ERR_MODEL_NOT_FOUND when there is no such folder or no model in it,
 * ERR_BACKEND_UNAVAILABLE, the signal's reason.
 */
export async function checkFolder(dir: string, signal?: AbortSignal): Promise<ContractReport> {
  const absolute = path.resolve(dir);
  const layout = await layoutOf(absolute);
  const ours = layout === 'ours';
  const findings = new Findings();
  const model = ours ? await checkOurs(absolute, findings, signal) : await openedModel(absolute, findings);
  return {
    dir: absolute,
    layout,
    source: ours ? 'contract.json' : 'derived',
    ok: findings.all.length === 0,
    findings: findings.all,
    ...(model === undefined ? {} : { model }),
  };
}
