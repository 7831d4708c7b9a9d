import type { Findings } from './contract_findings';
import { checkIo } from './contract_io';
import { streamingObstacle } from './contract_streaming';
import type { Contract, ContractProfile } from './contract_types.generated';

function checkFeatures({ features }: Contract, findings: Findings): void {
  const { fft_samples, window_samples, hop_samples, sample_rate_hz, mel_low_hz, mel_high_hz } = features;
  const most = `at most fft_samples (${fft_samples})`;
  findings.require(window_samples <= fft_samples, 'features.window_samples', most, window_samples);
  findings.require(hop_samples <= fft_samples, 'features.hop_samples', most, hop_samples);
  const nyquist = sample_rate_hz / 2;
  const half = `at most half the sample rate (${nyquist})`;
  findings.require(mel_high_hz <= nyquist, 'features.mel_high_hz', half, mel_high_hz);
  const less = `less than mel_high_hz (${mel_high_hz})`;
  findings.require(mel_low_hz < mel_high_hz, 'features.mel_low_hz', less, mel_low_hz);
}

function checkTimebase({ timebase, features, encoder }: Contract, findings: Findings): void {
  const same = (a: number, b: number) => Math.abs(a - b) <= 1e-9 * Math.abs(b);
  const hopMs = (1000 * features.hop_samples) / features.sample_rate_hz;
  const frameMs = hopMs * encoder.subsampling;
  const hop = `${hopMs}, hop_samples over sample_rate_hz`;
  findings.require(same(timebase.hop_ms, hopMs), 'timebase.hop_ms', hop, timebase.hop_ms);
  const frame = `${frameMs}, the hop times encoder.subsampling`;
  findings.require(same(timebase.frame_ms, frameMs), 'timebase.frame_ms', frame, timebase.frame_ms);
}

function checkTokenizer({ tokenizer, decode }: Contract, findings: Findings): void {
  const { vocabulary, unk_id } = tokenizer;
  findings.require(
    unk_id < vocabulary,
    'tokenizer.unk_id',
    `less than the vocabulary (${vocabulary})`,
    unk_id,
  );
  const blank = `${vocabulary}, the class after the last piece`;
  findings.require(decode.blank_id === vocabulary, 'decode.blank_id', blank, decode.blank_id);
}

function checkDurations(durations: readonly number[], findings: Findings): void {
  const add = (expected: string) => findings.add('decode.durations', expected, durations);
  const descends = durations.some((duration, index) => duration <= (durations[index - 1] ?? -1));
  // A list without a 0 could not emit two tokens on one frame, and one that does not ascend is not a list of duration
  // classes as NeMo writes it. With 0 alone no token could ever move on.
  if (durations[0] !== 0) add('a list that starts with 0');
  else if (descends) add('an ascending list');
  else if (durations.length < 2) add('a duration above 0');
}

/** Which sections and fields a rule has, and which it has not. */
function checkRule(contract: Contract, findings: Findings): void {
  const { decode, predictor, joint } = contract;
  const { rule } = decode;
  const present = (has: boolean, field: string, value: unknown) => {
    if (has && value === undefined) findings.add(field, `the field, with the rule ${rule}`, 'nothing');
    if (!has && value !== undefined) findings.add(field, `no such field with the rule ${rule}`, value);
  };
  present(rule !== 'ctc', 'predictor', predictor);
  present(rule !== 'ctc', 'joint', joint);
  present(rule === 'tdt', 'decode.durations', decode.durations);
  present(rule !== 'ctc', 'decode.max_symbols_per_frame', decode.max_symbols_per_frame);
  if (rule === 'tdt' && decode.durations !== undefined) checkDurations(decode.durations, findings);
}

function checkJoint({ joint, tokenizer, decode }: Contract, findings: Findings): void {
  if (joint === undefined) return;
  const tokens = tokenizer.vocabulary + 1;
  findings.require(joint.tokens === tokens, 'joint.tokens', `${tokens}, the pieces and blank`, joint.tokens);
  const durations = decode.rule === 'tdt' ? (decode.durations?.length ?? joint.durations) : 0;
  const many = `${durations}, as many as decode.durations`;
  findings.require(joint.durations === durations, 'joint.durations', many, joint.durations);
}

function checkEncoder({ encoder, joint, tokenizer, decode }: Contract, findings: Findings): void {
  const { width, heads, projected, output_width } = encoder;
  findings.require(width % heads === 0, 'encoder.heads', `a divisor of the width (${width})`, heads);
  // A window is a whole number of encoder frames, of which a causal encoder makes one more.
  const fewest = encoder.causal_subsampling ? 2 : 1;
  const rows = `at least ${fewest} with this subsampling`;
  findings.require(encoder.frames_max >= fewest, 'encoder.frames_max', rows, encoder.frames_max);
  const isCtc = decode.rule === 'ctc';
  findings.require(!(isCtc && projected), 'encoder.projected', 'false with the rule ctc', projected);
  const [expected, why] = isCtc
    ? [tokenizer.vocabulary + 1, 'the pieces and blank']
    : projected
      ? [joint?.width ?? output_width, 'joint.width, as the encoder is projected']
      : [width, 'encoder.width'];
  findings.require(output_width === expected, 'encoder.output_width', `${expected}, ${why}`, output_width);
}

/** A graph for whole utterances, or a streaming one that can do without it. */
function checkEncoderGraph(contract: Contract, findings: Findings): void {
  const { file, inputs, outputs } = contract.encoder;
  const fields = Object.entries({ file, inputs, outputs });
  const missing = fields.filter(([, value]) => value === undefined).map(([name]) => name);
  if (missing.length === 0) return;
  if (missing.length < fields.length) {
    const beside = fields.map(([name]) => name).filter((name) => !missing.includes(name));
    for (const name of missing)
      findings.add(`encoder.${name}`, `the field, beside encoder.${beside.join(' and ')}`, 'nothing');
    return;
  }
  if (contract.streaming === undefined) {
    findings.add('encoder.file', 'the field, as there is no streaming graph', 'nothing');
    return;
  }
  const obstacle = streamingObstacle(contract);
  if (obstacle === undefined) return;
  const { field, expected, received } = obstacle;
  findings.add(field, `${expected}, as encoder.file is missing`, received);
}

function checkProfile(profile: ContractProfile, field: string, findings: Findings): void {
  const { min, opt, max } = profile;
  findings.require(min <= opt && opt <= max, field, 'min <= opt <= max', profile);
}

function checkTensorrt({ tensorrt, predictor, joint }: Contract, findings: Findings): void {
  if (tensorrt === undefined) return;
  const { profiles } = tensorrt;
  const at = 'tensorrt.profiles';
  checkProfile(profiles.encoder.batch, `${at}.encoder.batch`, findings);
  checkProfile(profiles.encoder.frames, `${at}.encoder.frames`, findings);
  for (const [name, section, profile] of [
    ['predictor', predictor, profiles.predictor],
    ['joint', joint, profiles.joint],
  ] as const) {
    if (profile === undefined) continue;
    if (section === undefined) findings.add(`${at}.${name}`, `no profile without ${name}`, 'one');
    checkProfile(profile.batch, `${at}.${name}.batch`, findings);
  }
}

function checkLatency({ latency }: Contract, findings: Findings): void {
  if (latency === undefined) return;
  const { min, max } = latency.budget_ms;
  findings.require(min <= max, 'latency.budget_ms', 'min <= max', latency.budget_ms);
}

/** The files that a contract names, by the field that names them. */
export function namedFiles(contract: Contract): [field: string, file: string][] {
  const { encoder, predictor, joint, streaming, tokenizer } = contract;
  const named: [string, string | undefined][] = [
    ['encoder.file', encoder.file],
    ['predictor.file', predictor?.file],
    ['joint.file', joint?.file],
    ['streaming.file', streaming?.file],
    ['tokenizer.file', tokenizer.file],
  ];
  return named.filter((entry): entry is [string, string] => entry[1] !== undefined);
}

function checkFiles(contract: Contract, findings: Findings): void {
  const { files } = contract;
  if (files === undefined) return;
  for (const [field, file] of namedFiles(contract)) {
    const listed = Object.hasOwn(files, file);
    if (!listed) findings.add(`files.${file}`, `bytes and sha256 of the file that ${field} names`, 'nothing');
  }
}

/** What the schema cannot say: how fields depend on each other. */
export function checkRelations(contract: Contract, findings: Findings): void {
  checkFeatures(contract, findings);
  checkTimebase(contract, findings);
  checkTokenizer(contract, findings);
  checkRule(contract, findings);
  checkJoint(contract, findings);
  checkEncoder(contract, findings);
  checkEncoderGraph(contract, findings);
  checkIo(contract, findings);
  checkTensorrt(contract, findings);
  checkLatency(contract, findings);
  checkFiles(contract, findings);
}
