#include "session/gpu_pipeline.h"

#include <algorithm>
#include <mutex>

#include "base/contract.h"

namespace trt_asr {

namespace {

/// The plan behind a model's graph, or null where there is no graph. Precondition: it was opened on a GPU.
std::shared_ptr<trt::LoadedPlan> plan_of(const std::shared_ptr<Engine>& engine) noexcept {
  const std::shared_ptr<TrtEngine> on_gpu = std::dynamic_pointer_cast<TrtEngine>(engine);
  return on_gpu == nullptr ? nullptr : on_gpu->plan();
}

}  // namespace

Result<GpuSlots> GpuSlots::claim(const Model& model, std::uint32_t slots, std::uint32_t slots_ahead,
                                 Arena& arena) noexcept {
  GpuSlots claimed;
  const bool fused = model.transducer.joint == nullptr;
  TRT_ASR_ASSIGN(claimed.decoder,
                 DeviceSlots::create(*model.device, model.contract.decoder, fused, slots + slots_ahead));
  if (model.streaming_encoder == nullptr) return claimed;
  TRT_ASR_ASSIGN(claimed.caches,
                 DeviceEncoderCaches::claim(*model.device, *model.contract.streaming, slots, arena));
  return claimed;
}

GpuPipeline::GpuPipeline(const Model& model, const cuda::Device& device) noexcept
    : model_(model), device_(device) {}

GpuPipeline::~GpuPipeline() {
  static_cast<void>(device_.use().ok());
  // What a failed call left in the stream uses the memory that goes now.
  if (stream_.handle() != nullptr) static_cast<void>(stream_.synchronize().ok());
}

Result<std::unique_ptr<GpuPipeline>> GpuPipeline::open(const Model& model, const GpuSlots& slots,
                                                       std::int32_t batch_max,
                                                       std::size_t samples_max) noexcept {
  TRT_ASR_REQUIRE(model.device.has_value(), internal, "model", "one on a GPU", "another", "");
  TRT_ASR_REQUIRE(batch_max >= 1, bad_argument, "batch", "at least 1 row", batch_max, "");
  // TensorRT-RTX compiles kernels when a context is made and first run, into a cache that the contexts of an
  // engine share; nothing says that two may do so at once.
  static std::mutex opening;
  const std::lock_guard lock(opening);
  TRT_ASR_TRY(model.device->use());
  std::unique_ptr<GpuPipeline> self(new GpuPipeline(model, *model.device));
  self->caches_ = slots.caches;
  TRT_ASR_ASSIGN(self->stream_, cuda::Stream::create(self->device_));
  TRT_ASR_TRY(self->open_encoders(batch_max, samples_max));
  const ModelContract& contract = model.contract;
  const std::int32_t window_frames = model.encoder == nullptr ? 0 : self->encoded_frames(samples_max);
  const std::int32_t chunk_frames =
      model.streaming_encoder == nullptr ? 0 : contract.streaming->plan.output_frames;
  const DevicePlans plans{plan_of(model.transducer.predictor),
                          plan_of(model.transducer.joint),
                          self->working_memory_,
                          model.network,
                          model.network_rows_max,
                          model.remarks};
  TRT_ASR_ASSIGN(self->decoder_,
                 open_device_decoder(self->device_, self->stream_, plans, contract.decoder, slots.decoder,
                                     batch_max, std::max(window_frames, chunk_frames)));
  TRT_ASR_TRY(self->working_memory_->claim(self->device_));
  if (self->encoder_.has_value()) TRT_ASR_TRY(self->encoder_->start(self->working_memory_));
  if (self->cache_aware_.has_value()) TRT_ASR_TRY(self->cache_aware_->start(self->working_memory_));
  for (const auto& plan :
       {plan_of(model.encoder), plan_of(model.streaming_encoder), plans.predictor, plans.joint}) {
    if (plan != nullptr) plan->save_kernels();
  }
  return self;
}

Status GpuPipeline::open_encoders(std::int32_t batch_max, std::size_t samples_max) noexcept {
  const ModelContract& contract = model_.contract;
  const auto hop = static_cast<std::size_t>(contract.features.hop_samples);
  std::size_t samples = 0;
  if (model_.encoder != nullptr) {
    samples = samples_max;
    TRT_ASR_ASSIGN(DeviceEncoder encoder,
                   DeviceEncoder::open(device_, stream_, plan_of(model_.encoder), contract.encoder, batch_max,
                                       static_cast<std::int32_t>(samples_max / hop), *working_memory_));
    encoder_.emplace(std::move(encoder));
  }
  if (model_.streaming_encoder != nullptr) {
    const CacheAwareConfig& streaming = *contract.streaming;
    // A window's samples at every hop, and the one before them for the pre-emphasis.
    const auto frames = static_cast<std::size_t>(streaming.plan.input_frames());
    const auto window = static_cast<std::size_t>(contract.features.window_samples);
    samples = std::max(samples, (frames - 1) * hop + window + 1);
    TRT_ASR_ASSIGN(DeviceCacheAwareEncoder encoder,
                   DeviceCacheAwareEncoder::open(device_, stream_, plan_of(model_.streaming_encoder),
                                                 streaming, batch_max, *working_memory_));
    cache_aware_.emplace(std::move(encoder));
  }
  lengths_.assign(static_cast<std::size_t>(batch_max), 0);
  TRT_ASR_ASSIGN(DeviceLogMel mel,
                 DeviceLogMel::open(device_, stream_, contract.features, batch_max, samples));
  mel_.emplace(std::move(mel));
  return {};
}

std::int32_t GpuPipeline::encoded_frames(std::size_t samples) const noexcept {
  const auto frames = samples / static_cast<std::size_t>(model_.contract.features.hop_samples);
  return model_.contract.encoder.encoded_frames(static_cast<std::int32_t>(frames));
}

std::size_t GpuPipeline::device_bytes() const noexcept {
  return mel_->device_bytes() + working_memory_->bytes() + decoder_->device_bytes() +
         (encoder_.has_value() ? encoder_->device_bytes() : 0) +
         (cache_aware_.has_value() ? cache_aware_->device_bytes() : 0);
}

Status GpuPipeline::reset(SlotId slot) noexcept {
  if (caches_ != nullptr && slot < caches_->slots()) caches_->restart(slot);
  return decoder_->reset(slot);
}

Status GpuPipeline::put(std::int32_t row, std::span<const float> samples) noexcept {
  const auto hop = static_cast<std::size_t>(model_.contract.features.hop_samples);
  return mel_->put(row, {samples, 0, true}, 0, static_cast<std::int32_t>(samples.size() / hop), 0);
}

Status GpuPipeline::encode(std::int32_t count) noexcept {
  TRT_ASR_REQUIRE(count >= 1 && static_cast<std::size_t>(count) <= lengths_.size(), bad_argument, "rows",
                  "1 to " + show(lengths_.size()), count, "");
  TRT_ASR_REQUIRE(encoder_.has_value(), internal, "windows", "a model with an encoder for them", "none", "");
  TRT_ASR_TRY(device_.use());
  for (std::int32_t row = 0; row < count; ++row) lengths_[static_cast<std::size_t>(row)] = mel_->frames(row);
  TRT_ASR_TRY(encoder_->begin(std::span(lengths_).first(static_cast<std::size_t>(count))));
  TRT_ASR_TRY(mel_->enqueue(count, encoder_->frames(), encoder_->features_BMT(), encoder_->flags()));
  TRT_ASR_TRY(encoder_->enqueue());
  encoded_BTD_ = encoder_->encoded_BTD();
  encoded_flags_ = encoder_->flags();
  return {};
}

Status GpuPipeline::encode_chunks(std::span<ChunkRow> rows) noexcept {
  TRT_ASR_REQUIRE(cache_aware_.has_value(), internal, "chunks", "a model with an encoder for them", "none",
                  "");
  TRT_ASR_TRY(device_.use());
  TRT_ASR_TRY(cache_aware_->begin(rows, *caches_));
  TRT_ASR_TRY(mel_->enqueue(static_cast<std::int32_t>(rows.size()),
                            model_.contract.streaming->plan.input_frames(), cache_aware_->features_BMT(),
                            cache_aware_->features_flags()));
  TRT_ASR_TRY(cache_aware_->run(rows, *caches_));
  encoded_BTD_ = cache_aware_->encoded_BTD();
  encoded_flags_ = nullptr;
  return {};
}

Status GpuPipeline::decode(std::span<DecodeRow> rows) noexcept {
  return decoder_->decode_flagged(encoded_BTD_, encoded_flags_, rows);
}

Status GpuPipeline::decode_held_back(std::span<DecodeRow> rows) noexcept {
  // Of no frame nothing is read.
  void* const somewhere = encoder_.has_value() ? encoder_->features_BMT() : cache_aware_->features_BMT();
  const TensorView none = TensorView::contiguous(somewhere, DType::f32, MemorySpace::device,
                                                 {1, 0, model_.contract.decoder.encoder_width});
  return decoder_->decode_flagged(none, nullptr, rows);
}

}  // namespace trt_asr
