#include "encoder/device_cache_aware_encoder.h"

#include <algorithm>

#include "base/contract.h"
#include "base/limits.generated.h"
#include "engine/abi_error.h"

namespace trt_asr {

namespace {

/// Rows of a batch whose caches go with one launch: two moves each, and one that clears what is told.
constexpr std::int32_t rows_moved_max = (TRT_ASR_MOVES_MAX - 1) / 2;
static_assert(limits::batch_max <= rows_moved_max);

template <class Element>
Element* at(std::byte* base, std::size_t offset) noexcept {
  return reinterpret_cast<Element*>(base + offset);
}

}  // namespace

Result<std::shared_ptr<DeviceEncoderCaches>> DeviceEncoderCaches::claim(const cuda::Device& device,
                                                                        const CacheAwareConfig& config,
                                                                        std::uint32_t slots,
                                                                        Arena& arena) noexcept {
  TRT_ASR_ASSIGN(const StreamLedger ledger, StreamLedger::claim(slots, arena));
  std::shared_ptr<DeviceEncoderCaches> caches(new DeviceEncoderCaches(ledger));
  caches->channel_elements_ = config.channel_elements();
  caches->time_elements_ = config.time_elements();
  cuda::Plan plan;
  const std::size_t at_channel = plan.add(slots * caches->channel_elements_ * sizeof(float));
  const std::size_t at_time = plan.add(slots * caches->time_elements_ * sizeof(float));
  TRT_ASR_TRY(device.use());
  TRT_ASR_ASSIGN(caches->memory_, cuda::Memory::claim(device, cuda::Memory::Kind::device, plan.bytes()));
  caches->channel_ = at<float>(caches->memory_.data(), at_channel);
  caches->time_ = at<float>(caches->memory_.data(), at_time);
  return caches;
}

Result<DeviceCacheAwareEncoder> DeviceCacheAwareEncoder::open(
    const cuda::Device& device, const cuda::Stream& stream, std::shared_ptr<trt::LoadedPlan> plan,
    const CacheAwareConfig& config, std::int32_t batch_max, trt::WorkingMemory& working) noexcept {
  DeviceCacheAwareEncoder encoder(device, stream, std::move(plan));
  const EngineInfo& info = encoder.plan_->info();
  TRT_ASR_ASSIGN(encoder.config_, CacheAwareEncoder::complete(info, config));
  TRT_ASR_ASSIGN(encoder.layout_, find_cache_aware_layout(info));
  encoder.batch_max_ = batch_max;
  TRT_ASR_TRY(encoder.check_profile());
  TRT_ASR_TRY(encoder.plan_->check_on_device());
  TRT_ASR_TRY(encoder.claim());
  for (const std::int32_t rows : trt::sizes_up_to(batch_max)) {
    TRT_ASR_TRY(encoder.bind(rows));
    TRT_ASR_TRY(encoder.context_.ask(working));
  }
  return encoder;
}

Status DeviceCacheAwareEncoder::start(std::shared_ptr<const trt::WorkingMemory> working) noexcept {
  TRT_ASR_TRY(context_.set_memory(std::move(working)));
  TRT_ASR_PLUGIN_TRY(device_.calls->fill, memory_.data(), 0, memory_.bytes(), stream_->handle());
  // Whole chunks of silence, at the start of their streams.
  std::fill_n(host_given_.lengths, batch_max_, config_.plan.input_frames());
  std::fill_n(host_given_.channel_len, batch_max_, 0);
  TRT_ASR_TRY(stream_->copy(given_.lengths, host_given_.lengths, given_bytes_));
  TRT_ASR_TRY(bind(batch_max_));
  TRT_ASR_TRY(context_.enqueue(stream_->handle()));
  return stream_->synchronize();
}

Status DeviceCacheAwareEncoder::check_profile() const noexcept {
  const EngineInfo& info = plan_->info();
  const std::size_t known_outputs = layout_.encoder.encoded_lengths.has_value() ? 5 : 4;
  TRT_ASR_REQUIRE(plan_->outputs().size() == known_outputs, contract_mismatch, "outputs of " + info.path,
                  show(known_outputs) + ", encoded frames and caches", plan_->outputs().size(),
                  remedy_export);
  const Shape& largest = plan_->inputs()[layout_.encoder.features].max;
  TRT_ASR_REQUIRE(batch_max_ >= 1 && batch_max_ <= largest[0], bad_argument, "batch of chunks",
                  "1 row to the engine's " + show(largest[0]), batch_max_,
                  "Build the engines with larger profiles.");
  TRT_ASR_REQUIRE(batch_max_ <= rows_moved_max, bad_argument, "batch of chunks",
                  "at most " + show(rows_moved_max) + " rows", batch_max_, "");
  return {};
}

Status DeviceCacheAwareEncoder::claim() noexcept {
  const auto rows = static_cast<std::size_t>(batch_max_);
  const std::size_t features =
      static_cast<std::size_t>(config_.mel_bins) * static_cast<std::size_t>(config_.plan.input_frames());
  const std::size_t encoded =
      static_cast<std::size_t>(config_.width) * static_cast<std::size_t>(config_.plan.output_frames);
  // The counts of a batch lie together, so that one copy takes them all.
  cuda::Plan given;
  const std::size_t at_lengths = given.add(rows * sizeof(std::int64_t));
  const std::size_t at_channel_len = given.add(rows * sizeof(std::int64_t));
  const std::size_t at_counts = given.add(rows * sizeof(std::int32_t));
  const std::size_t at_bins = given.add(rows * sizeof(std::int32_t));
  given_bytes_ = given.bytes();
  cuda::Plan told;
  const std::size_t at_encoded_lengths = told.add(rows * sizeof(std::int64_t));
  const std::size_t at_next_channel_len = told.add(rows * sizeof(std::int64_t));
  const std::size_t at_features_flags = told.add(rows * sizeof(std::int32_t));
  const std::size_t at_encoded_flags = told.add(rows * sizeof(std::int32_t));
  told_bytes_ = told.bytes();

  cuda::Plan device;
  const std::size_t at_features = device.add(rows * features * sizeof(float));
  const std::size_t at_encoded = device.add(rows * encoded * sizeof(float));
  const std::size_t at_channel = device.add(rows * config_.channel_elements() * sizeof(float));
  const std::size_t at_time = device.add(rows * config_.time_elements() * sizeof(float));
  const std::size_t at_next_channel = device.add(rows * config_.channel_elements() * sizeof(float));
  const std::size_t at_next_time = device.add(rows * config_.time_elements() * sizeof(float));
  const std::size_t at_given = device.add(given_bytes_);
  const std::size_t at_told = device.add(told_bytes_);
  TRT_ASR_ASSIGN(memory_, cuda::Memory::claim(device_, cuda::Memory::Kind::device, device.bytes()));
  cuda::Plan pinned;
  const std::size_t at_host_given = pinned.add(given_bytes_);
  const std::size_t at_host_told = pinned.add(told_bytes_);
  TRT_ASR_ASSIGN(pinned_memory_, cuda::Memory::claim(device_, cuda::Memory::Kind::pinned, pinned.bytes()));
  TRT_ASR_ASSIGN(context_, trt::Context::open(plan_));

  std::byte* const base = memory_.data();
  features_ = at<float>(base, at_features);
  encoded_ = at<float>(base, at_encoded);
  channel_ = at<float>(base, at_channel);
  time_ = at<float>(base, at_time);
  next_channel_ = at<float>(base, at_next_channel);
  next_time_ = at<float>(base, at_next_time);
  const auto given_at = [&](std::byte* block) {
    return Given{at<std::int64_t>(block, at_lengths), at<std::int64_t>(block, at_channel_len),
                 at<std::int32_t>(block, at_counts), at<std::int32_t>(block, at_bins)};
  };
  const auto told_at = [&](std::byte* block) {
    return Told{at<std::int64_t>(block, at_encoded_lengths), at<std::int64_t>(block, at_next_channel_len),
                at<std::int32_t>(block, at_features_flags), at<std::int32_t>(block, at_encoded_flags)};
  };
  given_ = given_at(base + at_given);
  host_given_ = given_at(pinned_memory_.data() + at_host_given);
  told_ = told_at(base + at_told);
  host_told_ = told_at(pinned_memory_.data() + at_host_told);
  std::fill_n(pinned_memory_.data(), pinned_memory_.bytes(), std::byte{});
  std::fill_n(host_given_.bins, rows, config_.mel_bins);
  return {};
}

void DeviceCacheAwareEncoder::add_move(void* to, const void* from, std::size_t bytes) noexcept {
  moves_.moves[moves_.moves_count++] = {to, from, static_cast<std::int64_t>(bytes)};
}

Status DeviceCacheAwareEncoder::start_moves() noexcept {
  TRT_ASR_PLUGIN_TRY(device_.calls->move_bytes, &moves_, stream_->handle());
  return {};
}

void DeviceCacheAwareEncoder::gather(std::size_t row, std::uint32_t slot,
                                     const DeviceEncoderCaches& caches) noexcept {
  const bool fresh = caches.is_fresh(slot);
  add_move(channel_ + row * config_.channel_elements(), fresh ? nullptr : caches.channel_LKC(slot),
           config_.channel_elements() * sizeof(float));
  add_move(time_ + row * config_.time_elements(), fresh ? nullptr : caches.time_LCJ(slot),
           config_.time_elements() * sizeof(float));
}

void DeviceCacheAwareEncoder::scatter(std::size_t row, std::uint32_t slot,
                                      const DeviceEncoderCaches& caches) noexcept {
  add_move(caches.channel_LKC(slot), next_channel_ + row * config_.channel_elements(),
           config_.channel_elements() * sizeof(float));
  add_move(caches.time_LCJ(slot), next_time_ + row * config_.time_elements(),
           config_.time_elements() * sizeof(float));
}

void DeviceCacheAwareEncoder::note(std::size_t row, std::uint32_t slot,
                                   DeviceEncoderCaches& caches) const noexcept {
  caches.channel_len(slot) = host_told_.next_channel_len[row];
  // The graph counts all frames of a chunk into its caches, also those that are not valid.
  if (host_given_.lengths[row] < config_.plan.input_frames()) caches.set_over(slot);
}

Status DeviceCacheAwareEncoder::begin(std::span<const ChunkRow> rows, DeviceEncoderCaches& caches) noexcept {
  TRT_ASR_TRY(caches.check(rows, config_.plan, batch_max_));
  rows_ = static_cast<std::int32_t>(rows.size());
  moves_.moves_count = 0;
  add_move(told_.encoded_lengths, nullptr, told_bytes_);
  for (std::size_t index = 0; index < rows.size(); ++index) {
    const ChunkRow& row = rows[index];
    host_given_.lengths[index] = row.frames;
    host_given_.channel_len[index] = caches.channel_len(row.slot);
    host_given_.counts[index] = config_.plan.encoded_frames(row.frames);
    gather(index, row.slot, caches);
  }
  TRT_ASR_TRY(stream_->copy(given_.lengths, host_given_.lengths, given_bytes_));
  return start_moves();
}

Status DeviceCacheAwareEncoder::bind(std::int64_t rows) noexcept {
  const std::vector<trt::PlanTensor>& inputs = plan_->inputs();
  const std::vector<trt::PlanTensor>& outputs = plan_->outputs();
  const EncoderLayout& encoder = layout_.encoder;
  const std::int64_t frames = config_.plan.output_frames;
  const std::int64_t width = config_.width;
  const Shape channel{rows, config_.layers, config_.channel_frames, config_.channel_width};
  const Shape time{rows, config_.layers, config_.channel_width, config_.time_frames};
  const auto input = [&](std::size_t index, void* data, const Shape& shape) -> Status {
    TRT_ASR_TRY(context_.set_shape(inputs[index], shape));
    return context_.set_address(inputs[index], data);
  };
  // What an engine writes is held against the room that it has before it writes there.
  const auto output = [&](std::size_t index, void* data, const Shape& wanted) -> Status {
    TRT_ASR_ASSIGN(const Shape shape, context_.output_shape(outputs[index]));
    TRT_ASR_REQUIRE(shape == wanted, contract_mismatch, tensor_field(plan_->info(), outputs[index].spec),
                    wanted.text(), shape.text(),
                    "The contract's streaming section does not describe this graph.");
    return context_.set_address(outputs[index], data);
  };
  TRT_ASR_TRY(input(encoder.features, features_, {rows, config_.mel_bins, config_.plan.input_frames()}));
  TRT_ASR_TRY(input(encoder.lengths, given_.lengths, {rows}));
  TRT_ASR_TRY(input(layout_.channel, channel_, channel));
  TRT_ASR_TRY(input(layout_.time, time_, time));
  TRT_ASR_TRY(input(layout_.channel_len, given_.channel_len, {rows}));
  TRT_ASR_TRY(output(encoder.encoded, encoded_,
                     encoder.time_last ? Shape{rows, width, frames} : Shape{rows, frames, width}));
  if (encoder.encoded_lengths.has_value())
    TRT_ASR_TRY(output(*encoder.encoded_lengths, told_.encoded_lengths, {rows}));
  TRT_ASR_TRY(output(layout_.next_channel, next_channel_, channel));
  TRT_ASR_TRY(output(layout_.next_time, next_time_, time));
  TRT_ASR_TRY(output(layout_.next_channel_len, told_.next_channel_len, {rows}));
  encoded_BTD_ = encoded_view(encoded_, {rows, frames, width}, encoder.time_last);
  return {};
}

Status DeviceCacheAwareEncoder::check_features() noexcept {
  const std::int64_t frames = config_.plan.input_frames();
  TensorView features_BMT;
  features_BMT.data = features_;
  features_BMT.space = MemorySpace::device;
  features_BMT.shape = {rows_, config_.mel_bins, frames};
  features_BMT.strides = {config_.mel_bins * frames, frames, 1};
  return check_encoded(device_, *stream_, features_BMT, given_.bins, told_.features_flags);
}

Status DeviceCacheAwareEncoder::run(std::span<ChunkRow> rows, DeviceEncoderCaches& caches) noexcept {
  TRT_ASR_REQUIRE(rows.size() == static_cast<std::size_t>(rows_), internal, "chunks", show(rows_),
                  rows.size(), "");
  TRT_ASR_TRY(check_features());
  TRT_ASR_TRY(bind(rows_));
  TRT_ASR_TRY(context_.enqueue(stream_->handle()));
  TRT_ASR_TRY(check_encoded(device_, *stream_, encoded_BTD_, given_.counts, told_.encoded_flags));
  TRT_ASR_TRY(stream_->copy(host_told_.encoded_lengths, told_.encoded_lengths, told_bytes_));
  TRT_ASR_TRY(stream_->synchronize());
  moves_.moves_count = 0;
  for (std::size_t index = 0; index < rows.size(); ++index) {
    // A chunk has at least one encoder frame: none says that the row did not pass.
    rows[index].encoded_frames = check_row(index).ok() ? config_.plan.encoded_frames(rows[index].frames) : 0;
    if (rows[index].encoded_frames > 0) scatter(index, rows[index].slot, caches);
  }
  TRT_ASR_TRY(start_moves());
  // The next chunk of a slot may be another lane's, on another stream.
  TRT_ASR_TRY(stream_->synchronize());
  for (std::size_t index = 0; index < rows.size(); ++index)
    if (rows[index].encoded_frames > 0) note(index, rows[index].slot, caches);
  return {};
}

Status DeviceCacheAwareEncoder::check_row(std::size_t row) const noexcept {
  const EngineInfo& info = plan_->info();
  TRT_ASR_REQUIRE(host_told_.features_flags[row] == 0, bad_argument, "feature frames", "finite values",
                  "NaN or infinity", "The audio is louder than numbers reach; scale it.");
  ChunkCounts counts{static_cast<std::int32_t>(host_given_.lengths[row]), std::nullopt,
                     host_given_.channel_len[row], host_told_.next_channel_len[row]};
  if (layout_.encoder.encoded_lengths.has_value()) counts.encoded = host_told_.encoded_lengths[row];
  TRT_ASR_TRY(check_counts(info, layout_, config_, counts));
  TRT_ASR_REQUIRE(host_told_.encoded_flags[row] == 0, contract_mismatch,
                  tensor_field(info, info.outputs[layout_.encoder.encoded]), "finite values",
                  "NaN or infinity",
                  "The audio is beyond all measure, the weights are damaged, or they do not fit the engines' "
                  "precision: look at the audio, then try fp32.");
  return {};
}

}  // namespace trt_asr
