// Audio per second of wall time through the GPU's pipeline, for batches of several sizes, with the shares of
// its stages and what is allocated meanwhile.

#include <algorithm>

#include "base/heap_owner.h"
#include "counts.h"
#include "models.h"
#include "recognizing.h"

namespace validate {

using namespace trt_asr;

namespace {

// Batches up to this one are measured with both kinds of search: it tells where the one overtakes the other.
constexpr std::int32_t kernels_batch_max = 32;

/// One pass over a batch that was put; the stages' seconds.
struct Pass {
  double encode_s = 0;
  double decode_s = 0;
};

Result<Pass> pass(GpuPipeline& pipeline, std::span<DecodeRow> rows) {
  Pass times;
  for (const DecodeRow& row : rows) TRT_ASR_TRY(pipeline.reset(row.slot));
  const trt_asr::HeapOwnerScope owner(trt_asr::HeapOwner::core);
  const Stopwatch encoding;
  TRT_ASR_TRY(pipeline.encode(static_cast<std::int32_t>(rows.size())));
  TRT_ASR_TRY(pipeline.synchronize());
  times.encode_s = encoding.seconds();
  const Stopwatch decoding;
  TRT_ASR_TRY(pipeline.decode(rows));
  times.decode_s = decoding.seconds();
  return times;
}

Result<Json> measure(const Model& model, const Job& job, const std::vector<float>& recording,
                     std::int32_t batch, Outcome& outcome) {
  const double audio_s = job.number("audio_s", 10);
  const auto samples = static_cast<std::size_t>(audio_s * model.contract.features.sample_rate_hz);
  const auto count = static_cast<std::size_t>(batch);
  Arena arena;
  TRT_ASR_ASSIGN(const LaneSlots slots, LaneSlots::claim(model, static_cast<std::uint32_t>(batch), 0, arena));
  TRT_ASR_ASSIGN(const auto pipeline, GpuPipeline::open(model, *slots.device, batch, samples));
  const TrtAsrCudaLibrary* calls = model.device->calls;
  std::vector<DecodeRow> rows(count);
  std::vector<Token> tokens(count *
                            tokens_room(model.contract.decoder.rules, pipeline->encoded_frames(samples)));
  std::vector<std::vector<float>> audio;
  for (std::size_t i = 0; i < count; ++i) {
    audio.push_back(speech(recording, samples, i));
    rows[i].slot = static_cast<SlotId>(i);
    rows[i].row = static_cast<std::uint32_t>(i);
    rows[i].frame_end = pipeline->encoded_frames(samples);
    rows[i].ends = true;
    rows[i].tokens = std::span<Token>(tokens).subspan(i * (tokens.size() / count), tokens.size() / count);
  }
  const auto run = [&]() -> Result<Pass> {
    for (std::size_t i = 0; i < count; ++i)
      TRT_ASR_TRY(pipeline->put(static_cast<std::int32_t>(i), audio[i]));
    return pass(*pipeline, rows);
  };
  // Twice to warm up: the first run with a shape allocates.
  for (int i = 0; i < 2; ++i) {
    TRT_ASR_ASSIGN([[maybe_unused]] const Pass warm, run());
  }
  // CONTRACT: between 5 and 50 repeats, until the batch has been timed for three seconds. SOURCE: none. WHY:
  // medians of what is fast enough to repeat, without a batch that lasts for minutes. TODO: none.
  std::vector<double> totals;
  std::vector<double> encodes;
  std::vector<double> decodes;
  std::vector<double> puts;
  totals.reserve(50);
  encodes.reserve(50);
  decodes.reserve(50);
  puts.reserve(50);
  const Counts before = Counts::now(calls);
  const Stopwatch all;
  while (totals.size() < 5 || (totals.size() < 50 && all.seconds() < 3)) {
    const Stopwatch whole;
    TRT_ASR_ASSIGN(const Pass times, run());
    totals.push_back(whole.seconds());
    encodes.push_back(times.encode_s);
    decodes.push_back(times.decode_s);
    puts.push_back(totals.back() - times.encode_s - times.decode_s);
  }
  const auto chunks = static_cast<long>(totals.size());
  Json counts = Counts::now(calls).since(before, chunks);
  std::size_t emitted = 0;
  for (const DecodeRow& row : rows) emitted += row.tokens_count;

  const double audio_total_s = audio_s * batch;
  const double total_s = quantile(totals, 0.5);
  const double encode_s = quantile(encodes, 0.5);
  const double decode_s = quantile(decodes, 0.5);
  Json out = Json::object();
  out.set("batch", batch).set("audio_s", audio_s).set("rtfx", audio_total_s / total_s);
  out.set("rtfx_range",
          Json::array().push(audio_total_s / quantile(totals, 1)).push(audio_total_s / quantile(totals, 0)));
  out.set("total_s", spread(totals))
      .set("features_encoder_s", encode_s)
      .set("decode_s", decode_s)
      .set("copy_in_s", quantile(puts, 0.5));
  out.set("encoder_share", encode_s / total_s).set("decode_share", decode_s / total_s);
  out.set("tokens_per_s", static_cast<double>(emitted) / audio_total_s)
      .set("device_bytes", pipeline->device_bytes())
      .set("working_bytes", pipeline->working_bytes());
  const SearchReport& search = pipeline->search_report();
  out.set("search", search.kernel_rows >= batch ? "kernels" : "engines");
  out.set("captured_as_graph", search.captured).set("remarks", search.remarks);
  out.set("counts", std::move(counts));
  const Counts after = Counts::now(calls);
  outcome.expect(after.device_claims == before.device_claims,
                 "batch " + std::to_string(batch) + ": device memory is claimed in the steady state");
  return out;
}

}  // namespace

Status run_throughput(const Job& job, Outcome& outcome) {
  if (!has_tensorrt(job, outcome)) return {};
  TRT_ASR_ASSIGN(const std::vector<float> recording, longest_recording());
  outcome.figures.set("model", job.text("model.name")).set("precision", precision_name(job.precision()));
  const Stopwatch loading;
  ModelConfig config = job.model(job.precision());
  config.gpu->network_rows_max = kernels_batch_max;
  TRT_ASR_ASSIGN(const auto model, Model::load(config));
  outcome.figures.set("load_s", loading.seconds());
  config.gpu->network_rows_max = 0;
  TRT_ASR_ASSIGN(const auto over_engines, Model::load(config));
  TRT_ASR_REQUIRE(model->device.has_value(), internal, "model", "a transducer on a GPU", "another", "");
  outcome.figures.set("claims_watched", watch(model->device->calls));
  Json batches = Json::array();
  for (const std::int32_t batch : job.integers("batches")) {
    for (const Model* const one : {over_engines.get(), model.get()}) {
      if (one == model.get() && batch > kernels_batch_max) continue;
      // A batch that does not fit is told and does not hide the others.
      auto measured = measure(*one, job, recording, batch, outcome);
      if (measured.ok()) {
        batches.push(measured.take());
      } else {
        outcome.expect(false, "batch " + std::to_string(batch) + ": " + measured.error().message());
      }
    }
  }
  outcome.figures.set("batches", std::move(batches));
  return {};
}

}  // namespace validate
