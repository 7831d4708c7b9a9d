#include "features/fft.h"

#include <cmath>
#include <numbers>
#include <utility>

namespace trt_asr {

namespace {

struct Complex {
  double re;
  double im;
};

/// One buffer of a pass: real and imaginary parts apart.
struct Parts {
  double* re;
  double* im;
};

/// The four legs of a radix-4 butterfly, `stride` contiguous columns each.
void butterflies(const Parts& in, std::size_t leg, const Parts& out, std::size_t stride, Complex w1,
                 Complex w2, Complex w3) noexcept {
  const double* __restrict in_re = in.re;
  const double* __restrict in_im = in.im;
  double* __restrict out_re = out.re;
  double* __restrict out_im = out.im;
  for (std::size_t q = 0; q < stride; ++q) {
    const double sum_ac_re = in_re[q] + in_re[q + 2 * leg];
    const double sum_ac_im = in_im[q] + in_im[q + 2 * leg];
    const double difference_ac_re = in_re[q] - in_re[q + 2 * leg];
    const double difference_ac_im = in_im[q] - in_im[q + 2 * leg];
    const double sum_bd_re = in_re[q + leg] + in_re[q + 3 * leg];
    const double sum_bd_im = in_im[q + leg] + in_im[q + 3 * leg];
    const double turned_bd_re = in_im[q + 3 * leg] - in_im[q + leg];
    const double turned_bd_im = in_re[q + leg] - in_re[q + 3 * leg];
    out_re[q] = sum_ac_re + sum_bd_re;
    out_im[q] = sum_ac_im + sum_bd_im;
    const double one_re = difference_ac_re - turned_bd_re;
    const double one_im = difference_ac_im - turned_bd_im;
    out_re[q + stride] = one_re * w1.re - one_im * w1.im;
    out_im[q + stride] = one_re * w1.im + one_im * w1.re;
    const double two_re = sum_ac_re - sum_bd_re;
    const double two_im = sum_ac_im - sum_bd_im;
    out_re[q + 2 * stride] = two_re * w2.re - two_im * w2.im;
    out_im[q + 2 * stride] = two_re * w2.im + two_im * w2.re;
    const double three_re = difference_ac_re + turned_bd_re;
    const double three_im = difference_ac_im + turned_bd_im;
    out_re[q + 3 * stride] = three_re * w3.re - three_im * w3.im;
    out_im[q + 3 * stride] = three_re * w3.im + three_im * w3.re;
  }
}

}  // namespace

Result<RealFft> RealFft::create(std::size_t fft_samples, Arena& arena) noexcept {
  RealFft fft;
  fft.half_ = fft_samples / 2;
  TRT_ASR_ASSIGN(fft.cosine_, arena.claim<double>(fft_samples));
  TRT_ASR_ASSIGN(fft.sine_, arena.claim<double>(fft_samples));
  TRT_ASR_ASSIGN(fft.real_, arena.claim<double>(fft.half_ * lanes));
  TRT_ASR_ASSIGN(fft.imaginary_, arena.claim<double>(fft.half_ * lanes));
  TRT_ASR_ASSIGN(fft.other_real_, arena.claim<double>(fft.half_ * lanes));
  TRT_ASR_ASSIGN(fft.other_imaginary_, arena.claim<double>(fft.half_ * lanes));
  for (std::size_t k = 0; k < fft_samples; ++k) {
    const double angle = 2 * std::numbers::pi * static_cast<double>(k) / static_cast<double>(fft_samples);
    fft.cosine_[k] = std::cos(angle);
    fft.sine_[k] = -std::sin(angle);
  }
  return fft;
}

// Stockham: each pass reads four legs and writes them side by side, so the result needs no reordering. The
// interleaved lanes are simply columns of the first pass.
void RealFft::transform() noexcept {
  std::size_t stride = lanes;
  std::size_t length = half_;
  std::size_t turn = 2;  // Root index step: one turn of the table is fft_samples = 2 * half.
  while (length >= 4) {
    const std::size_t quarter = length / 4;
    for (std::size_t p = 0; p < quarter; ++p) {
      const std::size_t root = p * turn;
      butterflies({real_.data() + stride * p, imaginary_.data() + stride * p}, stride * quarter,
                  {other_real_.data() + stride * 4 * p, other_imaginary_.data() + stride * 4 * p}, stride,
                  {cosine_[root], sine_[root]}, {cosine_[2 * root], sine_[2 * root]},
                  {cosine_[3 * root], sine_[3 * root]});
    }
    std::swap(real_, other_real_);
    std::swap(imaginary_, other_imaginary_);
    length /= 4;
    stride *= 4;
    turn *= 4;
  }
  if (length == 2) {
    for (std::size_t q = 0; q < stride; ++q) {
      const double re = real_[q + stride];
      const double im = imaginary_[q + stride];
      real_[q + stride] = real_[q] - re;
      imaginary_[q + stride] = imaginary_[q] - im;
      real_[q] += re;
      imaginary_[q] += im;
    }
  }
}

// X[k] = (Z[k] + conj Z[H-k]) / 2 + W^k (Z[k] - conj Z[H-k]) / 2i, with Z[H] = Z[0].
void RealFft::power(std::span<double> power_KL) noexcept {
  transform();
  for (std::size_t k = 0; k <= half_; ++k) {
    const double* __restrict re = real_.data() + k % half_ * lanes;
    const double* __restrict im = imaginary_.data() + k % half_ * lanes;
    const double* __restrict mirror_re = real_.data() + (half_ - k) % half_ * lanes;
    const double* __restrict mirror_im = imaginary_.data() + (half_ - k) % half_ * lanes;
    double* __restrict out = power_KL.data() + k * lanes;
    const double c = cosine_[k];
    const double s = sine_[k];
    for (std::size_t l = 0; l < lanes; ++l) {
      const double even_re = re[l] + mirror_re[l];
      const double even_im = im[l] - mirror_im[l];
      const double odd_re = im[l] + mirror_im[l];
      const double odd_im = mirror_re[l] - re[l];
      const double x_re = 0.5 * (even_re + c * odd_re - s * odd_im);
      const double x_im = 0.5 * (even_im + c * odd_im + s * odd_re);
      out[l] = x_re * x_re + x_im * x_im;
    }
  }
}

}  // namespace trt_asr
