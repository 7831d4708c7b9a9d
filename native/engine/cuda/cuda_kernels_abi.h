#pragma once
// What the kernels of libtrt_asr_cuda.so are given, in C. A pointer is to device memory unless it says
// otherwise; device code may also write to pinned host memory. Strides are counted in elements. What engines
// give and take is float32 whatever they compute in; only the matrices of a network have a dtype.
//
// Each struct is copied when a kernel is launched, and so is baked into a CUDA graph: what changes between
// two launches of a graph lies behind its pointers.

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/// CONTRACT: most durations of a TDT model. SOURCE: contracts/limits.json, durations_max. WHY: they travel as
/// an argument of the kernel. TODO: none.
#define TRT_ASR_DURATIONS_MAX 64

/// Why a row, or a row of an encoder's output or of features, failed. A row with a flag is finished.
enum {
  TRT_ASR_FLAG_LOGITS_NOT_FINITE = 1,
  TRT_ASR_FLAG_ENCODED_NOT_FINITE = 2,
  TRT_ASR_FLAG_TOKENS_ROOM = 4,  ///< The row's buffer of tokens is full.
  TRT_ASR_FLAG_STEPS = 8,        ///< More steps than max_symbols_per_frame allows.
  TRT_ASR_FLAG_ROW_RANGE = 16,   ///< A slot, row or frame out of range.
  TRT_ASR_FLAG_SAMPLES_NOT_FINITE = 32,
};

/// One emitted token; laid out as trt_asr::Token is.
typedef struct TrtAsrToken {
  int32_t id;
  int32_t frame;  ///< Absolute: frame_origin is in it.
  int32_t duration_frames;
  float confidence;
} TrtAsrToken;

/// One row of a decode batch. The host writes the first part and zeroes the rest, `load_rows` fills the rest;
/// a row that `load_rows` is not given has the label -1.
typedef struct TrtAsrDecodeRow {
  int32_t
      load_slot;  ///< Where the state comes from; the slot that holds the start state for a new utterance.
  int32_t store_slot;    ///< Where it goes; a slot appears once in a batch.
  int32_t encoded_row;   ///< Row of the encoded batch.
  int32_t frame_begin;   ///< First frame, within the row. frame_begin = frame_end: a row that does nothing.
  int32_t frame_end;     ///< One past the last.
  int32_t frame_origin;  ///< Absolute frame of the row's frame 0.
  int32_t ends;          ///< CTC: 1 when nothing follows in this utterance.
  int32_t flags;         ///< Host: 0. Out: TRT_ASR_FLAG_*.
  int32_t flag_frame;    ///< Out: absolute frame of the flag, or -1.
  int32_t symbols;       ///< Out: labels on this frame so far.
  int32_t label;         ///< Out: label of the last step; -1 for blank and for a row that did nothing. Before
                         ///< `search_start`: the token that the row is renewed with, or -1.
  int32_t last_token;    ///< Out.
  int32_t tokens_count;  ///< Out.
  int32_t side;          ///< Out: where the batch's state of this row lies; 0 where states have one side.
  int64_t frame;         ///< Out: frame of the next step, within the row; frame - frame_end is the carry.
  int64_t steps;         ///< Out: steps so far.
} TrtAsrDecodeRow;

/// Extents of a predictor's state. A predicted_width of 0 means a fused model, which has no output of the
/// predictor apart.
typedef struct TrtAsrStateDims {
  int32_t layers;  ///< L
  int32_t width;   ///< H
  int32_t predicted_width;
} TrtAsrStateDims;

/// h and c of several rows, [L, B, H] or [B, L, H] by their strides, and predicted, [B, predicted_width].
typedef struct TrtAsrStates {
  float* h;
  float* c;
  float* predicted;
  int64_t layer_stride;
  int64_t row_stride;
} TrtAsrStates;

/// State of the slots, and that of a batch. `load_rows` checks the rows and copies slot -> batch;
/// `store_rows` copies batch -> slot for every row that finished without a flag, so that a failed row leaves
/// its slot as it was.
typedef struct TrtAsrMoveRows {
  TrtAsrDecodeRow* rows;
  int32_t rows_count;
  int32_t slots_count;  ///< With the slot of the start state.
  int32_t encoded_rows;
  int32_t encoded_frames;
  const int32_t* encoded_flags;  ///< [encoded_rows], from `check`; OR-ed into the rows. May be null.
  TrtAsrStateDims dims;          ///< layers = 0: no state is moved (CTC).
  TrtAsrStates slots;
  TrtAsrStates batch;
  /// Where the batch's states have two sides (TrtAsrSearch): rows between them, so that the state of row i on
  /// side s is that of row s * side_rows + i; and whether the slots' states are those before the last token,
  /// as a fused graph has them, and not those after it. Else 0 and 0.
  int32_t side_rows;
  int32_t behind;
  int32_t* slot_tokens;        ///< Last token [slots_count]; null with CTC.
  int32_t* slot_carry_frames;  ///< [slots_count]; null with CTC.
  int32_t* tokens;  ///< Token input of the graph [rows_count]: a valid token from the beginning. May be null.
} TrtAsrMoveRows;

/// Encoded frames of a batch: (row, frame, d) at row * row_stride + frame * frame_stride + d * width_stride.
/// It lies in device memory, so that a graph with a gather serves every batch.
typedef struct TrtAsrEncoded {
  const float* values;
  int64_t row_stride;
  int64_t frame_stride;
  int64_t width_stride;
} TrtAsrEncoded;

/// Encoder frame of each unfinished row -> input of the joint; zeros for the others.
typedef struct TrtAsrGather {
  const TrtAsrDecodeRow* rows;
  int32_t rows_count;
  int32_t width;  ///< D
  const TrtAsrEncoded* encoded;
  float* frames;  ///< [rows_count, D]
} TrtAsrGather;

/// One step of the TDT or RNN-T search for each unfinished row, over logits [rows_count, V + 1 + K]. Blank is
/// V.
typedef struct TrtAsrDecide {
  TrtAsrDecodeRow* rows;
  int32_t rows_count;
  int32_t vocabulary;  ///< V
  const float* logits;
  int32_t durations_count;  ///< K; 0 is RNN-T.
  int64_t row_stride;
  int32_t durations[TRT_ASR_DURATIONS_MAX];
  int32_t max_symbols_per_frame;
  int32_t tokens_room;  ///< Tokens that a row has room for.
  TrtAsrToken* tokens;  ///< [rows_count, tokens_room]
  int32_t* candidates;  ///< Split model: token input of the predictor [rows_count], the last token of each
                        ///< row. Fused: null.
} TrtAsrDecide;

/// Rows whose last step gave a label take the state that the graph returned; the others keep theirs.
typedef struct TrtAsrCommit {
  const TrtAsrDecodeRow* rows;
  int32_t rows_count;
  TrtAsrStateDims dims;
  TrtAsrStates next;
  TrtAsrStates batch;
  int32_t* tokens;  ///< Fused model: token input of the graph [rows_count]. Split: null.
} TrtAsrCommit;

/// CONTRACT: how the matrices of a prediction network are packed, and how much of one the kernels take.
/// SOURCE: none, not run on a GPU yet. WHY: a thread reads 8 inputs of its output at once, a warp 32 outputs
/// side by side; what is larger than the limits is left to engines. TODO: measure on a GPU.
#define TRT_ASR_TILE_OUTPUTS 32
#define TRT_ASR_TILE_INPUTS 8
#define TRT_ASR_LSTM_LAYERS_MAX 4
#define TRT_ASR_FRAMES_AHEAD_MAX 8
/// Most inputs of a matrix: as many numbers of 8 vectors, and the sums over them, are in shared memory.
#define TRT_ASR_NETWORK_INPUTS_MAX 2560

/// A matrix [inputs, outputs] in tiles: (k, n) at ((n / 32 * groups + k / 8) * 32 + n % 32) * 8 + k % 8,
/// groups = ceil(inputs / 8). What is beyond inputs and outputs is zero. Aligned to 16 bytes.
typedef struct TrtAsrMatrix {
  const void* weights;  ///< Null: there is no such matrix.
  const float* bias;    ///< [outputs], or null.
  int32_t dtype;        ///< TRT_ASR_F32, TRT_ASR_F16 or TRT_ASR_BF16.
  int32_t inputs;
  int32_t outputs;
} TrtAsrMatrix;

/// Predictor and joint: embedding, LSTM layers, perhaps a projection; frame and prediction projected, added,
/// relu, classes. Sums are float32 whatever the weights are.
typedef struct TrtAsrNetwork {
  const float* embedding;  ///< [embedding_rows, embedding_width]
  int32_t embedding_rows;  ///< V + 1
  int32_t embedding_width;
  int32_t layers;                               ///< 1 to TRT_ASR_LSTM_LAYERS_MAX
  int32_t width;                                ///< H, of every layer.
  TrtAsrMatrix gates[TRT_ASR_LSTM_LAYERS_MAX];  ///< Over [x, h]; output 4 * unit + gate, the gates being
                                                ///< input, output, forget, cell.
  TrtAsrMatrix projection;                      ///< Of the predictor's output; or none.
  TrtAsrMatrix joint_encoder;                   ///< D -> J; none: frames come with J numbers.
  TrtAsrMatrix joint_predictor;                 ///< P -> J
  TrtAsrMatrix joint_out;                       ///< J -> V + 1 + K
} TrtAsrNetwork;

/// What a tile of 32 classes says of one frame.
typedef struct TrtAsrTileChoice {
  double sum;      ///< Of exp(logit - best) over its tokens.
  float best;      ///< Of its tokens.
  int32_t index;   ///< First class with it; -1: the tile has no token.
  int32_t finite;  ///< 1: its logits of tokens and durations are finite.
  int32_t reserved;
} TrtAsrTileChoice;

/// The search of a batch over a prediction network, without engines between its kernels. `load_rows`, with
/// side_rows = rules.rows_count, goes before `search_start`; then `search_step` until no row is unfinished,
/// `store_rows`. A step takes each unfinished row to its next label or, over blanks, past
/// the frames that it looks at, and renews its state where there was a label: from the other side into the
/// row's own.
typedef struct TrtAsrSearch {
  TrtAsrNetwork network;
  TrtAsrDecide rules;  ///< Its rows and tokens; logits and candidates are null.
  const TrtAsrEncoded* encoded;
  int32_t encoder_width;  ///< D
  int32_t behind;         ///< As in TrtAsrMoveRows.
  int32_t frames_ahead;   ///< 1, 2, 4 or 8: frames that a step looks at,
  int32_t frames_stride;  ///< so many apart, at least 1: those that blanks of the longest duration lead to.
  int32_t frames_room;    ///< Frames of a row that `frames` has room for, at most 524,280; a row with a
                          ///< longer range is flagged.
  TrtAsrStates states;    ///< Of 2 * rows_count rows: two sides. `predicted` is what the
                          ///< predictor gives, [2 * rows_count, P], for fused graphs too.
  float* frames;          ///< [rows_count, frames_room, J]: frames through joint_encoder, by their
                          ///< place behind frame_begin.
  float* predicted;       ///< [rows_count, J]: predicted through joint_predictor.
  TrtAsrTileChoice* choices;  ///< [rows_count, frames_ahead, tiles of joint_out]
  float* durations;           ///< [rows_count, frames_ahead, K]: logits.
  int32_t* arrivals;          ///< [rows_count], 0 at first and after each step: which block is the last.
  float* logits;  ///< [rows_count, frames_ahead, V + 1 + K], for comparisons; null: none are kept.
} TrtAsrSearch;

/// How many rows of a batch go on, for the host to read.
typedef struct TrtAsrSummarize {
  const TrtAsrDecodeRow* rows;
  int32_t rows_count;
  int32_t* unfinished;  ///< Rows that have frames left and no flag; device or pinned host memory.
} TrtAsrSummarize;

/// Finite flags of [rows_count, counts[row], width]: of an encoder's valid frames, for example.
typedef struct TrtAsrCheck {
  const float* values;  ///< (row, n, w) at row * row_stride + n * count_stride + w * width_stride.
  int32_t rows_count;
  int64_t row_stride;
  int64_t count_stride;
  int64_t width_stride;
  const int32_t* counts;  ///< [rows_count]
  int32_t counts_max;     ///< No count is above it.
  int32_t width;
  int32_t* flags;  ///< [rows_count]: ENCODED_NOT_FINITE is OR-ed into it.
} TrtAsrCheck;

/// What CTC remembers of an utterance between two ranges; field by field trt_asr::CtcState. The start state:
/// last_label = blank, begin_frame = -1, the rest 0.
typedef struct TrtAsrCtcState {
  int32_t last_label;
  int32_t begin_frame;
  int32_t previous_frame;
  int32_t has_previous;
  int32_t has_waiting;
  TrtAsrToken waiting;
} TrtAsrCtcState;

/// Best class of a frame.
typedef struct TrtAsrCtcBest {
  int32_t label;     ///< -1: a number is not finite.
  float confidence;  ///< 0 for blank.
} TrtAsrCtcBest;

/// Greedy CTC over log-probabilities [encoded_rows, frames, V + 1]. `ctc_best` fills `best`, `ctc_collapse`
/// walks it.
typedef struct TrtAsrCtc {
  TrtAsrDecodeRow* rows;
  int32_t rows_count;
  int32_t vocabulary;
  const float* log_probs;  ///< (row, frame, class) at row * row_stride + frame * frame_stride + class.
  int64_t row_stride;
  int64_t frame_stride;
  int32_t frames_max;      ///< Most frames of a row's range; rows with more are flagged.
  int32_t tokens_room;     ///< frames_max + 1 is enough.
  TrtAsrCtcBest* best;     ///< [rows_count, frames_max]
  TrtAsrToken* tokens;     ///< [rows_count, tokens_room]
  TrtAsrCtcState* states;  ///< [slots]
} TrtAsrCtc;

/// What is held of one signal; see trt_asr::SignalPart.
typedef struct TrtAsrSignalRow {
  int64_t samples_offset;  ///< Of sample `origin`, in `samples`.
  int64_t samples_count;
  int64_t origin;       ///< Index of the first held sample within the signal.
  int64_t frame_begin;  ///< First frame wanted, within the signal.
  int32_t frames;       ///< Frames wanted.
  int32_t padding;      ///< Frames of zeros before them, at least 0.
} TrtAsrSignalRow;

typedef struct TrtAsrMelBand {
  uint32_t bin_begin;
  uint32_t bin_count;
  uint32_t weight_begin;
} TrtAsrMelBand;

/// Log-mel features of a batch; tables as native/engine/cuda/log_mel_tables.h fills them.
typedef struct TrtAsrLogMel {
  const float* samples;
  const TrtAsrSignalRow* signals;  ///< [rows_count]
  int32_t rows_count;
  int32_t
      frames_max;  ///< Frames that `features` has, padding counted; rows with fewer are zero beyond theirs.
  int32_t fft_samples;  ///< Power of two, 64 ... 4096.
  int32_t window_samples;
  int32_t hop_samples;
  int32_t mel_bins;
  double pre_emphasis;
  double log_guard;
  double normalization_epsilon;
  int32_t per_feature;         ///< 1: normalise mean and deviation per mel bin over the valid frames.
  const double* window;        ///< [window_samples]
  const double* cosine;        ///< cos(2 pi k / fft_samples), k < fft_samples / 2.
  const double* sine;          ///< -sin(2 pi k / fft_samples).
  const TrtAsrMelBand* bands;  ///< [mel_bins]
  const double* weights;
  float* features;  ///< (row, m, t) at row * row_stride + m * band_stride + t.
  int64_t row_stride;
  int64_t band_stride;
  int32_t* flags;  ///< [rows_count]: SAMPLES_NOT_FINITE is OR-ed into it.
} TrtAsrLogMel;

/// CONTRACT: most moves of a list. SOURCE: a kernel takes 4 KB of arguments. WHY: it travels with the launch,
/// so it needs no copy of its own and no memory that must not change until the GPU has read it; in pinned
/// memory every block would fetch its part over the bus. TODO: time a launch with a full list on a GPU.
#define TRT_ASR_MOVES_MAX 160

/// Bytes from one place in device memory to another, of any length and alignment; fastest where both places
/// are aligned to 16 bytes.
typedef struct TrtAsrMove {
  void* to;
  const void* from;  ///< Null: zeros are written.
  int64_t bytes;
} TrtAsrMove;

/// A list of moves. What one of them writes, no other one reads or writes.
typedef struct TrtAsrMoves {
  int32_t moves_count;
  int32_t reserved;
  TrtAsrMove moves[TRT_ASR_MOVES_MAX];
} TrtAsrMoves;

#ifdef __cplusplus
}
#endif
