#pragma once
// TensorRT's messages: passed on to the core, and the last ones kept, so that a failure carries TensorRT's
// own words.

#include <array>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>

#include "engine/tensorrt/plugin/nvinfer.h"
#include "engine/tensorrt/plugin_abi.h"

namespace trt_asr::trt {

class Logger final : public nvinfer1::ILogger {
 public:
  explicit Logger(const TrtAsrLog& log) noexcept : log_(log) {}

  /// Allocates nothing: TensorRT may call it in the middle of a run.
  void log(Severity severity, const char* text) noexcept override;

  /// Place in the messages: what is logged later is `errors(mark)` or `notes(mark)`.
  [[nodiscard]] std::uint64_t mark() const noexcept;
  /// Errors since then, oldest first, joined by "; ": those of this thread, or of all where this one has
  /// none, since contexts run at once but a build has threads of its own.
  [[nodiscard]] std::string errors(std::uint64_t mark) const;
  /// The same of warnings and remarks.
  [[nodiscard]] std::string notes(std::uint64_t mark) const;

 private:
  struct Line {
    std::uint64_t serial = 0;
    std::thread::id thread;
    char text[480] = {};
  };
  // WHY: a failed build says its cause first and its consequences after; 16 lines hold both.
  struct Ring {
    std::array<Line, 16> lines;
    std::size_t next = 0;
  };

  void keep(Ring& ring, const char* text) noexcept;
  [[nodiscard]] std::string collect(const Ring& ring, std::uint64_t mark) const;

  const TrtAsrLog log_;
  mutable std::mutex mutex_;
  std::uint64_t serial_ = 0;
  Ring errors_;
  Ring notes_;
};

}  // namespace trt_asr::trt
