#pragma once
// What fake_nvinfer.cpp was asked to do, for the test.

#include <cstdint>

namespace fake_nvinfer {

/// Of the context that did something last, and counts since the library was loaded.
struct Calls {
  long shapes_set = 0;
  long asked = 0;  ///< Memory for shapes.
  long runs = 0;
  long runs_not_laid_out = 0;  ///< Runs with other shapes than those that memory was laid out for.
  void* memory = nullptr;
  std::int64_t bytes = 0;
  long alive = 0;     ///< Engines, contexts, configurations and caches.
  long disorder = 0;  ///< A cache that went before a context made with it.
};

/// A row needs as much; the profile allows 8 rows.
inline constexpr std::int64_t row_bytes = 4096;
inline constexpr std::int64_t rows_max = 8;
/// What a cache without kernels is written as; each kernel adds a letter.
inline constexpr const char* cache_magic = "kernels:";

/// The symbol: `Calls* fake_nvinfer_calls()`.
inline constexpr const char* entry = "fake_nvinfer_calls";

}  // namespace fake_nvinfer
