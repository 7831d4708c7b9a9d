#pragma once
// First of the two seams: a loaded graph that runs on some processor. ONNX Runtime and TensorRT stand behind
// it.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/tensor.h"

namespace trt_asr {

/// What a loaded graph says of itself.
struct EngineInfo {
  std::string backend;          ///< "onnxruntime"
  std::string backend_version;  ///< "1.30.0"
  std::string path;             ///< File it was loaded from.
  std::vector<TensorSpec> inputs;
  std::vector<TensorSpec> outputs;
  std::vector<std::pair<std::string, std::string>> metadata;  ///< Custom key-value pairs of the model file.

  /// Value of a metadata key, or nullptr.
  [[nodiscard]] const std::string* metadata_value(const std::string& key) const noexcept;
  /// The same as a whole number, or nothing. Errors: ERR_CONTRACT_MISMATCH naming file and key, for a text
  /// that is none of `least` ... `most`.
  [[nodiscard]] Result<std::optional<std::int64_t>> metadata_number(const char* key, std::int64_t least,
                                                                    std::int64_t most,
                                                                    const char* remedy) const noexcept;
};

/// A lane is one stream of execution with its own bindings. Lanes of one engine run concurrently; one lane is
/// used by one thread at a time.
using LaneId = std::uint32_t;

/// A loaded graph. Shared by recognizers; all methods but open_lane/close_lane are free of locks.
class Engine {
 public:
  virtual ~Engine() = default;

  [[nodiscard]] virtual const EngineInfo& info() const noexcept = 0;
  /// Where bound tensors may always live; an engine on a device takes that device's memory too.
  [[nodiscard]] virtual MemorySpace memory_space() const noexcept = 0;

  [[nodiscard]] virtual Result<LaneId> open_lane() noexcept = 0;
  virtual void close_lane(LaneId lane) noexcept = 0;

  /// Binds memory to the input/output with this index in `info()`. The view is checked against the graph
  /// (dtype, rank, fixed extents, contiguity, memory space) and must stay valid until it is bound anew or the
  /// lane is closed. Binding the same view again costs nothing. Errors: ERR_CONTRACT_MISMATCH.
  [[nodiscard]] virtual Status bind_input(LaneId lane, std::size_t input,
                                          const TensorView& view) noexcept = 0;
  [[nodiscard]] virtual Status bind_output(LaneId lane, std::size_t output,
                                           const TensorView& view) noexcept = 0;

  /// Starts a run over what is bound; every input must be bound, an unbound output is not computed for the
  /// caller.
  [[nodiscard]] virtual Status enqueue(LaneId lane) noexcept = 0;
  /// Waits until what was enqueued on the lane is done. Errors: ERR_INTERNAL with the library's own message.
  [[nodiscard]] virtual Status wait(LaneId lane) noexcept = 0;
};

/// Closes a lane when it goes out of scope.
class LaneHandle {
 public:
  LaneHandle() noexcept = default;
  static Result<LaneHandle> open(std::shared_ptr<Engine> engine) noexcept;
  LaneHandle(LaneHandle&& other) noexcept : engine_(std::move(other.engine_)), lane_(other.lane_) {}
  LaneHandle& operator=(LaneHandle&& other) noexcept;
  ~LaneHandle();

  [[nodiscard]] Engine& engine() const noexcept { return *engine_; }
  [[nodiscard]] LaneId id() const noexcept { return lane_; }
  /// enqueue, then wait.
  [[nodiscard]] Status run() noexcept;

 private:
  LaneHandle(std::shared_ptr<Engine> engine, LaneId lane) noexcept
      : engine_(std::move(engine)), lane_(lane) {}

  std::shared_ptr<Engine> engine_;
  LaneId lane_ = 0;
};

/// Holds a view against the tensor it is to be bound to: dtype, rank, extents, contiguity, memory.
/// `device_too`: device memory is taken as well. Errors: ERR_CONTRACT_MISMATCH.
[[nodiscard]] Status check_view(const EngineInfo& info, const TensorSpec& spec, const TensorView& view,
                                bool device_too) noexcept;

/// What to do about a graph that does not fit.
inline constexpr const char* remedy_export =
    "Export the model again, or choose a folder in one of the supported layouts.";

/// Index of the first declared tensor that has one of the names, in the order of the names.
/// Errors: ERR_CONTRACT_MISMATCH naming the file, the names looked for and the names that are there.
[[nodiscard]] Result<std::size_t> find_tensor(const EngineInfo& info, const std::vector<TensorSpec>& tensors,
                                              const char* role,
                                              std::initializer_list<const char*> names) noexcept;

}  // namespace trt_asr
