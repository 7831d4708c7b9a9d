#include "lockstep.h"

#include <algorithm>
#include <cmath>

namespace validate {

using namespace trt_asr;

namespace {

// CONTRACT: bytes that the parts of one case may take. SOURCE: none. WHY: the largest case, a vocabulary of
// 8,192, takes 2 MB. TODO: none.
constexpr std::size_t room = std::size_t{16} << 20;
constexpr std::byte between{0xa5};

}  // namespace

Result<std::unique_ptr<Lockstep>> Lockstep::open(const TrtAsrCudaLibrary* library) {
  std::unique_ptr<Lockstep> made(new Lockstep);
  made->device_ = {library, 0};
  TRT_ASR_TRY(made->device_.use());
  TRT_ASR_ASSIGN(made->stream_, cuda::Stream::create(made->device_));
  TRT_ASR_ASSIGN(made->gpu_, cuda::Memory::claim(made->device_, cuda::Memory::Kind::device, room));
  TRT_ASR_ASSIGN(made->staging_, cuda::Memory::claim(made->device_, cuda::Memory::Kind::pinned, room));
  made->host_.reset(static_cast<std::byte*>(std::aligned_alloc(cuda::Plan::alignment, room)));
  made->clear();
  return made;
}

void Lockstep::clear() {
  used_ = 0;
  apart_.clear();
  tolerant_.clear();
}

std::size_t Lockstep::take(std::size_t bytes) {
  const std::size_t offset = used_;
  const std::size_t whole = (bytes / cuda::Plan::alignment + 1) * cuda::Plan::alignment;
  if (offset + whole > room) std::abort();
  std::fill_n(host_.get() + offset, bytes, std::byte{0});
  std::fill_n(host_.get() + offset + bytes, whole - bytes, between);
  used_ += whole;
  return offset;
}

Status Lockstep::upload() {
  return upload_bytes(0, used_);
}

Status Lockstep::upload_bytes(std::size_t offset, std::size_t bytes) {
  std::memcpy(staging_.data() + offset, host_.get() + offset, bytes);
  for (const Apart& one : apart_) {
    if (one.offset >= offset && one.offset < offset + bytes)
      std::memcpy(staging_.data() + one.offset, one.bytes.data(), one.bytes.size());
  }
  return stream_.copy(gpu_.data() + offset, staging_.data() + offset, bytes);
}

Status Lockstep::compare(const std::string& what) {
  TRT_ASR_TRY(stream_.copy(staging_.data(), gpu_.data(), used_));
  TRT_ASR_TRY(stream_.synchronize());
  ++comparisons_;
  for (const Apart& one : apart_)
    std::memcpy(staging_.data() + one.offset, host_.get() + one.offset, one.bytes.size());
  for (const Tolerant& one : tolerant_) {
    for (std::size_t i = 0; i < one.count; ++i) {
      std::byte* at = staging_.data() + one.offset + i * one.stride;
      const std::byte* at_host = host_.get() + one.offset + i * one.stride;
      float received = 0;
      float expected = 0;
      std::memcpy(&received, at, sizeof received);
      std::memcpy(&expected, at_host, sizeof expected);
      const double apart = std::fabs(static_cast<double>(received) - expected) /
                           (1 + std::fabs(static_cast<double>(expected)));
      if (!(apart <= one.tolerance) && !(std::isnan(received) && std::isnan(expected))) continue;
      if (apart > worst_) worst_ = apart;
      std::memcpy(at, at_host, sizeof received);
    }
  }
  const auto differs = std::mismatch(host_.get(), host_.get() + used_, staging_.data());
  TRT_ASR_REQUIRE(differs.first == host_.get() + used_, internal, what,
                  "what the kernel's body gives on the host",
                  "another byte " + show(differs.first - host_.get()) + " of " + show(used_), "");
  return {};
}

}  // namespace validate
