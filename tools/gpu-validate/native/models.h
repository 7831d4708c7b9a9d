#pragma once
// The golden clips of the demonstration model, and recognising them on an opened model in every way there is.

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "job.h"
#include "session/gpu_pipeline.h"
#include "session/lane.h"

namespace validate {

/// A clip of test/fixtures/golden/demo-en and what the reference made of it.
struct Clip {
  std::string name;
  std::vector<float> samples;
  std::vector<trt_asr::Token> tokens;
  std::vector<float> encoded_TD;  ///< The reference's encoder output; empty where the set has none.
  std::int32_t frames = 0;
};
[[nodiscard]] std::vector<Clip> golden_clips();

// CONTRACT: tokens of the golden clips change in half precision at most so often. SOURCE: the goal for the
// demonstration set, a word error rate that changes by no more than 0.1 % absolute. WHY: tokens are counted,
// of which a word has several. TODO: none.
inline constexpr double half_edit_rate_max = 0.001;

/// Least number of insertions, deletions and replacements between the ids of two lists of tokens.
[[nodiscard]] std::size_t edits(std::span<const trt_asr::Token> expected,
                                std::span<const trt_asr::Token> received);
/// Ids, frames and durations are the same.
[[nodiscard]] bool same_tokens(std::span<const trt_asr::Token> expected,
                               std::span<const trt_asr::Token> received);

using TokenLists = std::vector<std::vector<trt_asr::Token>>;

/// Tokens of every clip with the stages one by one, one clip at a time: the oracle. The model was opened
/// stepwise, or on the CPU.
[[nodiscard]] Result<TokenLists> recognize_stepwise(const trt_asr::Model& model, std::span<const Clip> clips);
/// Tokens of every clip through the GPU's pipeline, `batch` clips at a time.
[[nodiscard]] Result<TokenLists> recognize_on_gpu(const trt_asr::Model& model, std::span<const Clip> clips,
                                                  std::int32_t batch);

}  // namespace validate
