#pragma once
// The bindings of one lane. Everything is sized when the lane opens; binding and running claim nothing.

#include <cstddef>
#include <vector>

#include "engine/engine.h"
#include "engine/ort/ort_library.h"

namespace trt_asr::ort {

class Lane {
 public:
  Lane(const Library& library, const EngineInfo& info);
  ~Lane();
  Lane(const Lane&) = delete;
  Lane& operator=(const Lane&) = delete;

  [[nodiscard]] trt_asr::Status bind_input(std::size_t input, const TensorView& view) noexcept;
  [[nodiscard]] trt_asr::Status bind_output(std::size_t output, const TensorView& view) noexcept;

  /// Runs the session on this thread; the library's own threads help. What went wrong inside is for `wait`.
  [[nodiscard]] trt_asr::Status enqueue(Session* session) noexcept;
  [[nodiscard]] trt_asr::Status wait() noexcept;

 private:
  struct Binding {
    TensorView view;
    Value* value = nullptr;
  };

  [[nodiscard]] trt_asr::Status bind(const TensorSpec& spec, Binding& binding,
                                     const TensorView& view) noexcept;

  const Library& library_;
  const EngineInfo& info_;
  std::vector<Binding> inputs_;
  std::vector<Binding> outputs_;
  std::vector<const char*> input_names_;
  // What is passed to a run: every input, and the outputs that are bound.
  std::vector<const Value*> run_inputs_;
  std::vector<const char*> run_output_names_;
  std::vector<Value*> run_outputs_;
  Status* failure_ = nullptr;
};

}  // namespace trt_asr::ort
