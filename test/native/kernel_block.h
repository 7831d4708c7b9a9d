#pragma once
// What the kernels' bodies run on in their tests: blocks of threads, and memory of each dtype.

#include <cstdint>
#include <iterator>
#include <numeric>
#include <random>
#include <vector>

#include "engine/cuda/kernels/number.h"
#include "engine/tensorrt/plugin_abi.h"

namespace simulation {

namespace cuda = trt_asr::cuda;

/// A block whose threads run in rising, falling or mixed order within a phase. What depends on the order is a
/// race on a GPU.
struct TestBlock {
  int count = 1;
  int order = 0;

  [[nodiscard]] int threads() const { return count; }
  template <class Phase>
  void each(const Phase& phase) {
    int stride = count / 2 + 1;
    while (std::gcd(stride, count) != 1) ++stride;
    for (int i = 0; i < count; ++i) {
      const int mixed = static_cast<int>((std::int64_t{i} * stride + 3) % count);
      phase(order == 0 ? i : order == 1 ? count - 1 - i : mixed);
    }
  }
  void set_bits(std::int32_t* word, std::int32_t bits) { *word |= bits; }
  bool arrive(std::int32_t* counter, std::int32_t blocks) {
    if (++*counter != blocks) return false;
    *counter = 0;
    return true;
  }
};

/// One of the three dtypes: 0, 1, 2 as TRT_ASR_F32, F16, BF16.
struct Number {
  std::int32_t dtype = TRT_ASR_F32;

  template <class Visitor>
  void visit(const Visitor& visitor) const {
    if (dtype == TRT_ASR_F32) return visitor(float{});
    if (dtype == TRT_ASR_F16) return visitor(cuda::Half{});
    visitor(cuda::BFloat{});
  }
  /// The values in this dtype, in memory of exactly their size.
  [[nodiscard]] std::vector<unsigned char> stored(const std::vector<float>& values) const {
    std::vector<unsigned char> bytes(values.size() * (dtype == TRT_ASR_F32 ? 4 : 2));
    visit([&](auto number) {
      using Stored = decltype(number);
      for (std::size_t i = 0; i < values.size(); ++i)
        cuda::store(reinterpret_cast<Stored*>(bytes.data()) + i, values[i]);
    });
    return bytes;
  }
  [[nodiscard]] std::vector<float> loaded(const std::vector<unsigned char>& bytes) const {
    std::vector<float> values(bytes.size() / (dtype == TRT_ASR_F32 ? 4 : 2));
    visit([&](auto number) {
      using Stored = decltype(number);
      for (std::size_t i = 0; i < values.size(); ++i)
        values[i] = cuda::to_float(reinterpret_cast<const Stored*>(bytes.data())[i]);
    });
    return values;
  }
};

/// Any of the numbers of threads and orders that the bodies are tried with.
inline TestBlock block_of(std::mt19937& random) {
  constexpr int threads[] = {1, 7, 32, 128, 256};
  return {threads[random() % std::size(threads)], static_cast<int>(random() % 3)};
}

}  // namespace simulation
