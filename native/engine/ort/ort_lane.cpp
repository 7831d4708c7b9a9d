#include "engine/ort/ort_lane.h"

#include "base/contract.h"
#include "base/heap_owner.h"

namespace trt_asr::ort {

namespace {

ElementType element_type_of(DType dtype) noexcept {
  switch (dtype) {
    case DType::f32:
      return ElementType::f32;
    case DType::f16:
      return ElementType::f16;
    case DType::bf16:
      return ElementType::bf16;
    case DType::i8:
      return ElementType::i8;
    case DType::u8:
      return ElementType::u8;
    case DType::i32:
      return ElementType::i32;
    case DType::i64:
    case DType::other:
      return ElementType::i64;
  }
  return ElementType::i64;
}

bool same(const TensorView& a, const TensorView& b) noexcept {
  return a.data == b.data && a.dtype == b.dtype && a.space == b.space && a.shape == b.shape &&
         a.strides == b.strides;
}

}  // namespace

Lane::Lane(const Library& library, const EngineInfo& info)
    : library_(library),
      info_(info),
      inputs_(info.inputs.size()),
      outputs_(info.outputs.size()),
      run_inputs_(info.inputs.size()),
      run_output_names_(info.outputs.size()),
      run_outputs_(info.outputs.size()) {
  for (const TensorSpec& input : info.inputs) input_names_.push_back(input.name.c_str());
}

Lane::~Lane() {
  const HeapOwnerScope owner(HeapOwner::library);
  for (const Binding& binding : inputs_) library_.calls.release_value(binding.value);
  for (const Binding& binding : outputs_) library_.calls.release_value(binding.value);
  library_.calls.release_status(failure_);
}

trt_asr::Status Lane::bind(const TensorSpec& spec, Binding& binding, const TensorView& view) noexcept {
  if (binding.value != nullptr && same(binding.view, view)) return {};
  TRT_ASR_TRY(check_view(info_, spec, view, false));
  const HeapOwnerScope owner(HeapOwner::library);
  Value* value = nullptr;
  Status* status =
      library_.calls.create_tensor(library_.host_memory, view.data,
                                   static_cast<std::size_t>(view.shape.elements()) * dtype_bytes(view.dtype),
                                   view.shape.data(), view.shape.rank(), element_type_of(view.dtype), &value);
  TRT_ASR_REQUIRE(status == nullptr, internal, "'" + spec.name + "' of " + info_.path,
                  "memory that ONNX Runtime takes", take_message(library_.calls, status), "");
  library_.calls.release_value(binding.value);
  binding = Binding{view, value};
  return {};
}

trt_asr::Status Lane::bind_input(std::size_t input, const TensorView& view) noexcept {
  TRT_ASR_REQUIRE(input < inputs_.size(), contract_mismatch, "input of " + info_.path,
                  "an index below " + show(inputs_.size()), input, "");
  return bind(info_.inputs[input], inputs_[input], view);
}

trt_asr::Status Lane::bind_output(std::size_t output, const TensorView& view) noexcept {
  TRT_ASR_REQUIRE(output < outputs_.size(), contract_mismatch, "output of " + info_.path,
                  "an index below " + show(outputs_.size()), output, "");
  return bind(info_.outputs[output], outputs_[output], view);
}

trt_asr::Status Lane::enqueue(Session* session) noexcept {
  for (std::size_t input = 0; input < inputs_.size(); ++input) {
    TRT_ASR_REQUIRE(inputs_[input].value != nullptr, contract_mismatch,
                    "'" + info_.inputs[input].name + "' of " + info_.path, "a bound input", "none", "");
    run_inputs_[input] = inputs_[input].value;
  }
  std::size_t bound = 0;
  for (std::size_t output = 0; output < outputs_.size(); ++output) {
    if (outputs_[output].value == nullptr) continue;
    run_output_names_[bound] = info_.outputs[output].name.c_str();
    run_outputs_[bound] = outputs_[output].value;
    ++bound;
  }
  TRT_ASR_REQUIRE(bound != 0, contract_mismatch, "outputs of " + info_.path, "at least one bound", "none",
                  "");
  const HeapOwnerScope owner(HeapOwner::library);
  library_.calls.release_status(failure_);
  failure_ = library_.calls.run(session, nullptr, input_names_.data(), run_inputs_.data(), inputs_.size(),
                                run_output_names_.data(), bound, run_outputs_.data());
  return {};
}

trt_asr::Status Lane::wait() noexcept {
  if (failure_ == nullptr) return {};
  Status* failure = failure_;
  failure_ = nullptr;
  return Error{ErrorCode::internal, info_.path, "a run that succeeds", take_message(library_.calls, failure),
               ""};
}

}  // namespace trt_asr::ort
