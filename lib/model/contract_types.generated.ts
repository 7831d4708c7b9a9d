// Written by `npm run generate` from contracts/schema.json.

/** Every number a recogniser needs that its graphs do not carry: contract.json in a model folder, and the reference contracts of contracts/, which lack `files`. Relations between fields (timebase against features, blank id == vocabulary, shapes against widths, ...) are checked by lib/model/contract_relations.ts. */
export interface Contract {
  schema: 'trt-asr-contract/1';
  model: {
    name: string;
    architecture: string;
    languages: string[];
    license: string;
  };
  /** Of the weights; inputs and outputs of an int8 graph are f32. */
  precision: 'fp32' | 'fp16' | 'int8';
  features: ContractFeatures;
  timebase: {
    hop_ms: number;
    frame_ms: number;
  };
  tokenizer: {
    kind: 'sentencepiece';
    file: string;
    vocabulary: number;
    unk_id: number;
  };
  encoder: {
    /** The graph for whole utterances. It is there together with `inputs` and `outputs`, or all three are missing: a folder that has `streaming` may do without it. */
    file?: string;
    layers: number;
    width: number;
    heads: number;
    feed_forward_width: number;
    convolution_kernel: number;
    subsampling: number;
    /** T mel frames give floor((T + 2 (subsampling - 1)) / subsampling) encoder frames, otherwise ceil(T / subsampling). */
    causal_subsampling: boolean;
    subsampling_channels: number;
    frames_max: number;
    attention_context: number[];
    /** Last extent of the graphs' output, offline and streaming: the width, the joint's width when projected, all classes for CTC. */
    output_width: number;
    projected: boolean;
    inputs?: ContractTensor[];
    outputs?: ContractTensor[];
  };
  predictor?: {
    file: string;
    layers: number;
    width: number;
    inputs: ContractTensor[];
    outputs: ContractTensor[];
  };
  joint?: {
    file: string;
    width: number;
    tokens: number;
    durations: number;
    inputs: ContractTensor[];
    outputs: ContractTensor[];
  };
  decode: {
    rule: 'tdt' | 'rnnt' | 'ctc';
    blank_id: number;
    durations?: number[];
    max_symbols_per_frame?: number;
  };
  streaming?: ContractStreaming;
  tensorrt?: {
    profiles: {
      encoder: {
        batch: ContractProfile;
        frames: ContractProfile;
      };
      predictor?: ContractBatchProfile;
      joint?: ContractBatchProfile;
    };
  };
  latency?: {
    budget_ms: {
      min: number;
      max: number;
    };
  };
  /** Largest difference from the oracle, |a - b| <= absolute + relative |b|, by stage. */
  tolerances?: Record<string, ContractTolerance>;
  files?: Record<string, ContractPin>;
}

export interface ContractFeatures {
  sample_rate_hz: number;
  mel_bins: number;
  fft_samples: 64 | 128 | 256 | 512 | 1024 | 2048 | 4096;
  window_samples: number;
  hop_samples: number;
  pre_emphasis: number;
  mel_low_hz: number;
  mel_high_hz: number;
  log_guard: number;
  normalization: 'none' | 'per_feature';
  normalization_epsilon: number;
}

/** An input or output of a graph. `layout` has a letter an axis; an extent in `shape` is a number, or a name where it varies. */
export interface ContractTensor {
  name: string;
  dtype: 'f32' | 'f16' | 'i32' | 'i64';
  layout: string;
  shape: (number | string)[];
}

/** Of the first chunk and of the later ones, in mel frames. */
export interface ContractFirstNext {
  first: number;
  next: number;
}

/** A cache-aware export of the encoder. */
export interface ContractStreaming {
  file: string;
  chunk_frames: ContractFirstNext;
  shift_frames?: ContractFirstNext;
  pre_encode_frames: ContractFirstNext;
  first_padding_frames?: number;
  drop_extra_encoded_frames: ContractFirstNext;
  output_frames: number;
  cache_channel_frames: number;
  cache_time_frames: number;
  cache_drop_frames: number;
  attention_context: number[];
  /** What the parity ladder runs beside the real streaming parameters. */
  parity?: {
    chunk_frames: number;
    cache_drop_frames: number;
    chunks: number[];
    seed: number;
  };
  inputs: ContractTensor[];
  outputs: ContractTensor[];
}

export interface ContractProfile {
  min: number;
  opt: number;
  max: number;
}

export interface ContractBatchProfile {
  batch: ContractProfile;
}

export interface ContractTolerance {
  absolute: number;
  relative?: number;
}

export interface ContractPin {
  bytes: number;
  sha256: string;
}
