#include "counts.h"

#include <algorithm>
#include <array>
#include <set>

namespace ptx {
namespace {

constexpr std::uint32_t kWarp = 32;
constexpr std::uint64_t kSectorBytes = 32;
constexpr std::uint64_t kBankBytes = 4;
constexpr std::uint64_t kBanks = 32;

}  // namespace

void CountsLog::begin_thread(std::uint32_t thread) {
  thread_ = thread;
  for (const std::uint32_t code : used_) occurrence_[code] = 0;
  used_.clear();
}

void CountsLog::note(bool shared, std::uint32_t code, std::uint64_t address, std::uint32_t bytes) {
  std::vector<Request>& requests = requests_[std::uint64_t{thread_ / kWarp} << 32 | code];
  const std::uint32_t occurrence = occurrence_[code]++;
  if (occurrence == 0) used_.push_back(code);
  // One instruction may ask for both kinds by generic addresses: two requests.
  const std::size_t at = std::size_t{occurrence} * 2 + (shared ? 1 : 0);
  if (requests.size() <= at) requests.resize(at + 1);
  Request& request = requests[at];
  request.shared = shared;
  request.bytes = bytes;
  request.lanes.emplace_back(thread_ % kWarp, address);
}

/// A pass serves 128 bytes: of wide accesses, a half or a quarter of the warp at a time.
/// CONTRACT: also where halves ask for the same bytes. WHY: NVIDIA tells of no merging that one may rely on.
std::uint64_t CountsLog::passes(const Request& request) {
  const std::uint32_t lanes = request.bytes <= kBankBytes ? kWarp : kWarp * 4 / request.bytes;
  std::uint64_t sum = 0;
  for (std::uint32_t first = 0; first < kWarp; first += lanes) {
    std::array<std::set<std::uint64_t>, kBanks> words;
    for (const auto& [lane, address] : request.lanes) {
      if (lane < first || lane >= first + lanes) continue;
      for (std::uint64_t word = address / kBankBytes; word <= (address + request.bytes - 1) / kBankBytes;
           ++word) {
        words[word % kBanks].insert(word);
      }
    }
    const auto most = std::max_element(words.begin(), words.end(),
                                       [](const auto& a, const auto& b) { return a.size() < b.size(); });
    sum += most->size();
  }
  return sum;
}

void CountsLog::flush() {
  for (const auto& [key, requests] : requests_) {
    for (const Request& request : requests) {
      if (request.lanes.empty()) continue;
      if (request.shared) {
        ++counts_.shared_requests;
        counts_.shared_passes += passes(request);
        continue;
      }
      ++counts_.global_requests;
      std::set<std::uint64_t> sectors;
      for (const auto& [lane, address] : request.lanes) sectors.insert(address / kSectorBytes);
      counts_.global_sectors += sectors.size();
    }
  }
  requests_.clear();
}

}  // namespace ptx
