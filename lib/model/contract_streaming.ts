import type { Finding } from './contract_findings';
import type { Contract, ContractStreaming } from './contract_types.generated';

/** A streaming encoder as the native core takes it. Mel frames, where not said otherwise; native/encoder/chunk_plan.h explains them. */
export interface NativeStreaming {
  chunkFirst: number;
  chunkNext: number;
  shiftFirst: number;
  shiftNext: number;
  preEncode: number;
  firstPadding: number;
  /** Encoder frames, as the following three. */
  dropEncoded: number;
  cacheDrop: number;
  outputFrames: number;
  channelFrames: number;
  timeFrames: number;
  layers: number;
  channelWidth: number;
}

/** What a graph says that another's exporter made cache-aware; native/encoder/traced_stream.h reads it. */
export interface TracedStream extends NativeStreaming {
  subsampling: number;
}

/**
 * Why a model's streaming graph does not serve live audio; undefined when it does. It has to hear no later frame than its chunk's,
 * need nothing of the whole utterance for its features, and hold no frame back at the end. Others are there for comparisons.
 * native/session/model.h has the same as `can_stream`.
 */
export function streamingObstacle({ encoder, features, streaming }: Contract): Finding | undefined {
  if (streaming === undefined)
    return { field: 'streaming', expected: 'the section of a model for live audio', received: 'nothing' };
  const wrong = (field: string, expected: unknown, received: unknown) => ({
    field,
    expected: `${expected} of a model for live audio`,
    received: String(received),
  });
  if (!encoder.causal_subsampling) return wrong('encoder.causal_subsampling', true, false);
  if (features.normalization !== 'none')
    return wrong('features.normalization', 'none', features.normalization);
  const dropped = streaming.cache_drop_frames;
  return dropped === 0 ? undefined : wrong('streaming.cache_drop_frames', 0, dropped);
}

/** Precondition: there is no obstacle. What a contract may leave out follows from the rest. */
export function nativeStreaming(streaming: ContractStreaming, encoder: Contract['encoder']): NativeStreaming {
  const { chunk_frames: chunk, drop_extra_encoded_frames: drop } = streaming;
  const shift = streaming.shift_frames ?? chunk;
  return {
    chunkFirst: chunk.first,
    chunkNext: chunk.next,
    shiftFirst: shift.first,
    shiftNext: shift.next,
    preEncode: streaming.pre_encode_frames.next,
    firstPadding: streaming.first_padding_frames ?? drop.next * encoder.subsampling,
    dropEncoded: drop.next,
    cacheDrop: streaming.cache_drop_frames,
    outputFrames: streaming.output_frames,
    channelFrames: streaming.cache_channel_frames,
    timeFrames: streaming.cache_time_frames,
    layers: encoder.layers,
    channelWidth: encoder.width,
  };
}
