// The parity ladder of a precision: each graph against ONNX Runtime on the same fp32 file, the best classes
// on golden inputs, and the tokens of the golden clips, with the stages one by one and through the GPU's
// pipeline.

#include <algorithm>

#include "engine/tensorrt/verify_limits.h"
#include "golden.h"
#include "models.h"

namespace validate {

using namespace trt_asr;

namespace {

// CONTRACT: seeds of the inputs that a graph is compared on. SOURCE: none. WHY: the builder's own trial has
// seed 42; these are others.
// TODO: none.
constexpr std::uint64_t seeds[] = {7, 8, 9};

/// One graph, on several inputs; the worst of each output.
void compare_graph(const char* name, const std::shared_ptr<Engine>& reference,
                   const std::shared_ptr<Engine>& candidate, Precision precision, VerifyShape shape,
                   Outcome& outcome, Json& stages) {
  struct Worst {
    double cosine_min = 1;
    double error_max = 0;
    std::size_t values = 0;
    std::size_t ties = 0;
  };
  std::vector<std::pair<std::string, Worst>> worst;
  for (const std::uint64_t seed : seeds) {
    shape.seed = seed;
    const auto report = verify_engine(reference, candidate, verify_limits(precision), shape);
    if (!report.ok()) {
      outcome.expect(false, std::string(name) + ": " + report.error().message());
      continue;
    }
    for (const VerifyFigures& figures : report.value().outputs) {
      auto at = std::find_if(worst.begin(), worst.end(),
                             [&](const auto& one) { return one.first == figures.tensor; });
      if (at == worst.end()) at = worst.insert(at, {figures.tensor, Worst{}});
      at->second.cosine_min = std::min(at->second.cosine_min, figures.cosine_min);
      at->second.error_max = std::max(at->second.error_max, figures.error_max);
      at->second.values += figures.values;
      at->second.ties += figures.ties;
    }
  }
  for (const auto& [tensor, figures] : worst) {
    Json one = Json::object();
    one.set("graph", name)
        .set("tensor", tensor)
        .set("cosine_min", figures.cosine_min)
        .set("error_max", figures.error_max);
    stages.push(std::move(one.set("values", figures.values).set("ties", figures.ties)));
  }
}

void compare_graphs(const Model& reference, const Model& candidate, const Job& job, Outcome& outcome) {
  const EncoderConfig& encoder = reference.contract.encoder;
  const DecodeRules& rules = reference.contract.decoder.rules;
  VerifyShape shape;
  shape.rows = 4;
  const auto longest =
      static_cast<std::int32_t>(std::min<std::int64_t>(job.integers("profile.encoder.frames").back(), 1500));
  shape.lengths = ragged_lengths(shape.rows, encoder.subsampling, longest, 7);
  for (const std::int32_t length : shape.lengths)
    shape.encoded_lengths.push_back(encoder.encoded_frames(length));
  Json stages = Json::array();
  compare_graph("encoder", reference.encoder, candidate.encoder, job.precision(), shape, outcome, stages);
  VerifyShape step;
  step.rows = 8;
  step.vocabulary = rules.vocabulary;
  step.tokens = rules.vocabulary + 1;
  compare_graph("predictor", reference.transducer.predictor, candidate.transducer.predictor, job.precision(),
                step, outcome, stages);
  step.rows =
      static_cast<std::int32_t>(std::min<std::int64_t>(job.integers("profile.prediction.batch").back(), 64));
  step.logits = "logits";
  compare_graph("joint", reference.transducer.joint, candidate.transducer.joint, job.precision(), step,
                outcome, stages);
  outcome.figures.set("stages", std::move(stages));
}

/// The joint's best token and duration on the golden frames, against the reference's logits.
Status compare_argmax(const Model& model, Outcome& outcome) {
  const golden::Set set("demo-en");
  golden::Tensor encoded = set.tensor("joint", "joint_encoded");
  golden::Tensor predicted = set.tensor("joint", "joint_predicted");
  const golden::Tensor expected = set.tensor("joint", "logits");
  const auto rows = static_cast<std::int64_t>(encoded.extents[0]);
  const auto classes = static_cast<std::int64_t>(expected.extents[1]);
  TRT_ASR_ASSIGN(LaneHandle lane, LaneHandle::open(model.transducer.joint));
  const EngineInfo& info = lane.engine().info();
  const auto view = [](float* data, const Shape& shape) {
    return TensorView::contiguous(data, DType::f32, MemorySpace::host, shape);
  };
  std::vector<float> logits(static_cast<std::size_t>(rows * classes));
  TRT_ASR_ASSIGN(const std::size_t at_encoded, find_tensor(info, info.inputs, "encoded", {"encoded"}));
  TRT_ASR_ASSIGN(const std::size_t at_predicted, find_tensor(info, info.inputs, "predicted", {"predicted"}));
  const auto width = [](const golden::Tensor& tensor) {
    return static_cast<std::int64_t>(tensor.extents[1]);
  };
  TRT_ASR_TRY(lane.engine().bind_input(lane.id(), at_encoded,
                                       view(encoded.values.data(), {rows, 1, width(encoded)})));
  TRT_ASR_TRY(lane.engine().bind_input(lane.id(), at_predicted,
                                       view(predicted.values.data(), {rows, 1, width(predicted)})));
  TRT_ASR_TRY(lane.engine().bind_output(lane.id(), 0, view(logits.data(), {rows, classes})));
  TRT_ASR_TRY(lane.run());
  const std::int64_t tokens = model.contract.decoder.rules.vocabulary + 1;
  std::int64_t same = 0;
  double error_max = 0;
  for (std::int64_t row = 0; row < rows; ++row) {
    const float* a = expected.values.data() + row * classes;
    const float* b = logits.data() + row * classes;
    const bool token = std::max_element(a, a + tokens) - a == std::max_element(b, b + tokens) - b;
    const bool duration =
        std::max_element(a + tokens, a + classes) - a == std::max_element(b + tokens, b + classes) - b;
    same += token && duration ? 1 : 0;
    for (std::int64_t i = 0; i < classes; ++i)
      error_max = std::max(error_max, static_cast<double>(std::fabs(a[i] - b[i])));
  }
  Json argmax = Json::object();
  argmax.set("rows", rows).set("rows_same", same).set("error_max", error_max);
  outcome.figures.set("argmax", std::move(argmax));
  outcome.expect(same == rows, "the joint's best classes differ in " + std::to_string(rows - same) + " of " +
                                   std::to_string(rows) + " rows");
  return {};
}

/// Tokens of the clips against the golden ones. In fp32 every clip has to be exact.
void compare_clips(const char* way, const std::vector<Clip>& clips, const TokenLists& received,
                   Precision precision, Outcome& outcome) {
  std::size_t tokens = 0;
  std::size_t wrong = 0;
  std::size_t exact = 0;
  std::string first;
  for (std::size_t i = 0; i < clips.size(); ++i) {
    tokens += clips[i].tokens.size();
    wrong += edits(clips[i].tokens, received[i]);
    const bool same = same_tokens(clips[i].tokens, received[i]);
    exact += same ? 1 : 0;
    if (!same && first.empty()) first = clips[i].name;
  }
  const double rate = tokens == 0 ? 0 : static_cast<double>(wrong) / static_cast<double>(tokens);
  Json one = Json::object();
  one.set("clips", clips.size()).set("clips_exact", exact).set("tokens", tokens).set("token_edit_rate", rate);
  outcome.figures.set(way, std::move(one));
  if (precision == Precision::fp32) {
    outcome.expect(exact == clips.size(), std::string(way) + ": " + std::to_string(clips.size() - exact) +
                                              " clips differ, the first is " + first);
  } else {
    outcome.expect(rate <= half_edit_rate_max,
                   std::string(way) + ": token edit rate " + std::to_string(rate));
  }
}

}  // namespace

Status run_parity(const Job& job, Outcome& outcome) {
  if (!has_tensorrt(job, outcome)) return {};
  const std::vector<Clip> clips = golden_clips();
  outcome.expect(clips.size() >= 10, "only " + std::to_string(clips.size()) + " golden clips");
  outcome.figures.set("model", job.text("model.name")).set("precision", precision_name(job.precision()));
  TRT_ASR_ASSIGN(const auto on_cpu, Model::load(job.model(std::nullopt)));
  TRT_ASR_ASSIGN(const auto stepwise, Model::load(job.model(job.precision(), true)));
  compare_graphs(*on_cpu, *stepwise, job, outcome);
  TRT_ASR_TRY(compare_argmax(*stepwise, outcome));
  TRT_ASR_ASSIGN(const TokenLists by_ort, recognize_stepwise(*on_cpu, clips));
  compare_clips("clips_onnxruntime", clips, by_ort, Precision::fp32, outcome);
  TRT_ASR_ASSIGN(const TokenLists by_steps, recognize_stepwise(*stepwise, clips));
  compare_clips("clips_stepwise", clips, by_steps, job.precision(), outcome);
  TRT_ASR_ASSIGN(const auto on_gpu, Model::load(job.model(job.precision())));
  for (const std::int32_t batch : {1, 8}) {
    TRT_ASR_ASSIGN(const TokenLists by_gpu, recognize_on_gpu(*on_gpu, clips, batch));
    compare_clips(batch == 1 ? "clips_device_1" : "clips_device_8", clips, by_gpu, job.precision(), outcome);
  }
  return {};
}

}  // namespace validate
