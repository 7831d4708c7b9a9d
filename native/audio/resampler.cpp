#include "audio/resampler.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <mutex>
#include <numbers>
#include <numeric>

#include "base/contract.h"
#include "base/limits.generated.h"

namespace trt_asr {

namespace {

// CONTRACT: 100 dB below; the band is kept up to 90 % of the lower Nyquist frequency, and nothing of what
// lies above it is left. SOURCE: libsamplerate's medium quality, with which files are resampled (lib/audio).
// WHY: the features look down to -80 dB and up to 8 kHz, and aliases in that band would be heard as speech.
// TODO: none.
constexpr double attenuation_db = 100;
constexpr double pass_edge = 0.9;

// CONTRACT: up to so many places between two input samples each have a row of their own; with more, two rows
// of a coarser grid are interpolated. SOURCE: ours; the usual rates need 640 at most (11,025 Hz), and with
// 512 rows the interpolation's error is below -100 dB. WHY: an odd rate would need a table of 16,000 rows.
// TODO: none.
constexpr std::uint32_t rows_max = 1024;
constexpr std::uint32_t rows_interpolated = 512;

constexpr std::int32_t rate_hz_min = 1000;
constexpr std::int32_t rate_hz_max = 768'000;

/// Kernels that are kept for sessions to come; a table takes milliseconds to compute.
constexpr std::size_t kernels_kept = 8;

/// Partial sums of a dot product, so that it can be done several elements at once. Rows are a multiple long.
constexpr std::size_t sums = 16;

/// Modified Bessel function of the first kind, order 0.
double bessel_i0(double x) {
  double sum = 1;
  double term = 1;
  constexpr int terms_max = 200;
  for (int n = 1; n < terms_max && term > sum * 1e-12; ++n) {
    term *= (x / 2 / n) * (x / 2 / n);
    sum += term;
  }
  return sum;
}

float dot(const float* a, const float* b, std::size_t count) noexcept {
  std::array<float, sums> partial{};
  for (std::size_t at = 0; at < count; at += sums) {
    for (std::size_t lane = 0; lane < sums; ++lane) partial[lane] += a[at + lane] * b[at + lane];
  }
  float sum = 0;
  for (const float one : partial) sum += one;
  return sum;
}

}  // namespace

struct ResamplerKernel {
  std::int32_t rate_hz = 0;
  std::uint64_t up = 1;    ///< Output samples of ...
  std::uint64_t down = 1;  ///< ... so many input samples.
  std::size_t half = 0;    ///< Input samples on either side of an output sample.
  std::uint32_t rows = 1;  ///< Places between two input samples, rows + 1 with the last one.
  bool exact = true;       ///< There is a row for each place.
  std::vector<float> table;

  /// Weights of the input samples from `half - 1` before an output sample to `half` behind it, for one that
  /// lies row / rows behind an input sample.
  [[nodiscard]] const float* weights(std::uint64_t row) const noexcept {
    return table.data() + row * 2 * half;
  }

  [[nodiscard]] static std::shared_ptr<const ResamplerKernel> of(std::int32_t rate_hz);

 private:
  void fill();
};

void ResamplerKernel::fill() {
  // Kaiser's formulas for the width and the shape of the window.
  const double ratio = std::min(1.0, static_cast<double>(up) / static_cast<double>(down));
  const double transition = std::numbers::pi * (1 - pass_edge) * ratio;
  const double width = (attenuation_db - 7.95) / (2.285 * transition);
  const double beta = 0.1102 * (attenuation_db - 8.7);
  const double cutoff = ratio * (1 + pass_edge) / 2;
  half = static_cast<std::size_t>(std::ceil(width / 2 / (sums / 2))) * (sums / 2);
  const std::size_t length = 2 * half;
  const double scale = 1 / bessel_i0(beta);

  table.resize((rows + 1) * length);
  std::vector<double> row(length);
  for (std::uint32_t place = 0; place <= rows; ++place) {
    double sum = 0;
    for (std::size_t tap = 0; tap < length; ++tap) {
      const double behind = static_cast<double>(place) / rows;
      const double time = static_cast<double>(tap) - static_cast<double>(half - 1) - behind;
      const double x = std::numbers::pi * cutoff * time;
      const double sinc = x == 0 ? 1 : std::sin(x) / x;
      const double inside = 1 - std::pow(time / static_cast<double>(half), 2);
      row[tap] = inside < 0 ? 0 : sinc * bessel_i0(beta * std::sqrt(inside)) * scale;
      sum += row[tap];
    }
    // WHY: what is constant stays so in all places, without a ripple at the rate of their pattern.
    for (std::size_t tap = 0; tap < length; ++tap) {
      table[place * length + tap] = static_cast<float>(row[tap] / sum);
    }
  }
}

std::shared_ptr<const ResamplerKernel> ResamplerKernel::of(std::int32_t rate_hz) {
  static std::mutex mutex;
  static std::vector<std::shared_ptr<const ResamplerKernel>> kept;
  const std::lock_guard lock(mutex);
  const auto is_it = [rate_hz](const auto& one) { return one->rate_hz == rate_hz; };
  if (const auto found = std::find_if(kept.begin(), kept.end(), is_it); found != kept.end()) {
    std::rotate(found, found + 1, kept.end());
    return kept.back();
  }
  auto kernel = std::make_shared<ResamplerKernel>();
  const std::int32_t common = std::gcd(rate_hz, limits::audio_rate_hz);
  kernel->rate_hz = rate_hz;
  kernel->up = static_cast<std::uint64_t>(limits::audio_rate_hz / common);
  kernel->down = static_cast<std::uint64_t>(rate_hz / common);
  kernel->exact = kernel->up <= rows_max;
  kernel->rows = kernel->exact ? static_cast<std::uint32_t>(kernel->up) : rows_interpolated;
  kernel->fill();
  if (kept.size() == kernels_kept) kept.erase(kept.begin());
  kept.push_back(std::move(kernel));
  return kept.back();
}

Result<Resampler> Resampler::create(std::int32_t rate_hz) {
  TRT_ASR_REQUIRE(rate_hz >= rate_hz_min && rate_hz <= rate_hz_max, bad_argument, "sampleRateHz",
                  show(rate_hz_min) + " ... " + show(rate_hz_max), rate_hz, "");
  return Resampler(ResamplerKernel::of(rate_hz));
}

Resampler::Resampler(std::shared_ptr<const ResamplerKernel> kernel)
    : kernel_(std::move(kernel)), waiting_(kernel_->half - 1, 0.0F) {}

void Resampler::push(std::span<const float> samples, std::vector<float>& out) {
  waiting_.insert(waiting_.end(), samples.begin(), samples.end());
  samples_in_ += samples.size();
  convert(UINT64_MAX, out);
}

void Resampler::finish(std::vector<float>& out) {
  waiting_.insert(waiting_.end(), kernel_->half, 0.0F);
  const std::uint64_t total = (2 * samples_in_ * kernel_->up + kernel_->down) / (2 * kernel_->down);
  convert(total, out);
}

// Positions count from the zeros before the input, so that the range of an output sample begins at the input
// sample before it.
void Resampler::convert(std::uint64_t count_max, std::vector<float>& out) {
  const ResamplerKernel& kernel = *kernel_;
  const std::size_t length = 2 * kernel.half;
  std::uint64_t begin = samples_out_ * kernel.down / kernel.up;
  while (samples_out_ < count_max && begin - waiting_begin_ + length <= waiting_.size()) {
    const float* range = waiting_.data() + (begin - waiting_begin_);
    const std::uint64_t place = samples_out_ * kernel.down % kernel.up;
    if (kernel.exact) {
      out.push_back(dot(range, kernel.weights(place), length));
    } else {
      const double row = static_cast<double>(place) * kernel.rows / static_cast<double>(kernel.up);
      const auto below = static_cast<std::uint64_t>(row);
      const auto share = static_cast<float>(row - static_cast<double>(below));
      const float first = dot(range, kernel.weights(below), length);
      out.push_back(first + share * (dot(range, kernel.weights(below + 1), length) - first));
    }
    ++samples_out_;
    begin = samples_out_ * kernel.down / kernel.up;
  }
  const auto spent =
      static_cast<std::ptrdiff_t>(std::min<std::uint64_t>(begin - waiting_begin_, waiting_.size()));
  waiting_.erase(waiting_.begin(), waiting_.begin() + spent);
  waiting_begin_ += static_cast<std::uint64_t>(spent);
}

}  // namespace trt_asr
