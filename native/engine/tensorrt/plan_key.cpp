#include "engine/tensorrt/plan_key.h"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <new>
#include <tuple>

#include "base/contract.h"
#include "base/sha256.h"

namespace trt_asr {

namespace {

/// Bytes that would part a line or a name are written as \xNN.
std::string escaped(std::string_view text, bool is_name) {
  std::string out;
  for (const char letter : text) {
    const auto byte = static_cast<unsigned char>(letter);
    const bool plain = byte >= 0x20 && byte != 0x7f && letter != '\\' && !(is_name && letter == ':');
    if (plain) {
      out += letter;
      continue;
    }
    char code[8];
    std::snprintf(code, sizeof code, "\\x%02x", byte);
    out += code;
  }
  return out;
}

template <class Integer>
std::string joined(const std::vector<Integer>& numbers, char between) {
  std::string text;
  for (const Integer number : numbers) {
    if (!text.empty()) text += between;
    text += std::to_string(number);
  }
  return text;
}

std::string extents_text(const std::vector<std::int64_t>& extents) {
  return joined(extents, 'x');
}

Status check_key(const PlanKey& key) {
  TRT_ASR_REQUIRE(!key.graph.empty(), bad_argument, "graph", "a name", "nothing", "");
  TRT_ASR_REQUIRE(is_hex_digest(key.onnx_sha256), bad_argument, "onnx_sha256", "64 hexadecimal digits",
                  key.onnx_sha256, "");
  TRT_ASR_REQUIRE(key.contract_sha256.empty() || is_hex_digest(key.contract_sha256), bad_argument,
                  "contract_sha256", "64 hexadecimal digits", key.contract_sha256, "");
  for (const auto& [name, digest] : key.external_data) {
    TRT_ASR_REQUIRE(is_hex_digest(digest), bad_argument, "digest of " + name, "64 hexadecimal digits", digest,
                    "");
  }
  TRT_ASR_REQUIRE(!key.tensorrt_flavour.empty() && key.tensorrt_version > 0, bad_argument, "tensorrt",
                  "a flavour and a version", tensorrt_text(key), "");
  for (const PlanProfile& profile : key.profiles) {
    TRT_ASR_REQUIRE(
        profile.min.size() == profile.opt.size() && profile.opt.size() == profile.max.size(), bad_argument,
        "profile of " + profile.input, "min, opt and max of one rank",
        extents_text(profile.min) + ", " + extents_text(profile.opt) + ", " + extents_text(profile.max), "");
  }
  return {};
}

/// A line for each file; one for all where they are many, as a header has no room for hundreds.
std::string data_lines(const std::vector<std::pair<std::string, std::string>>& files) {
  // CONTRACT: files of weights that have lines of their own. SOURCE: none; NeMo's own export of a 0.6 B
  // encoder has 295. WHY: 16 KiB of a plan's header hold its key.
  constexpr std::size_t lines_max = 16;
  std::string lines;
  for (const auto& [name, digest] : files) lines += key_line("data " + name, digest);
  if (files.size() <= lines_max) return lines;
  return key_line("data of " + show(files.size()) + " files", hex(sha256(lines.data(), lines.size())));
}

std::string make_text(PlanKey key) {
  std::sort(key.external_data.begin(), key.external_data.end());
  std::sort(key.targets.begin(), key.targets.end());
  std::sort(key.profiles.begin(), key.profiles.end(), [](const PlanProfile& a, const PlanProfile& b) {
    return std::tie(a.input, a.min, a.opt, a.max) < std::tie(b.input, b.min, b.opt, b.max);
  });
  std::string text = key_line("model", key.model) + key_line("graph", key.graph);
  text += key_line("onnx", key.onnx_sha256);
  text += data_lines(key.external_data);
  text += key_line("contract", key.contract_sha256.empty() ? "none" : key.contract_sha256);
  text += key_line("tensorrt", tensorrt_text(key));
  text += key_line("gpu", key.gpu.empty() ? "any" : key.gpu);
  text += key_line("compute_capability", show(key.compute_capability));
  text += key_line("targets", key.targets.empty() ? "none" : joined(key.targets, ' '));
  text += key_line("driver_major", show(key.driver_major));
  text += key_line("precision", precision_name(key.precision));
  for (const PlanProfile& profile : key.profiles) {
    text += key_line("profile " + profile.input, "min " + extents_text(profile.min) + " opt " +
                                                     extents_text(profile.opt) + " max " +
                                                     extents_text(profile.max));
  }
  text += key_line("tf32", show(key.tf32 ? 1 : 0));
  text += key_line("version_compatible", show(key.version_compatible ? 1 : 0));
  text += key_line("hardware_compatible", show(key.hardware_compatible ? 1 : 0));
  text += key_line("optimization_level", show(key.optimization_level));
  text += key_line("workspace_bytes", show(key.workspace_bytes));
  text += key_line("builder", show(key.builder));
  return text;
}

std::optional<std::int32_t> number_of(std::string_view text) noexcept {
  std::int32_t number = 0;
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (fault != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

/// "89 120", or "none". What is no list gives a list whose text is another one.
std::vector<std::int32_t> targets_of(std::string_view text) {
  std::vector<std::int32_t> targets;
  while (!text.empty()) {
    const std::size_t end = text.find(' ');
    if (const auto target = number_of(text.substr(0, end))) targets.push_back(*target);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  return targets;
}

bool runs_with(const PlanKey& key, const std::string& flavour, std::int32_t version) noexcept {
  if (key.tensorrt_flavour != flavour) return false;
  return key.tensorrt_version == version || (key.version_compatible && key.tensorrt_version < version);
}

/// Takes the next line, without its end, off the text.
std::string_view take_line(std::string_view& text) noexcept {
  const std::size_t end = text.find('\n');
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  return line;
}

std::pair<std::string_view, std::string_view> parted(std::string_view line) noexcept {
  const std::size_t colon = line.find(": ");
  if (colon == std::string_view::npos) return {line, {}};
  return {line.substr(0, colon), line.substr(colon + 2)};
}

/// The key with the header's lines in place of those that tell where a plan runs. A line that is missing or
/// malformed gives a value whose text is another one.
PlanKey where_of(PlanKey key, std::string_view header) {
  const auto value = [&](const char* name) { return key_value(header, name).value_or(""); };
  const auto number = [&](const char* name) { return number_of(value(name)).value_or(-1); };
  const std::string tensorrt = value("tensorrt");
  const std::size_t space = tensorrt.find(' ');
  key.tensorrt_flavour = tensorrt.substr(0, space);
  key.tensorrt_version =
      space == std::string::npos ? 0 : number_of(std::string_view(tensorrt).substr(space + 1)).value_or(0);
  key.gpu = value("gpu");
  if (key.gpu == "any") key.gpu.clear();
  key.compute_capability = number("compute_capability");
  key.targets = targets_of(value("targets"));
  key.driver_major = number("driver_major");
  key.version_compatible = value("version_compatible") == "1";
  key.hardware_compatible = value("hardware_compatible") == "1";
  return key;
}

}  // namespace

const char* precision_name(Precision precision) noexcept {
  switch (precision) {
    case Precision::fp32:
      return "fp32";
    case Precision::fp16:
      return "fp16";
    case Precision::bf16:
      return "bf16";
  }
  return "fp32";
}

std::string key_line(std::string_view name, std::string_view value) {
  return escaped(name, true) + ": " + escaped(value, false) + "\n";
}

std::string tensorrt_text(const PlanKey& key) {
  return key.tensorrt_flavour + " " + show(key.tensorrt_version);
}

std::optional<std::string> key_value(std::string_view text, std::string_view name) {
  while (!text.empty()) {
    const auto [found, value] = parted(take_line(text));
    if (found == name) return std::string(value);
  }
  return std::nullopt;
}

std::optional<KeyDifference> first_difference(std::string_view expected, std::string_view received) {
  while (!expected.empty() || !received.empty()) {
    const std::string_view wanted = take_line(expected);
    const std::string_view given = take_line(received);
    if (wanted == given) continue;
    const auto [wanted_name, wanted_value] = parted(wanted);
    const auto [given_name, given_value] = parted(given);
    if (wanted_name == given_name) {
      return KeyDifference{std::string(wanted_name), std::string(wanted_value), std::string(given_value)};
    }
    const std::string_view name = wanted_name.empty() ? given_name : wanted_name;
    return KeyDifference{std::string(name), wanted.empty() ? "no such line" : std::string(wanted),
                         given.empty() ? "no such line" : std::string(given)};
  }
  return std::nullopt;
}

void aim(PlanKey& key, const PlanMachine& machine) {
  key.tensorrt_flavour = machine.tensorrt_flavour;
  key.tensorrt_version = machine.tensorrt_version;
  key.gpu = key.hardware_compatible ? gpu_class : machine.gpu;
  key.compute_capability = key.hardware_compatible ? gpu_class_capability : machine.compute_capability;
  key.driver_major = key.hardware_compatible ? 0 : machine.driver_major;
}

bool runs_on(const PlanKey& key, const PlanMachine& machine) noexcept {
  if (!runs_with(key, machine.tensorrt_flavour, machine.tensorrt_version)) return false;
  if (!key.targets.empty()) {
    return std::find(key.targets.begin(), key.targets.end(), machine.compute_capability) != key.targets.end();
  }
  if (key.hardware_compatible) return machine.compute_capability >= key.compute_capability;
  return key.gpu == machine.gpu && key.compute_capability == machine.compute_capability &&
         key.driver_major == machine.driver_major;
}

bool runs_with(std::string_view header, const std::string& flavour, std::int32_t version) noexcept {
  try {
    return runs_with(where_of({}, header), flavour, version);
  } catch (const std::bad_alloc&) {
    return false;
  }
}

std::optional<PlanKey> portable_key(const PlanKey& wanted, std::string_view header) {
  PlanKey key = where_of(wanted, header);
  const std::string text = make_text(key);
  if (!header.starts_with(text)) return std::nullopt;
  return key;
}

bool is_nearer(const PlanKey& a, const PlanKey& b) noexcept {
  const auto distance = [](const PlanKey& key) {
    return std::tuple(key.hardware_compatible, key.version_compatible, -key.tensorrt_version,
                      key.targets.size());
  };
  return distance(a) < distance(b);
}

Result<std::string> plan_key_text(const PlanKey& key) noexcept {
  try {
    TRT_ASR_TRY(check_key(key));
    return make_text(key);
  } catch (const std::bad_alloc&) {
    return Error{ErrorCode::internal, "plan key", "enough memory", "none left", ""};
  }
}

std::string plan_key_digest(const std::string& text) {
  return hex(sha256(text.data(), text.size()));
}

}  // namespace trt_asr
