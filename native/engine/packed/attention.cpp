#include "engine/packed/attention.h"

#include <algorithm>
#include <atomic>

namespace trt_asr::packed {

namespace {

constexpr std::size_t padded(std::size_t count) noexcept {
  return (count + panel_columns - 1) / panel_columns * panel_columns;
}

// CONTRACT: pieces of work for each thread. SOURCE: ours. WHY: with one each, a thread that is late holds up
// all others; each piece packs its head's keys and values again. TODO: none.
constexpr std::size_t items_per_thread = 2;

}  // namespace

Result<AttentionStage> AttentionStage::create(const EncoderWeights& weights, std::size_t frames,
                                              std::size_t threads, Arena& arena) noexcept {
  AttentionStage stage;
  stage.width_ = static_cast<std::size_t>(weights.width);
  stage.heads_ = static_cast<std::size_t>(weights.heads);
  stage.depth_ = stage.width_ / stage.heads_;
  stage.depth_padded_ = padded(stage.depth_);
  stage.frames_padded_ = padded(frames);
  // One line more than needed keeps the rows of a block off the same lines of the cache.
  stage.scores_stride_ = stage.frames_padded_ + panel_columns;
  stage.positions_stride_ = padded(frames + block_queries) + 2 * panel_columns;
  stage.score_scale_ = weights.score_scale;
  stage.threads_ = threads;
  stage.thread_floats_ = stage.frames_padded_ * stage.depth_ + frames * stage.depth_padded_ +
                         block_queries * (2 * stage.depth_ + stage.scores_stride_ + stage.positions_stride_ +
                                          stage.depth_padded_);
  stage.thread_floats_ = padded(stage.thread_floats_);
  TRT_ASR_ASSIGN(stage.memory_, arena.claim<float>(threads * stage.thread_floats_));
  return stage;
}

/// Scores against the positions of `panels` panels. At both ends of the range, only some queries of the block
/// need a panel.
void AttentionStage::multiply_positions(const ConformerKernels& kernels, const Job& job, std::size_t query,
                                        std::size_t count, std::size_t panel, std::size_t panels,
                                        const float* with_v, float* shifted) const noexcept {
  for (std::size_t i = 0; i < panels; ++i) {
    const std::size_t entry = (panel + i) * panel_columns;
    // Row r takes the entries from centre - query - r to frames - 1 beyond.
    const std::size_t last_first = job.positions_centre - query;
    const std::size_t beyond = entry + panel_columns - 1;
    const std::size_t first = beyond < last_first ? std::min(last_first - beyond, count - 1) : 0;
    const std::size_t highest = last_first + job.frames - 1;
    const std::size_t end = std::min(count, highest - std::min(entry, highest) + 1);
    kernels.multiply_panels(with_v + first * depth_, depth_, end - first, job.positions + entry * depth_,
                            depth_, 1, shifted + first * positions_stride_ + i * panel_columns,
                            positions_stride_);
  }
}

void AttentionStage::run_blocks(const ConformerKernels& kernels, const Job& job, std::size_t first,
                                std::size_t end, float* memory) const noexcept {
  const std::size_t stride = 3 * width_;
  const std::size_t key_panels = padded(job.frames) / panel_columns;
  float* const keys = memory;
  float* const values = keys + key_panels * panel_columns * depth_;
  float* const with_u = values + job.frames * depth_padded_;
  float* const with_v = with_u + block_queries * depth_;
  float* const scores = with_v + block_queries * depth_;
  float* const shifted = scores + block_queries * scores_stride_;
  float* const mixed = shifted + block_queries * positions_stride_;
  kernels.pack_transposed(job.qkv + width_, job.frames, stride, depth_, keys);
  kernels.pack(job.qkv + 2 * width_, job.frames, stride, depth_, values);
  for (std::size_t query = first; query < end; query += block_queries) {
    const std::size_t count = std::min(block_queries, end - query);
    for (std::size_t row = 0; row < count; ++row) {
      const float* const from = job.qkv + (query + row) * stride;
      kernels.add_and_scale(from, job.layer->bias_u_D + job.head * depth_, score_scale_, depth_,
                            with_u + row * depth_);
      kernels.add_and_scale(from, job.layer->bias_v_D + job.head * depth_, score_scale_, depth_,
                            with_v + row * depth_);
    }
    kernels.multiply_panels(with_u, depth_, count, keys, depth_, key_panels, scores, scores_stride_);
    // Key j of query i is at entry centre + j - i: the block needs those from its last query's first key on.
    const std::size_t lowest = job.positions_centre - (query + count - 1);
    const std::size_t highest = job.positions_centre + job.frames - 1 - query;
    const std::size_t panel = lowest / panel_columns;
    const std::size_t panels = highest / panel_columns + 1 - panel;
    multiply_positions(kernels, job, query, count, panel, panels, with_v, shifted);
    float sums[block_queries];
    for (std::size_t row = 0; row < count; ++row) {
      const float* const own =
          shifted + row * positions_stride_ + (job.positions_centre - (query + row) - panel * panel_columns);
      sums[row] = kernels.exponentials(scores + row * scores_stride_, own, job.frames);
    }
    kernels.multiply_panels(scores, scores_stride_, count, values, job.frames, depth_padded_ / panel_columns,
                            mixed, depth_padded_);
    for (std::size_t row = 0; row < count; ++row) {
      kernels.scale(mixed + row * depth_padded_, 1.0F / sums[row], depth_, job.out + (query + row) * width_);
    }
  }
}

void AttentionStage::run(const ConformerKernels& kernels, Team& team, const ConformerLayer& layer,
                         std::size_t layer_index, const PositionTable& positions,
                         std::span<const FrameRange> rows, const float* qkv, float* out) noexcept {
  const std::size_t jobs = rows.size() * heads_;
  const std::size_t segments =
      threads_ == 1 || jobs == 0 ? 1 : (items_per_thread * threads_ + jobs - 1) / jobs;
  const std::size_t items = jobs * segments;
  std::atomic<std::size_t> next{0};
  team.run(std::min(threads_, items), [&](std::size_t worker) {
    for (std::size_t item = next++; item < items; item = next++) {
      const FrameRange range = rows[item / (heads_ * segments)];
      const std::size_t head = item / segments % heads_;
      const std::size_t segment = item % segments;
      const std::size_t blocks = (range.count + block_queries - 1) / block_queries;
      const std::size_t first = blocks * segment / segments * block_queries;
      const std::size_t end = std::min(range.count, blocks * (segment + 1) / segments * block_queries);
      if (first >= end) continue;
      const Job job = {&layer,
                       positions.panels(layer_index, head),
                       positions.frames() - 1,
                       qkv + range.first * 3 * width_ + head * depth_,
                       range.count,
                       head,
                       out + range.first * width_ + head * depth_};
      run_blocks(kernels, job, first, end, memory_.data() + worker * thread_floats_);
    }
  });
}

}  // namespace trt_asr::packed
