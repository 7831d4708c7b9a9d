#pragma once
// One stream of execution of a packed graph: its bindings, its threads, its scratch memory.

#include <memory>
#include <vector>

#include "engine/engine.h"
#include "engine/packed/packed_graph.h"
#include "engine/packed/team.h"

namespace trt_asr::packed {

class Lane {
 public:
  /// `info` must outlive it.
  Lane(const EngineInfo& info, std::unique_ptr<Team> team, std::unique_ptr<Graph> graph);

  [[nodiscard]] Status bind_input(std::size_t input, const TensorView& view) noexcept;
  [[nodiscard]] Status bind_output(std::size_t output, const TensorView& view) noexcept;
  /// Computes at once; `wait` tells what came of it.
  [[nodiscard]] Status enqueue() noexcept;
  [[nodiscard]] Status wait() noexcept;

 private:
  [[nodiscard]] Status bind(const TensorSpec& spec, TensorView& bound, const TensorView& view) noexcept;

  const EngineInfo& info_;
  std::unique_ptr<Team> team_;
  std::unique_ptr<Graph> graph_;
  std::vector<TensorView> inputs_;
  std::vector<TensorView> outputs_;
  Status result_;
};

}  // namespace trt_asr::packed
