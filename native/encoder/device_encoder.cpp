#include "encoder/device_encoder.h"

#include <algorithm>
#include <vector>

#include "base/contract.h"
#include "engine/abi_error.h"

namespace trt_asr {

TensorView encoded_view(void* encoded, const Shape& shape_BTD, bool time_last) noexcept {
  const std::int64_t frames = shape_BTD[1];
  const std::int64_t width = shape_BTD[2];
  TensorView view;
  view.data = encoded;
  view.space = MemorySpace::device;
  view.shape = shape_BTD;
  view.strides = time_last ? Shape{frames * width, 1, frames} : Shape{frames * width, width, 1};
  return view;
}

Status check_encoded(const cuda::Device& device, const cuda::Stream& stream, const TensorView& encoded_BTD,
                     const std::int32_t* counts, std::int32_t* flags) noexcept {
  TrtAsrCheck check{};
  check.values = static_cast<const float*>(encoded_BTD.data);
  check.rows_count = static_cast<std::int32_t>(encoded_BTD.shape[0]);
  check.row_stride = encoded_BTD.strides[0];
  check.count_stride = encoded_BTD.strides[1];
  check.width_stride = encoded_BTD.strides[2];
  check.counts = counts;
  check.counts_max = static_cast<std::int32_t>(encoded_BTD.shape[1]);
  check.width = static_cast<std::int32_t>(encoded_BTD.shape[2]);
  check.flags = flags;
  TRT_ASR_PLUGIN_TRY(device.calls->check, &check, stream.handle());
  return {};
}

Result<DeviceEncoder> DeviceEncoder::open(const cuda::Device& device, const cuda::Stream& stream,
                                          std::shared_ptr<trt::LoadedPlan> plan, const EncoderConfig& config,
                                          std::int32_t batch_max, std::int32_t frames_max,
                                          trt::WorkingMemory& working) noexcept {
  DeviceEncoder encoder(device, stream, std::move(plan), config);
  const EngineInfo& info = encoder.plan_->info();
  TRT_ASR_ASSIGN(encoder.layout_, find_encoder_layout(info));
  const std::size_t known_outputs = encoder.layout_.encoded_lengths.has_value() ? 2 : 1;
  TRT_ASR_REQUIRE(encoder.plan_->outputs().size() == known_outputs, contract_mismatch,
                  "outputs of " + info.path, show(known_outputs) + ", encoded frames and their lengths",
                  encoder.plan_->outputs().size(), remedy_export);
  const Shape& largest = encoder.plan_->inputs()[encoder.layout_.features].max;
  TRT_ASR_REQUIRE(batch_max <= largest[0] && frames_max <= largest[2], bad_argument, "batch and window",
                  "at most the engine's " + largest.text(),
                  show(batch_max) + " rows of " + show(frames_max) + " frames",
                  "Build the engines with larger profiles.");
  const Shape& least = encoder.plan_->inputs()[encoder.layout_.features].min;
  TRT_ASR_REQUIRE(least[0] == 1 && least[2] == 1, bad_argument, "batch and window",
                  "an engine for 1 row of 1 frame and more", "one from " + least.text() + " on",
                  "Build the engines with profiles that begin at 1.");
  TRT_ASR_TRY(encoder.plan_->check_on_device());
  TRT_ASR_TRY(encoder.claim(batch_max, frames_max));
  TRT_ASR_TRY(encoder.ask(working));
  return encoder;
}

Status DeviceEncoder::set_shapes(std::int32_t rows, std::int32_t frames) noexcept {
  const std::vector<trt::PlanTensor>& inputs = plan_->inputs();
  TRT_ASR_TRY(context_.set_shape(inputs[layout_.features], {rows, config_.mel_bins, frames}));
  return context_.set_shape(inputs[layout_.lengths], {rows});
}

/// As many rows as there can be and fewer, as long as a window and shorter.
Status DeviceEncoder::ask(trt::WorkingMemory& working) noexcept {
  for (const std::int32_t rows : trt::sizes_up_to(batch_max_)) {
    for (const std::int32_t frames : trt::sizes_up_to(frames_max_)) {
      TRT_ASR_TRY(set_shapes(rows, frames));
      TRT_ASR_TRY(context_.ask(working));
    }
  }
  return {};
}

Status DeviceEncoder::start(std::shared_ptr<const trt::WorkingMemory> working) noexcept {
  TRT_ASR_TRY(context_.set_memory(std::move(working)));
  TRT_ASR_PLUGIN_TRY(device_.calls->fill, memory_.data(), 0, memory_.bytes(), stream_->handle());
  TRT_ASR_TRY(begin(std::vector<std::int32_t>(static_cast<std::size_t>(batch_max_), frames_max_)));
  TRT_ASR_TRY(enqueue());
  return stream_->synchronize();
}

Status DeviceEncoder::claim(std::int32_t batch_max, std::int32_t frames_max) noexcept {
  batch_max_ = batch_max;
  frames_max_ = frames_max;
  const auto rows = static_cast<std::size_t>(batch_max);
  const std::size_t features =
      static_cast<std::size_t>(config_.mel_bins) * static_cast<std::size_t>(std::max(frames_max, 1));
  const std::size_t encoded =
      static_cast<std::size_t>(config_.encoded_frames(frames_max)) * static_cast<std::size_t>(config_.width);
  cuda::Plan device;
  const std::size_t at_features = device.add(rows * features * sizeof(float));
  const std::size_t at_lengths = device.add(rows * sizeof(std::int64_t));
  const std::size_t at_encoded = device.add(rows * encoded * sizeof(float));
  const std::size_t at_encoded_lengths = device.add(rows * sizeof(std::int64_t));
  const std::size_t at_counts = device.add(rows * sizeof(std::int32_t));
  const std::size_t at_flags = device.add(rows * sizeof(std::int32_t));
  TRT_ASR_ASSIGN(memory_, cuda::Memory::claim(device_, cuda::Memory::Kind::device, device.bytes()));
  cuda::Plan pinned;
  const std::size_t at_host_lengths = pinned.add(rows * sizeof(std::int64_t));
  const std::size_t at_host_counts = pinned.add(rows * sizeof(std::int32_t));
  TRT_ASR_ASSIGN(pinned_memory_, cuda::Memory::claim(device_, cuda::Memory::Kind::pinned, pinned.bytes()));
  TRT_ASR_ASSIGN(context_, trt::Context::open(plan_));
  features_ = reinterpret_cast<float*>(memory_.data() + at_features);
  lengths_ = reinterpret_cast<std::int64_t*>(memory_.data() + at_lengths);
  encoded_ = reinterpret_cast<float*>(memory_.data() + at_encoded);
  encoded_lengths_ = reinterpret_cast<std::int64_t*>(memory_.data() + at_encoded_lengths);
  counts_ = reinterpret_cast<std::int32_t*>(memory_.data() + at_counts);
  flags_ = reinterpret_cast<std::int32_t*>(memory_.data() + at_flags);
  host_lengths_ = reinterpret_cast<std::int64_t*>(pinned_memory_.data() + at_host_lengths);
  host_counts_ = reinterpret_cast<std::int32_t*>(pinned_memory_.data() + at_host_counts);
  return {};
}

Status DeviceEncoder::begin(std::span<const std::int32_t> lengths) noexcept {
  TRT_ASR_REQUIRE(!lengths.empty() && lengths.size() <= static_cast<std::size_t>(batch_max_), bad_argument,
                  "rows", "1 to " + show(batch_max_), lengths.size(), "");
  rows_ = static_cast<std::int32_t>(lengths.size());
  longest_ = 1;
  for (std::size_t row = 0; row < lengths.size(); ++row) {
    TRT_ASR_REQUIRE(lengths[row] >= 0 && lengths[row] <= frames_max_, internal, "feature frames",
                    "at most " + show(frames_max_), lengths[row], "");
    longest_ = std::max(longest_, lengths[row]);
    host_lengths_[row] = lengths[row];
    host_counts_[row] = config_.encoded_frames(lengths[row]);
  }
  TRT_ASR_TRY(stream_->copy(lengths_, host_lengths_, lengths.size() * sizeof(std::int64_t)));
  TRT_ASR_TRY(stream_->copy(counts_, host_counts_, lengths.size() * sizeof(std::int32_t)));
  TRT_ASR_PLUGIN_TRY(device_.calls->fill, flags_, 0, lengths.size() * sizeof(std::int32_t),
                     stream_->handle());
  return {};
}

Status DeviceEncoder::enqueue() noexcept {
  const std::vector<trt::PlanTensor>& inputs = plan_->inputs();
  const std::vector<trt::PlanTensor>& outputs = plan_->outputs();
  TRT_ASR_TRY(set_shapes(rows_, longest_));
  TRT_ASR_TRY(context_.set_address(inputs[layout_.features], features_));
  TRT_ASR_TRY(context_.set_address(inputs[layout_.lengths], lengths_));
  TRT_ASR_TRY(context_.set_address(outputs[layout_.encoded], encoded_));
  if (layout_.encoded_lengths.has_value())
    TRT_ASR_TRY(context_.set_address(outputs[*layout_.encoded_lengths], encoded_lengths_));
  // Lengths are the host's: a half-precision graph counts long ones wrong.
  const std::int64_t frames = config_.encoded_frames(longest_);
  const std::int64_t width = config_.width;
  const Shape expected = layout_.time_last ? Shape{rows_, width, frames} : Shape{rows_, frames, width};
  TRT_ASR_ASSIGN(const Shape shape, context_.output_shape(outputs[layout_.encoded]));
  TRT_ASR_REQUIRE(shape == expected, contract_mismatch,
                  "'" + outputs[layout_.encoded].spec.name + "' of " + plan_->info().path, expected.text(),
                  shape.text(),
                  "The contract's subsampling, or causal_subsampling, does not describe this graph.");
  TRT_ASR_TRY(context_.enqueue(stream_->handle()));

  encoded_BTD_ = encoded_view(encoded_, {rows_, frames, width}, layout_.time_last);
  return check_encoded(device_, *stream_, encoded_BTD_, counts_, flags_);
}

}  // namespace trt_asr
