#include "engine/tensorrt/plugin/logger.h"

#include <cstring>
#include <string_view>

namespace trt_asr::trt {

namespace {

std::int32_t severity_of(nvinfer1::ILogger::Severity severity) noexcept {
  using Severity = nvinfer1::ILogger::Severity;
  switch (severity) {
    case Severity::kINTERNAL_ERROR:
    case Severity::kERROR:
      return TRT_ASR_LOG_ERROR;
    case Severity::kWARNING:
      return TRT_ASR_LOG_WARNING;
    case Severity::kINFO:
      return TRT_ASR_LOG_INFO;
    default:
      return TRT_ASR_LOG_VERBOSE;
  }
}

}  // namespace

void Logger::log(Severity severity, const char* text) noexcept {
  if (text == nullptr) return;
  const std::int32_t level = severity_of(severity);
  try {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (level == TRT_ASR_LOG_ERROR) keep(errors_, text);
    if (level == TRT_ASR_LOG_WARNING || level == TRT_ASR_LOG_INFO) keep(notes_, text);
  } catch (...) {
    return;
  }
  if (log_.write != nullptr) log_.write(log_.context, level, text);
}

void Logger::keep(Ring& ring, const char* text) noexcept {
  Line& line = ring.lines[ring.next];
  ring.next = (ring.next + 1) % ring.lines.size();
  line.serial = ++serial_;
  line.thread = std::this_thread::get_id();
  const std::size_t length = strnlen(text, sizeof(line.text) - 1);
  std::memcpy(line.text, text, length);
  line.text[length] = '\0';
}

std::uint64_t Logger::mark() const noexcept {
  try {
    const std::lock_guard<std::mutex> lock(mutex_);
    return serial_;
  } catch (...) {
    return 0;
  }
}

std::string Logger::collect(const Ring& ring, std::uint64_t mark) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  std::string mine;
  std::string all;
  const auto add = [](std::string& to, std::string_view text) {
    while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.remove_suffix(1);
    if (text.empty()) return;
    if (!to.empty()) to += "; ";
    to += text;
  };
  for (std::size_t i = 0; i < ring.lines.size(); ++i) {
    const Line& line = ring.lines[(ring.next + i) % ring.lines.size()];
    if (line.serial <= mark) continue;
    add(all, line.text);
    if (line.thread == std::this_thread::get_id()) add(mine, line.text);
  }
  return mine.empty() ? all : mine;
}

std::string Logger::errors(std::uint64_t mark) const {
  return collect(errors_, mark);
}

std::string Logger::notes(std::uint64_t mark) const {
  return collect(notes_, mark);
}

}  // namespace trt_asr::trt
