#include "engine/packed/attention_positions.h"

#include <algorithm>
#include <cmath>
#include <new>

namespace trt_asr::packed {

namespace {

/// Rows of the projection that are computed together.
constexpr std::size_t step_rows = workspace_rows_max;

}  // namespace

Status PositionTable::fill(const EncoderWeights& weights, Team& team) noexcept {
  const ConformerKernels& kernels = conformer_kernels();
  const auto width = static_cast<std::size_t>(weights.width);
  heads_ = static_cast<std::size_t>(weights.heads);
  const std::size_t depth = width / heads_;
  const std::size_t entries = 2 * frames_ - 1;
  const std::size_t panels = (entries + panel_columns - 1) / panel_columns;
  head_floats_ = panels * depth * panel_columns;
  TRT_ASR_ASSIGN(panels_, arena_.claim<float>(weights.layers.size() * heads_ * head_floats_));

  Arena scratch;
  TRT_ASR_ASSIGN(const std::span<float> sinusoids, scratch.claim<float>(step_rows * width));
  TRT_ASR_ASSIGN(const std::span<float> projected, scratch.claim<float>(step_rows * width));
  TRT_ASR_ASSIGN(const std::span<std::byte> memory,
                 scratch.claim<std::byte>(workspace_bytes(step_rows, width)));
  Workspace workspace = make_workspace(memory.data(), step_rows, width);
  for (std::size_t first = 0; first < entries; first += step_rows) {
    const std::size_t rows = std::min(step_rows, entries - first);
    for (std::size_t row = 0; row < rows; ++row) {
      const float back = static_cast<float>(frames_) - 1.0F - static_cast<float>(first + row);
      for (std::size_t i = 0; i < width / 2; ++i) {
        // SOURCE: NeMo rounds the product to f32 before it takes the sine.
        const float angle = back * weights.position_frequencies[i];
        sinusoids[row * width + 2 * i] = static_cast<float>(std::sin(static_cast<double>(angle)));
        sinusoids[row * width + 2 * i + 1] = static_cast<float>(std::cos(static_cast<double>(angle)));
      }
    }
    for (std::size_t layer = 0; layer < weights.layers.size(); ++layer) {
      linear(team, weights.layers[layer].position, sinusoids.data(), rows, width, Epilogue::store, 1.0F,
             projected.data(), width, workspace);
      team.run(heads_, [&](std::size_t head) {
        float* const to = panels_.data() + (layer * heads_ + head) * head_floats_ + first * depth;
        kernels.pack_transposed(projected.data() + head * depth, rows, width, depth, to);
      });
    }
  }
  return {};
}

Result<std::shared_ptr<const PositionTable>> PositionTable::compute(const EncoderWeights& weights,
                                                                    std::size_t frames, Team& team) noexcept {
  static_assert(step_rows % panel_columns == 0, "a step fills whole panels");
  try {
    const auto table = std::make_shared<PositionTable>();
    table->frames_ = frames;
    TRT_ASR_TRY(table->fill(weights, team));
    return std::shared_ptr<const PositionTable>(table);
  } catch (const std::bad_alloc&) {
    return Error{ErrorCode::internal, "position table", "enough memory", "none left", ""};
  }
}

Result<std::shared_ptr<const PositionTable>> PositionTables::of(std::size_t frames, Team& team) noexcept {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (longest_ == nullptr || longest_->frames() < frames) {
    TRT_ASR_ASSIGN(longest_, PositionTable::compute(weights_, frames, team));
  }
  return longest_;
}

}  // namespace trt_asr::packed
