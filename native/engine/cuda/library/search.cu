// The kernels of a search over a prediction network, and their launches.

#include "engine/cuda/kernels/search.h"
#include "engine/cuda/library/launch.h"

namespace trt_asr::cuda {

namespace {

static_assert(tile_cells == threads_max, "a thread of a block adds up one share of one output");
using TileBlock = DeviceBlockOf<tile_cells>;

// CONTRACT: memory that a block shares, beyond what its bodies declare. SOURCE: 99 KB is the most that every
// GPU since Ampere has. TODO: none.
constexpr int32_t shared_floats_max = items_max * (tile_cells + TRT_ASR_NETWORK_INPUTS_MAX + 4);
static_assert(shared_floats_max * sizeof(float) + sizeof(ClassifyShared) <= 99 * 1024);

// Bodies read what is shared as four floats at once.
extern __shared__ float4 shared_memory[];

TRT_ASR_DEVICE inline float* shared_floats() {
  return reinterpret_cast<float*>(shared_memory);
}

template <class Number>
__global__ void __launch_bounds__(tile_cells)
    project_frames_kernel(const __grid_constant__ TrtAsrSearch args) {
  TileBlock block;
  project_frames<Number>(args, blockIdx.x, blockIdx.y, blockIdx.z, shared_floats(), block);
}

__global__ void __launch_bounds__(tile_cells) copy_frames_kernel(const __grid_constant__ TrtAsrSearch args) {
  TileBlock block;
  copy_frames(args, blockIdx.y, blockIdx.z, block);
}

template <class Number, int items>
__global__ void __launch_bounds__(tile_cells, 2)
    lstm_kernel(const __grid_constant__ TrtAsrSearch args, int32_t layer) {
  __shared__ LstmShared own;
  TileBlock block;
  lstm_tile<Number, items>(args, layer, blockIdx.x, blockIdx.y, own, shared_floats(), block);
}

template <class Number, int items>
__global__ void __launch_bounds__(tile_cells, 2)
    project_rows_kernel(const __grid_constant__ TrtAsrSearch args, Projection which) {
  TileBlock block;
  project_rows<Number, items>(args, which, blockIdx.x, blockIdx.y, shared_floats(), block);
}

template <class Number, int items>
__global__ void __launch_bounds__(tile_cells, 2) classify_kernel(const __grid_constant__ TrtAsrSearch args) {
  __shared__ ClassifyShared own;
  TileBlock block;
  classify_tile<Number, items>(args, blockIdx.x, blockIdx.y, own, shared_floats(), block);
}

/// Launches over the tiles of a matrix.
struct Launcher {
  cudaStream_t stream;
  TrtAsrFailure* failure;

  /// run(Number{}, items, grid, bytes that a block shares) for a matrix and blocks of `items` vectors.
  template <class Sizes, class Run>
  int32_t over(const TrtAsrMatrix& matrix, int32_t items, int32_t groups, const char* name,
               const Run& run) const noexcept {
    const dim3 grid(static_cast<unsigned>(tiles_of(matrix.outputs)), static_cast<unsigned>(groups));
    const size_t bytes = static_cast<size_t>(tile_floats(matrix.inputs, items)) * sizeof(float);
    return with_number(matrix.dtype, name, failure, [&](auto number) noexcept {
      return Sizes::template with<decltype(number)>(items, [&](auto constant) noexcept {
        run(number, constant, grid, bytes);
        return launched(name, failure);
      });
    });
  }

  int32_t project_frames(const TrtAsrSearch& args) const noexcept {
    const TrtAsrMatrix& matrix = args.network.joint_encoder;
    const dim3 grid(static_cast<unsigned>(tiles_of(matrix.outputs)),
                    static_cast<unsigned>(frame_groups(args)), static_cast<unsigned>(args.rules.rows_count));
    const size_t bytes = static_cast<size_t>(tile_floats(matrix.inputs, frames_group)) * sizeof(float);
    return with_number(matrix.dtype, "kernel project_frames", failure, [&](auto number) noexcept {
      project_frames_kernel<decltype(number)><<<grid, tile_cells, bytes, stream>>>(args);
      return launched("kernel project_frames", failure);
    });
  }
  int32_t copy_frames(const TrtAsrSearch& args) const noexcept {
    const dim3 grid(1, static_cast<unsigned>(frame_groups(args)),
                    static_cast<unsigned>(args.rules.rows_count));
    copy_frames_kernel<<<grid, tile_cells, 0, stream>>>(args);
    return launched("kernel copy_frames", failure);
  }
  int32_t lstm(const TrtAsrSearch& args, int32_t layer) const noexcept {
    const TrtAsrMatrix& matrix = args.network.gates[layer];
    const int32_t items = LstmVectors::of(matrix, args.rules.rows_count);
    return over<LstmVectors>(matrix, items, blocks_for(args.rules.rows_count, items), "kernel lstm",
                             [&](auto number, auto constant, const dim3& grid, size_t bytes) noexcept {
                               lstm_kernel<decltype(number), decltype(constant)::value>
                                   <<<grid, tile_cells, bytes, stream>>>(args, layer);
                             });
  }
  int32_t project(const TrtAsrSearch& args, Projection which) const noexcept {
    const TrtAsrMatrix& matrix = matrix_of(args.network, which);
    const int32_t items = ProjectVectors::of(matrix, args.rules.rows_count);
    return over<ProjectVectors>(matrix, items, blocks_for(args.rules.rows_count, items),
                                "kernel project_rows",
                                [&](auto number, auto constant, const dim3& grid, size_t bytes) noexcept {
                                  project_rows_kernel<decltype(number), decltype(constant)::value>
                                      <<<grid, tile_cells, bytes, stream>>>(args, which);
                                });
  }
  int32_t classify(const TrtAsrSearch& args) const noexcept {
    const int32_t items = classify_items(args);
    const int32_t groups = blocks_for(args.rules.rows_count, items / args.frames_ahead);
    return over<ClassifyVectors>(args.network.joint_out, items, groups, "kernel classify",
                                 [&](auto number, auto constant, const dim3& grid, size_t bytes) noexcept {
                                   classify_kernel<decltype(number), decltype(constant)::value>
                                       <<<grid, tile_cells, bytes, stream>>>(args);
                                 });
  }
};

int32_t search_start(const TrtAsrSearch* given, TrtAsrStream stream, TrtAsrFailure* failure) noexcept {
  const Refusal refused = check_search(*given);
  if (refused.field != nullptr) return refuse(refused.field, refused.expected, refused.received, failure);
  Launcher launcher{stream_of(stream), failure};
  return start_search(*given, launcher);
}

int32_t search_step(const TrtAsrSearch* given, TrtAsrStream stream, TrtAsrFailure* failure) noexcept {
  const Refusal refused = check_search(*given);
  if (refused.field != nullptr) return refuse(refused.field, refused.expected, refused.received, failure);
  Launcher launcher{stream_of(stream), failure};
  return step_search(*given, launcher);
}

/// Loads kernels and lets them have the memory that the largest matrix takes.
template <class... Kernels>
cudaError_t load_with_memory(int32_t items, Kernels... kernels) noexcept {
  const int bytes = shared_floats_max / items_max * items * static_cast<int>(sizeof(float));
  cudaError_t first = load_all(kernels...);
  const auto allow = [&](auto kernel) {
    const cudaError_t error =
        cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes);
    if (first == cudaSuccess) first = error;
  };
  (allow(kernels), ...);
  return first;
}

template <class Number>
cudaError_t prepare_number() noexcept {
  cudaError_t first = load_with_memory(items_max, project_frames_kernel<Number>);
  const auto prepare = [&](int32_t items, auto kernel) {
    const cudaError_t error = load_with_memory(items, kernel);
    if (first == cudaSuccess) first = error;
  };
  LstmVectors::each<Number>([&](auto constant) noexcept {
    constexpr int items = decltype(constant)::value;
    prepare(items, lstm_kernel<Number, items>);
  });
  ProjectVectors::each<Number>([&](auto constant) noexcept {
    constexpr int items = decltype(constant)::value;
    prepare(items, project_rows_kernel<Number, items>);
  });
  ClassifyVectors::each<Number>([&](auto constant) noexcept {
    constexpr int items = decltype(constant)::value;
    prepare(items, classify_kernel<Number, items>);
  });
  return first;
}

}  // namespace

void add_search(TrtAsrCudaLibrary& library) noexcept {
  library.search_start = search_start;
  library.search_step = search_step;
}

cudaError_t prepare_search() noexcept {
  cudaError_t first = load_all(copy_frames_kernel);
  if (first == cudaSuccess) first = prepare_number<float>();
  if (first == cudaSuccess) first = prepare_number<Half>();
  return first == cudaSuccess ? prepare_number<BFloat>() : first;
}

}  // namespace trt_asr::cuda
