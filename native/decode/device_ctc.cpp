#include "decode/device_ctc.h"

#include <algorithm>

#include "base/contract.h"
#include "decode/decode_rules.h"
#include "engine/abi_error.h"

namespace trt_asr {

DeviceCtc::DeviceCtc(const cuda::Device& device, const cuda::Stream& stream, const DecodeRules& rules,
                     std::shared_ptr<DeviceSlots> slots) noexcept
    : device_(device), stream_(stream), rules_(rules), slots_(std::move(slots)) {}

DeviceCtc::~DeviceCtc() {
  static_cast<void>(device_.use().ok());
  // What a failed call left in the stream uses the memory that goes now.
  static_cast<void>(stream_.synchronize().ok());
}

Result<std::unique_ptr<DeviceCtc>> DeviceCtc::open(const cuda::Device& device, const cuda::Stream& stream,
                                                   const DecodeRules& rules,
                                                   std::shared_ptr<DeviceSlots> slots, std::int32_t batch_max,
                                                   std::int32_t frames_max) noexcept {
  TRT_ASR_TRY(check_rules(rules));
  TRT_ASR_REQUIRE(rules.rule == DecodeRule::ctc && slots->ctc_states() != nullptr, internal, "slots",
                  "those of CTC", "another rule's", "");
  TRT_ASR_REQUIRE(batch_max >= 1 && frames_max >= 1, bad_argument, "decoder batch",
                  "at least 1 row of 1 frame", show(batch_max) + " of " + show(frames_max), "");
  TRT_ASR_TRY(device.use());
  std::unique_ptr<DeviceCtc> self(new DeviceCtc(device, stream, rules, std::move(slots)));
  self->batch_max_ = batch_max;
  self->frames_max_ = frames_max;
  TRT_ASR_TRY(self->claim());
  TRT_ASR_TRY(self->write_start());
  return self;
}

Status DeviceCtc::claim() noexcept {
  const auto rows = static_cast<std::size_t>(batch_max_);
  const std::size_t room = tokens_room(rules_, frames_max_);
  rows_.tokens_room = static_cast<std::int32_t>(room);
  cuda::Plan device;
  const std::size_t at_rows = device.add(rows * sizeof(TrtAsrDecodeRow));
  const std::size_t at_best =
      device.add(rows * static_cast<std::size_t>(frames_max_) * sizeof(TrtAsrCtcBest));
  TRT_ASR_ASSIGN(device_memory_, cuda::Memory::claim(device_, cuda::Memory::Kind::device, device.bytes()));
  cuda::Plan pinned;
  const std::size_t at_host_rows = pinned.add(rows * sizeof(TrtAsrDecodeRow));
  const std::size_t at_host_tokens = pinned.add(rows * room * sizeof(TrtAsrToken));
  TRT_ASR_ASSIGN(pinned_memory_, cuda::Memory::claim(device_, cuda::Memory::Kind::pinned, pinned.bytes()));
  rows_.rows = reinterpret_cast<TrtAsrDecodeRow*>(device_memory_.data() + at_rows);
  best_ = reinterpret_cast<TrtAsrCtcBest*>(device_memory_.data() + at_best);
  rows_.host_rows = reinterpret_cast<TrtAsrDecodeRow*>(pinned_memory_.data() + at_host_rows);
  rows_.host_tokens = reinterpret_cast<TrtAsrToken*>(pinned_memory_.data() + at_host_tokens);
  return {};
}

Status DeviceCtc::write_start() noexcept {
  static_assert(sizeof(TrtAsrCtcState) <= sizeof(TrtAsrDecodeRow));
  auto* const start = reinterpret_cast<TrtAsrCtcState*>(rows_.host_rows);
  *start = {};
  start->last_label = rules_.blank_id;
  start->begin_frame = -1;
  TRT_ASR_TRY(stream_.copy(slots_->ctc_states() + slots_->start_slot(), start, sizeof *start));
  return stream_.synchronize();
}

Status DeviceCtc::decode_flagged(const TensorView& log_probs_BTC, const std::int32_t* encoded_flags,
                                 std::span<DecodeRow> rows) noexcept {
  TRT_ASR_TRY(device_.use());
  TRT_ASR_REQUIRE(log_probs_BTC.space == MemorySpace::device && log_probs_BTC.strides[2] == 1, internal,
                  "log-probabilities", "device memory in which a frame's classes adjoin", "another layout",
                  "");
  TRT_ASR_ASSIGN(const std::int32_t longest, check_device_rows(rows, *slots_, batch_max_, frames_max_));
  TRT_ASR_TRY(write_device_rows(rows, rows.size(), stream_, *slots_, rows_));
  const auto count = static_cast<std::int32_t>(rows.size());
  // No state is moved: the kernel of CTC reads and writes the slots itself.
  TrtAsrMoveRows load{};
  load.rows = rows_.rows;
  load.rows_count = count;
  load.slots_count = slots_->start_slot() + 1;
  load.encoded_rows = static_cast<std::int32_t>(log_probs_BTC.shape[0]);
  load.encoded_frames = static_cast<std::int32_t>(log_probs_BTC.shape[1]);
  load.encoded_flags = encoded_flags;
  TRT_ASR_PLUGIN_TRY(device_.calls->load_rows, &load, stream_.handle());

  TrtAsrCtc ctc{};
  ctc.rows = rows_.rows;
  ctc.rows_count = count;
  ctc.vocabulary = rules_.vocabulary;
  ctc.log_probs = static_cast<const float*>(log_probs_BTC.data);
  ctc.row_stride = log_probs_BTC.strides[0];
  ctc.frame_stride = log_probs_BTC.strides[1];
  ctc.frames_max = std::max(longest, 1);
  ctc.tokens_room = rows_.tokens_room;
  ctc.best = best_;
  ctc.tokens = rows_.host_tokens;
  ctc.states = slots_->ctc_states();
  TRT_ASR_PLUGIN_TRY(device_.calls->ctc, &ctc, stream_.handle());
  return read_device_rows(rows, stream_, *slots_, rows_);
}

}  // namespace trt_asr
