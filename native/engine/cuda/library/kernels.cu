// The kernels: thin wrappers around the bodies in ../kernels, and their launches.

#include "engine/cuda/kernels/check.h"
#include "engine/cuda/kernels/ctc.h"
#include "engine/cuda/kernels/log_mel.h"
#include "engine/cuda/kernels/moves.h"
#include "engine/cuda/kernels/transducer.h"
#include "engine/cuda/library/launch.h"
#include "engine/cuda/library/runtime.h"

namespace trt_asr::cuda {

namespace {

// CONTRACT: rows of a batch; the grid's second axis. SOURCE: CUDA, maximum y dimension of a grid. TODO: none.
constexpr int32_t rows_count_max = 65535;
// SOURCE: 128 butterflies of a frame of 512 samples. TODO: measure 64 and 256 on a GPU.
constexpr int log_mel_threads = 128;
// One thread walks a row: small blocks spread the rows over the multiprocessors. TODO: measure 1 and 64 on a
// GPU.
constexpr int collapse_threads = 32;
// Values that a thread of `check` looks at before another block helps. TODO: measure on a GPU.
constexpr int64_t check_values_per_thread = 16;
constexpr int64_t check_parts_max = 64;
// Blocks of one move, at most: one row alone, two moves, still fills a GPU. TODO: measure on a GPU.
constexpr int64_t move_parts_max = 64;

__global__ void __launch_bounds__(threads_max) load_rows_kernel(const __grid_constant__ TrtAsrMoveRows args) {
  DeviceBlock block;
  load_row(args, blockIdx.x, block);
}

__global__ void __launch_bounds__(threads_max)
    store_rows_kernel(const __grid_constant__ TrtAsrMoveRows args) {
  DeviceBlock block;
  store_row(args, blockIdx.x, block);
}

__global__ void __launch_bounds__(threads_max) gather_kernel(const __grid_constant__ TrtAsrGather args) {
  DeviceBlock block;
  gather_row(args, blockIdx.x, block);
}

__global__ void __launch_bounds__(threads_max) decide_kernel(const __grid_constant__ TrtAsrDecide args) {
  __shared__ DecideShared shared;
  DeviceBlock block;
  decide_row(args, blockIdx.x, shared, block);
}

__global__ void __launch_bounds__(threads_max) commit_kernel(const __grid_constant__ TrtAsrCommit args) {
  DeviceBlock block;
  commit_row(args, blockIdx.x, block);
}

__global__ void __launch_bounds__(threads_max)
    summarize_kernel(const __grid_constant__ TrtAsrSummarize args) {
  __shared__ SummaryShared shared;
  DeviceBlock block;
  summarize_rows(args, shared, block);
}

__global__ void __launch_bounds__(threads_max) check_kernel(const __grid_constant__ TrtAsrCheck args) {
  __shared__ CheckShared shared;
  DeviceBlock block;
  check_row(args, blockIdx.y, blockIdx.x, gridDim.x, shared, block);
}

__global__ void __launch_bounds__(threads_max) ctc_best_kernel(const __grid_constant__ TrtAsrCtc args) {
  __shared__ ChoiceShared shared;
  DeviceBlock block;
  ctc_best_frame(args, blockIdx.y, blockIdx.x, shared, block);
}

__global__ void __launch_bounds__(collapse_threads)
    ctc_collapse_kernel(const __grid_constant__ TrtAsrCtc args) {
  const int index = blockIdx.x * collapse_threads + threadIdx.x;
  if (index < args.rows_count) ctc_collapse_row(args, index);
}

__global__ void __launch_bounds__(log_mel_threads) log_mel_kernel(const __grid_constant__ TrtAsrLogMel args) {
  extern __shared__ double work[];
  DeviceBlock block;
  log_mel_frame(args, blockIdx.y, blockIdx.x, work, block);
}

__global__ void __launch_bounds__(threads_max) normalize_kernel(const __grid_constant__ TrtAsrLogMel args) {
  __shared__ NormalizeShared shared;
  DeviceBlock block;
  normalize_bin(args, blockIdx.y, blockIdx.x, shared, block);
}

__global__ void __launch_bounds__(threads_max) move_bytes_kernel(const __grid_constant__ TrtAsrMoves args) {
  DeviceBlock block;
  move_part(args.moves[blockIdx.y], blockIdx.x, gridDim.x, block);
}

int32_t check_rows_count(int32_t rows_count, const char* field, TrtAsrFailure* failure) noexcept {
  TRT_ASR_LAUNCH_REQUIRE(rows_count >= 1 && rows_count <= rows_count_max, field, "1 to 65535", rows_count);
  return TRT_ASR_OK;
}

int32_t check_dims(const TrtAsrStateDims& dims, TrtAsrFailure* failure) noexcept {
  TRT_ASR_LAUNCH_REQUIRE(dims.layers >= 0, "dims.layers", "at least 0", dims.layers);
  if (dims.layers == 0) return TRT_ASR_OK;
  TRT_ASR_LAUNCH_REQUIRE(dims.width >= 1, "dims.width", "at least 1", dims.width);
  TRT_ASR_LAUNCH_REQUIRE(dims.predicted_width >= 0, "dims.predicted_width", "at least 0",
                         dims.predicted_width);
  return TRT_ASR_OK;
}

int32_t check_move(const TrtAsrMoveRows& given, TrtAsrFailure* failure) noexcept {
  if (const int32_t code = check_rows_count(given.rows_count, "move_rows.rows_count", failure); code != 0)
    return code;
  const int32_t side_rows = given.side_rows;
  TRT_ASR_LAUNCH_REQUIRE(side_rows == 0 || side_rows >= given.rows_count, "move_rows.side_rows",
                         "0, or rows_count or more", side_rows);
  TRT_ASR_LAUNCH_REQUIRE(given.behind == 0 || (given.behind == 1 && side_rows != 0), "move_rows.behind",
                         "0, or 1 where there are side_rows", given.behind);
  return check_dims(given.dims, failure);
}

int32_t load_rows(const TrtAsrMoveRows* given, TrtAsrStream stream, TrtAsrFailure* failure) noexcept {
  if (const int32_t code = check_move(*given, failure); code != 0) return code;
  load_rows_kernel<<<given->rows_count, threads_max, 0, stream_of(stream)>>>(*given);
  return launched("kernel load_rows", failure);
}

int32_t store_rows(const TrtAsrMoveRows* given, TrtAsrStream stream, TrtAsrFailure* failure) noexcept {
  if (const int32_t code = check_move(*given, failure); code != 0) return code;
  store_rows_kernel<<<given->rows_count, threads_max, 0, stream_of(stream)>>>(*given);
  return launched("kernel store_rows", failure);
}

int32_t gather(const TrtAsrGather* given, TrtAsrStream stream, TrtAsrFailure* failure) noexcept {
  if (const int32_t code = check_rows_count(given->rows_count, "gather.rows_count", failure); code != 0)
    return code;
  TRT_ASR_LAUNCH_REQUIRE(given->width >= 1, "gather.width", "at least 1", given->width);
  gather_kernel<<<given->rows_count, threads_max, 0, stream_of(stream)>>>(*given);
  return launched("kernel gather", failure);
}

int32_t decide(const TrtAsrDecide* given, TrtAsrStream stream, TrtAsrFailure* failure) noexcept {
  if (const int32_t code = check_rows_count(given->rows_count, "decide.rows_count", failure); code != 0)
    return code;
  const int32_t durations = given->durations_count;
  TRT_ASR_LAUNCH_REQUIRE(given->vocabulary >= 1, "decide.vocabulary", "at least 1", given->vocabulary);
  TRT_ASR_LAUNCH_REQUIRE(durations >= 0 && durations <= TRT_ASR_DURATIONS_MAX, "decide.durations_count",
                         "0 to 64", durations);
  for (int32_t k = 0; k < durations; ++k)
    TRT_ASR_LAUNCH_REQUIRE(given->durations[k] >= 0, "decide.durations", "at least 0", given->durations[k]);
  TRT_ASR_LAUNCH_REQUIRE(given->max_symbols_per_frame >= 1, "decide.max_symbols_per_frame", "at least 1",
                         given->max_symbols_per_frame);
  TRT_ASR_LAUNCH_REQUIRE(given->row_stride >= int64_t{given->vocabulary} + 1 + durations, "decide.row_stride",
                         "V + 1 + K or more", given->row_stride);
  TRT_ASR_LAUNCH_REQUIRE(given->tokens_room >= 0, "decide.tokens_room", "at least 0", given->tokens_room);
  decide_kernel<<<given->rows_count, threads_max, 0, stream_of(stream)>>>(*given);
  return launched("kernel decide", failure);
}

int32_t commit(const TrtAsrCommit* given, TrtAsrStream stream, TrtAsrFailure* failure) noexcept {
  if (const int32_t code = check_rows_count(given->rows_count, "commit.rows_count", failure); code != 0)
    return code;
  if (const int32_t code = check_dims(given->dims, failure); code != 0) return code;
  commit_kernel<<<given->rows_count, threads_max, 0, stream_of(stream)>>>(*given);
  return launched("kernel commit", failure);
}

int32_t summarize(const TrtAsrSummarize* given, TrtAsrStream stream, TrtAsrFailure* failure) noexcept {
  if (const int32_t code = check_rows_count(given->rows_count, "summarize.rows_count", failure); code != 0)
    return code;
  summarize_kernel<<<1, threads_max, 0, stream_of(stream)>>>(*given);
  return launched("kernel summarize", failure);
}

int32_t check(const TrtAsrCheck* given, TrtAsrStream stream, TrtAsrFailure* failure) noexcept {
  if (const int32_t code = check_rows_count(given->rows_count, "check.rows_count", failure); code != 0)
    return code;
  TRT_ASR_LAUNCH_REQUIRE(given->width >= 1, "check.width", "at least 1", given->width);
  TRT_ASR_LAUNCH_REQUIRE(given->counts_max >= 0, "check.counts_max", "at least 0", given->counts_max);
  const int64_t share = check_values_per_thread * threads_max;
  const int64_t wanted = (int64_t{given->counts_max} * given->width + share - 1) / share;
  const int64_t parts = wanted < 1 ? 1 : wanted > check_parts_max ? check_parts_max : wanted;
  const dim3 grid(static_cast<unsigned>(parts), static_cast<unsigned>(given->rows_count));
  check_kernel<<<grid, threads_max, 0, stream_of(stream)>>>(*given);
  return launched("kernel check", failure);
}

int32_t ctc(const TrtAsrCtc* given, TrtAsrStream stream, TrtAsrFailure* failure) noexcept {
  if (const int32_t code = check_rows_count(given->rows_count, "ctc.rows_count", failure); code != 0)
    return code;
  TRT_ASR_LAUNCH_REQUIRE(given->vocabulary >= 1, "ctc.vocabulary", "at least 1", given->vocabulary);
  TRT_ASR_LAUNCH_REQUIRE(given->frames_max >= 1, "ctc.frames_max", "at least 1", given->frames_max);
  TRT_ASR_LAUNCH_REQUIRE(given->tokens_room >= 0, "ctc.tokens_room", "at least 0", given->tokens_room);
  const dim3 grid(static_cast<unsigned>(given->frames_max), static_cast<unsigned>(given->rows_count));
  ctc_best_kernel<<<grid, threads_max, 0, stream_of(stream)>>>(*given);
  if (const int32_t code = launched("kernel ctc_best", failure); code != 0) return code;
  const int blocks = (given->rows_count + collapse_threads - 1) / collapse_threads;
  ctc_collapse_kernel<<<blocks, collapse_threads, 0, stream_of(stream)>>>(*given);
  return launched("kernel ctc_collapse", failure);
}

int32_t log_mel(const TrtAsrLogMel* given, TrtAsrStream stream, TrtAsrFailure* failure) noexcept {
  if (const int32_t code = check_rows_count(given->rows_count, "log_mel.rows_count", failure); code != 0)
    return code;
  const int32_t fft_samples = given->fft_samples;
  const bool fft_ok = fft_samples >= 64 && fft_samples <= 4096 && (fft_samples & (fft_samples - 1)) == 0;
  TRT_ASR_LAUNCH_REQUIRE(fft_ok, "log_mel.fft_samples", "a power of two from 64 to 4096", fft_samples);
  TRT_ASR_LAUNCH_REQUIRE(given->window_samples >= 2 && given->window_samples <= fft_samples,
                         "log_mel.window_samples", "2 to fft_samples", given->window_samples);
  TRT_ASR_LAUNCH_REQUIRE(given->hop_samples >= 1, "log_mel.hop_samples", "at least 1", given->hop_samples);
  TRT_ASR_LAUNCH_REQUIRE(given->mel_bins >= 1, "log_mel.mel_bins", "at least 1", given->mel_bins);
  TRT_ASR_LAUNCH_REQUIRE(given->frames_max >= 1, "log_mel.frames_max", "at least 1", given->frames_max);
  TRT_ASR_LAUNCH_REQUIRE(given->band_stride >= given->frames_max, "log_mel.band_stride", "frames_max or more",
                         given->band_stride);
  const auto rows = static_cast<unsigned>(given->rows_count);
  const dim3 frames(static_cast<unsigned>(given->frames_max), rows);
  const size_t shared_bytes = (static_cast<size_t>(fft_samples) + 1) * sizeof(double);
  log_mel_kernel<<<frames, log_mel_threads, shared_bytes, stream_of(stream)>>>(*given);
  if (const int32_t code = launched("kernel log_mel", failure); code != 0) return code;
  const dim3 bins(static_cast<unsigned>(given->mel_bins), rows);
  normalize_kernel<<<bins, threads_max, 0, stream_of(stream)>>>(*given);
  return launched("kernel normalize", failure);
}

int32_t move_bytes(const TrtAsrMoves* given, TrtAsrStream stream, TrtAsrFailure* failure) noexcept {
  const int32_t count = given->moves_count;
  TRT_ASR_LAUNCH_REQUIRE(count >= 0 && count <= TRT_ASR_MOVES_MAX, "move_bytes.moves_count", "0 to 160",
                         count);
  int64_t longest = 0;
  for (int32_t i = 0; i < count; ++i) {
    const TrtAsrMove& move = given->moves[i];
    TRT_ASR_LAUNCH_REQUIRE(move.bytes >= 0, "move_bytes.moves.bytes", "at least 0", move.bytes);
    TRT_ASR_LAUNCH_REQUIRE(move.bytes == 0 || move.to != nullptr, "move_bytes.moves.to", "an address", 0);
    if (move.bytes > longest) longest = move.bytes;
  }
  if (longest == 0) return TRT_ASR_OK;
  const int64_t share = int64_t{threads_max} * move_words_at_once * int64_t{sizeof(MoveWord)};
  const int64_t wanted = (longest + share - 1) / share;
  const dim3 grid(static_cast<unsigned>(wanted > move_parts_max ? move_parts_max : wanted),
                  static_cast<unsigned>(count));
  move_bytes_kernel<<<grid, threads_max, 0, stream_of(stream)>>>(*given);
  return launched("kernel move_bytes", failure);
}

int32_t prepare(TrtAsrFailure* failure) noexcept {
  const cudaError_t error =
      load_all(load_rows_kernel, store_rows_kernel, gather_kernel, decide_kernel, commit_kernel,
               summarize_kernel, check_kernel, ctc_best_kernel, ctc_collapse_kernel, log_mel_kernel,
               normalize_kernel, move_bytes_kernel);
  return report(error != cudaSuccess ? error : prepare_search(), "CUDA kernels", failure);
}

}  // namespace

void add_kernels(TrtAsrCudaLibrary& library) noexcept {
  library.prepare = prepare;
  library.load_rows = load_rows;
  library.store_rows = store_rows;
  library.gather = gather;
  library.decide = decide;
  library.commit = commit;
  add_search(library);
  library.summarize = summarize;
  library.check = check;
  library.ctc = ctc;
  library.log_mel = log_mel;
  library.move_bytes = move_bytes;
}

}  // namespace trt_asr::cuda
