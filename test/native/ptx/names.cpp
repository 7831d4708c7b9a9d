#include "decode.h"

namespace ptx {
namespace {

constexpr std::string_view kSpecials[] = {"%tid.x",    "%tid.y",    "%tid.z",   "%ntid.x",  "%ntid.y",
                                          "%ntid.z",   "%ctaid.x",  "%ctaid.y", "%ctaid.z", "%nctaid.x",
                                          "%nctaid.y", "%nctaid.z", "%laneid",  "%warpid"};

}  // namespace

void Names::declare(std::string_view name, std::uint32_t count, std::uint8_t bytes) {
  scopes_.back()[std::string(name) + (count != 0 ? "#" : "")] = {program_.slots, count, bytes};
  program_.slots += count != 0 ? count : 1;
}

bool Names::find(std::string_view name, Register& found) const {
  const std::size_t digits = name.find_last_not_of("0123456789") + 1;
  const std::string single(name);
  const std::string group = std::string(name.substr(0, digits)) + "#";
  std::uint32_t number = 0;
  for (const char digit : name.substr(digits).substr(0, 9))
    number = number * 10 + static_cast<std::uint32_t>(digit - '0');
  for (auto scope = scopes_.rbegin(); scope != scopes_.rend(); ++scope) {
    if (const auto at = scope->find(single); at != scope->end()) {
      found = {at->second.first, at->second.bytes};
      return true;
    }
    if (digits == name.size()) continue;
    if (const auto at = scope->find(group); at != scope->end() && number < at->second.count) {
      found = {at->second.first + number, at->second.bytes};
      return true;
    }
  }
  return false;
}

Slot Names::constant(Word value) {
  const auto [at, added] = constants_.insert({value, program_.slots});
  if (added) program_.constants.emplace_back(program_.slots++, value);
  return at->second;
}

Slot Names::special(std::string_view name) {
  for (std::size_t at = 0; at < std::size(kSpecials); ++at) {
    if (kSpecials[at] != name) continue;
    const auto [slot, added] = specials_.insert({std::string(name), program_.slots});
    if (added) program_.specials.emplace_back(program_.slots++, static_cast<Special>(at));
    return slot->second;
  }
  return kNoSlot;
}

const Names::Symbol* Names::symbol(std::string_view name) const {
  const auto found = symbols_.find(std::string(name));
  return found == symbols_.end() ? nullptr : &found->second;
}

}  // namespace ptx
