#pragma once
// A TensorRT plug-in as the core would use it, and graphs small enough to be written here byte by byte.

#include <dlfcn.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "check.h"
#include "engine/tensorrt/plugin_abi.h"

namespace tensorrt_fixture {

inline std::string plugin_path(const std::string& flavour) {
  return std::string(TRT_ASR_TENSORRT_PLUGINS) + "/libtrt_asr_tensorrt_" + flavour + ".so";
}

/// The plug-in's table, or null where it was not built.
inline const TrtAsrPlugin* load_plugin(const std::string& flavour) {
  void* handle = dlopen(plugin_path(flavour).c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) return nullptr;
  const auto entry = reinterpret_cast<const TrtAsrPlugin* (*)()>(dlsym(handle, TRT_ASR_TENSORRT_ENTRY));
  return entry == nullptr ? nullptr : entry();
}

/// Folder of libtensorrt_rtx.so.1, or "" where the machine has none.
inline std::string rtx_folder() {
  const char* folder = std::getenv("TRT_ASR_TEST_TENSORRT_RTX");
  return folder == nullptr ? "" : folder;
}
inline std::string rtx_path() {
  return rtx_folder() + "/libtensorrt_rtx.so.1";
}
inline std::string parser_path() {
  return rtx_folder() + "/libtensorrt_onnxparser_rtx.so.1";
}
inline void* rtx_library() {
  static void* const handle = dlopen(rtx_path().c_str(), RTLD_NOW | RTLD_LOCAL);
  return handle;
}

/// As it tells it itself: 1.7.1 is 10701.
inline std::int32_t rtx_version() {
  return reinterpret_cast<std::int32_t (*)()>(dlsym(rtx_library(), "getInferLibVersion"))();
}

/// True when the case can run; says once why it cannot.
inline bool have_rtx() {
  static const bool have = [] {
    if (rtx_folder().empty()) {
      std::printf(
          "    skipped: TRT_ASR_TEST_TENSORRT_RTX does not name the folder of libtensorrt_rtx.so.1\n");
      return false;
    }
    if (load_plugin("rtx") == nullptr) {
      std::printf("    skipped: no plug-in for TensorRT-RTX was built (set TENSORRT_ROOT)\n");
      return false;
    }
    return true;
  }();
  return have;
}

/// A runtime is never closed; a sanitizer is to find it.
inline void keep(TrtAsrRuntime* runtime) {
  static auto& all = *new std::vector<TrtAsrRuntime*>;
  all.push_back(runtime);
}

/// What TensorRT said to any session: it goes on speaking after one of them.
struct Words {
  std::atomic<int> messages = 0;
  std::atomic<int> loop_outputs = 0;
  std::atomic<int> attentions = 0;  ///< Layers of a built engine that are attention in one kernel.
};
inline Words& words() {
  static Words& all = *new Words;
  return all;
}

/// An opened TensorRT-RTX.
struct Session {
  explicit Session(std::string parser = parser_path()) {
    plugin = load_plugin("rtx");
    REQUIRE(plugin != nullptr);
    REQUIRE(rtx_library() != nullptr);
    path = rtx_path();
    TrtAsrOpen given{};
    given.struct_size = sizeof(given);
    given.library = rtx_library();
    given.library_path = path.c_str();
    given.parser_path = parser.empty() ? nullptr : parser.c_str();
    given.log = {&words(), [](void* context, std::int32_t, const char* text) {
                   if (text == nullptr) return;
                   auto& said = *static_cast<Words*>(context);
                   ++said.messages;
                   // TensorRT's words for what a loop hands out, once for each in every build.
                   if (std::strncmp(text, "LOOP_OUTPUT", 11) == 0) ++said.loop_outputs;
                   for (const char* at = text; (at = std::strstr(at, "Name: _gemm_mha")) != nullptr; ++at)
                     ++said.attentions;
                 }};
    const std::int32_t code = plugin->open(&given, &runtime, &failure);
    if (code != TRT_ASR_OK) std::printf("    %s\n", failure.received);
    REQUIRE(code == TRT_ASR_OK);
    keep(runtime);
  }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  const TrtAsrPlugin* plugin = nullptr;
  TrtAsrRuntime* runtime = nullptr;
  TrtAsrFailure failure{};
  std::string path;
};

inline TrtAsrSink sink_into(std::string& bytes) {
  return {&bytes, [](void* context, const void* more, std::size_t count) {
            static_cast<std::string*>(context)->append(static_cast<const char*>(more), count);
            return std::int32_t{0};
          }};
}

using Shape = std::vector<std::int64_t>;
inline TrtAsrProfile profile(const char* input, const Shape& min, const Shape& opt, const Shape& max) {
  TrtAsrProfile made{};
  made.input = input;
  made.rank = static_cast<std::int32_t>(min.size());
  for (std::size_t i = 0; i < min.size(); ++i) {
    made.min[i] = min[i];
    made.opt[i] = opt[i];
    made.max[i] = max[i];
  }
  return made;
}

/// A build and what it needs; the caller changes what it wants to.
struct Build {
  explicit Build(std::string graph, std::vector<TrtAsrProfile> extents = {}, std::int32_t target = 89)
      : onnx(std::move(graph)), profiles(std::move(extents)), targets{target} {
    given.struct_size = sizeof(given);
    given.onnx = onnx.data();
    given.onnx_bytes = onnx.size();
    given.profiles = profiles.data();
    given.profiles_count = profiles.size();
    given.optimization_level = -1;
    given.compute_capabilities = targets.data();
    given.compute_capabilities_count = targets.size();
    given.plan = sink_into(plan);
  }
  Build(const Build&) = delete;
  Build& operator=(const Build&) = delete;

  std::int32_t run(Session& session) {
    session.failure = TrtAsrFailure{};
    plan.clear();
    return session.plugin->build(session.runtime, &given, &session.failure);
  }

  std::string onnx;
  std::vector<TrtAsrProfile> profiles;
  std::vector<std::int32_t> targets;
  std::string plan;
  TrtAsrBuild given{};
};

inline std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

// ONNX by hand. SOURCE: field numbers of onnx.proto3; every number here is below 128, which is one byte.
inline std::string bytes_field(int number, const std::string& bytes) {
  return std::string{static_cast<char>(number << 3 | 2), static_cast<char>(bytes.size())} + bytes;
}
inline std::string number_field(int number, int value) {
  return {static_cast<char>(number << 3), static_cast<char>(value)};
}
/// f32 [B, 4]
inline std::string value_info(const std::string& name) {
  const std::string shape = bytes_field(1, bytes_field(2, "B")) + bytes_field(1, number_field(1, 4));
  return bytes_field(1, name) + bytes_field(2, bytes_field(1, number_field(1, 1) + bytes_field(2, shape)));
}
/// x -> op -> y, with `weight` beside x when it is given.
inline std::string graph(const std::string& op, const std::string& weight = "") {
  const std::string second = weight.empty() ? "" : bytes_field(1, "w");
  const std::string node =
      bytes_field(1, "x") + second + bytes_field(2, "y") + bytes_field(3, "n") + bytes_field(4, op);
  const std::string initializer = weight.empty() ? "" : bytes_field(5, weight);
  // Cut in two: a graph of more than 127 bytes has a length of two bytes.
  const std::string body = bytes_field(1, node) + bytes_field(2, "g") + initializer +
                           bytes_field(11, value_info("x")) + bytes_field(12, value_info("y"));
  const std::string length{static_cast<char>((body.size() & 0x7F) | 0x80),
                           static_cast<char>(body.size() >> 7)};
  return number_field(1, 8) + std::string(1, static_cast<char>(7 << 3 | 2)) + length + body +
         bytes_field(8, number_field(2, 17));
}
/// f32 [4, 4] whose numbers lie in another file.
inline std::string external_weight(const std::string& file) {
  const std::string location = bytes_field(1, "location") + bytes_field(2, file);
  return number_field(1, 4) + number_field(1, 4) + number_field(2, 1) + bytes_field(8, "w") +
         bytes_field(13, location) + number_field(14, 1);
}

inline bool contains(const char* text, const std::string& part) {
  return std::string(text).find(part) != std::string::npos;
}

}  // namespace tensorrt_fixture
