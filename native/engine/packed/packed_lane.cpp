#include "engine/packed/packed_lane.h"

#include <algorithm>

#include "base/contract.h"

namespace trt_asr::packed {

namespace {

bool same(const TensorView& a, const TensorView& b) noexcept {
  return a.data == b.data && a.dtype == b.dtype && a.space == b.space && a.shape == b.shape &&
         a.strides == b.strides;
}

}  // namespace

Lane::Lane(const EngineInfo& info, std::unique_ptr<Team> team, std::unique_ptr<Graph> graph)
    : info_(info),
      team_(std::move(team)),
      graph_(std::move(graph)),
      inputs_(info.inputs.size()),
      outputs_(info.outputs.size()) {}

Status Lane::bind(const TensorSpec& spec, TensorView& bound, const TensorView& view) noexcept {
  if (same(bound, view)) return {};
  TRT_ASR_TRY(check_view(info_, spec, view, false));
  const TensorView before = bound;
  bound = view;
  // Where only the memory is another one, what is reserved serves on.
  if (before.data != nullptr && before.shape == view.shape) return {};
  if (Status reserved = graph_->reserve({inputs_, outputs_}); !reserved.ok()) {
    bound = {};
    return reserved;
  }
  return {};
}

Status Lane::bind_input(std::size_t input, const TensorView& view) noexcept {
  TRT_ASR_REQUIRE(input < inputs_.size(), contract_mismatch, "input of " + info_.path,
                  "an index below " + show(inputs_.size()), input, "");
  return bind(info_.inputs[input], inputs_[input], view);
}

Status Lane::bind_output(std::size_t output, const TensorView& view) noexcept {
  TRT_ASR_REQUIRE(output < outputs_.size(), contract_mismatch, "output of " + info_.path,
                  "an index below " + show(outputs_.size()), output, "");
  return bind(info_.outputs[output], outputs_[output], view);
}

Status Lane::enqueue() noexcept {
  for (std::size_t input = 0; input < inputs_.size(); ++input) {
    TRT_ASR_REQUIRE(inputs_[input].data != nullptr, contract_mismatch,
                    "'" + info_.inputs[input].name + "' of " + info_.path, "a bound input", "none", "");
  }
  const bool any = std::any_of(outputs_.begin(), outputs_.end(),
                               [](const TensorView& output) { return output.data != nullptr; });
  TRT_ASR_REQUIRE(any, contract_mismatch, "outputs of " + info_.path, "at least one bound", "none", "");
  result_ = graph_->run({inputs_, outputs_}, *team_);
  return {};
}

Status Lane::wait() noexcept {
  return std::exchange(result_, Status());
}

}  // namespace trt_asr::packed
