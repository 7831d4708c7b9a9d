#pragma once
// A GPU through libtrt_asr_cuda.so: its memory, streams and graphs, given back when they go out of scope.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include "base/contract.h"
#include "base/result.h"
#include "engine/cuda/cuda_abi.h"

namespace trt_asr::cuda {

/// The library and the device that is meant. Copies are free.
struct Device {
  const TrtAsrCudaLibrary* calls = nullptr;
  std::int32_t index = 0;

  /// Makes this device the calling thread's. Needed once a thread, before anything below.
  [[nodiscard]] Status use() const noexcept;
};

/// One block of device or pinned host memory.
class Memory {
 public:
  enum class Kind : std::uint8_t { device, pinned };

  Memory() noexcept = default;
  /// At least one byte. Errors: ERR_DEVICE_MEMORY, ERR_BACKEND_UNAVAILABLE.
  [[nodiscard]] static Result<Memory> claim(const Device& device, Kind kind, std::size_t bytes) noexcept;
  Memory(Memory&& other) noexcept { *this = std::move(other); }
  Memory& operator=(Memory&& other) noexcept;
  ~Memory();

  [[nodiscard]] std::byte* data() const noexcept { return data_; }
  [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }

 private:
  Device device_;
  Kind kind_ = Kind::device;
  std::byte* data_ = nullptr;
  std::size_t bytes_ = 0;
};

/// Hands out aligned parts of a block that is sized beforehand: first every part is announced, then the block
/// claimed, then the parts taken in the same order.
class Plan {
 public:
  // CONTRACT: every part begins at a multiple. SOURCE: TensorRT asks for 256 bytes. WHY: one rule for all.
  // TODO: none.
  static constexpr std::size_t alignment = 256;

  /// Offset of a part of `bytes`.
  [[nodiscard]] std::size_t add(std::size_t bytes) noexcept {
    const std::size_t offset = bytes_;
    bytes_ += (bytes + alignment - 1) / alignment * alignment;
    return offset;
  }
  [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }

 private:
  std::size_t bytes_ = 0;
};

/// Work of a stream that was written down, to be launched as often as is wanted. Null: nothing.
class Graph {
 public:
  Graph() noexcept = default;
  Graph(Graph&& other) noexcept { *this = std::move(other); }
  Graph& operator=(Graph&& other) noexcept;
  ~Graph();

  [[nodiscard]] TrtAsrGraph handle() const noexcept { return handle_; }

 private:
  friend class Stream;
  Device device_;
  TrtAsrGraph handle_ = nullptr;
};

class Stream {
 public:
  Stream() noexcept = default;
  [[nodiscard]] static Result<Stream> create(const Device& device) noexcept;
  Stream(Stream&& other) noexcept { *this = std::move(other); }
  Stream& operator=(Stream&& other) noexcept;
  ~Stream();

  [[nodiscard]] TrtAsrStream handle() const noexcept { return handle_; }
  [[nodiscard]] Status copy(void* to, const void* from, std::size_t bytes) const noexcept;
  /// Waits on the host for all that was put in.
  [[nodiscard]] Status synchronize() const noexcept;

  /// A graph of what `put` puts in, which is not run. Errors: those of `put`, a Status; ERR_INTERNAL where
  /// something of it cannot be written down. The stream can be used on in either case.
  template <class Put>
  [[nodiscard]] Result<Graph> capture(const Put& put) const noexcept {
    TRT_ASR_TRY(capture_begin());
    return capture_end(put());
  }
  /// Precondition: `graph` is one.
  [[nodiscard]] Status launch(const Graph& graph) const noexcept;

 private:
  [[nodiscard]] Status capture_begin() const noexcept;
  [[nodiscard]] Result<Graph> capture_end(Status put) const noexcept;

  Device device_;
  TrtAsrStream handle_ = nullptr;
};

}  // namespace trt_asr::cuda
