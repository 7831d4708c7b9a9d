#include "engine/packed/conformer.h"

#include <algorithm>

namespace trt_asr::packed {

namespace {

// CONTRACT: values that one task of a normalisation or a convolution computes. SOURCE: ours. WHY: with fewer,
// waking a thread costs more than it saves. TODO: none.
constexpr std::size_t task_values = 16384;

/// One line of the cache more than a power of two, so that neighbouring frames do not share lines of the
/// cache.
constexpr std::size_t stride_extra = 16;

std::size_t inputs_of(const Linear& matrix) noexcept {
  return static_cast<std::size_t>(matrix.inputs);
}

/// The most values of a frame anywhere, and the most inputs of a product.
std::size_t widest_of(const EncoderWeights& weights) noexcept {
  std::size_t widest =
      std::max(inputs_of(weights.subsampling.out), inputs_of(weights.subsampling.pointwise[0]));
  for (const ConformerLayer& layer : weights.layers)
    widest = std::max({widest, inputs_of(layer.ff1_in), inputs_of(layer.ff1_out), inputs_of(layer.ff2_out)});
  return widest;
}

}  // namespace

ConformerStage::ConformerStage(const EncoderWeights& weights, AttentionStage attention) noexcept
    : weights_(&weights),
      kernels_(&conformer_kernels()),
      attention_(attention),
      width_(static_cast<std::size_t>(weights.width)),
      convolved_stride_(width_ + stride_extra) {}

Result<ConformerStage> ConformerStage::create(const EncoderWeights& weights, std::size_t frames,
                                              std::size_t row_frames, std::size_t threads,
                                              Arena& arena) noexcept {
  TRT_ASR_ASSIGN(AttentionStage attention, AttentionStage::create(weights, row_frames, threads, arena));
  ConformerStage stage(weights, attention);
  const std::size_t width = stage.width_;
  const std::size_t widest = widest_of(weights);
  stage.hidden_frames_ = std::min(frames, hidden_frames_max);
  TRT_ASR_ASSIGN(stage.hidden_, arena.claim<float>(stage.hidden_frames_ * widest));
  TRT_ASR_ASSIGN(stage.normed_, arena.claim<float>(frames * width));
  TRT_ASR_ASSIGN(stage.wide_, arena.claim<float>(frames * std::max(3 * width, stage.convolved_stride_)));
  TRT_ASR_ASSIGN(const std::span<std::byte> memory,
                 arena.claim<std::byte>(workspace_bytes(workspace_rows_max, widest)));
  stage.workspace_ = make_workspace(memory.data(), workspace_rows_max, widest);
  return stage;
}

void ConformerStage::start(std::span<const FrameRange> rows) noexcept {
  rows_ = rows;
  frames_ = rows.empty() ? 0 : rows.back().first + rows.back().count;
}

void ConformerStage::normalise(Team& team, const Norm& norm, const float* x, float* out) const noexcept {
  const std::size_t tasks = std::max<std::size_t>(1, frames_ * width_ / task_values);
  team.run(tasks, [&](std::size_t task) {
    const std::size_t first = frames_ * task / tasks;
    const std::size_t end = frames_ * (task + 1) / tasks;
    kernels_->layer_norm(x + first * width_, end - first, width_, norm.gain_D, norm.bias_D, norm.epsilon,
                         out + first * width_);
  });
}

void ConformerStage::feed_forward(Team& team, const Norm& norm, const Linear& in, const Linear& out,
                                  float* x) noexcept {
  normalise(team, norm, x, normed_.data());
  const std::size_t inner = inputs_of(out);
  for (std::size_t first = 0; first < frames_; first += hidden_frames_) {
    const std::size_t count = std::min(hidden_frames_, frames_ - first);
    linear(team, in, normed_.data() + first * width_, count, width_, Epilogue::swish, 1.0F, hidden_.data(),
           inner, workspace_);
    linear(team, out, hidden_.data(), count, inner, Epilogue::add_scaled, weights_->ff_factor,
           x + first * width_, width_, workspace_);
  }
}

void ConformerStage::project_attention(Team& team, const ConformerLayer& layer, const float* x) noexcept {
  normalise(team, layer.attention_norm, x, normed_.data());
  linear(team, layer.qkv, normed_.data(), frames_, width_, Epilogue::store, 1.0F, wide_.data(), 3 * width_,
         workspace_);
}

void ConformerStage::attend(Team& team, std::size_t layer, const PositionTable& positions) noexcept {
  attention_.run(*kernels_, team, weights_->layers[layer], layer, positions, rows_, wide_.data(),
                 normed_.data());
}

void ConformerStage::add_attention(Team& team, const ConformerLayer& layer, float* x) noexcept {
  linear(team, layer.attention_out, normed_.data(), frames_, width_, Epilogue::add_scaled, 1.0F, x, width_,
         workspace_);
}

void ConformerStage::project_convolution(Team& team, const ConformerLayer& layer, const float* x) noexcept {
  normalise(team, layer.conv_norm, x, normed_.data());
  linear(team, layer.conv_in, normed_.data(), frames_, width_, Epilogue::glu, 1.0F, wide_.data(),
         convolved_stride_, workspace_);
}

void ConformerStage::convolve(Team& team, const ConformerLayer& layer) noexcept {
  const Depthwise& depthwise = layer.depthwise;
  const std::size_t task_frames = std::max<std::size_t>(8, task_values / width_);
  for (const FrameRange& row : rows_) {
    team.run((row.count + task_frames - 1) / task_frames, [&](std::size_t task) {
      const std::size_t first = task * task_frames;
      kernels_->convolve_time(wide_.data() + row.first * convolved_stride_, row.count, convolved_stride_,
                              depthwise.weights, depthwise.bias, static_cast<std::size_t>(depthwise.taps),
                              width_, first, std::min(task_frames, row.count - first),
                              normed_.data() + row.first * width_, width_);
    });
  }
}

void ConformerStage::add_convolution(Team& team, const ConformerLayer& layer, float* x) noexcept {
  linear(team, layer.conv_out, normed_.data(), frames_, width_, Epilogue::add_scaled, 1.0F, x, width_,
         workspace_);
}

void ConformerStage::run_layer(Team& team, std::size_t layer, const PositionTable& positions,
                               float* x) noexcept {
  const ConformerLayer& own = weights_->layers[layer];
  feed_forward(team, own.ff1_norm, own.ff1_in, own.ff1_out, x);
  project_attention(team, own, x);
  attend(team, layer, positions);
  add_attention(team, own, x);
  project_convolution(team, own, x);
  convolve(team, own);
  add_convolution(team, own, x);
  feed_forward(team, own.ff2_norm, own.ff2_in, own.ff2_out, x);
  normalise(team, own.out_norm, x, x);
}

}  // namespace trt_asr::packed
