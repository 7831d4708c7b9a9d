// Milliseconds of each stage of a packed encoder: the stages of ConformerGraph, one by one. The least of
// several rounds counts. Usage: trt_asr_bench_stages PACKED_FILE [seconds of audio] [threads] [rounds]

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "bench_io.h"
#include "engine/packed/conformer.h"
#include "engine/packed/packed_model.h"
#include "engine/packed/subsampling.h"

using namespace trt_asr;
using namespace trt_asr::packed;

namespace {

constexpr std::size_t features_per_second = 100;

/// Milliseconds by stage, in the order in which the stages first come.
class Stages {
 public:
  template <class Work>
  void time(const char* name, const Work& work) {
    const auto start = std::chrono::steady_clock::now();
    work();
    const double ms =
        std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
    const auto found = std::find(names_.begin(), names_.end(), name);
    if (found == names_.end()) names_.push_back(name);
    round_[name] += ms;
  }
  void end_round() {
    double total = 0.0;
    for (const auto& [name, ms] : round_) {
      total += ms;
      const auto known = best_.find(name);
      best_[name] = known == best_.end() ? ms : std::min(known->second, ms);
    }
    best_total_ = best_total_ == 0.0 ? total : std::min(best_total_, total);
    round_.clear();
  }
  void print() const {
    for (const std::string& name : names_)
      std::printf("  %-22s %8.2f ms %5.1f %%\n", name.c_str(), best_.at(name),
                  100.0 * best_.at(name) / best_total_);
    std::printf("  %-22s %8.2f ms\n", "best whole run", best_total_);
  }

 private:
  std::vector<std::string> names_;
  std::map<std::string, double> round_;
  std::map<std::string, double> best_;
  double best_total_ = 0.0;
};

/// The memory and the stages of one row.
struct Encoder {
  const EncoderWeights& weights;
  Team& team;
  std::size_t features_frames;
  std::size_t frames = encoder_frames(features_frames);
  std::size_t width = static_cast<std::size_t>(weights.width);
  Arena arena{};
  SubsamplingStage subsampling =
      bench::require(SubsamplingStage::create(weights.subsampling, static_cast<std::size_t>(weights.mel_bins),
                                              features_frames, team.threads(), arena));
  ConformerStage layers =
      bench::require(ConformerStage::create(weights, frames, frames, team.threads(), arena));
  PositionTables tables{weights};
  std::shared_ptr<const PositionTable> positions{};
  std::vector<float> x = std::vector<float>(frames * width);
  FrameRange row = {0, frames};

  void subsample(const FeatureRow& features, Stages& stages) {
    const Linear& out = weights.subsampling.out;
    const auto inputs = static_cast<std::size_t>(out.inputs);
    std::size_t held = 0;
    std::size_t done = 0;
    const auto project = [&] {
      stages.time("subsampling out", [&] {
        linear(team, out, layers.hidden(), held, inputs, Epilogue::store, 1.0F, x.data() + done * width,
               width, layers.workspace());
      });
      done += held;
      held = 0;
    };
    stages.time("subsampling transpose", [&] { subsampling.start(team, features); });
    while (subsampling.frames_left() != 0) {
      if (held + SubsamplingStage::block_frames > layers.hidden_frames()) project();
      stages.time("subsampling conv", [&] {
        held += subsampling.next(layers.kernels(), team, layers.workspace(), layers.hidden() + held * inputs);
      });
    }
    project();
  }

  void run(const FeatureRow& features, Stages& stages) {
    subsample(features, stages);
    layers.start({&row, 1});
    for (std::size_t index = 0; index < weights.layers.size(); ++index) {
      const ConformerLayer& layer = weights.layers[index];
      stages.time("feed-forward",
                  [&] { layers.feed_forward(team, layer.ff1_norm, layer.ff1_in, layer.ff1_out, x.data()); });
      stages.time("attention in", [&] { layers.project_attention(team, layer, x.data()); });
      stages.time("attention", [&] { layers.attend(team, index, *positions); });
      stages.time("attention out", [&] { layers.add_attention(team, layer, x.data()); });
      stages.time("convolution in", [&] { layers.project_convolution(team, layer, x.data()); });
      stages.time("convolution", [&] { layers.convolve(team, layer); });
      stages.time("convolution out", [&] { layers.add_convolution(team, layer, x.data()); });
      stages.time("feed-forward",
                  [&] { layers.feed_forward(team, layer.ff2_norm, layer.ff2_in, layer.ff2_out, x.data()); });
      stages.time("normalisation", [&] { layers.normalise(team, layer.out_norm, x.data(), x.data()); });
    }
  }
};

void profile(const EncoderWeights& weights, std::size_t features_frames, std::size_t threads, int rounds) {
  const auto team = bench::require(Team::create(threads));
  Encoder encoder{weights, *team, features_frames};
  Stages stages;
  stages.time("position table",
              [&] { encoder.positions = bench::require(encoder.tables.of(encoder.frames, *team)); });
  std::vector<float> features(static_cast<std::size_t>(weights.mel_bins) * features_frames);
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  for (float& value : features) value = normal(random);
  stages.end_round();
  stages.print();
  stages = {};
  for (int round = 0; round < rounds; ++round) {
    encoder.run({features.data(), features_frames, features_frames}, stages);
    stages.end_round();
  }
  stages.print();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) bench::fail("usage: trt_asr_bench_stages PACKED_FILE [seconds] [threads] [rounds]");
  const auto model = bench::require(PackedModel::open(argv[1]));
  if (model->kind() != GraphKind::encoder) bench::fail("expected a packed encoder");
  const auto seconds = static_cast<std::size_t>(argc > 2 ? bench::integer(argv[2]) : 10);
  const auto threads = static_cast<std::size_t>(argc > 3 ? bench::integer(argv[3]) : 1);
  profile(model->encoder(), seconds * features_per_second, threads, argc > 4 ? bench::integer(argv[4]) : 7);
  return EXIT_SUCCESS;
}
