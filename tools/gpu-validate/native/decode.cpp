// Greedy search on the device, over engines and over kernels alone, against the same search step by step, for
// the encoder's output of the golden clips: in batches of every size, in ranges whose state is carried from
// chunk to chunk.

#include <algorithm>
#include <random>

#include "base/heap_owner.h"
#include "counts.h"
#include "decode/device_greedy.h"
#include "models.h"

namespace validate {

using namespace trt_asr;

namespace {

/// Encoder outputs of the clips by ONNX Runtime, [rows, frames_max, D], and the tokens of each whole row.
struct Rows {
  std::vector<float> encoded_BTD;
  std::vector<std::int32_t> frames;
  TokenLists expected;
  std::int32_t frames_max = 0;
};

Result<Rows> encode(const Model& model, const std::vector<Clip>& clips) {
  const ModelContract& contract = model.contract;
  Rows rows;
  TRT_ASR_ASSIGN(rows.expected, recognize_stepwise(model, clips));
  Arena arena;
  TRT_ASR_ASSIGN(LogMel mel, LogMel::create(contract.features, arena));
  for (const Clip& clip : clips) {
    rows.frames.push_back(
        contract.encoder.encoded_frames(static_cast<std::int32_t>(mel.frames(clip.samples.size()))));
    rows.frames_max = std::max(rows.frames_max, rows.frames.back());
  }
  TRT_ASR_ASSIGN(Encoder encoder, Encoder::open(model.encoder, contract.encoder, 1,
                                                rows.frames_max * contract.encoder.subsampling, arena));
  const auto row_elements =
      static_cast<std::size_t>(rows.frames_max) * static_cast<std::size_t>(contract.encoder.width);
  rows.encoded_BTD.resize(row_elements * clips.size());
  for (std::size_t i = 0; i < clips.size(); ++i) {
    const std::size_t frames = mel.frames(clips[i].samples.size());
    const auto length = static_cast<std::int32_t>(frames);
    const std::span<float> features_MT = encoder.features_MT(0, length);
    TRT_ASR_TRY(mel.log_mel(clips[i].samples, 0, frames, features_MT, frames));
    TRT_ASR_TRY(mel.normalize(features_MT, frames, frames));
    TRT_ASR_TRY(encoder.encode(std::span<const std::int32_t>(&length, 1)));
    const auto* values = static_cast<const float*>(encoder.encoded_BTD().data);
    std::copy_n(values, static_cast<std::size_t>(rows.frames[i] * contract.encoder.width),
                rows.encoded_BTD.data() + i * row_elements);
  }
  return rows;
}

/// Decodes all rows once, `batch` at a time, in ranges of random lengths. Returns the calls that were made.
Result<long> decode_in_ranges(GreedyDecoder& decoder, const Model& model, Rows& rows, std::int32_t batch,
                              std::mt19937& random, TokenLists& received) {
  const std::int32_t width = model.contract.encoder.width;
  const auto row_elements = static_cast<std::size_t>(rows.frames_max) * static_cast<std::size_t>(width);
  std::vector<std::uint32_t> order(rows.frames.size());
  for (std::uint32_t i = 0; i < order.size(); ++i) order[i] = i;
  std::shuffle(order.begin(), order.end(), random);
  received.assign(order.size(), {});
  long calls = 0;
  for (std::size_t begin = 0; begin < order.size(); begin += static_cast<std::size_t>(batch)) {
    const std::size_t count = std::min(order.size() - begin, static_cast<std::size_t>(batch));
    std::vector<std::int32_t> at(count, 0);
    std::vector<float> batch_BTD(count * row_elements);
    for (std::size_t i = 0; i < count; ++i) {
      TRT_ASR_TRY(decoder.reset(static_cast<SlotId>(i)));
      std::copy_n(rows.encoded_BTD.data() + order[begin + i] * row_elements, row_elements,
                  batch_BTD.data() + i * row_elements);
    }
    const auto encoded = TensorView::contiguous(batch_BTD.data(), DType::f32, MemorySpace::host,
                                                {static_cast<std::int64_t>(count), rows.frames_max, width});
    for (bool open = true; open; ++calls) {
      open = false;
      std::vector<DecodeRow> parts(count);
      std::vector<std::vector<Token>> tokens(count);
      for (std::size_t i = 0; i < count; ++i) {
        const std::uint32_t clip = order[begin + i];
        const std::int32_t end =
            std::min<std::int32_t>(rows.frames[clip], at[i] + 1 + static_cast<std::int32_t>(random() % 40));
        tokens[i].resize(std::max<std::size_t>(1, tokens_room(model.contract.decoder.rules, end - at[i])));
        parts[i].slot = static_cast<SlotId>(i);
        parts[i].row = static_cast<std::uint32_t>(i);
        parts[i].frame_begin = at[i];
        parts[i].frame_end = end;
        parts[i].ends = end == rows.frames[clip];
        parts[i].tokens = tokens[i];
        at[i] = end;
        open = open || end < rows.frames[clip];
      }
      {
        const HeapOwnerScope owner(HeapOwner::core);
        TRT_ASR_TRY(decoder.decode(encoded, parts));
      }
      for (std::size_t i = 0; i < count; ++i) {
        std::vector<Token>& all = received[order[begin + i]];
        all.insert(all.end(), tokens[i].begin(),
                   tokens[i].begin() + static_cast<std::ptrdiff_t>(parts[i].tokens_count));
      }
    }
  }
  return calls;
}

}  // namespace

Status run_decode(const Job& job, Outcome& outcome) {
  if (!has_tensorrt(job, outcome)) return {};
  const std::vector<Clip> clips = golden_clips();
  outcome.figures.set("precision", precision_name(job.precision()));
  TRT_ASR_ASSIGN(const auto on_cpu, Model::load(job.model(std::nullopt)));
  TRT_ASR_ASSIGN(Rows rows, encode(*on_cpu, clips));
  TRT_ASR_ASSIGN(const auto model, Model::load(job.model(job.precision())));
  const auto predictor = std::dynamic_pointer_cast<TrtEngine>(model->transducer.predictor);
  const auto joint = std::dynamic_pointer_cast<TrtEngine>(model->transducer.joint);
  TRT_ASR_REQUIRE(predictor != nullptr && joint != nullptr, internal, "model", "predictor and joint on a GPU",
                  "others", "");
  const cuda::Device device = predictor->device();
  TRT_ASR_TRY(device.use());
  outcome.figures.set("claims_watched", watch(device.calls));
  std::mt19937 random(31);
  long calls = 0;
  std::size_t tokens = 0;
  std::size_t wrong = 0;
  std::size_t rows_wrong = 0;
  bool captured = true;
  Json batches = Json::array();
  const auto clip_count = static_cast<std::int32_t>(clips.size());
  struct Case {
    std::int32_t batch;
    bool kernels;
  };
  std::vector<Case> cases;
  for (const std::int32_t batch : {1, 2, 7, clip_count}) {
    cases.push_back({batch, false});
    cases.push_back({batch, true});
  }
  for (const auto& [batch, kernels] : cases) {
    TRT_ASR_ASSIGN(auto slots, DeviceSlots::create(device, model->contract.decoder, false,
                                                   static_cast<std::uint32_t>(batch)));
    TRT_ASR_ASSIGN(const cuda::Stream stream, cuda::Stream::create(device));
    TRT_ASR_ASSIGN(const auto decoder,
                   DeviceGreedy::open(device, stream,
                                      {predictor->plan(), joint->plan(), nullptr,
                                       kernels ? model->network : nullptr, batch, model->remarks},
                                      model->contract.decoder, std::move(slots), batch, rows.frames_max));
    const SearchReport& report = decoder->report();
    captured = captured && report.captured;
    const std::string what = "batch " + std::to_string(batch) + (kernels ? " over kernels" : " over engines");
    outcome.expect(report.remarks.empty(), what + ": " + report.remarks);
    outcome.expect(report.kernel_rows == (kernels ? batch : 0), what + ": runs over the other");
    TokenLists received;
    const Counts before = Counts::now(device.calls);
    long here = 0;
    for (int repeat = 0; repeat < 2; ++repeat) {
      TRT_ASR_ASSIGN(const long made, decode_in_ranges(*decoder, *model, rows, batch, random, received));
      here += made;
      for (std::size_t i = 0; i < received.size(); ++i) {
        tokens += rows.expected[i].size();
        wrong += edits(rows.expected[i], received[i]);
        rows_wrong += same_tokens(rows.expected[i], received[i]) ? 0 : 1;
      }
    }
    batches.push(Json::object()
                     .set("batch", batch)
                     .set("search", kernels ? "kernels" : "engines")
                     .set("calls", here)
                     .set("counts", Counts::now(device.calls).since(before, here)));
    calls += here;
  }
  const double rate = static_cast<double>(wrong) / static_cast<double>(std::max<std::size_t>(tokens, 1));
  outcome.figures.set("calls", calls)
      .set("tokens", tokens)
      .set("token_edit_rate", rate)
      .set("rows_different", rows_wrong);
  outcome.figures.set("captured_as_graph", captured).set("batches", std::move(batches));
  outcome.expect(calls >= 300, "only " + std::to_string(calls) + " chunks");
  outcome.expect(captured, "the steps were not captured as a CUDA graph");
  if (job.precision() == Precision::fp32)
    outcome.expect(rows_wrong == 0,
                   std::to_string(rows_wrong) + " rows have other tokens than ONNX Runtime step by step");
  return {};
}

}  // namespace validate
