import { type Findings, show } from './contract_findings';
import type { Contract, ContractStreaming, ContractTensor } from './contract_types.generated';

/** What an input or output may look like: one of some names; an extent that may vary is undefined. */
interface Port {
  names: readonly string[];
  dtypes: readonly string[];
  layouts: readonly string[];
  shape: readonly (number | undefined)[];
}

// SOURCE: the names that tools/export writes, and those of NeMo's own exports; native/encoder and native/decode bind them.
const FEATURES = ['features', 'audio_signal', 'processed_signal'];
const LENGTHS = ['lengths', 'length', 'processed_signal_length'];
const LOG_PROBS = ['log_probs', 'logprobs'];

class Ports {
  /** Of numbers that a half-precision graph may give and take as it computes them. */
  private readonly floats: readonly string[];

  constructor(private readonly contract: Contract) {
    this.floats = contract.precision === 'fp16' ? ['f32', 'f16'] : ['f32'];
  }

  private float(names: readonly string[], layout: string, shape: Port['shape']): Port {
    return { names, dtypes: this.floats, layouts: [layout], shape };
  }

  private lengths(names: readonly string[]): Port {
    return { names, dtypes: ['i64'], layouts: ['B'], shape: [undefined] };
  }

  encoderInputs(): Port[] {
    const shape = [undefined, this.contract.features.mel_bins, undefined];
    return [this.float(FEATURES, 'BMT', shape), this.lengths(LENGTHS)];
  }

  encoderOutputs(): Port[] {
    const { encoder, decode } = this.contract;
    const shape = [undefined, undefined, encoder.output_width];
    const encoded = this.float(['encoded'], 'BTD', shape);
    const logProbs = { ...encoded, names: LOG_PROBS, layouts: ['BTC', 'BTD'] };
    return [decode.rule === 'ctc' ? logProbs : encoded, this.lengths(['encoded_lengths'])];
  }

  private state(name: string, layers: number, width: number): Port {
    return this.float([name], 'LBH', [layers, undefined, width]);
  }

  predictorInputs({ layers, width }: NonNullable<Contract['predictor']>): Port[] {
    const token: Port = { names: ['token'], dtypes: ['i32'], layouts: ['B1'], shape: [undefined, 1] };
    return [token, this.state('state_h', layers, width), this.state('state_c', layers, width)];
  }

  predictorOutputs({ layers, width }: NonNullable<Contract['predictor']>): Port[] {
    const predicted = this.float(['predicted'], 'B1H', [undefined, 1, width]);
    return [predicted, this.state('next_state_h', layers, width), this.state('next_state_c', layers, width)];
  }

  jointInputs(): Port[] {
    const { encoder, predictor } = this.contract;
    return [
      this.float(['encoded'], 'B1D', [undefined, 1, encoder.output_width]),
      this.float(['predicted'], 'B1H', [undefined, 1, predictor?.width]),
    ];
  }

  jointOutputs({ tokens, durations }: NonNullable<Contract['joint']>): Port[] {
    return [this.float(['logits'], 'BC', [undefined, tokens + durations])];
  }

  caches(streaming: ContractStreaming, suffix: string): Port[] {
    const { layers, width } = this.contract.encoder;
    const channel = [undefined, layers, streaming.cache_channel_frames, width];
    const time = [undefined, layers, width, streaming.cache_time_frames];
    return [
      this.float([`cache_last_channel${suffix}`], 'BLKD', channel),
      this.float([`cache_last_time${suffix}`], 'BLDK', time),
      this.lengths([`cache_last_channel_len${suffix}`]),
    ];
  }
}

function checkTensor(tensor: ContractTensor, port: Port, field: string, findings: Findings): void {
  const { names, dtypes, layouts, shape } = port;
  const oneOf = (values: readonly string[]) =>
    values.length === 1 ? show(values[0]) : `one of ${show(values)}`;
  findings.require(names.includes(tensor.name), `${field}.name`, oneOf(names), tensor.name);
  findings.require(dtypes.includes(tensor.dtype), `${field}.dtype`, oneOf(dtypes), tensor.dtype);
  findings.require(layouts.includes(tensor.layout), `${field}.layout`, oneOf(layouts), tensor.layout);
  if (tensor.shape.length !== shape.length) {
    findings.add(`${field}.shape`, `${shape.length} extents`, tensor.shape);
    return;
  }
  shape.forEach((extent, axis) => {
    const received = tensor.shape[axis];
    const fits = extent === undefined ? typeof received === 'string' : received === extent;
    const expected = extent === undefined ? 'a name: this extent varies' : String(extent);
    findings.require(fits, `${field}.shape.${axis}`, expected, received);
  });
}

function checkTensors(
  tensors: readonly ContractTensor[],
  ports: Port[],
  field: string,
  findings: Findings,
): void {
  const names = ports.map((port) => port.names.join(' or ')).join(', ');
  findings.require(
    tensors.length === ports.length,
    field,
    `${ports.length}: ${names}`,
    tensors.map(({ name }) => name),
  );
  ports.forEach((port, index) => {
    const tensor = tensors[index];
    if (tensor !== undefined) checkTensor(tensor, port, `${field}.${index}`, findings);
  });
}

/** Whether names, types, layouts and extents of all inputs and outputs follow from the rest of the contract. */
export function checkIo(contract: Contract, findings: Findings): void {
  const ports = new Ports(contract);
  const { encoder, predictor, joint, streaming } = contract;
  if (encoder.inputs !== undefined)
    checkTensors(encoder.inputs, ports.encoderInputs(), 'encoder.inputs', findings);
  if (encoder.outputs !== undefined)
    checkTensors(encoder.outputs, ports.encoderOutputs(), 'encoder.outputs', findings);
  if (predictor !== undefined) {
    checkTensors(predictor.inputs, ports.predictorInputs(predictor), 'predictor.inputs', findings);
    checkTensors(predictor.outputs, ports.predictorOutputs(predictor), 'predictor.outputs', findings);
  }
  if (joint !== undefined) {
    checkTensors(joint.inputs, ports.jointInputs(), 'joint.inputs', findings);
    checkTensors(joint.outputs, ports.jointOutputs(joint), 'joint.outputs', findings);
  }
  if (streaming !== undefined) {
    const inputs = [...ports.encoderInputs(), ...ports.caches(streaming, '')];
    const outputs = [...ports.encoderOutputs(), ...ports.caches(streaming, '_next')];
    checkTensors(streaming.inputs, inputs, 'streaming.inputs', findings);
    checkTensors(streaming.outputs, outputs, 'streaming.outputs', findings);
  }
}
