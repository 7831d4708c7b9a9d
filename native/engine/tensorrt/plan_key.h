#pragma once
// What a TensorRT plan depends on. Where a plan runs is told by some lines of its key (TensorRT, GPU, compute
// capability, targets, driver, compatibility), what it computes by all others: those are the same wherever it
// is used.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace trt_asr {

// CONTRACT: raised whenever our own builder makes another network or another plan of the same graph.
// SOURCE: the cast rewrite, the profiles and the flags of the engine builder. WHY: a plan of an older builder
// would be used as if the change had not been made. TODO: none.
inline constexpr std::int32_t builder_revision = 3;

enum class Precision : std::uint8_t { fp32, fp16, bf16 };
[[nodiscard]] const char* precision_name(Precision precision) noexcept;

/// The extents of one input that a plan is made for.
struct PlanProfile {
  std::string input;
  std::vector<std::int64_t> min;
  std::vector<std::int64_t> opt;
  std::vector<std::int64_t> max;
};

/// A machine, as far as plans depend on it.
struct PlanMachine {
  std::string tensorrt_flavour;         ///< "10", "11" or "rtx"
  std::int32_t tensorrt_version = 0;    ///< As getInferLibVersion counts, e.g. 101601.
  std::string gpu;                      ///< "NVIDIA H200"; empty where plans are made for no GPU at hand.
  std::int32_t compute_capability = 0;  ///< 90 for 9.0; 0 as above.
  std::int32_t driver_major = 0;        ///< 580; 0 as above.
};

/// Digests are 64 lower-case hexadecimal digits, as `digest_file` (file_digest.h) gives them.
struct PlanKey {
  std::string model;        ///< For people and for the folder; may be empty.
  std::string graph;        ///< "encoder"
  std::string onnx_sha256;  ///< Of the fp32 graph as it lies in the model's folder.
  /// Weights beside the graph: name as the graph has it, digest.
  std::vector<std::pair<std::string, std::string>> external_data;
  std::string contract_sha256;        ///< Of contract.json; empty where the model has none.
  std::string tensorrt_flavour;       ///< "10", "11" or "rtx"
  std::int32_t tensorrt_version = 0;  ///< As getInferLibVersion counts, e.g. 101601.
  /// "NVIDIA H200"; `gpu_class` of a hardware-compatible plan; empty for one that is made for no GPU at hand.
  std::string gpu;
  /// 90 for 9.0; the least one of a hardware-compatible plan; 0 for a plan that is made for no GPU at hand.
  std::int32_t compute_capability = 0;
  std::vector<std::int32_t> targets;  ///< RTX alone: compute capabilities the plan is made for.
  std::int32_t driver_major = 0;  ///< 580; 0 where the plan is for no GPU at hand, or for a class of them.
  Precision precision = Precision::fp32;
  std::vector<PlanProfile> profiles;
  bool tf32 = false;
  bool version_compatible = false;       ///< Runs with later TensorRTs of the same major, too.
  bool hardware_compatible = false;      ///< Runs on every GPU of its class, under any driver that does.
  std::int32_t optimization_level = -1;  ///< -1: TensorRT's own.
  std::uint64_t workspace_bytes = 0;     ///< 0: TensorRT's own.
  std::int32_t builder = builder_revision;
};

/// GPUs that a hardware-compatible plan runs on, and the least compute capability of theirs. SOURCE:
/// NvInfer.h, HardwareCompatibilityLevel::kAMPERE_PLUS.
inline constexpr const char* gpu_class = "Ampere or newer";
inline constexpr std::int32_t gpu_class_capability = 80;

/// Writes the lines that tell where a plan runs: made on this machine, for it alone or for what the key's
/// compatibility says.
void aim(PlanKey& key, const PlanMachine& machine);

/// Whether a plan of this key is made for the machine:
/// - the TensorRT is the same; a version-compatible plan may be of an earlier release of the same major.
///   SOURCE: NVIDIA's engine compatibility pages: later releases run it, earlier ones do not. WHY not another
///   major, which the same pages allow within limits: a plug-in calls one major's headers alone;
/// - targets: the GPU's compute capability is one of them;
/// - a hardware-compatible plan: the GPU's compute capability is that of the class or later;
/// - else GPU, compute capability and driver major are the same.
[[nodiscard]] bool runs_on(const PlanKey& key, const PlanMachine& machine) noexcept;
/// The first of these alone, of a plan's header; for when no GPU is known.
[[nodiscard]] bool runs_with(std::string_view header, const std::string& flavour,
                             std::int32_t version) noexcept;

/// The key of a plan's header (from its first line of the key on), when it differs from `wanted` in nothing
/// but the lines that tell where a plan runs; else nothing.
[[nodiscard]] std::optional<PlanKey> portable_key(const PlanKey& wanted, std::string_view header);

/// Of two keys that run on a machine, whether the first is the nearer one: made for exact GPUs before classes
/// of them, for one TensorRT before several, for the later TensorRT, for fewer targets.
[[nodiscard]] bool is_nearer(const PlanKey& a, const PlanKey& b) noexcept;

/// The key as text, one `name: value` a line, in a fixed order; inputs and files are sorted, so that equal
/// keys give equal text. Names and values from files are escaped: nothing in them can make another line.
/// Errors: ERR_BAD_ARGUMENT naming the field (a digest that is none, a profile whose ranks differ).
[[nodiscard]] Result<std::string> plan_key_text(const PlanKey& key) noexcept;

/// SHA-256 of a key's text: the name of the plan's file.
[[nodiscard]] std::string plan_key_digest(const std::string& text);

/// The version line of a key's text.
[[nodiscard]] std::string tensorrt_text(const PlanKey& key);

/// `name: value` with both escaped, and the end of the line.
[[nodiscard]] std::string key_line(std::string_view name, std::string_view value);
/// The value of a line, as it stands there; nothing when no line has the name.
[[nodiscard]] std::optional<std::string> key_value(std::string_view text, std::string_view name);

/// The first line in which two texts differ.
struct KeyDifference {
  std::string field;
  std::string expected;
  std::string received;
};
[[nodiscard]] std::optional<KeyDifference> first_difference(std::string_view expected,
                                                            std::string_view received);

}  // namespace trt_asr
