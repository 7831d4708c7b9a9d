#include "ptx_counts.h"

#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>

#include "host_cuda.h"

namespace stand_in {

namespace {

struct Total {
  std::uint64_t launches = 0;
  std::uint64_t threads = 0;
  ptx::Counts counts;
};

struct Totals {
  std::mutex mutex;
  std::map<std::string, Total> kernels;

  static Totals& get() {
    static auto& totals = *new Totals;
    return totals;
  }
};

double ratio(std::uint64_t a, std::uint64_t b) {
  return b == 0 ? 0 : static_cast<double>(a) / static_cast<double>(b);
}

void tell() {
  Totals& totals = Totals::get();
  const std::lock_guard<std::mutex> lock(totals.mutex);
  std::fprintf(stderr, "%-34s %8s %10s %12s %12s %9s %11s %9s %9s\n", "kernel", "launches", "threads/l",
               "instr/thread", "instr/launch", "sectors/l", "sectors/req", "passes/l", "passes/req");
  for (const auto& [name, total] : totals.kernels) {
    const ptx::Counts& counts = total.counts;
    std::fprintf(
        stderr, "%-34s %8llu %10.0f %12.1f %12.0f %9.0f %11.2f %9.0f %9.2f\n", name.c_str(),
        static_cast<unsigned long long>(total.launches), ratio(total.threads, total.launches),
        ratio(counts.instructions, total.threads), ratio(counts.instructions, total.launches),
        ratio(counts.global_sectors, total.launches), ratio(counts.global_sectors, counts.global_requests),
        ratio(counts.shared_passes, total.launches), ratio(counts.shared_passes, counts.shared_requests));
  }
}

std::uint64_t volume(const ptx::Extent& extent) {
  return std::uint64_t{extent.x} * extent.y * extent.z;
}

}  // namespace

bool counting() noexcept {
  static const bool is_on = number_of("STAND_IN_COUNTS", 0) != 0 && std::atexit(tell) == 0;
  return is_on;
}

void count_launch(const std::string& kernel, const ptx::Launch& launch, const ptx::Counts& counts) {
  Totals& totals = Totals::get();
  const std::lock_guard<std::mutex> lock(totals.mutex);
  Total& total = totals.kernels[kernel];
  ++total.launches;
  total.threads += volume(launch.grid) * volume(launch.block);
  total.counts.instructions += counts.instructions;
  total.counts.global_requests += counts.global_requests;
  total.counts.global_sectors += counts.global_sectors;
  total.counts.shared_requests += counts.shared_requests;
  total.counts.shared_passes += counts.shared_passes;
  total.counts.barriers += counts.barriers;
}

}  // namespace stand_in
