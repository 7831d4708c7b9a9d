#include "engine/packed/linear.h"

#include <algorithm>
#include <array>

#include "engine/packed/kernels/linear_kernels.h"
#include "engine/packed/team.h"

namespace trt_asr::packed {

namespace {

constexpr std::size_t alignment_bytes = 64;

std::size_t round_up(std::size_t value, std::size_t unit) noexcept {
  return (value + unit - 1) / unit * unit;
}

std::size_t rows_bytes(std::size_t rows, std::size_t inputs) noexcept {
  return round_up(rows * inputs * sizeof(float), alignment_bytes);
}

/// Inputs as padded by the type that pads most.
std::size_t padded_most(std::size_t inputs) noexcept {
  return std::max(padded_inputs(WeightType::s8, inputs), padded_inputs(WeightType::grouped, inputs));
}

/// Rows that a workspace for products of `rows` rows has room for.
std::size_t rows_of_step(std::size_t rows) noexcept {
  return std::clamp<std::size_t>(rows, 1, workspace_rows_max);
}

struct KernelList {
  std::array<const LinearKernels*, 5> all{};
  std::size_t count = 0;

  KernelList() noexcept {
    for (const LinearKernels* kernels :
         {linear_kernels_avx512_vnni(), linear_kernels_avx_vnni(), linear_kernels_avx2(),
          linear_kernels_neon_dot(), linear_kernels_portable()}) {
      if (kernels != nullptr) all[count++] = kernels;
    }
  }
};

/// CONTRACT: products with fewer multiplications than this stay on the calling thread, unless their weights
/// are large. SOURCE: ours: waking a helper costs some 5-50 us, in which one thread does about this much.
/// WHY: a prediction step makes many small products. TODO: measure on many cores.
constexpr std::size_t shared_products_min = 4'000'000;
constexpr std::size_t shared_bytes_min = 1'000'000;

/// CONTRACT: tasks per thread. SOURCE: ours. WHY: with one each, a thread that starts late or shares its core
/// would hold up the others; with many, the rows pass through the caches too often.
constexpr std::size_t tasks_per_thread = 4;

template <class Task>
void share(Team& team, bool alone, std::size_t units, const Task& task) noexcept {
  const std::size_t tasks = alone ? 1 : std::min(units, team.threads() * tasks_per_thread);
  if (tasks <= 1) {
    task(0, units);
    return;
  }
  team.run(tasks, [&](std::size_t index) { task(units * index / tasks, units * (index + 1) / tasks); });
}

}  // namespace

const LinearKernels* const* linear_kernels(std::size_t& count) noexcept {
  static const KernelList list;
  count = list.count;
  return list.all.data();
}

std::size_t workspace_bytes(std::size_t rows, std::size_t inputs) noexcept {
  const std::size_t step = rows_of_step(rows);
  return rows_bytes(step, padded_most(inputs)) + round_up(step * sizeof(RowCode), alignment_bytes);
}

Workspace make_workspace(std::byte* memory, std::size_t rows, std::size_t inputs) noexcept {
  const std::size_t step = rows_of_step(rows);
  const std::size_t codes_at = rows_bytes(step, padded_most(inputs));
  return {memory, reinterpret_cast<RowCode*>(memory + codes_at), step, inputs};
}

void linear_with(const LinearKernels& kernels, Team& team, const Linear& matrix, const float* x,
                 std::size_t rows, std::size_t x_stride, Epilogue epilogue, float factor, float* out,
                 std::size_t out_stride, Workspace& workspace) noexcept {
  const auto inputs = static_cast<std::size_t>(matrix.inputs);
  const std::size_t padded = padded_inputs(matrix.type, inputs);
  const std::size_t panels = panel_count(static_cast<std::size_t>(matrix.outputs), matrix.glu);
  const bool f32 = matrix.type == WeightType::f32;
  const std::size_t tile_rows = f32                             ? kernels.tile_rows_f32
                                : matrix.type == WeightType::s8 ? kernels.tile_rows_s8
                                                                : kernels.tile_rows_grouped;
  // Steps of about equal size, of whole tiles.
  const std::size_t steps = (rows + workspace.rows_max - 1) / workspace.rows_max;
  const std::size_t even = steps == 0 ? 0 : round_up((rows + steps - 1) / steps, tile_rows);
  const std::size_t step_rows = std::min(even, workspace.rows_max);
  for (std::size_t done = 0; done < rows; done += step_rows) {
    const std::size_t count = std::min(step_rows, rows - done);
    const std::size_t products = count * padded * panels * panel_outputs;
    const bool alone = team.threads() == 1 ||
                       (products < shared_products_min && panels * panel_outputs * padded < shared_bytes_min);
    const float* const from = x + done * x_stride;
    const std::size_t tiles = (count + tile_rows - 1) / tile_rows;
    // The rows of a few tiles are prepared faster than a helper wakes.
    share(team, alone || count * padded < 65536, tiles, [&](std::size_t first, std::size_t last) {
      const std::size_t row = first * tile_rows;
      const std::size_t some = std::min(last * tile_rows, count) - row;
      if (f32) {
        kernels.tile_f32(from + row * x_stride, some, x_stride, inputs,
                         reinterpret_cast<float*>(workspace.rows) + row * padded);
      } else {
        kernels.quantise({inputs, padded, tile_rows, codes_max(matrix.type)}, from + row * x_stride, some,
                         x_stride, reinterpret_cast<std::uint8_t*>(workspace.rows) + row * padded,
                         workspace.codes + row);
      }
    });
    const Product product = {&matrix,    workspace.rows, workspace.codes, count, out + done * out_stride,
                             out_stride, epilogue,       factor};
    share(team, alone, panels,
          [&](std::size_t first, std::size_t last) { kernels.multiply(product, first, last); });
  }
}

void linear(Team& team, const Linear& matrix, const float* x, std::size_t rows, std::size_t x_stride,
            Epilogue epilogue, float factor, float* out, std::size_t out_stride,
            Workspace& workspace) noexcept {
  std::size_t count = 0;
  linear_with(*linear_kernels(count)[0], team, matrix, x, rows, x_stride, epilogue, factor, out, out_stride,
              workspace);
}

}  // namespace trt_asr::packed
