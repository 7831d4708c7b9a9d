#include "engine/packed/subsampling.h"

#include <algorithm>
#include <atomic>
#include <cstring>

namespace trt_asr::packed {

namespace {

// CONTRACT: channels that pass through the first two convolutions together. SOURCE: ours. WHY: three frames
// of 64 bins of so many are 24 KB, which fits the L1 cache of every processor in sight. TODO: none.
constexpr std::size_t block_width_max = 32;

/// Frames that one task brings from [M, T] into [T, M].
constexpr std::size_t transposed_frames = 64;

}  // namespace

SubsamplingStage::SubsamplingStage(const Subsampling& weights, std::size_t mel_bins) noexcept
    : weights_(&weights),
      mel_bins_(mel_bins),
      channels_(static_cast<std::size_t>(weights.channels)),
      bins_{halved(mel_bins), halved(halved(mel_bins)), halved(halved(halved(mel_bins)))},
      block_width_(std::min(channels_, block_width_max)) {}

Result<SubsamplingStage> SubsamplingStage::create(const Subsampling& weights, std::size_t mel_bins,
                                                  std::size_t features_frames, std::size_t threads,
                                                  Arena& arena) noexcept {
  SubsamplingStage stage(weights, mel_bins);
  TRT_ASR_TRY(stage.claim(features_frames, threads, arena));
  return stage;
}

Status SubsamplingStage::claim(std::size_t features_frames, std::size_t threads, Arena& arena) noexcept {
  threads_ = threads;
  const std::size_t row2 = bins_[1] * channels_;
  TRT_ASR_ASSIGN(features_, arena.claim<float>(features_frames * (2 * bins_[0] + 1)));
  TRT_ASR_ASSIGN(rings_, arena.claim<float>(threads * 3 * bins_[0] * block_width_));
  TRT_ASR_ASSIGN(depthwise1_, arena.claim<float>(2 * block_frames * row2));
  TRT_ASR_ASSIGN(pointwise1_, arena.claim<float>((1 + 2 * block_frames) * row2));
  TRT_ASR_ASSIGN(depthwise2_, arena.claim<float>(block_frames * bins_[2] * channels_));
  return {};
}

void SubsamplingStage::start(Team& team, const FeatureRow& row) noexcept {
  length_[0] = row.frames;
  length_[1] = halved(length_[0]);
  length_[2] = halved(length_[1]);
  frames_ = halved(length_[2]);
  at_ = 0;
  const std::size_t width = 2 * bins_[0] + 1;
  const std::size_t tasks = (row.frames + transposed_frames - 1) / transposed_frames;
  team.run(tasks, [&](std::size_t task) {
    const std::size_t first = task * transposed_frames;
    const std::size_t end = std::min(first + transposed_frames, row.frames);
    for (std::size_t bin = 0; bin < mel_bins_; ++bin) {
      const float* const from = row.values_MT + bin * row.stride;
      for (std::size_t frame = first; frame < end; ++frame) features_[frame * width + 1 + bin] = from[frame];
    }
  });
}

/// The first convolution and the first depthwise one for some channels: the former's frames are made as the
/// latter needs them, and only the last three are kept. Gives frames [from, end) of the latter.
void SubsamplingStage::first_two_of(const ConformerKernels& kernels, std::size_t channel, std::size_t from,
                                    std::size_t end, float* ring) noexcept {
  const std::size_t width = 2 * bins_[0] + 1;
  const std::size_t count = std::min(block_width_, channels_ - channel);
  const std::size_t ring_row = bins_[0] * block_width_;
  const Depthwise& second = weights_->depthwise[0];
  std::size_t made = from == 0 ? 0 : 2 * from - 1;
  for (std::size_t frame = from; frame < end; ++frame) {
    for (; made <= 2 * frame + 1 && made < length_[1]; ++made) {
      const float* rows[3];
      for (std::size_t dt = 0; dt < 3; ++dt) {
        const std::size_t at = 2 * made + dt;  // one more than the frame
        rows[dt] = at == 0 || at > length_[0] ? nullptr : features_.data() + (at - 1) * width;
      }
      kernels.convolve_first(rows, bins_[0], weights_->first_weights, weights_->first_bias, channels_,
                             channel, count, ring + made % 3 * ring_row, block_width_);
    }
    const float* rows[3];
    for (std::size_t dt = 0; dt < 3; ++dt) {
      const std::size_t at = 2 * frame + dt;
      rows[dt] = at == 0 || at > length_[1] ? nullptr : ring + (at - 1) % 3 * ring_row;
    }
    float* const out = depthwise1_.data() + (frame - 2 * at_) * bins_[1] * channels_ + channel;
    kernels.convolve_plane(rows, bins_[0], block_width_, second.weights, second.bias, channels_, channel,
                           count, out, channels_);
  }
}

void SubsamplingStage::first_two(const ConformerKernels& kernels, Team& team, std::size_t from,
                                 std::size_t count) noexcept {
  const std::size_t blocks = (channels_ + block_width_ - 1) / block_width_;
  // Where there are more threads than blocks of channels, the frames are shared out as well.
  const std::size_t segments = std::min(count, (threads_ + blocks - 1) / blocks);
  std::atomic<std::size_t> next_item{0};
  team.run(std::min(threads_, blocks * segments), [&](std::size_t worker) {
    float* const ring = rings_.data() + worker * 3 * bins_[0] * block_width_;
    for (std::size_t item = next_item++; item < blocks * segments; item = next_item++) {
      const std::size_t segment = item / blocks;
      first_two_of(kernels, item % blocks * block_width_, from + count * segment / segments,
                   from + count * (segment + 1) / segments, ring);
    }
  });
}

std::size_t SubsamplingStage::next(const ConformerKernels& kernels, Team& team, Workspace& workspace,
                                   float* out) noexcept {
  const std::size_t count = std::min(block_frames, frames_ - at_);
  if (count == 0) return 0;
  const std::size_t row2 = bins_[1] * channels_;
  const std::size_t row3 = bins_[2] * channels_;
  const std::size_t from = 2 * at_;
  const std::size_t count2 = std::min(2 * count, length_[2] - from);
  first_two(kernels, team, from, count2);
  linear(team, weights_->pointwise[0], depthwise1_.data(), count2 * bins_[1], channels_, Epilogue::relu, 1.0F,
         pointwise1_.data() + row2, channels_, workspace);
  const Depthwise& second = weights_->depthwise[1];
  team.run(count, [&](std::size_t index) {
    const float* rows[3];
    for (std::size_t dt = 0; dt < 3; ++dt) {
      const std::size_t at = from + 2 * index + dt;  // one more than the frame
      rows[dt] = at == 0 || at > length_[2] ? nullptr : pointwise1_.data() + (2 * index + dt) * row2;
    }
    kernels.convolve_plane(rows, bins_[1], channels_, second.weights, second.bias, channels_, 0, channels_,
                           depthwise2_.data() + index * row3, channels_);
  });
  linear(team, weights_->pointwise[1], depthwise2_.data(), count * bins_[2], channels_, Epilogue::relu, 1.0F,
         out, channels_, workspace);
  // The next block's first frame looks back at the last one of this.
  std::memcpy(pointwise1_.data(), pointwise1_.data() + count2 * row2, row2 * sizeof(float));
  at_ += count;
  return count;
}

}  // namespace trt_asr::packed
