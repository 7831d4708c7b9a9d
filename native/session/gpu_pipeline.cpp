#include "session/gpu_pipeline.h"

#include <algorithm>
#include <cstring>

#include "base/contract.h"
#include "base/finite.h"
#include "engine/abi_error.h"
#include "engine/cuda/log_mel_tables.h"

namespace trt_asr {

namespace {

/// The GPU engine behind a model's graph. Precondition: the model was opened on a GPU.
std::shared_ptr<TrtEngine> on_gpu(const std::shared_ptr<Engine>& engine) noexcept {
  return std::dynamic_pointer_cast<TrtEngine>(engine);
}

template <class Element>
Element* at(const cuda::Memory& memory, std::size_t offset) noexcept {
  return reinterpret_cast<Element*>(memory.data() + offset);
}

}  // namespace

GpuPipeline::GpuPipeline(const Model& model, const cuda::Device& device) noexcept
    : model_(model), device_(device) {}

GpuPipeline::~GpuPipeline() {
  static_cast<void>(device_.use().ok());
  // What a failed call left in the stream uses the memory that goes now.
  if (stream_.handle() != nullptr) static_cast<void>(stream_.synchronize().ok());
}

Result<std::unique_ptr<GpuPipeline>> GpuPipeline::open(const Model& model, std::shared_ptr<DeviceSlots> slots,
                                                       std::int32_t batch_max,
                                                       std::size_t samples_max) noexcept {
  const std::shared_ptr<TrtEngine> encoder = on_gpu(model.encoder);
  const std::shared_ptr<TrtEngine> predictor = on_gpu(model.transducer.predictor);
  const std::shared_ptr<TrtEngine> joint = on_gpu(model.transducer.joint);
  TRT_ASR_REQUIRE(encoder != nullptr, internal, "model", "one on a GPU", "another", "");
  TRT_ASR_REQUIRE(batch_max >= 1, bad_argument, "batch", "at least 1 row", batch_max, "");
  TRT_ASR_TRY(encoder->device().use());
  std::unique_ptr<GpuPipeline> self(new GpuPipeline(model, encoder->device()));
  self->batch_max_ = batch_max;
  self->samples_max_ = samples_max;
  self->frames_max_ =
      static_cast<std::int32_t>(samples_max / static_cast<std::size_t>(model.contract.features.hop_samples));
  self->plan_ = encoder->plan();
  TRT_ASR_ASSIGN(self->layout_, find_encoder_layout(encoder->info()));
  const std::size_t known_outputs = self->layout_.encoded_lengths.has_value() ? 2 : 1;
  TRT_ASR_REQUIRE(self->plan_->outputs().size() == known_outputs, contract_mismatch,
                  "outputs of " + encoder->info().path,
                  show(known_outputs) + ", encoded frames and their lengths", self->plan_->outputs().size(),
                  remedy_export);
  const Shape& largest = self->plan_->inputs()[self->layout_.features].max;
  TRT_ASR_REQUIRE(batch_max <= largest[0] && self->frames_max_ <= largest[2], bad_argument,
                  "batch and window", "at most the engine's " + largest.text(),
                  show(batch_max) + " rows of " + show(self->frames_max_) + " frames",
                  "Build the engines with larger profiles.");
  TRT_ASR_ASSIGN(self->stream_, cuda::Stream::create(self->device_));
  TRT_ASR_TRY(self->claim());
  TRT_ASR_TRY(self->fill_tables());
  const DevicePlans plans{predictor == nullptr ? nullptr : predictor->plan(),
                          joint == nullptr ? nullptr : joint->plan()};
  TRT_ASR_ASSIGN(self->decoder_,
                 open_device_decoder(self->device_, self->stream_, plans, model.contract.decoder,
                                     std::move(slots), batch_max, self->encoded_frames(samples_max)));
  return self;
}

std::int32_t GpuPipeline::encoded_frames(std::size_t samples) const noexcept {
  const auto frames = samples / static_cast<std::size_t>(model_.contract.features.hop_samples);
  return model_.contract.encoder.encoded_frames(static_cast<std::int32_t>(frames));
}

Status GpuPipeline::claim() noexcept {
  const LogMelConfig& mel = model_.contract.features;
  const auto rows = static_cast<std::size_t>(batch_max_);
  const auto fft = static_cast<std::size_t>(mel.fft_samples);
  const auto bins = static_cast<std::size_t>(mel.mel_bins);
  const auto encoded = static_cast<std::size_t>(encoded_frames(samples_max_)) *
                       static_cast<std::size_t>(model_.contract.encoder.width);
  const std::size_t samples = rows * samples_max_ * sizeof(float);

  cuda::Plan device;
  const std::size_t at_samples = device.add(samples);
  const std::size_t at_signals = device.add(rows * sizeof(TrtAsrSignalRow));
  const std::size_t at_features =
      device.add(rows * bins * static_cast<std::size_t>(frames_max_) * sizeof(float));
  const std::size_t at_lengths = device.add(rows * sizeof(std::int64_t));
  const std::size_t at_encoded = device.add(rows * encoded * sizeof(float));
  const std::size_t at_encoded_lengths = device.add(rows * sizeof(std::int64_t));
  const std::size_t at_counts = device.add(rows * sizeof(std::int32_t));
  const std::size_t at_flags = device.add(rows * sizeof(std::int32_t));
  const std::size_t at_window = device.add(static_cast<std::size_t>(mel.window_samples) * sizeof(double));
  const std::size_t at_cosine = device.add(fft / 2 * sizeof(double));
  const std::size_t at_sine = device.add(fft / 2 * sizeof(double));
  const std::size_t at_bands = device.add(bins * sizeof(TrtAsrMelBand));
  const std::size_t at_weights = device.add(bins * (fft / 2 + 1) * sizeof(double));
  TRT_ASR_ASSIGN(device_memory_, cuda::Memory::claim(device_, cuda::Memory::Kind::device, device.bytes()));
  cuda::Plan pinned;
  const std::size_t at_host_samples = pinned.add(samples);
  const std::size_t at_host_signals = pinned.add(rows * sizeof(TrtAsrSignalRow));
  const std::size_t at_host_lengths = pinned.add(rows * sizeof(std::int64_t));
  const std::size_t at_host_counts = pinned.add(rows * sizeof(std::int32_t));
  TRT_ASR_ASSIGN(pinned_memory_, cuda::Memory::claim(device_, cuda::Memory::Kind::pinned, pinned.bytes()));
  TRT_ASR_ASSIGN(context_memory_,
                 cuda::Memory::claim(device_, cuda::Memory::Kind::device, plan_->context_bytes()));
  TRT_ASR_ASSIGN(encoder_, trt::Context::open(plan_, context_memory_.data(), context_memory_.bytes()));

  buffers_.samples = at<float>(device_memory_, at_samples);
  buffers_.signals = at<TrtAsrSignalRow>(device_memory_, at_signals);
  buffers_.features = at<float>(device_memory_, at_features);
  buffers_.lengths = at<std::int64_t>(device_memory_, at_lengths);
  buffers_.encoded = at<float>(device_memory_, at_encoded);
  buffers_.encoded_lengths = at<std::int64_t>(device_memory_, at_encoded_lengths);
  buffers_.counts = at<std::int32_t>(device_memory_, at_counts);
  buffers_.flags = at<std::int32_t>(device_memory_, at_flags);
  buffers_.window = at<double>(device_memory_, at_window);
  buffers_.cosine = at<double>(device_memory_, at_cosine);
  buffers_.sine = at<double>(device_memory_, at_sine);
  buffers_.bands = at<TrtAsrMelBand>(device_memory_, at_bands);
  buffers_.weights = at<double>(device_memory_, at_weights);
  buffers_.host_samples = at<float>(pinned_memory_, at_host_samples);
  buffers_.host_signals = at<TrtAsrSignalRow>(pinned_memory_, at_host_signals);
  buffers_.host_lengths = at<std::int64_t>(pinned_memory_, at_host_lengths);
  buffers_.host_counts = at<std::int32_t>(pinned_memory_, at_host_counts);
  samples_counts_.assign(rows, 0);
  return {};
}

Status GpuPipeline::fill_tables() noexcept {
  Arena arena;
  TRT_ASR_ASSIGN(const cuda::LogMelTables tables, cuda::log_mel_tables(model_.contract.features, arena));
  const auto upload = [&](void* to, const auto& values) {
    return stream_.copy(to, values.data(), values.size() * sizeof(values[0]));
  };
  TRT_ASR_TRY(upload(buffers_.window, tables.window));
  TRT_ASR_TRY(upload(buffers_.cosine, tables.cosine));
  TRT_ASR_TRY(upload(buffers_.sine, tables.sine));
  TRT_ASR_TRY(upload(buffers_.bands, tables.bands));
  TRT_ASR_TRY(upload(buffers_.weights, tables.weights));
  return stream_.synchronize();
}

Status GpuPipeline::put(std::int32_t row, std::span<const float> samples) noexcept {
  TRT_ASR_REQUIRE(row >= 0 && row < batch_max_ && samples.size() <= samples_max_, internal,
                  "samples of a row",
                  "at most " + show(samples_max_) + " in one of " + show(batch_max_) + " rows",
                  show(samples.size()) + " in row " + show(row), "");
  const auto bad =
      std::find_if(samples.begin(), samples.end(), [](float sample) { return !is_finite(sample); });
  TRT_ASR_REQUIRE(bad == samples.end(), bad_argument, "samples[" + show(bad - samples.begin()) + "]",
                  "a finite number", "NaN or infinity", "Check the source of the audio.");
  std::copy(samples.begin(), samples.end(),
            buffers_.host_samples + static_cast<std::size_t>(row) * samples_max_);
  samples_counts_[static_cast<std::size_t>(row)] = samples.size();
  return {};
}

Status GpuPipeline::enqueue_features(std::int32_t count, std::int32_t longest) noexcept {
  const LogMelConfig& mel = model_.contract.features;
  for (std::int32_t row = 0; row < count; ++row) {
    const std::size_t held = samples_counts_[static_cast<std::size_t>(row)];
    const std::size_t offset = static_cast<std::size_t>(row) * samples_max_;
    TrtAsrSignalRow& signal = buffers_.host_signals[row];
    signal = {};
    signal.samples_offset = static_cast<std::int64_t>(offset);
    signal.samples_count = static_cast<std::int64_t>(held);
    signal.frames = static_cast<std::int32_t>(held / static_cast<std::size_t>(mel.hop_samples));
    buffers_.host_lengths[row] = signal.frames;
    buffers_.host_counts[row] = model_.contract.encoder.encoded_frames(signal.frames);
    if (held != 0)
      TRT_ASR_TRY(
          stream_.copy(buffers_.samples + offset, buffers_.host_samples + offset, held * sizeof(float)));
  }
  const auto rows = static_cast<std::size_t>(count);
  TRT_ASR_TRY(stream_.copy(buffers_.signals, buffers_.host_signals, rows * sizeof(TrtAsrSignalRow)));
  TRT_ASR_TRY(stream_.copy(buffers_.lengths, buffers_.host_lengths, rows * sizeof(std::int64_t)));
  TRT_ASR_TRY(stream_.copy(buffers_.counts, buffers_.host_counts, rows * sizeof(std::int32_t)));
  TRT_ASR_PLUGIN_TRY(device_.calls->fill, buffers_.flags, 0, rows * sizeof(std::int32_t), stream_.handle());

  TrtAsrLogMel args = cuda::log_mel_args(mel);
  args.samples = buffers_.samples;
  args.signals = buffers_.signals;
  args.rows_count = count;
  args.frames_max = longest;
  args.window = buffers_.window;
  args.cosine = buffers_.cosine;
  args.sine = buffers_.sine;
  args.bands = buffers_.bands;
  args.weights = buffers_.weights;
  args.features = buffers_.features;
  args.row_stride = std::int64_t{mel.mel_bins} * longest;
  args.band_stride = longest;
  args.flags = buffers_.flags;
  TRT_ASR_PLUGIN_TRY(device_.calls->log_mel, &args, stream_.handle());
  return {};
}

Status GpuPipeline::enqueue_encoder(std::int32_t count, std::int32_t longest) noexcept {
  const EncoderConfig& config = model_.contract.encoder;
  const std::vector<trt::PlanTensor>& inputs = plan_->inputs();
  const std::vector<trt::PlanTensor>& outputs = plan_->outputs();
  TRT_ASR_TRY(
      encoder_.set_shape(inputs[layout_.features], {count, model_.contract.features.mel_bins, longest}));
  TRT_ASR_TRY(encoder_.set_shape(inputs[layout_.lengths], {count}));
  TRT_ASR_TRY(encoder_.set_address(inputs[layout_.features], buffers_.features));
  TRT_ASR_TRY(encoder_.set_address(inputs[layout_.lengths], buffers_.lengths));
  TRT_ASR_TRY(encoder_.set_address(outputs[layout_.encoded], buffers_.encoded));
  if (layout_.encoded_lengths.has_value())
    TRT_ASR_TRY(encoder_.set_address(outputs[*layout_.encoded_lengths], buffers_.encoded_lengths));
  // Lengths are the host's: a half-precision graph counts long ones wrong.
  const std::int64_t frames = config.encoded_frames(longest);
  const std::int64_t width = config.width;
  const Shape expected = layout_.time_last ? Shape{count, width, frames} : Shape{count, frames, width};
  TRT_ASR_ASSIGN(const Shape shape, encoder_.output_shape(outputs[layout_.encoded]));
  TRT_ASR_REQUIRE(shape == expected, contract_mismatch,
                  "'" + outputs[layout_.encoded].spec.name + "' of " + plan_->info().path, expected.text(),
                  shape.text(),
                  "The contract's subsampling, or causal_subsampling, does not describe this graph.");
  TRT_ASR_TRY(encoder_.enqueue(stream_.handle()));

  encoded_BTD_ = {};
  encoded_BTD_.data = buffers_.encoded;
  encoded_BTD_.space = MemorySpace::device;
  encoded_BTD_.shape = {count, frames, width};
  encoded_BTD_.strides =
      layout_.time_last ? Shape{frames * width, 1, frames} : Shape{frames * width, width, 1};
  TrtAsrCheck check{};
  check.values = buffers_.encoded;
  check.dtype = TRT_ASR_F32;
  check.rows_count = count;
  check.row_stride = encoded_BTD_.strides[0];
  check.count_stride = encoded_BTD_.strides[1];
  check.width_stride = encoded_BTD_.strides[2];
  check.counts = buffers_.counts;
  check.counts_max = static_cast<std::int32_t>(frames);
  check.width = config.width;
  check.flags = buffers_.flags;
  TRT_ASR_PLUGIN_TRY(device_.calls->check, &check, stream_.handle());
  return {};
}

Status GpuPipeline::encode(std::int32_t count) noexcept {
  TRT_ASR_REQUIRE(count >= 1 && count <= batch_max_, bad_argument, "rows", "1 to " + show(batch_max_), count,
                  "");
  TRT_ASR_TRY(device_.use());
  const auto hop = static_cast<std::size_t>(model_.contract.features.hop_samples);
  std::size_t longest = 1;
  for (std::int32_t row = 0; row < count; ++row)
    longest = std::max(longest, samples_counts_[static_cast<std::size_t>(row)] / hop);
  TRT_ASR_TRY(enqueue_features(count, static_cast<std::int32_t>(longest)));
  return enqueue_encoder(count, static_cast<std::int32_t>(longest));
}

Status GpuPipeline::decode(std::span<DecodeRow> rows) noexcept {
  return decoder_->decode_flagged(encoded_BTD_, buffers_.flags, rows);
}

Status GpuPipeline::decode_held_back(std::span<DecodeRow> rows) noexcept {
  const TensorView none = TensorView::contiguous(buffers_.encoded, DType::f32, MemorySpace::device,
                                                 {1, 0, model_.contract.encoder.width});
  return decoder_->decode_flagged(none, nullptr, rows);
}

}  // namespace trt_asr
