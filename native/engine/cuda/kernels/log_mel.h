#pragma once
// The front end, features/log_mel.cpp, as two kernels: log-mel of every frame, then the normalisation of
// every mel bin.
//
// In double, as on the CPU: the far bins of a full-scale tone lie below what float32 resolves. WHY that is
// affordable: 20,000 operations a frame, 100 frames a second of audio, which even a GPU that halves its rate
// five times for doubles does 500,000 times faster than real time.

#include <cmath>

#include "engine/cuda/cuda_kernels_abi.h"
#include "engine/cuda/kernels/number.h"

namespace trt_asr::cuda {

/// Doubles of shared memory that a frame needs: real and imaginary parts of half its samples, and one for the
/// last bin.
TRT_ASR_DEVICE inline int log_mel_shared_doubles(int fft_samples) {
  return fft_samples + 1;
}

/// One frame's FFT in shared memory: real [half + 1], imaginary [half].
struct FrameFft {
  const TrtAsrLogMel& args;
  double* real;
  double* imaginary;
  int half;
  int passes;  ///< log2(half)

  /// Where element i of the input lies, so that the passes leave their result in order.
  [[nodiscard]] TRT_ASR_DEVICE int reversed(int i) const {
    int out = 0;
    for (int bit = 0; bit < passes; ++bit) out |= (i >> bit & 1) << (passes - 1 - bit);
    return out;
  }

  /// Butterfly b of a pass, whose groups have two legs of 1 << pass elements: two of them that no other
  /// butterfly of the pass touches.
  TRT_ASR_DEVICE void butterfly(int b, int pass) const {
    const int leg = 1 << pass;
    const int within = b & (leg - 1);
    const int low = (b - within) * 2 + within;
    const int high = low + leg;
    const int root = within << (passes - pass);
    const double w_re = args.cosine[root];
    const double w_im = args.sine[root];
    const double re = real[high] * w_re - imaginary[high] * w_im;
    const double im = real[high] * w_im + imaginary[high] * w_re;
    real[high] = real[low] - re;
    imaginary[high] = imaginary[low] - im;
    real[low] += re;
    imaginary[low] += im;
  }

  /// |X[k]|^2 and |X[half - k]|^2 in place of Z[k] and Z[half - k]; k <= half / 2.
  /// X[k] = (Z[k] + conj Z[H-k]) / 2 + W^k (Z[k] - conj Z[H-k]) / 2i, with Z[H] = Z[0].
  TRT_ASR_DEVICE void powers(int k) const {
    const int mirror = half - k;
    const int m = k == 0 ? 0 : mirror;
    const double even_re = real[k] + real[m];
    const double even_im = imaginary[k] - imaginary[m];
    const double odd_re = imaginary[k] + imaginary[m];
    const double odd_im = real[m] - real[k];
    const double c = args.cosine[k];
    const double s = args.sine[k];
    const double turned_re = c * odd_re - s * odd_im;
    const double turned_im = c * odd_im + s * odd_re;
    const double x_re = 0.5 * (even_re + turned_re);
    const double x_im = 0.5 * (even_im + turned_im);
    // The mirrored bin: even part conjugated, turned part conjugated and negated.
    const double y_re = 0.5 * (even_re - turned_re);
    const double y_im = 0.5 * (turned_im - even_im);
    real[k] = x_re * x_re + x_im * x_im;
    if (mirror != k) real[mirror] = y_re * y_re + y_im * y_im;
  }
};

/// Windowed and pre-emphasised sample n of the FFT's frame; 0 outside the window and outside the signal.
/// `finite` is cleared by a sample that is none.
TRT_ASR_DEVICE inline double frame_sample(const TrtAsrLogMel& args, const TrtAsrSignalRow& signal,
                                          int64_t frame, int n, bool& finite) {
  const int margin = (args.fft_samples - args.window_samples) / 2;
  const int w = n - margin;
  if (w < 0 || w >= args.window_samples) return 0;
  const int reach = args.fft_samples / 2 - margin;
  const int64_t i = frame * args.hop_samples - reach - signal.origin + w;
  if (i < 0 || i >= signal.samples_count) return 0;
  const float* sample = args.samples + signal.samples_offset + i;
  const float before = i > 0 ? sample[-1] : 0.0F;
  finite = finite && is_finite(*sample) && is_finite(before);
  return args.window[w] * (static_cast<double>(*sample) - args.pre_emphasis * static_cast<double>(before));
}

/// Loads one frame in the order that the passes want. Sample pairs are the complex input: even samples real,
/// odd ones imaginary.
template <class Block>
TRT_ASR_DEVICE void load_frame(const FrameFft& fft, int row, int t, Block& block) {
  const TrtAsrSignalRow& signal = fft.args.signals[row];
  block.each([&](int thread) {
    bool finite = true;
    for (int i = thread; i < fft.half; i += block.threads()) {
      const int to = fft.reversed(i);
      fft.real[to] = frame_sample(fft.args, signal, signal.frame_begin + t, 2 * i, finite);
      fft.imaginary[to] = frame_sample(fft.args, signal, signal.frame_begin + t, 2 * i + 1, finite);
    }
    if (!finite) block.set_bits(fft.args.flags + row, TRT_ASR_FLAG_SAMPLES_NOT_FINITE);
  });
}

/// Body of the first kernel: one block a frame. `work` is log_mel_shared_doubles of shared memory.
template <class Block>
TRT_ASR_DEVICE void log_mel_frame(const TrtAsrLogMel& args, int row, int t, double* work, Block& block) {
  const int at = args.signals[row].padding + t;
  if (t >= args.signals[row].frames || at >= args.frames_max) return;
  const int half = args.fft_samples / 2;
  int passes = 0;
  while (1 << passes < half) ++passes;
  const FrameFft fft{args, work, work + half + 1, half, passes};
  load_frame(fft, row, t, block);
  for (int pass = 0; pass < passes; ++pass) {
    block.each([&](int thread) {
      for (int b = thread; b < half / 2; b += block.threads()) fft.butterfly(b, pass);
    });
  }
  block.each([&](int thread) {
    for (int k = thread; k <= half / 2; k += block.threads()) fft.powers(k);
  });
  block.each([&](int thread) {
    for (int m = thread; m < args.mel_bins; m += block.threads()) {
      const TrtAsrMelBand band = args.bands[m];
      double energy = 0;
      for (uint32_t k = 0; k < band.bin_count; ++k)
        energy += args.weights[band.weight_begin + k] * fft.real[band.bin_begin + k];
      args.features[row * args.row_stride + m * args.band_stride + at] =
          logf(static_cast<float>(energy + args.log_guard));
    }
  });
}

struct NormalizeShared {
  double sums[threads_max];
};

/// Sum of `of(value)` over a bin's valid frames; every thread gets it.
template <class Block, class Of>
TRT_ASR_DEVICE double sum_over_frames(const float* values, int frames, NormalizeShared& shared, Block& block,
                                      const Of& of) {
  block.each([&](int thread) {
    double sum = 0;
    for (int t = thread; t < frames; t += block.threads()) sum += of(static_cast<double>(values[t]));
    shared.sums[thread] = sum;
  });
  reduce(block, [&](int into, int from) { shared.sums[into] += shared.sums[from]; });
  const double sum = shared.sums[0];
  // A phase without work: nobody writes shared.sums again before all have read it.
  block.each([](int) {});
  return sum;
}

/// Body of the second kernel: one block a mel bin of a row. Normalises the valid frames and writes zero
/// around them.
template <class Block>
TRT_ASR_DEVICE void normalize_bin(const TrtAsrLogMel& args, int row, int m, NormalizeShared& shared,
                                  Block& block) {
  float* padded = args.features + row * args.row_stride + m * args.band_stride;
  const int padding = args.signals[row].padding;
  const int room = padding < args.frames_max ? args.frames_max - padding : 0;
  const int wanted = args.signals[row].frames;
  const int frames = wanted < room ? wanted : room;
  const float* values = padded + padding;
  double mean = 0;
  double scale = 1;
  if (args.per_feature != 0 && frames > 0) {
    mean = sum_over_frames(values, frames, shared, block, [](double value) { return value; }) / frames;
    const double squares = sum_over_frames(values, frames, shared, block,
                                           [mean](double value) { return (value - mean) * (value - mean); });
    // NeMo's deviation of one frame is 0 / 0, which it sets to 0.
    const double deviation = frames > 1 ? sqrt(squares / (frames - 1)) : 0;
    scale = 1 / (deviation + args.normalization_epsilon);
  }
  block.each([&](int thread) {
    for (int at = thread; at < args.frames_max; at += block.threads()) {
      const bool valid = at >= padding && at < padding + frames;
      padded[at] = valid ? static_cast<float>((static_cast<double>(padded[at]) - mean) * scale) : 0.0F;
    }
  });
}

}  // namespace trt_asr::cuda
