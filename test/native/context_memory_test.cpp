// When the plug-in has TensorRT lay out a context's memory, and how much it asks for: over a stand-in for
// nvinfer1::IExecutionContext.

#include "engine/tensorrt/plugin/context_memory.h"

#include "check.h"

using trt_asr::trt::ContextMemory;

namespace {

/// What was asked and given, in order.
struct Execution {
  std::int32_t missing = 0;
  std::size_t told = 0;  ///< What the shapes need, as TensorRT tells it.
  int asked = 0;
  int given = 0;
  void* memory = nullptr;
  std::int64_t bytes = 0;
  bool laid_out = false;  ///< Memory was given after the shapes were last asked about.

  std::int32_t inferShapes(std::int32_t, const char* const*) noexcept { return missing; }
  std::size_t updateDeviceMemorySizeForShapes() noexcept {
    ++asked;
    laid_out = false;
    return told;
  }
  void setDeviceMemoryV2(void* to, std::int64_t count) noexcept {
    ++given;
    memory = to;
    bytes = count;
    laid_out = true;
  }
};

constexpr std::int64_t whole = 1000;
const auto no_error = [] { return false; };
const auto error = [] { return true; };
int block;

}  // namespace

CASE("without a question, memory for the profile is needed, given once, and never laid out anew") {
  Execution execution;
  ContextMemory<Execution> memory(whole);
  CHECK(memory.least_bytes() == whole);
  memory.give(execution, &block, whole);
  for (int run = 0; run < 3; ++run) {
    memory.shapes_changed();
    CHECK(memory.lay_out(execution));
  }
  CHECK(execution.asked == 0 && execution.given == 1 && execution.memory == &block);
}

CASE("once asked about shapes, each change of them is laid out before it runs, and nothing else is") {
  Execution execution;
  ContextMemory<Execution> memory(whole);
  execution.told = 700;
  CHECK(memory.need(execution, no_error) == 700);
  CHECK(memory.least_bytes() == 700);
  memory.give(execution, &block, 700);
  CHECK(memory.lay_out(execution) && execution.laid_out && execution.asked == 2);
  CHECK(memory.lay_out(execution) && execution.asked == 2);
  for (const std::size_t told : {300U, 700U}) {
    execution.told = told;
    memory.shapes_changed();
    CHECK(memory.lay_out(execution));
    CHECK(execution.laid_out && execution.memory == &block && execution.bytes == 700);
  }
  CHECK(execution.asked == 4);
}

CASE("shapes that need more than was given do not run, and those after them do") {
  Execution execution;
  ContextMemory<Execution> memory(whole);
  execution.told = 500;
  CHECK(memory.need(execution, no_error) == 500);
  memory.give(execution, &block, 500);
  CHECK(memory.lay_out(execution));
  execution.told = 501;
  memory.shapes_changed();
  CHECK(!memory.lay_out(execution));
  CHECK(memory.needed_bytes() == 501 && memory.bytes() == 500);
  CHECK(!memory.lay_out(execution));
  execution.told = 500;
  memory.shapes_changed();
  CHECK(memory.lay_out(execution) && execution.laid_out);
}

CASE("an answer of 0 with an error, or shapes that cannot be inferred, mean the profile from then on") {
  for (const bool infers : {true, false}) {
    Execution execution;
    execution.missing = infers ? 0 : 1;
    ContextMemory<Execution> memory(whole);
    CHECK(memory.need(execution, error) == whole);
    CHECK(memory.least_bytes() == whole);
    execution.missing = 0;
    execution.told = 10;
    const int asked = execution.asked;
    CHECK(memory.need(execution, no_error) == whole);
    memory.give(execution, &block, whole);
    memory.shapes_changed();
    CHECK(memory.lay_out(execution));
    CHECK(execution.asked == asked);
  }
}

CASE("an answer of 0 without an error is an answer") {
  Execution execution;
  ContextMemory<Execution> memory(whole);
  CHECK(memory.need(execution, no_error) == 0);
  CHECK(memory.least_bytes() == 0);
  memory.give(execution, &block, 256);
  CHECK(memory.lay_out(execution) && execution.laid_out);
}

CASE("shapes that can no longer be inferred do not run") {
  Execution execution;
  ContextMemory<Execution> memory(whole);
  execution.told = 10;
  CHECK(memory.need(execution, no_error) == 10);
  memory.give(execution, &block, 256);
  execution.missing = -1;
  memory.shapes_changed();
  CHECK(!memory.lay_out(execution) && memory.needed_bytes() < 0);
}

CASE("an engine that works in no memory is not asked") {
  Execution execution;
  ContextMemory<Execution> memory(0);
  CHECK(memory.need(execution, error) == 0);
  memory.give(execution, nullptr, 0);
  CHECK(memory.lay_out(execution) && execution.asked == 0);
}
