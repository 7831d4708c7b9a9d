#include "engine/tensorrt/profiles.h"

#include "base/contract.h"

namespace trt_asr::trt {

namespace {

enum class Axis : std::uint8_t { fixed, batch, frames, one };

/// What an axis of an input is. `is_features`: the encoder's one input of [B, M, T].
Axis axis_of(const TensorSpec& input, std::size_t axis, GraphSide side, bool is_features) noexcept {
  if (input.shape[axis] >= 0) return Axis::fixed;
  if (axis == batch_axis(input, side)) return Axis::batch;
  if (side == GraphSide::prediction) return Axis::one;
  return is_features && axis == 2 ? Axis::frames : Axis::fixed;
}

Status check_range(const char* name, const Range& range) noexcept {
  TRT_ASR_REQUIRE(range.min >= 1 && range.min <= range.opt && range.opt <= range.max, bad_argument,
                  std::string("profiles.") + name, "1 <= min <= opt <= max",
                  show(range.min) + ", " + show(range.opt) + ", " + show(range.max), "Correct the profile.");
  return {};
}

}  // namespace

Result<std::vector<InputProfile>> make_profiles(const std::string& path,
                                                const std::vector<TensorSpec>& inputs, GraphSide side,
                                                const ProfileLimits& limits) noexcept {
  TRT_ASR_TRY(check_range("batch", limits.batch));
  TRT_ASR_TRY(check_range("frames", limits.frames));
  for (const TensorSpec& input : inputs) {
    TRT_ASR_REQUIRE(input.rank >= 1 && input.rank <= Shape::rank_max, engine_build,
                    "'" + input.name + "' of " + path, "an input of 1 to " + show(Shape::rank_max) + " axes",
                    show(input.rank), "Export the model again.");
  }
  const std::optional<std::int64_t> fixed = fixed_batch(inputs, side);
  const Range batch = fixed.has_value() ? Range{*fixed, *fixed, *fixed} : limits.batch;
  std::vector<InputProfile> profiles;
  for (const TensorSpec& input : inputs) {
    const bool is_features = side == GraphSide::encoder && &input == &inputs.front() && input.rank == 3;
    InputProfile profile{input.name, {}, {}, {}};
    for (std::size_t axis = 0; axis < input.rank; ++axis) {
      Range range{input.shape[axis], input.shape[axis], input.shape[axis]};
      switch (axis_of(input, axis, side, is_features)) {
        case Axis::batch:
          range = batch;
          break;
        case Axis::frames:
          range = limits.frames;
          break;
        case Axis::one:
          range = {};
          break;
        case Axis::fixed:
          break;
      }
      TRT_ASR_REQUIRE(range.min >= 1, engine_build, "'" + input.name + "' of " + path + " axis " + show(axis),
                      "a fixed extent, the batch or the frames", "an extent that varies",
                      "Export the model again.");
      profile.min.push(range.min);
      profile.opt.push(range.opt);
      profile.max.push(range.max);
    }
    profiles.push_back(std::move(profile));
  }
  return profiles;
}

}  // namespace trt_asr::trt
