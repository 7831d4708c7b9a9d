#include "host_kernels.h"

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <vector>

#include "../search_bodies.h"
#include "engine/cuda/kernels/check.h"
#include "engine/cuda/kernels/ctc.h"
#include "engine/cuda/kernels/log_mel.h"
#include "engine/cuda/kernels/moves.h"
#include "engine/cuda/kernels/transducer.h"
#include "host_memory.h"

namespace stand_in {

namespace {

using trt_asr::cuda::HostBlock;

Put put_work = nullptr;
constexpr int block_threads = 32;

/// Device addresses of an argument -> where the stand-in keeps them. False when one is not there.
template <class... Pointers>
bool resolve(Pointers&... pointers) {
  bool whole = true;
  const auto one = [&whole](auto& pointer) {
    if (pointer == nullptr) return;
    pointer = static_cast<std::remove_reference_t<decltype(pointer)>>(HostMemory::get().address(pointer, 1));
    whole = whole && pointer != nullptr;
  };
  (one(pointers), ...);
  return whole;
}

bool resolve_states(TrtAsrStates& states) {
  return resolve(states.h, states.c, states.predicted);
}

constexpr const char* not_there = "a kernel was given an address that is not there";

bool resolve(TrtAsrMoveRows& args) {
  return resolve(args.rows, args.encoded_flags, args.slot_tokens, args.slot_carry_frames, args.tokens) &&
         resolve_states(args.slots) && resolve_states(args.batch);
}

const char* run_load_rows(TrtAsrMoveRows& args) {
  if (!resolve(args)) return not_there;
  HostBlock block{block_threads};
  for (int row = 0; row < args.rows_count; ++row) trt_asr::cuda::load_row(args, row, block);
  return nullptr;
}

const char* run_store_rows(TrtAsrMoveRows& args) {
  if (!resolve(args)) return not_there;
  HostBlock block{block_threads};
  for (int row = 0; row < args.rows_count; ++row) trt_asr::cuda::store_row(args, row, block);
  return nullptr;
}

const char* run_gather(TrtAsrGather& args) {
  if (!resolve(args.rows, args.encoded, args.frames)) return not_there;
  // The one argument that lies in device memory and holds a device address itself.
  TrtAsrEncoded encoded = *args.encoded;
  if (!resolve(encoded.values)) return not_there;
  TrtAsrGather whole = args;
  whole.encoded = &encoded;
  HostBlock block{block_threads};
  for (int row = 0; row < args.rows_count; ++row) trt_asr::cuda::gather_row(whole, row, block);
  return nullptr;
}

const char* run_decide(TrtAsrDecide& args) {
  if (!resolve(args.rows, args.logits, args.tokens, args.candidates)) return not_there;
  HostBlock block{block_threads};
  trt_asr::cuda::DecideShared shared;
  for (int row = 0; row < args.rows_count; ++row) trt_asr::cuda::decide_row(args, row, shared, block);
  return nullptr;
}

const char* run_commit(TrtAsrCommit& args) {
  if (!resolve(args.rows, args.tokens) || !resolve_states(args.next) || !resolve_states(args.batch))
    return not_there;
  HostBlock block{block_threads};
  for (int row = 0; row < args.rows_count; ++row) trt_asr::cuda::commit_row(args, row, block);
  return nullptr;
}

/// Every address of a search, but for that of the frames, which lie behind one of them.
bool resolve_search(TrtAsrSearch& args) {
  TrtAsrNetwork& network = args.network;
  bool whole = resolve(network.embedding, args.rules.rows, args.rules.tokens, args.encoded, args.frames,
                       args.predicted, args.choices, args.durations, args.arrivals, args.logits) &&
               resolve_states(args.states);
  const auto one = [&](TrtAsrMatrix& matrix) { whole = resolve(matrix.weights, matrix.bias) && whole; };
  for (TrtAsrMatrix& matrix : network.gates) one(matrix);
  for (TrtAsrMatrix* matrix :
       {&network.projection, &network.joint_encoder, &network.joint_predictor, &network.joint_out})
    one(*matrix);
  return whole;
}

template <bool starts>
const char* run_search(TrtAsrSearch& args) {
  if (!resolve_search(args)) return not_there;
  TrtAsrEncoded encoded = *args.encoded;
  if (starts && !resolve(encoded.values)) return not_there;
  args.encoded = &encoded;
  trt_asr::cuda::HostSearch search{HostBlock{block_threads}};
  const std::int32_t code =
      starts ? trt_asr::cuda::start_search(args, search) : trt_asr::cuda::step_search(args, search);
  return code == TRT_ASR_OK ? nullptr : "a kernel was given a dtype that is none";
}

const char* run_summarize(TrtAsrSummarize& args) {
  if (!resolve(args.rows, args.unfinished)) return not_there;
  HostBlock block{block_threads};
  trt_asr::cuda::SummaryShared shared;
  trt_asr::cuda::summarize_rows(args, shared, block);
  return nullptr;
}

const char* run_check(TrtAsrCheck& args) {
  if (!resolve(args.values, args.counts, args.flags)) return not_there;
  HostBlock block{block_threads};
  trt_asr::cuda::CheckShared shared;
  constexpr int parts = 2;
  for (int row = 0; row < args.rows_count; ++row) {
    for (int part = 0; part < parts; ++part) trt_asr::cuda::check_row(args, row, part, parts, shared, block);
  }
  return nullptr;
}

const char* run_ctc(TrtAsrCtc& args) {
  if (!resolve(args.rows, args.log_probs, args.best, args.tokens, args.states)) return not_there;
  HostBlock block{block_threads};
  trt_asr::cuda::ChoiceShared shared;
  for (int row = 0; row < args.rows_count; ++row) {
    for (int at = 0; at < args.frames_max; ++at) trt_asr::cuda::ctc_best_frame(args, row, at, shared, block);
    trt_asr::cuda::ctc_collapse_row(args, row);
  }
  return nullptr;
}

const char* run_log_mel(TrtAsrLogMel& args) {
  if (!resolve(args.samples, args.signals, args.window, args.cosine, args.sine, args.bands, args.weights,
               args.features, args.flags)) {
    return not_there;
  }
  HostBlock block{block_threads};
  std::vector<double> work(static_cast<std::size_t>(args.fft_samples) + 1);
  trt_asr::cuda::NormalizeShared shared;
  for (int row = 0; row < args.rows_count; ++row) {
    for (int t = 0; t < args.frames_max; ++t) trt_asr::cuda::log_mel_frame(args, row, t, work.data(), block);
    for (int m = 0; m < args.mel_bins; ++m) trt_asr::cuda::normalize_bin(args, row, m, shared, block);
  }
  return nullptr;
}

const char* run_move_bytes(TrtAsrMoves& args) {
  HostBlock block{block_threads};
  constexpr int parts = 2;
  HostMemory& memory = HostMemory::get();
  for (int i = 0; i < args.moves_count; ++i) {
    TrtAsrMove& move = args.moves[i];
    const auto bytes = static_cast<std::size_t>(move.bytes);
    move.to = memory.address(move.to, bytes);
    if (move.to == nullptr) return not_there;
    if (move.from != nullptr) {
      move.from = memory.address(move.from, bytes);
      if (move.from == nullptr) return not_there;
    }
    for (int part = 0; part < parts; ++part) trt_asr::cuda::move_part(move, part, parts, block);
  }
  return nullptr;
}

/// Puts a kernel into the stream, its arguments by value.
template <class Args, const char* (*run)(Args&)>
std::int32_t launch(const Args* given, TrtAsrStream stream, TrtAsrFailure* failure) {
  static_assert(sizeof(Args) <= payload_max);
  return put_work(
      stream, [](void* payload) { return run(*static_cast<Args*>(payload)); }, given, sizeof *given, failure);
}

/// As the CUDA library refuses what is out of range.
template <bool starts>
std::int32_t search(const TrtAsrSearch* given, TrtAsrStream stream, TrtAsrFailure* failure) {
  const trt_asr::cuda::Refusal refused = trt_asr::cuda::check_search(*given);
  if (refused.field == nullptr) return launch<TrtAsrSearch, run_search<starts>>(given, stream, failure);
  failure->code = TRT_ASR_INTERNAL;
  std::snprintf(failure->field, sizeof failure->field, "%s", refused.field);
  std::snprintf(failure->expected, sizeof failure->expected, "%s", refused.expected);
  std::snprintf(failure->received, sizeof failure->received, "%lld",
                static_cast<long long>(refused.received));
  failure->remedy[0] = 0;
  return failure->code;
}

/// The launch of move_bytes that is refused, counted from the next one; 0: none.
std::atomic<long> moves_refused{0};

std::int32_t launch_moves(const TrtAsrMoves* given, TrtAsrStream stream, TrtAsrFailure* failure) {
  if (moves_refused == 0 || --moves_refused != 0)
    return launch<TrtAsrMoves, run_move_bytes>(given, stream, failure);
  *failure = {};
  failure->code = TRT_ASR_INTERNAL;
  std::snprintf(failure->field, sizeof failure->field, "kernel move_bytes");
  return failure->code;
}

}  // namespace

void refuse_moves(long launch) {
  moves_refused = launch;
}

void add_kernels(TrtAsrCudaLibrary& library, Put put) {
  put_work = put;
  library.load_rows = launch<TrtAsrMoveRows, run_load_rows>;
  library.store_rows = launch<TrtAsrMoveRows, run_store_rows>;
  library.gather = launch<TrtAsrGather, run_gather>;
  library.decide = launch<TrtAsrDecide, run_decide>;
  library.commit = launch<TrtAsrCommit, run_commit>;
  library.search_start = search<true>;
  library.search_step = search<false>;
  library.summarize = launch<TrtAsrSummarize, run_summarize>;
  library.check = launch<TrtAsrCheck, run_check>;
  library.ctc = launch<TrtAsrCtc, run_ctc>;
  library.log_mel = launch<TrtAsrLogMel, run_log_mel>;
  library.move_bytes = launch_moves;
}

}  // namespace stand_in
