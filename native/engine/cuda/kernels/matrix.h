#pragma once
// Vectors times a matrix that is packed in tiles: a block computes the 32 outputs of one tile for up to 8
// vectors. What it takes is reading the weights, so that each is read once and many are on their way at once.

#include "engine/cuda/cuda_kernels_abi.h"
#include "engine/cuda/kernels/number.h"

namespace trt_asr::cuda {

/// CONTRACT: shares that the inputs of a tile are cut into; 8 of 32 threads each make a block. SOURCE: none,
/// not run on a GPU yet. WHY: sums over the shares are in shared memory, 8 KB for 8 vectors. TODO: measure 16
/// on a GPU.
inline constexpr int tile_shares = 8;
inline constexpr int tile_cells = tile_shares * TRT_ASR_TILE_OUTPUTS;
/// Most vectors that a block multiplies.
inline constexpr int items_max = 8;

TRT_ASR_HOST_DEVICE inline int32_t groups_of(int32_t inputs) {
  return (inputs + TRT_ASR_TILE_INPUTS - 1) / TRT_ASR_TILE_INPUTS;
}
TRT_ASR_HOST_DEVICE inline int32_t tiles_of(int32_t outputs) {
  return (outputs + TRT_ASR_TILE_OUTPUTS - 1) / TRT_ASR_TILE_OUTPUTS;
}
/// From one vector of a block to the next: whole groups, and four floats more, so that threads that write one
/// number each to 8 vectors write to 8 banks.
TRT_ASR_HOST_DEVICE inline int32_t vector_stride(int32_t inputs) {
  return groups_of(inputs) * TRT_ASR_TILE_INPUTS + 4;
}
/// Floats that a block shares while it multiplies `items` vectors.
TRT_ASR_HOST_DEVICE inline int32_t tile_floats(int32_t inputs, int32_t items) {
  return items * (tile_cells + vector_stride(inputs));
}

/// The weights of 8 inputs to one output, as they lie in memory: pairs of numbers of 16 bits, or floats.
template <class Number>
struct WeightGroup {
  uint32_t words[2 * sizeof(Number)];
};

template <class Number>
TRT_ASR_DEVICE inline WeightGroup<Number> load_group(const Number* at) {
  WeightGroup<Number> group;
#if defined(__CUDA_ARCH__)
  TRT_ASR_UNROLL
  for (int i = 0; i < static_cast<int>(sizeof group / 16); ++i) {
    const uint4 four = __ldg(reinterpret_cast<const uint4*>(at) + i);
    group.words[4 * i] = four.x;
    group.words[4 * i + 1] = four.y;
    group.words[4 * i + 2] = four.z;
    group.words[4 * i + 3] = four.w;
  }
#else
  memcpy(group.words, at, sizeof group);
#endif
  return group;
}

TRT_ASR_DEVICE inline float weight_of(const WeightGroup<float>& group, int k) {
  return float_of_bits(group.words[k]);
}
/// Of two numbers in a word the first is in the lower half.
template <class Number>
TRT_ASR_DEVICE inline float weight_of(const WeightGroup<Number>& group, int k) {
  const uint32_t word = group.words[k / 2];
  return to_float(Number{static_cast<uint16_t>(k % 2 == 0 ? word & 0xffffU : word >> 16)});
}

/// Eight numbers of a vector in shared memory, at a multiple of 16 bytes.
struct VectorGroup {
  float values[TRT_ASR_TILE_INPUTS];
};

TRT_ASR_DEVICE inline VectorGroup load_vector(const float* at) {
  VectorGroup group;
#if defined(__CUDA_ARCH__)
  TRT_ASR_UNROLL
  for (int i = 0; i < TRT_ASR_TILE_INPUTS / 4; ++i) {
    const float4 four = reinterpret_cast<const float4*>(at)[i];
    group.values[4 * i] = four.x;
    group.values[4 * i + 1] = four.y;
    group.values[4 * i + 2] = four.z;
    group.values[4 * i + 3] = four.w;
  }
#else
  memcpy(group.values, at, sizeof group.values);
#endif
  return group;
}

/// Where a block's vectors and sums lie in the memory that it shares, aligned to 16 bytes.
template <int items>
struct TileMemory {
  float* shared;
  int32_t inputs;

  /// [shares, items, 32]; in the end share 0 has the outputs, [items, 32].
  [[nodiscard]] TRT_ASR_DEVICE float* sums() const { return shared; }
  [[nodiscard]] TRT_ASR_DEVICE float output(int item, int at) const {
    return shared[item * TRT_ASR_TILE_OUTPUTS + at];
  }
  /// Padded to whole groups.
  [[nodiscard]] TRT_ASR_DEVICE int32_t length() const { return groups_of(inputs) * TRT_ASR_TILE_INPUTS; }
  [[nodiscard]] TRT_ASR_DEVICE float* vector(int item) const {
    return shared + items * tile_cells + item * vector_stride(inputs);
  }
};

/// CONTRACT: groups of weights that a thread has on their way. SOURCE: 1,280 inputs of 16 bits, those of an
/// LSTM layer of Parakeet-TDT-0.6b, are 20 groups a thread, and 80 registers. WHY: one wait for memory
/// instead of several; with more vectors the sums are what takes time, and each group ahead is as much code
/// again. TODO: measure on a GPU.
template <class Number, int items>
inline constexpr int groups_ahead = static_cast<int>((items == 1   ? 40
                                                      : items == 4 ? 20
                                                                   : 10) /
                                                     sizeof(Number));

/// A thread's groups of a tile, every `tile_shares`-th from its share on.
template <class Number, int items>
struct ShareGroups {
  static constexpr int ahead = groups_ahead<Number, items>;
  static constexpr int group_numbers = TRT_ASR_TILE_OUTPUTS * TRT_ASR_TILE_INPUTS;

  const Number* weights;
  int32_t groups;
  WeightGroup<Number> held[ahead];

  TRT_ASR_DEVICE ShareGroups(const TrtAsrMatrix& matrix, int tile, int cell)
      : weights(static_cast<const Number*>(matrix.weights) +
                static_cast<int64_t>(tile) * groups_of(matrix.inputs) * group_numbers +
                cell % TRT_ASR_TILE_OUTPUTS * TRT_ASR_TILE_INPUTS),
        groups(groups_of(matrix.inputs)) {}
  /// Those from `first` on, as many as are held.
  TRT_ASR_DEVICE void load(int32_t first) {
    TRT_ASR_UNROLL
    for (int i = 0; i < ahead; ++i) {
      const int32_t group = first + i * tile_shares;
      if (group < groups) held[i] = load_group(weights + static_cast<int64_t>(group) * group_numbers);
    }
  }
};

/// The first groups that a thread of a GPU needs, asked for while its block's vectors are on their way; a
/// thread of a host asks when it comes to them.
template <class Number, int items>
struct EarlyGroups {
#if defined(__CUDA_ARCH__)
  ShareGroups<Number, items> own;

  TRT_ASR_DEVICE EarlyGroups(const TrtAsrMatrix& matrix, int tile)
      : own(matrix, tile, static_cast<int>(threadIdx.x)) {}
  TRT_ASR_DEVICE void ask() {
    own.load(static_cast<int>(threadIdx.x) / TRT_ASR_TILE_OUTPUTS);
  }
  TRT_ASR_DEVICE ShareGroups<Number, items>& of(const TrtAsrMatrix&, int, int) {
    return own;
  }
#else
  TRT_ASR_DEVICE EarlyGroups(const TrtAsrMatrix&, int) {}
  TRT_ASR_DEVICE void ask() {}
  TRT_ASR_DEVICE ShareGroups<Number, items> of(const TrtAsrMatrix& matrix, int tile, int cell) {
    ShareGroups<Number, items> own(matrix, tile, cell);
    own.load(cell / TRT_ASR_TILE_OUTPUTS);
    return own;
  }
#endif
};

/// What one thread adds up: a share of the inputs to one output, for every vector.
template <class Number, int items>
TRT_ASR_DEVICE inline void add_share(const TrtAsrMatrix& matrix, int tile, int cell,
                                     const TileMemory<items>& memory, EarlyGroups<Number, items>& early) {
  constexpr int ahead = groups_ahead<Number, items>;
  // Chains of sums that do not wait for one another.
  constexpr int chains = items == 1 ? 4 : items == 2 ? 2 : 1;
  const int share = cell / TRT_ASR_TILE_OUTPUTS;
  const int at = cell % TRT_ASR_TILE_OUTPUTS;
  const int output = tile * TRT_ASR_TILE_OUTPUTS + at;
  auto&& own = early.of(matrix, tile, cell);
  float sums[items][chains] = {};
  if (share == 0 && matrix.bias != nullptr && output < matrix.outputs) {
    const float bias = matrix.bias[output];
    TRT_ASR_UNROLL
    for (int item = 0; item < items; ++item) sums[item][0] = bias;
  }
  // Groups without a question between them, so that the numbers of several are read at once.
  constexpr int together = items == 1 ? 5 : 1;
  static_assert(ahead % together == 0);
  const auto add = [&](int i, int32_t group) {
    TRT_ASR_UNROLL
    for (int item = 0; item < items; ++item) {
      const VectorGroup vector = load_vector(memory.vector(item) + group * TRT_ASR_TILE_INPUTS);
      TRT_ASR_UNROLL
      for (int k = 0; k < TRT_ASR_TILE_INPUTS; ++k)
        sums[item][k % chains] += weight_of(own.held[i], k) * vector.values[k];
    }
  };
  for (int32_t first = share; first < own.groups;) {
    TRT_ASR_UNROLL
    for (int begin = 0; begin < ahead; begin += together) {
      const int32_t group = first + begin * tile_shares;
      if (group >= own.groups) break;
      if (group + (together - 1) * tile_shares < own.groups) {
        TRT_ASR_UNROLL
        for (int i = 0; i < together; ++i) add(begin + i, group + i * tile_shares);
        continue;
      }
      TRT_ASR_UNROLL
      for (int i = 0; i < together; ++i)
        if (group + i * tile_shares < own.groups) add(begin + i, group + i * tile_shares);
    }
    first += ahead * tile_shares;
    own.load(first);
  }
  TRT_ASR_UNROLL
  for (int item = 0; item < items; ++item) {
    float sum = sums[item][0];
    TRT_ASR_UNROLL
    for (int chain = 1; chain < chains; ++chain) sum += sums[item][chain];
    memory.sums()[(share * items + item) * TRT_ASR_TILE_OUTPUTS + at] = sum;
  }
}

/// Fills the vectors by value(item, k) for k < inputs; one thread's part. Numbers are asked for before any is
/// written, and the first weights behind the first of them.
template <class Number, int items, class Block, class Value>
TRT_ASR_DEVICE inline void fill_vectors(const TileMemory<items>& memory, EarlyGroups<Number, items>& early,
                                        int thread, Block& block, const Value& value) {
  constexpr int each = items == 1 ? 5 : items == 2 ? 3 : items == 4 ? 2 : 1;
  const int32_t length = memory.length();
  float held[each][items];
  const auto read = [&](int32_t first) {
    TRT_ASR_UNROLL
    for (int i = 0; i < each; ++i) {
      const int32_t k = first + i * block.threads();
      TRT_ASR_UNROLL
      for (int item = 0; item < items; ++item) held[i][item] = k < memory.inputs ? value(item, k) : 0.0F;
    }
  };
  const auto write = [&](int32_t first) {
    TRT_ASR_UNROLL
    for (int i = 0; i < each; ++i) {
      const int32_t k = first + i * block.threads();
      if (k >= length) break;
      TRT_ASR_UNROLL
      for (int item = 0; item < items; ++item) memory.vector(item)[k] = held[i][item];
    }
  };
  read(thread);
  early.ask();
  write(thread);
  TRT_ASR_LOOP
  for (int32_t first = thread + each * block.threads(); first < length; first += each * block.threads()) {
    read(first);
    write(first);
  }
}

/// The outputs of a tile, with their bias, for the vectors in `memory`. Sums are in an order of their own,
/// the same for any number of threads.
template <class Number, int items, class Block>
TRT_ASR_DEVICE void multiply_tile(const TrtAsrMatrix& matrix, int tile, const TileMemory<items>& memory,
                                  EarlyGroups<Number, items>& early, Block& block) {
  block.each([&](int thread) {
    for (int cell = thread; cell < tile_cells; cell += block.threads())
      add_share<Number, items>(matrix, tile, cell, memory, early);
  });
  constexpr int outputs = items * TRT_ASR_TILE_OUTPUTS;
  block.each([&](int thread) {
    for (int cell = thread; cell < outputs; cell += block.threads()) {
      float sum = memory.sums()[cell];
      TRT_ASR_UNROLL
      for (int share = 1; share < tile_shares; ++share) sum += memory.sums()[share * outputs + cell];
      memory.sums()[cell] = sum;
    }
  });
}

}  // namespace trt_asr::cuda
