// How long a step of the search over a prediction network takes at the extents of Parakeet-TDT-0.6b: what
// decides for how many rows it is used.

#include <algorithm>
#include <cstring>

#include "engine/abi_error.h"
#include "engine/cuda/kernels/search.h"
#include "lockstep.h"

namespace validate {

using namespace trt_asr;

namespace {

struct Extents {
  std::int32_t vocabulary, width, hidden, joint, layers, durations;
  std::int32_t rows_max;
  int repeats;
};
// SOURCE: config of nvidia/parakeet-tdt-0.6b-v3. The small ones are for a machine without a GPU.
constexpr Extents full{8192, 1024, 640, 640, 2, 5, 32, 40};
constexpr Extents small{64, 40, 24, 24, 2, 5, 4, 2};
constexpr int steps_in_graph = 16;
constexpr int launches = 2;
constexpr int steps_in_all = launches * steps_in_graph;
constexpr std::int32_t frames_room = (steps_in_all + 1) * TRT_ASR_FRAMES_AHEAD_MAX;

/// One batch in device memory. Weights are zeros, which take as long as any: the biases decide.
class Timing {
 public:
  Timing(const TrtAsrCudaLibrary& calls, const Extents& extents, std::int32_t dtype)
      : calls_(calls), extents_(extents), dtype_(dtype) {}

  [[nodiscard]] Status open();
  /// Median time of a step, in microseconds; with a label, or with blank alone.
  [[nodiscard]] Status measure(std::int32_t rows, std::int32_t ahead, bool labels, Json& out);

 private:
  struct Event {
    const TrtAsrCudaLibrary* calls = nullptr;
    TrtAsrEvent handle = nullptr;
    ~Event() {
      if (handle != nullptr) calls->event_destroy(handle);
    }
  };

  [[nodiscard]] std::size_t bytes_of(std::int32_t inputs, std::int32_t outputs) const {
    return static_cast<std::size_t>(cuda::groups_of(inputs)) *
           static_cast<std::size_t>(cuda::tiles_of(outputs)) * 256 * (dtype_ == TRT_ASR_F32 ? 4 : 2);
  }
  template <class T>
  T* take(std::size_t count) {
    return reinterpret_cast<T*>(base_ + plan_.add(count * sizeof(T)));
  }
  [[nodiscard]] TrtAsrMatrix matrix(std::int32_t inputs, std::int32_t outputs) {
    return {take<unsigned char>(bytes_of(inputs, outputs)), nullptr, dtype_, inputs, outputs};
  }
  void lay_out();
  /// Bytes of weights that a step reads, each once.
  [[nodiscard]] double weight_bytes(bool labels) const;

  const TrtAsrCudaLibrary& calls_;
  Extents extents_;
  std::int32_t dtype_;
  cuda::Device device_;
  cuda::Stream stream_;
  cuda::Memory memory_, pinned_;
  cuda::Plan plan_;
  std::byte* base_ = nullptr;
  TrtAsrSearch search_{};
  TrtAsrMoveRows move_{};
  float* bias_ = nullptr;
};

void Timing::lay_out() {
  const Extents& e = extents_;
  plan_ = {};
  search_ = {};
  move_ = {};
  const auto rows = static_cast<std::size_t>(e.rows_max);
  const auto hidden = static_cast<std::size_t>(e.hidden);
  const auto cells = static_cast<std::size_t>(e.layers) * hidden;
  const std::int32_t classes = e.vocabulary + 1 + e.durations;
  TrtAsrNetwork& network = search_.network;
  network.embedding = take<float>(static_cast<std::size_t>(e.vocabulary + 1) * hidden);
  network.embedding_rows = e.vocabulary + 1;
  network.embedding_width = network.width = e.hidden;
  network.layers = e.layers;
  for (std::int32_t layer = 0; layer < e.layers; ++layer)
    network.gates[layer] = matrix(2 * e.hidden, 4 * e.hidden);
  network.joint_encoder = matrix(e.width, e.joint);
  network.joint_predictor = matrix(e.hidden, e.joint);
  network.joint_out = matrix(e.joint, classes);
  bias_ = take<float>(static_cast<std::size_t>(classes));
  network.joint_out.bias = bias_;
  TrtAsrDecide& rules = search_.rules;
  rules.rows = take<TrtAsrDecodeRow>(rows);
  rules.vocabulary = e.vocabulary;
  rules.durations_count = e.durations;
  rules.max_symbols_per_frame = 1 << 20;
  rules.tokens_room = steps_in_all;
  rules.tokens = take<TrtAsrToken>(rows * steps_in_all);
  search_.encoded = take<TrtAsrEncoded>(1);
  search_.encoder_width = e.width;
  search_.frames_room = frames_room;
  search_.states.h = take<float>(2 * rows * cells);
  search_.states.c = take<float>(2 * rows * cells);
  search_.states.predicted = take<float>(2 * rows * hidden);
  search_.states.layer_stride = std::int64_t{2} * e.rows_max * e.hidden;
  search_.states.row_stride = e.hidden;
  search_.frames = take<float>(rows * frames_room * static_cast<std::size_t>(e.joint));
  search_.predicted = take<float>(rows * static_cast<std::size_t>(e.joint));
  search_.choices = take<TrtAsrTileChoice>(rows * TRT_ASR_FRAMES_AHEAD_MAX *
                                           static_cast<std::size_t>(cuda::tiles_of(classes)));
  search_.durations = take<float>(rows * TRT_ASR_FRAMES_AHEAD_MAX * static_cast<std::size_t>(e.durations));
  search_.arrivals = take<std::int32_t>(rows);
  move_.rows = rules.rows;
  move_.slots_count = 1;
  move_.encoded_rows = 1;
  move_.encoded_frames = frames_room;
  move_.dims = {e.layers, e.hidden, e.hidden};
  move_.slots = {take<float>(cells), take<float>(cells), take<float>(hidden), e.hidden,
                 static_cast<std::int64_t>(cells)};
  move_.batch = search_.states;
  move_.slot_tokens = take<std::int32_t>(1);
  move_.slot_carry_frames = take<std::int32_t>(1);
}

Status Timing::open() {
  device_ = {&calls_, 0};
  TRT_ASR_TRY(device_.use());
  TRT_ASR_ASSIGN(stream_, cuda::Stream::create(device_));
  lay_out();
  const std::size_t values = plan_.add(static_cast<std::size_t>(frames_room) *
                                       static_cast<std::size_t>(extents_.width) * sizeof(float));
  TRT_ASR_ASSIGN(memory_, cuda::Memory::claim(device_, cuda::Memory::Kind::device, plan_.bytes()));
  base_ = memory_.data();
  lay_out();
  TRT_ASR_PLUGIN_TRY(calls_.fill, base_, 0, memory_.bytes(), stream_.handle());
  const auto classes = static_cast<std::size_t>(search_.network.joint_out.outputs);
  TRT_ASR_ASSIGN(pinned_, cuda::Memory::claim(
                              device_, cuda::Memory::Kind::pinned,
                              std::max(classes * sizeof(float), static_cast<std::size_t>(extents_.rows_max) *
                                                                    sizeof(TrtAsrDecodeRow))));
  const TrtAsrEncoded encoded{reinterpret_cast<float*>(base_ + values), 0, extents_.width, 1};
  std::memcpy(pinned_.data(), &encoded, sizeof encoded);
  TRT_ASR_TRY(stream_.copy(const_cast<TrtAsrEncoded*>(search_.encoded), pinned_.data(), sizeof encoded));
  TRT_ASR_TRY(stream_.synchronize());
  return {};
}

double Timing::weight_bytes(bool labels) const {
  const auto of = [&](const TrtAsrMatrix& matrix) {
    return static_cast<double>(bytes_of(matrix.inputs, matrix.outputs));
  };
  double bytes = of(search_.network.joint_out);
  if (!labels) return bytes;
  for (std::int32_t layer = 0; layer < search_.network.layers; ++layer)
    bytes += of(search_.network.gates[layer]);
  return bytes + of(search_.network.joint_predictor);
}

Status Timing::measure(std::int32_t rows, std::int32_t ahead, bool labels, Json& out) {
  // Token 0 or blank wins every time; all durations are 0, so that a label stays on its frame.
  std::memset(pinned_.data(), 0, pinned_.bytes());
  const auto winner = static_cast<std::size_t>(labels ? 0 : extents_.vocabulary);
  reinterpret_cast<float*>(pinned_.data())[winner] = 1;
  TRT_ASR_TRY(stream_.copy(bias_, pinned_.data(),
                           static_cast<std::size_t>(search_.network.joint_out.outputs) * sizeof(float)));
  TRT_ASR_TRY(stream_.synchronize());
  std::memset(pinned_.data(), 0, pinned_.bytes());
  auto* const host_rows = reinterpret_cast<TrtAsrDecodeRow*>(pinned_.data());
  for (std::int32_t i = 0; i < rows; ++i) host_rows[i].frame_end = frames_room;
  search_.rules.rows_count = move_.rows_count = move_.side_rows = rows;
  search_.frames_ahead = ahead;
  search_.frames_stride = 1;
  TRT_ASR_ASSIGN(const cuda::Graph graph, stream_.capture([this]() -> Status {
    for (int step = 0; step < steps_in_graph; ++step)
      TRT_ASR_PLUGIN_TRY(calls_.search_step, &search_, stream_.handle());
    return {};
  }));
  Event events[4];
  for (Event& event : events) {
    event.calls = &calls_;
    TRT_ASR_PLUGIN_TRY(calls_.event_create, &event.handle);
  }
  std::vector<double> step_us;
  std::vector<double> start_us;
  const std::size_t rows_bytes = static_cast<std::size_t>(rows) * sizeof(TrtAsrDecodeRow);
  for (int repeat = -2; repeat < extents_.repeats; ++repeat) {
    TRT_ASR_TRY(stream_.copy(search_.rules.rows, host_rows, rows_bytes));
    TRT_ASR_PLUGIN_TRY(calls_.load_rows, &move_, stream_.handle());
    TRT_ASR_PLUGIN_TRY(calls_.event_record, events[0].handle, stream_.handle());
    TRT_ASR_PLUGIN_TRY(calls_.search_start, &search_, stream_.handle());
    TRT_ASR_PLUGIN_TRY(calls_.event_record, events[1].handle, stream_.handle());
    // The first launch may wait for the host; behind it the second one does not.
    TRT_ASR_TRY(stream_.launch(graph));
    TRT_ASR_PLUGIN_TRY(calls_.event_record, events[2].handle, stream_.handle());
    TRT_ASR_TRY(stream_.launch(graph));
    TRT_ASR_PLUGIN_TRY(calls_.event_record, events[3].handle, stream_.handle());
    TRT_ASR_PLUGIN_TRY(calls_.event_synchronize, events[3].handle);
    float start_ms = 0;
    float steps_ms = 0;
    TRT_ASR_PLUGIN_TRY(calls_.event_elapsed_ms, events[0].handle, events[1].handle, &start_ms);
    TRT_ASR_PLUGIN_TRY(calls_.event_elapsed_ms, events[2].handle, events[3].handle, &steps_ms);
    // The first two find nothing in the caches.
    if (repeat < 0) continue;
    start_us.push_back(start_ms * 1e3);
    step_us.push_back(steps_ms * 1e3 / steps_in_graph);
  }
  // What was timed is what was meant: a row is where so many steps lead.
  TRT_ASR_TRY(stream_.copy(pinned_.data(), search_.rules.rows, rows_bytes));
  TRT_ASR_TRY(stream_.synchronize());
  for (std::int32_t i = 0; i < rows; ++i) {
    const std::int64_t frame = labels ? 0 : std::int64_t{steps_in_all} * ahead;
    const bool as_meant = host_rows[i].flags == 0 && host_rows[i].frame == frame &&
                          host_rows[i].tokens_count == (labels ? steps_in_all : 0);
    TRT_ASR_REQUIRE(as_meant, internal, "row " + show(i) + " of a timed search", "frame " + show(frame),
                    "frame " + show(host_rows[i].frame) + ", flags " + show(host_rows[i].flags), "");
  }
  const double median = quantile(step_us, 0.5);
  out = Json::object();
  out.set("rows", rows).set("frames_ahead", ahead).set("labels", labels).set("dtype", dtype_);
  out.set("step_us", spread(step_us)).set("start_us", spread(start_us));
  out.set("weights_gb_s", weight_bytes(labels) / median / 1e3);
  return {};
}

}  // namespace

Status time_search(const TrtAsrCudaLibrary* library, Json& figures) {
  TrtAsrCudaDevice device{};
  TRT_ASR_PLUGIN_TRY(library->device, 0, &device);
  // What stands in for a GPU has one multiprocessor.
  const Extents& extents = device.multiprocessors > 1 ? full : small;
  Json cases = Json::array();
  for (const std::int32_t dtype : {std::int32_t{TRT_ASR_F16}, std::int32_t{TRT_ASR_F32}}) {
    Timing timing(*library, extents, dtype);
    TRT_ASR_TRY(timing.open());
    for (std::int32_t rows = 1; rows <= extents.rows_max; rows *= 2) {
      for (const std::int32_t ahead : {1, 2, 4, 8}) {
        // Weights of 32 bits are for comparison.
        if (dtype == TRT_ASR_F32 && (rows > 1 || ahead > 4)) continue;
        for (const bool labels : {true, false}) {
          Json one;
          TRT_ASR_TRY(timing.measure(rows, ahead, labels, one));
          cases.push(one);
        }
      }
    }
  }
  figures = Json::object();
  figures.set("vocabulary", extents.vocabulary).set("width", extents.hidden).set("cases", cases);
  return {};
}

}  // namespace validate
