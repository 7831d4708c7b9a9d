// GOP/s of the packed engine's matrix products by kernel, weight type and shape, everything included
// (quantising, repacking, epilogue). Usage: trt_asr_bench_linear [threads] [kernels]

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <vector>

#include "engine/packed/kernels/linear_kernels.h"
#include "engine/packed/pack_linear.h"
#include "engine/packed/team.h"

using namespace trt_asr::packed;

namespace {

double now_s() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

struct Shape {
  std::size_t rows;
  std::size_t inputs;
  std::size_t outputs;
  Epilogue epilogue;
};

constexpr Shape shapes[] = {
    {126, 1024, 4096, Epilogue::swish},  {126, 4096, 1024, Epilogue::add_scaled},
    {126, 1024, 3072, Epilogue::store},  {126, 1024, 2048, Epilogue::glu},
    {1000, 1024, 4096, Epilogue::swish}, {1000, 4096, 1024, Epilogue::add_scaled},
    {16, 1024, 4096, Epilogue::swish},   {6, 1024, 4096, Epilogue::swish},
    {1, 640, 2560, Epilogue::store},     {1, 640, 8198, Epilogue::store},
};

/// Best of many, in seconds.
template <class Work>
double best_s(const Work& work) {
  double best = 1e9;
  const double end = now_s() + 0.6;
  for (int round = 0; round < 5 || (now_s() < end && round < 2000); ++round) {
    const double start = now_s();
    work();
    best = std::min(best, now_s() - start);
  }
  return best;
}

}  // namespace

int main(int argc, char** argv) {
  const std::size_t threads = argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 1;
  const auto team = Team::create(threads);
  if (!team.ok()) return EXIT_FAILURE;
  std::size_t count = 0;
  const LinearKernels* const* const all = linear_kernels(count);
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  for (std::size_t i = 0; i < count; ++i) {
    if (argc > 2 ? std::strcmp(argv[2], all[i]->name) != 0 : i + 1 == count && count > 1) continue;
    std::printf("%s, %zu thread(s): GOP/s (ms)\n%-28s %16s %16s %16s\n", all[i]->name, threads, "shape M K N",
                "grouped", "s8", "f32");
    for (const Shape& shape : shapes) {
      const bool glu = shape.epilogue == Epilogue::glu;
      std::vector<float> weights(shape.inputs * shape.outputs);
      for (float& value : weights) value = normal(random);
      std::vector<float> x(shape.rows * shape.inputs);
      for (float& value : x) value = normal(random);
      std::vector<float> out(shape.rows * shape.outputs);
      const std::size_t bytes = workspace_bytes(shape.rows, shape.inputs);
      std::unique_ptr<std::byte, decltype(&std::free)> memory(
          static_cast<std::byte*>(std::aligned_alloc(64, bytes)), std::free);
      Workspace workspace = make_workspace(memory.get(), shape.rows, shape.inputs);
      std::printf("%5zu %5zu %5zu %-10s", shape.rows, shape.inputs, shape.outputs, "");
      for (const WeightType type : {WeightType::grouped, WeightType::s8, WeightType::f32}) {
        OwnedLinear packed(type, shape.inputs, shape.outputs, glu);
        const auto view = view_kn(weights.data(), shape.inputs, shape.outputs);
        trt_asr::Status status;
        if (type == WeightType::f32) status = pack_f32(view, {}, glu, packed.buffers());
        if (type == WeightType::grouped) status = pack_grouped(view, {}, glu, packed.buffers());
        if (type == WeightType::s8) {
          std::vector<std::uint8_t> published(weights.size());
          std::transform(weights.begin(), weights.end(), published.begin(), [](float value) {
            return static_cast<std::uint8_t>(std::clamp(value * 30.0F + 127.0F, 0.0F, 255.0F));
          });
          const float scale[] = {1.0F / 30};
          const std::int32_t zero_point[] = {127};
          status = pack_s8(view_kn(published.data(), shape.inputs, shape.outputs), {scale, zero_point}, {},
                           glu, packed.buffers());
        }
        if (!status.ok()) return EXIT_FAILURE;
        const Linear matrix = packed.view();
        const double best = best_s([&] {
          linear_with(*all[i], *team.value(), matrix, x.data(), shape.rows, shape.inputs, shape.epilogue,
                      0.5F, out.data(), shape.outputs, workspace);
        });
        const double operations = 2.0 * static_cast<double>(shape.rows * shape.inputs * shape.outputs);
        std::printf(" %7.1f (%6.3f)", operations / best * 1e-9, best * 1e3);
        std::fflush(stdout);
      }
      std::printf("\n");
    }
  }
  return EXIT_SUCCESS;
}
