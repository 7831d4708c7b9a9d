/**
 * Absolute paths. `joint` is absent when predictor and joint are one graph (`decoder_joint`), in `predictor`. A CTC model has
 * neither. There is an encoder for whole utterances, or a streaming one, or both.
 */
export interface ModelFiles {
  encoder?: string;
  /** The cache-aware encoder, where it serves live audio. */
  streaming?: string;
  predictor?: string;
  joint?: string;
  vocab: string;
}

/** The least, usual and greatest extents that engines are built for. */
export interface EngineProfiles {
  encoder: { batch: ProfileRange; frames: ProfileRange };
  /** Predictor and joint. */
  prediction: { batch: ProfileRange };
}

export interface ProfileRange {
  min: number;
  opt: number;
  max: number;
}
