#pragma once
// Predictor, joint, or both in one graph, behind the packed engine.

#include <memory>

#include "engine/packed/packed_graph.h"
#include "engine/packed/packed_model.h"

namespace trt_asr::packed {

/// The computation of one lane of a predictor, a joint or a fused graph; it shares the model's weights alone
/// with others. Any batch, any number of tokens and of frames, as the graph declares them. What depends on
/// the state of the search alone is kept from run to run and computed anew where its inputs are others: a
/// fused graph's predictor, and a joint's projection of the predictor's output; so a blank costs the joint
/// alone. Errors: ERR_MODEL_CORRUPT for ports that the graph does not have.
[[nodiscard]] Result<std::unique_ptr<Graph>> make_prediction_graph(
    std::shared_ptr<const PackedModel> model) noexcept;

}  // namespace trt_asr::packed
