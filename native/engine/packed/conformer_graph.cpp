#include "engine/packed/conformer_graph.h"

#include <algorithm>
#include <cstring>
#include <new>

namespace trt_asr::packed {

namespace {

constexpr std::size_t square = 16;

/// out[D, stride] = x[frames, D], in squares that stay in the cache.
void transpose(const float* x, std::size_t frames, std::size_t width, std::size_t first, std::size_t end,
               float* out, std::size_t stride) noexcept {
  for (std::size_t frame = 0; frame < frames; frame += square) {
    const std::size_t frames_here = std::min(square, frames - frame);
    for (std::size_t channel = first; channel < end; ++channel) {
      for (std::size_t i = 0; i < frames_here; ++i)
        out[channel * stride + frame + i] = x[(frame + i) * width + channel];
    }
  }
}

}  // namespace

Status ConformerGraph::claim(const Extents& extents) noexcept {
  // What is there goes first: both at once might not fit.
  extents_ = {};
  subsampling_ = nullptr;
  layers_ = nullptr;
  arena_ = nullptr;
  try {
    arena_ = std::make_unique<Arena>();
    const std::size_t threads = team_.threads();
    TRT_ASR_ASSIGN(SubsamplingStage subsampling,
                   SubsamplingStage::create(weights_.subsampling, static_cast<std::size_t>(weights_.mel_bins),
                                            extents.features_frames, threads, *arena_));
    subsampling_ = std::make_unique<SubsamplingStage>(subsampling);
    TRT_ASR_ASSIGN(ConformerStage layers,
                   ConformerStage::create(weights_, extents.frames, encoder_frames(extents.features_frames),
                                          threads, *arena_));
    layers_ = std::make_unique<ConformerStage>(layers);
  } catch (const std::bad_alloc&) {
    return Error{ErrorCode::internal, "packed encoder", "enough memory", "none left", ""};
  }
  TRT_ASR_ASSIGN(x_, arena_->claim<float>(extents.frames * static_cast<std::size_t>(weights_.width)));
  TRT_ASR_ASSIGN(rows_, arena_->claim<FrameRange>(extents.rows));
  TRT_ASR_ASSIGN(valid_, arena_->claim<std::size_t>(extents.rows));
  extents_ = extents;
  return {};
}

Status ConformerGraph::reserve(const Bindings& bindings) noexcept {
  const TensorView& features = bindings.inputs[static_cast<std::size_t>(weights_.features_input)];
  if (features.data == nullptr) return {};
  const auto rows = static_cast<std::size_t>(features.shape[0]);
  const auto features_frames = static_cast<std::size_t>(features.shape[2]);
  const std::size_t row_frames = encoder_frames(features_frames);
  TRT_ASR_REQUIRE(row_frames <= static_cast<std::size_t>(weights_.frames_max), contract_mismatch,
                  "encoder frames", "at most the position table's " + show(weights_.frames_max), row_frames,
                  "Use shorter windows.");
  if (row_frames != 0 && (positions_ == nullptr || positions_->frames() < row_frames)) {
    positions_ = nullptr;
    TRT_ASR_ASSIGN(positions_, tables_.of(row_frames, team_));
  }
  const Extents needed = {std::max(rows, extents_.rows), std::max(features_frames, extents_.features_frames),
                          std::max(rows * row_frames, extents_.frames)};
  const bool fits = needed.rows == extents_.rows && needed.features_frames == extents_.features_frames &&
                    needed.frames == extents_.frames && layers_ != nullptr;
  return fits ? Status() : claim(needed);
}

Status ConformerGraph::take_lengths(const TensorView& features, const TensorView& lengths) noexcept {
  TRT_ASR_REQUIRE(lengths.shape[0] == features.shape[0], contract_mismatch, "lengths of the packed encoder",
                  "one for each of " + show(features.shape[0]) + " rows", lengths.shape[0], "");
  const auto* const values = static_cast<const std::int64_t*>(lengths.data);
  std::size_t first = 0;
  for (std::int64_t row = 0; row < lengths.shape[0]; ++row) {
    TRT_ASR_REQUIRE(values[row] >= 0 && values[row] <= features.shape[2], contract_mismatch,
                    "length of a row of the packed encoder",
                    "0 to the features' " + show(features.shape[2]) + " frames", values[row], "");
    const auto index = static_cast<std::size_t>(row);
    valid_[index] = static_cast<std::size_t>(values[row]);
    rows_[index] = {first, encoder_frames(valid_[index])};
    first += rows_[index].count;
  }
  return {};
}

void ConformerGraph::subsample(Team& team, const TensorView& features) noexcept {
  const auto width = static_cast<std::size_t>(weights_.width);
  const Linear& out = weights_.subsampling.out;
  const auto inputs = static_cast<std::size_t>(out.inputs);
  const auto stride = static_cast<std::size_t>(features.shape[2]);
  const auto* const values = static_cast<const float*>(features.data);
  const std::size_t room = layers_->hidden_frames();
  std::size_t done = 0;
  std::size_t held = 0;
  const auto project = [&] {
    linear(team, out, layers_->hidden(), held, inputs, Epilogue::store, 1.0F, x_.data() + done * width, width,
           layers_->workspace());
    done += held;
    held = 0;
  };
  const auto rows = static_cast<std::size_t>(features.shape[0]);
  for (std::size_t row = 0; row < rows; ++row) {
    const FeatureRow own = {values + row * static_cast<std::size_t>(weights_.mel_bins) * stride, stride,
                            valid_[row]};
    subsampling_->start(team, own);
    while (subsampling_->frames_left() != 0) {
      if (held + std::min(SubsamplingStage::block_frames, subsampling_->frames_left()) > room) project();
      held += subsampling_->next(layers_->kernels(), team, layers_->workspace(),
                                 layers_->hidden() + held * inputs);
    }
  }
  project();
  if (weights_.input_scale != 1.0F)
    layers_->kernels().scale(x_.data(), weights_.input_scale, done * width, x_.data());
}

void ConformerGraph::write(Team& team, const TensorView& encoded) noexcept {
  const auto width = static_cast<std::size_t>(weights_.width);
  auto* const out = static_cast<float*>(encoded.data);
  const auto rows = static_cast<std::size_t>(encoded.shape[0]);
  if (weights_.time_last) {
    const auto stride = static_cast<std::size_t>(encoded.shape[2]);
    constexpr std::size_t channels = 64;
    const std::size_t blocks = (width + channels - 1) / channels;
    team.run(rows * blocks, [&](std::size_t task) {
      const FrameRange row = rows_[task / blocks];
      const std::size_t first = task % blocks * channels;
      const std::size_t end = std::min(first + channels, width);
      float* const to = out + task / blocks * width * stride;
      transpose(x_.data() + row.first * width, row.count, width, first, end, to, stride);
      for (std::size_t channel = first; channel < end; ++channel)
        std::fill(to + channel * stride + row.count, to + (channel + 1) * stride, 0.0F);
    });
    return;
  }
  const auto frames = static_cast<std::size_t>(encoded.shape[1]);
  const auto outputs = static_cast<std::size_t>(encoded.shape[2]);
  for (std::size_t row = 0; row < rows; ++row) {
    const FrameRange range = rows_[row];
    const float* const from = x_.data() + range.first * width;
    float* const to = out + row * frames * outputs;
    if (weights_.ctc_head == nullptr) {
      std::memcpy(to, from, range.count * width * sizeof(float));
    } else {
      linear(team, *weights_.ctc_head, from, range.count, width, Epilogue::store, 1.0F, to, outputs,
             layers_->workspace());
      team.run(range.count,
               [&](std::size_t frame) { layers_->kernels().log_softmax(to + frame * outputs, outputs); });
    }
    std::fill(to + range.count * outputs, to + frames * outputs, 0.0F);
  }
}

Status ConformerGraph::run(const Bindings& bindings, Team& team) noexcept {
  TRT_ASR_REQUIRE(layers_ != nullptr, internal, "packed encoder", "memory from when it was bound", "none",
                  "");
  const TensorView& features = bindings.inputs[static_cast<std::size_t>(weights_.features_input)];
  TRT_ASR_TRY(take_lengths(features, bindings.inputs[static_cast<std::size_t>(weights_.length_input)]));
  const auto rows = static_cast<std::size_t>(features.shape[0]);
  const TensorView& encoded = bindings.outputs[static_cast<std::size_t>(weights_.encoded_output)];
  if (encoded.data != nullptr) {
    const std::size_t frames = encoder_frames(static_cast<std::size_t>(features.shape[2]));
    const auto bound = static_cast<std::size_t>(encoded.shape[weights_.time_last ? 2 : 1]);
    TRT_ASR_REQUIRE(bound == frames && static_cast<std::size_t>(encoded.shape[0]) == rows, contract_mismatch,
                    "output of the packed encoder", show(rows) + " rows of " + show(frames) + " frames",
                    encoded.shape.text(), "");
    layers_->start(rows_.first(rows));
    if (layers_->frames() != 0) {
      subsample(team, features);
      for (std::size_t layer = 0; layer < weights_.layers.size(); ++layer)
        layers_->run_layer(team, layer, *positions_, x_.data());
    }
    write(team, encoded);
  }
  if (weights_.length_output < 0) return {};
  const TensorView& lengths = bindings.outputs[static_cast<std::size_t>(weights_.length_output)];
  if (lengths.data == nullptr) return {};
  TRT_ASR_REQUIRE(static_cast<std::size_t>(lengths.shape[0]) == rows, contract_mismatch,
                  "lengths from the packed encoder", show(rows) + " rows", lengths.shape.text(), "");
  for (std::size_t row = 0; row < rows; ++row)
    static_cast<std::int64_t*>(lengths.data)[row] = static_cast<std::int64_t>(rows_[row].count);
  return {};
}

}  // namespace trt_asr::packed
