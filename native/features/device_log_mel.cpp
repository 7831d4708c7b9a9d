#include "features/device_log_mel.h"

#include <algorithm>

#include "base/contract.h"
#include "engine/abi_error.h"
#include "engine/cuda/log_mel_tables.h"

namespace trt_asr {

Result<DeviceLogMel> DeviceLogMel::open(const cuda::Device& device, const cuda::Stream& stream,
                                        const LogMelConfig& config, std::int32_t batch_max,
                                        std::size_t samples_max) noexcept {
  DeviceLogMel mel(device, stream, config);
  TRT_ASR_TRY(mel.claim(batch_max, samples_max));
  TRT_ASR_TRY(mel.fill_tables());
  return mel;
}

Status DeviceLogMel::claim(std::int32_t batch_max, std::size_t samples_max) noexcept {
  batch_max_ = batch_max;
  samples_max_ = samples_max;
  const auto rows = static_cast<std::size_t>(batch_max);
  const auto fft = static_cast<std::size_t>(config_.fft_samples);
  const auto bins = static_cast<std::size_t>(config_.mel_bins);
  const std::size_t samples = rows * samples_max * sizeof(float);
  cuda::Plan device;
  const std::size_t at_samples = device.add(samples);
  const std::size_t at_signals = device.add(rows * sizeof(TrtAsrSignalRow));
  const std::size_t at_window = device.add(static_cast<std::size_t>(config_.window_samples) * sizeof(double));
  const std::size_t at_cosine = device.add(fft / 2 * sizeof(double));
  const std::size_t at_sine = device.add(fft / 2 * sizeof(double));
  const std::size_t at_bands = device.add(bins * sizeof(TrtAsrMelBand));
  const std::size_t at_weights = device.add(bins * (fft / 2 + 1) * sizeof(double));
  TRT_ASR_ASSIGN(device_memory_, cuda::Memory::claim(device_, cuda::Memory::Kind::device, device.bytes()));
  cuda::Plan pinned;
  const std::size_t at_host_samples = pinned.add(samples);
  const std::size_t at_host_signals = pinned.add(rows * sizeof(TrtAsrSignalRow));
  TRT_ASR_ASSIGN(pinned_memory_, cuda::Memory::claim(device_, cuda::Memory::Kind::pinned, pinned.bytes()));

  std::byte* const on_device = device_memory_.data();
  samples_ = reinterpret_cast<float*>(on_device + at_samples);
  signals_ = reinterpret_cast<TrtAsrSignalRow*>(on_device + at_signals);
  window_ = reinterpret_cast<double*>(on_device + at_window);
  cosine_ = reinterpret_cast<double*>(on_device + at_cosine);
  sine_ = reinterpret_cast<double*>(on_device + at_sine);
  bands_ = reinterpret_cast<TrtAsrMelBand*>(on_device + at_bands);
  weights_ = reinterpret_cast<double*>(on_device + at_weights);
  host_samples_ = reinterpret_cast<float*>(pinned_memory_.data() + at_host_samples);
  host_signals_ = reinterpret_cast<TrtAsrSignalRow*>(pinned_memory_.data() + at_host_signals);
  std::fill_n(host_signals_, rows, TrtAsrSignalRow{});
  return {};
}

Status DeviceLogMel::fill_tables() noexcept {
  Arena arena;
  TRT_ASR_ASSIGN(const cuda::LogMelTables tables, cuda::log_mel_tables(config_, arena));
  const auto upload = [&](void* to, const auto& values) {
    return stream_->copy(to, values.data(), values.size() * sizeof(values[0]));
  };
  TRT_ASR_TRY(upload(window_, tables.window));
  TRT_ASR_TRY(upload(cosine_, tables.cosine));
  TRT_ASR_TRY(upload(sine_, tables.sine));
  TRT_ASR_TRY(upload(bands_, tables.bands));
  TRT_ASR_TRY(upload(weights_, tables.weights));
  return stream_->synchronize();
}

Status DeviceLogMel::put(std::int32_t row, const SignalPart& part, std::size_t frame_begin,
                         std::int32_t frames, std::int32_t padding) noexcept {
  TRT_ASR_REQUIRE(row >= 0 && row < batch_max_, internal, "row", "one of " + show(batch_max_), row, "");
  TrtAsrSignalRow& signal = host_signals_[row];
  signal = {};
  const auto hop = static_cast<std::size_t>(config_.hop_samples);
  const std::size_t reach = config_.reach_samples();
  // The window's samples before its centre, and one more for the pre-emphasis.
  const std::size_t reach_back = static_cast<std::size_t>(config_.window_samples) - reach + 1;
  const std::size_t held_end = part.origin + part.samples.size();
  const std::size_t centre = frame_begin * hop;
  const std::size_t begin = centre > reach_back ? centre - reach_back : 0;
  const std::size_t wanted_end =
      frames < 1 ? begin : centre + static_cast<std::size_t>(frames - 1) * hop + reach;
  const std::size_t end = std::min(held_end, wanted_end);
  TRT_ASR_REQUIRE(part.origin <= begin && (part.ended || wanted_end <= held_end), internal,
                  "part of a signal", "samples " + show(begin) + " to " + show(wanted_end),
                  show(part.origin) + " to " + show(held_end), "");
  TRT_ASR_REQUIRE(begin <= end && end - begin <= samples_max_, internal, "samples of a row",
                  "at most " + show(samples_max_), show(begin) + " to " + show(end), "");
  const auto heard = part.samples.subspan(begin - part.origin, end - begin);
  const std::size_t offset = static_cast<std::size_t>(row) * samples_max_;
  std::copy(heard.begin(), heard.end(), host_samples_ + offset);
  // On its way while the next row is put.
  TRT_ASR_TRY(device_.use());
  if (!heard.empty())
    TRT_ASR_TRY(stream_->copy(samples_ + offset, host_samples_ + offset, heard.size() * sizeof(float)));
  signal.samples_offset = static_cast<std::int64_t>(offset);
  signal.samples_count = static_cast<std::int64_t>(heard.size());
  signal.origin = static_cast<std::int64_t>(begin);
  signal.frame_begin = static_cast<std::int64_t>(frame_begin);
  signal.frames = frames;
  signal.padding = padding;
  return {};
}

Status DeviceLogMel::enqueue(std::int32_t count, std::int32_t frames_max, float* features_BMT,
                             std::int32_t* flags) noexcept {
  TRT_ASR_TRY(
      stream_->copy(signals_, host_signals_, static_cast<std::size_t>(count) * sizeof(TrtAsrSignalRow)));
  TrtAsrLogMel args = cuda::log_mel_args(config_);
  args.samples = samples_;
  args.signals = signals_;
  args.rows_count = count;
  args.frames_max = frames_max;
  args.window = window_;
  args.cosine = cosine_;
  args.sine = sine_;
  args.bands = bands_;
  args.weights = weights_;
  args.features = features_BMT;
  args.row_stride = std::int64_t{config_.mel_bins} * frames_max;
  args.band_stride = frames_max;
  args.flags = flags;
  TRT_ASR_PLUGIN_TRY(device_.calls->log_mel, &args, stream_->handle());
  return {};
}

}  // namespace trt_asr
