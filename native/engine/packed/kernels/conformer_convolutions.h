#pragma once
// Convolutions that are no matrix products. Included by the files of the instruction sets.

#include "engine/packed/kernels/conformer_vector.h"

namespace trt_asr::packed {
namespace {

constexpr std::size_t taps_plane = 9;

/// `Bins` neighbouring bins of `lanes` channels. at: the input before the first of them, a row without memory
/// is not looked at.
template <std::size_t Bins>
inline void first_bins(const float* const* rows, std::size_t bin, const Vector* weights, Vector bias,
                       std::size_t count, float* out, std::size_t out_stride) noexcept {
  Vector total[Bins];
  for (std::size_t i = 0; i < Bins; ++i) total[i] = bias;
  for (std::size_t dt = 0; dt < 3; ++dt) {
    if (rows[dt] == nullptr) continue;
    const float* const from = rows[dt] + 2 * bin;
    for (std::size_t df = 0; df < 3; ++df) {
      for (std::size_t i = 0; i < Bins; ++i)
        total[i] = multiply_add(broadcast(from[2 * i + df]), weights[3 * dt + df], total[i]);
    }
  }
  for (std::size_t i = 0; i < Bins; ++i)
    store_part(out + (bin + i) * out_stride, larger(broadcast(0.0F), total[i]), count);
}

void convolve_first(const float* const* rows_F, std::size_t bins_out, const float* weights, const float* bias,
                    std::size_t channels, std::size_t first, std::size_t count, float* out,
                    std::size_t out_stride) noexcept {
  for (std::size_t at = 0; at < count; at += lanes) {
    const std::size_t part = least(lanes, count - at);
    Vector taps[taps_plane];
    for (std::size_t tap = 0; tap < taps_plane; ++tap)
      taps[tap] = load_part(weights + tap * channels + first + at, part);
    const Vector start = load_part(bias + first + at, part);
    std::size_t bin = 0;
    if (part == lanes) {
      for (; bin + 4 <= bins_out; bin += 4)
        first_bins<4>(rows_F, bin, taps, start, lanes, out + at, out_stride);
    }
    for (; bin < bins_out; ++bin) first_bins<1>(rows_F, bin, taps, start, part, out + at, out_stride);
  }
}

/// One bin of `lanes` channels, taps [df_first, df_end) in frequency.
inline Vector plane_bin(const float* const* rows, std::size_t bin, std::size_t x_stride, std::size_t df_first,
                        std::size_t df_end, const Vector* weights, Vector total, std::size_t part) noexcept {
  for (std::size_t dt = 0; dt < 3; ++dt) {
    if (rows[dt] == nullptr) continue;
    for (std::size_t df = df_first; df < df_end; ++df) {
      const float* const from = rows[dt] + (2 * bin + df - 1) * x_stride;
      total = multiply_add(load_part(from, part), weights[3 * dt + df], total);
    }
  }
  return total;
}

void convolve_plane(const float* const* rows_FC, std::size_t bins, std::size_t x_stride, const float* weights,
                    const float* bias, std::size_t channels, std::size_t first, std::size_t count, float* out,
                    std::size_t out_stride) noexcept {
  const std::size_t bins_out = (bins + 1) / 2;
  for (std::size_t at = 0; at < count; at += lanes) {
    const std::size_t part = least(lanes, count - at);
    Vector taps[taps_plane];
    for (std::size_t tap = 0; tap < taps_plane; ++tap)
      taps[tap] = load_part(weights + tap * channels + first + at, part);
    const Vector start = load_part(bias + first + at, part);
    const float* rows[3];
    for (std::size_t dt = 0; dt < 3; ++dt) rows[dt] = rows_FC[dt] == nullptr ? nullptr : rows_FC[dt] + at;
    for (std::size_t bin = 0; bin < bins_out; ++bin) {
      const std::size_t df_first = bin == 0 ? 1 : 0;
      const std::size_t df_end = 2 * bin + 1 < bins ? 3 : 2;
      // The first way has a number of lanes that the compiler knows.
      const Vector total = part == lanes && df_first == 0 && df_end == 3
                               ? plane_bin(rows, bin, x_stride, 0, 3, taps, start, lanes)
                               : plane_bin(rows, bin, x_stride, df_first, df_end, taps, start, part);
      store_part(out + bin * out_stride + at, total, part);
    }
  }
}

/// `Frames` neighbouring frames of `lanes` channels, all of whose taps lie inside.
template <std::size_t Frames>
inline void time_frames(const float* x, std::size_t x_stride, const float* weights, Vector bias,
                        std::size_t taps, std::size_t channels, std::size_t part, float* out,
                        std::size_t out_stride) noexcept {
  Vector total[Frames];
  for (std::size_t i = 0; i < Frames; ++i) total[i] = bias;
  for (std::size_t tap = 0; tap < taps; ++tap) {
    const Vector weight = load_part(weights + tap * channels, part);
    for (std::size_t i = 0; i < Frames; ++i)
      total[i] = multiply_add(load_part(x + (tap + i) * x_stride, part), weight, total[i]);
  }
  for (std::size_t i = 0; i < Frames; ++i) store_part(out + i * out_stride, swish(total[i]), part);
}

void convolve_time(const float* x_TD, std::size_t frames, std::size_t x_stride, const float* weights,
                   const float* bias, std::size_t taps, std::size_t channels, std::size_t first,
                   std::size_t count, float* out_TD, std::size_t out_stride) noexcept {
  const std::size_t reach = taps / 2;
  const std::size_t end = first + count;
  for (std::size_t at = 0; at < channels; at += lanes) {
    const std::size_t part = least(lanes, channels - at);
    const Vector start = load_part(bias + at, part);
    for (std::size_t frame = first; frame < end;) {
      float* const out = out_TD + frame * out_stride + at;
      if (part == lanes && frame >= reach && frame + 8 <= end && frame + 8 + reach <= frames) {
        time_frames<8>(x_TD + (frame - reach) * x_stride + at, x_stride, weights + at, start, taps, channels,
                       lanes, out, out_stride);
        frame += 8;
        continue;
      }
      const std::size_t before = frame < reach ? reach - frame : 0;
      const std::size_t after = frame + reach < frames ? taps : taps - (frame + reach + 1 - frames);
      time_frames<1>(x_TD + (frame + before - reach) * x_stride + at, x_stride,
                     weights + before * channels + at, start, after - before, channels, part, out,
                     out_stride);
      ++frame;
    }
  }
}

}  // namespace
}  // namespace trt_asr::packed
