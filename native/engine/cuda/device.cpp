#include "engine/cuda/device.h"

#include "base/contract.h"
#include "engine/abi_error.h"

namespace trt_asr::cuda {

Status Device::use() const noexcept {
  TRT_ASR_PLUGIN_TRY(calls->set_device, index);
  return {};
}

Result<Memory> Memory::claim(const Device& device, Kind kind, std::size_t bytes) noexcept {
  TRT_ASR_TRY(device.use());
  Memory memory;
  void* data = nullptr;
  const auto claim = kind == Kind::device ? device.calls->device_alloc : device.calls->pinned_alloc;
  TRT_ASR_PLUGIN_TRY(claim, bytes == 0 ? 1 : bytes, &data);
  TRT_ASR_REQUIRE(data != nullptr, internal, "memory of the CUDA library", "an address", "null", "");
  memory.device_ = device;
  memory.kind_ = kind;
  memory.data_ = static_cast<std::byte*>(data);
  memory.bytes_ = bytes;
  return memory;
}

Memory& Memory::operator=(Memory&& other) noexcept {
  std::swap(device_, other.device_);
  std::swap(kind_, other.kind_);
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

Memory::~Memory() {
  if (data_ == nullptr) return;
  // A free on a thread that has another device would make a context there.
  static_cast<void>(device_.use().ok());
  (kind_ == Kind::device ? device_.calls->device_free : device_.calls->pinned_free)(data_);
}

Graph& Graph::operator=(Graph&& other) noexcept {
  std::swap(device_, other.device_);
  std::swap(handle_, other.handle_);
  return *this;
}

Graph::~Graph() {
  if (handle_ == nullptr) return;
  static_cast<void>(device_.use().ok());
  device_.calls->graph_destroy(handle_);
}

Result<Stream> Stream::create(const Device& device) noexcept {
  TRT_ASR_TRY(device.use());
  Stream stream;
  TRT_ASR_PLUGIN_TRY(device.calls->stream_create, &stream.handle_);
  TRT_ASR_REQUIRE(stream.handle_ != nullptr, internal, "stream of the CUDA library", "a handle", "null", "");
  stream.device_ = device;
  return stream;
}

Stream& Stream::operator=(Stream&& other) noexcept {
  std::swap(device_, other.device_);
  std::swap(handle_, other.handle_);
  return *this;
}

Stream::~Stream() {
  if (handle_ == nullptr) return;
  static_cast<void>(device_.use().ok());
  device_.calls->stream_destroy(handle_);
}

Status Stream::copy(void* to, const void* from, std::size_t bytes) const noexcept {
  TRT_ASR_PLUGIN_TRY(device_.calls->copy, to, from, bytes, handle_);
  return {};
}

Status Stream::synchronize() const noexcept {
  TRT_ASR_PLUGIN_TRY(device_.calls->stream_synchronize, handle_);
  return {};
}

Status Stream::launch(const Graph& graph) const noexcept {
  TRT_ASR_PLUGIN_TRY(device_.calls->graph_launch, graph.handle_, handle_);
  return {};
}

Status Stream::capture_begin() const noexcept {
  TRT_ASR_PLUGIN_TRY(device_.calls->capture_begin, handle_);
  return {};
}

Result<Graph> Stream::capture_end(Status put) const noexcept {
  Graph graph;
  graph.device_ = device_;
  TrtAsrFailure failure{};
  const std::int32_t code = device_.calls->capture_end(handle_, &graph.handle_, &failure);
  // Of two failures the first is the cause.
  if (!put.ok()) return put.take_error();
  if (code != TRT_ASR_OK) return to_error(failure);
  return graph;
}

}  // namespace trt_asr::cuda
