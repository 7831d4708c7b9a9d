#include "encoder/encoder.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <thread>
#include <vector>

#include "base/contract.h"
#include "check.h"
#include "engine/ort/ort_engine.h"
#include "golden.h"

using namespace trt_asr;

namespace {

const std::string models = std::string(TRT_ASR_FIXTURES) + "/models/";
const std::string ours = models + "tiny-ours/encoder.onnx";
constexpr EncoderConfig tiny{128, 32, 8, 400};
constexpr std::int32_t longest_max = 400 * 8 + 8;

/// An open encoder with the memory it lives on.
struct Opened {
  Arena arena;
  std::unique_ptr<Encoder> encoder;

  explicit Opened(const std::string& path, std::int32_t batch_max = 8, EncoderConfig config = tiny) {
    auto engine = load_ort_engine({path, 1});
    REQUIRE_OK(engine);
    auto opened = Encoder::open(engine.take(), config, batch_max, longest_max, arena);
    REQUIRE_OK(opened);
    arena.seal();
    encoder = std::make_unique<Encoder>(opened.take());
  }
};

using Row = std::vector<float>;  ///< [frames, M], frame after frame as the goldens store it.

std::int32_t frames_of(const Row& row) {
  return static_cast<std::int32_t>(row.size() / 128);
}

/// Writes rows into the encoder's features; what lies beyond a row's end is dirt the encoder has to clear.
std::vector<std::int32_t> write(Encoder& encoder, const std::vector<Row>& rows) {
  std::vector<std::int32_t> lengths;
  std::int32_t longest = 0;
  for (const Row& row : rows) lengths.push_back(frames_of(row));
  for (const std::int32_t length : lengths) longest = std::max(longest, length);
  for (std::size_t b = 0; b < rows.size(); ++b) {
    const auto features_MT = encoder.features_MT(static_cast<std::int32_t>(b), longest);
    for (float& value : features_MT) value = 1e6F;
    for (std::int32_t t = 0; t < lengths[b]; ++t) {
      for (std::int32_t m = 0; m < 128; ++m) {
        features_MT[static_cast<std::size_t>(m * longest + t)] =
            rows[b][static_cast<std::size_t>(t * 128 + m)];
      }
    }
  }
  return lengths;
}

/// Valid encoded frames of each row, [T', D].
std::vector<std::vector<float>> encode(Encoder& encoder, const std::vector<Row>& rows) {
  const std::vector<std::int32_t> lengths = write(encoder, rows);
  REQUIRE_OK(encoder.encode(lengths));
  const TensorView& encoded = encoder.encoded_BTD();
  std::vector<std::vector<float>> out;
  for (std::size_t b = 0; b < rows.size(); ++b) {
    const float* begin = static_cast<const float*>(encoded.data) +
                         static_cast<std::int64_t>(b) * encoded.shape[1] * encoded.shape[2];
    out.emplace_back(begin, begin + encoder.encoded_frames(lengths[b]) * encoded.shape[2]);
  }
  return out;
}

struct Clip {
  std::string name;
  Row features;
  golden::Tensor encoded;
};

/// Clips whose features and encoder output NeMo wrote down.
std::vector<Clip> clips() {
  const golden::Set set("tiny");
  std::vector<Clip> found;
  for (const auto& item : set.all("item")) {
    if (!set.has("tensor", item[1], "features")) continue;
    found.push_back({item[1], set.tensor(item[1], "features").values, set.tensor(item[1], "encoded")});
  }
  REQUIRE(found.size() >= 5);
  return found;
}

/// Largest excess of |a - b| over 1e-4 + 1e-4 |b|; not above 0 means that they agree.
double excess(const std::vector<float>& a, const std::vector<float>& b) {
  if (a.size() != b.size()) return std::numeric_limits<double>::infinity();
  double worst = -1;
  for (std::size_t i = 0; i < a.size(); ++i) {
    worst = std::max(worst, std::fabs(double{a[i]} - double{b[i]}) - 1e-4 - 1e-4 * std::fabs(double{b[i]}));
  }
  return worst;
}

Row noise(std::int32_t frames, std::uint32_t seed) {
  Row row(static_cast<std::size_t>(frames) * 128);
  for (float& value : row) {
    seed = seed * 1664525U + 1013904223U;
    value = static_cast<float>(seed >> 8) / static_cast<float>(1U << 23) - 1.0F;
  }
  return row;
}

ErrorCode code_of(const Status& status) {
  return status.ok() ? ErrorCode::closed : status.error().code;
}

/// Outcome of opening a hostile overlay's encoder and, when it opens, of encoding noise.
Status outcome_of(const std::string& name) {
  auto engine = load_ort_engine({models + "hostile/" + name + "/encoder.onnx", 1});
  if (!engine.ok()) return engine.take_error();
  Arena arena;
  auto opened = Encoder::open(engine.take(), tiny, 1, longest_max, arena);
  if (!opened.ok()) return opened.take_error();
  return opened.value().encode(write(opened.value(), {noise(40, 1)}));
}

}  // namespace

CASE("encoder equals NeMo in every layout") {
  for (const char* file :
       {"tiny-ours/encoder.onnx", "tiny-nemo/encoder-model.onnx", "tiny-sherpa/encoder.onnx"}) {
    Opened opened(models + file);
    for (const Clip& clip : clips()) {
      const auto encoded = encode(*opened.encoder, {clip.features});
      CHECK_MESSAGE(excess(encoded[0], clip.encoded.values) <= 0, std::string(file) + " " + clip.name);
    }
  }
}

CASE("a ragged batch equals NeMo row by row") {
  for (const char* file : {"tiny-ours/encoder.onnx", "tiny-nemo/encoder-model.onnx"}) {
    Opened opened(models + file);
    std::vector<Row> rows;
    for (const Clip& clip : clips()) rows.push_back(clip.features);
    const auto encoded = encode(*opened.encoder, rows);
    for (std::size_t b = 0; b < rows.size(); ++b) {
      CHECK_MESSAGE(excess(encoded[b], clips()[b].encoded.values) <= 0, clips()[b].name);
    }
  }
}

CASE("rows of a batch equal the same rows alone at ragged lengths") {
  Opened opened(ours);
  const std::vector<Row> rows = {noise(1, 1), noise(7, 2),   noise(8, 3),
                                 noise(9, 4), noise(161, 5), noise(400, 6)};
  const auto together = encode(*opened.encoder, rows);
  for (std::size_t b = 0; b < rows.size(); ++b) {
    const auto alone = encode(*opened.encoder, {rows[b]});
    CHECK_MESSAGE(excess(together[b], alone[0]) <= 0, show(frames_of(rows[b])) + " frames");
  }
}

CASE("int8 encoders open, and the two layouts agree") {
  Opened nemo(models + "tiny-nemo/encoder-model.int8.onnx");
  Opened sherpa(models + "tiny-sherpa/encoder.int8.onnx");
  const Row row = noise(123, 9);
  CHECK(excess(encode(*nemo.encoder, {row})[0], encode(*sherpa.encoder, {row})[0]) <= 0);
}

CASE("mel bins and width are derived from the graph") {
  Opened opened(models + "tiny-nemo/encoder-model.onnx", 1, EncoderConfig{});
  CHECK(opened.encoder->config().mel_bins == 128);
  CHECK(opened.encoder->config().width == 32);
  CHECK(opened.encoder->config().frames_max == 5000);
}

CASE("log-probabilities come with their lengths or without, under the names of each export") {
  for (const char* file : {"variants/ctc-ours/model.onnx", "variants/ctc-nemo/model.onnx"}) {
    Opened opened(models + file, 2, EncoderConfig{128, 353, 8, 400});
    const auto log_probs = encode(*opened.encoder, {noise(40, 1), noise(161, 2)});
    CHECK_MESSAGE(log_probs[0].size() == 5 * 353, file);
    CHECK_MESSAGE(log_probs[1].size() == 21 * 353, file);
    double sum = 0;
    for (std::size_t k = 0; k < 353; ++k) sum += std::exp(double{log_probs[1][20 * 353 + k]});
    CHECK_MESSAGE(std::fabs(sum - 1) < 1e-4, file);
  }
}

CASE("encoded frames are the ceiling of an eighth") {
  Opened opened(ours, 1);
  for (std::int32_t frames = 1; frames <= 100; ++frames) {
    CHECK(opened.encoder->encoded_frames(frames) == (frames + 7) / 8);
  }
}

CASE("causal subsampling adds a frame: NeMo's lengths for factors of 4 and 8") {
  // Each convolution of stride 2 makes floor(L / 2) + 1 of L frames when causal, ceil(L / 2) otherwise.
  for (const std::int32_t subsampling : {2, 4, 8}) {
    const EncoderConfig causal{80, 32, subsampling, 400, true};
    const EncoderConfig plain{80, 32, subsampling, 400, false};
    for (std::int32_t frames = 0; frames <= 3000; ++frames) {
      std::int32_t wanted_causal = frames, wanted_plain = frames;
      for (std::int32_t factor = subsampling; factor > 1; factor /= 2) {
        wanted_causal = wanted_causal / 2 + 1;
        wanted_plain = (wanted_plain + 1) / 2;
      }
      CHECK(causal.encoded_frames(frames) == wanted_causal);
      CHECK(plain.encoded_frames(frames) == wanted_plain);
    }
    CHECK(causal.encoded_frames(0) == 1);
    CHECK(causal.encoded_frames(causal.whole_frames_max() * subsampling) == 400);
    CHECK(plain.encoded_frames(plain.whole_frames_max() * subsampling) == 400);
  }
}

CASE("a cache-aware encoder runs at every length up to the last row of its table, and says its lengths") {
  Opened opened(models + "variants/ctc-causal/model.onnx", 3, EncoderConfig{80, 353, 8, 400, true});
  Encoder& encoder = *opened.encoder;
  for (const std::vector<std::int32_t>& lengths :
       {std::vector<std::int32_t>{0}, {1}, {2}, {7, 8, 9}, {0, 64, 65}, {63, 1, 0}, {3193}}) {
    const std::int32_t longest = *std::max_element(lengths.begin(), lengths.end());
    for (std::size_t b = 0; b < lengths.size(); ++b) {
      for (float& value : encoder.features_MT(static_cast<std::int32_t>(b), std::max(1, longest))) value = 1;
    }
    REQUIRE_OK(encoder.encode(lengths));
    CHECK(encoder.encoded_BTD().shape[1] == (std::max(1, longest) + 14) / 8);
  }
  CHECK(code_of(encoder.encode(std::vector<std::int32_t>{-1})) == ErrorCode::bad_argument);
  CHECK(code_of(encoder.encode(std::vector<std::int32_t>{3194})) == ErrorCode::bad_argument);
}

CASE("a contract that denies causal subsampling, or makes it up, does not fit the graph") {
  for (const bool causal : {false, true}) {
    Opened opened(models + (causal ? "variants/ctc-80-ours/model.onnx" : "variants/ctc-causal/model.onnx"), 1,
                  EncoderConfig{80, 353, 8, 400, causal});
    for (float& value : opened.encoder->features_MT(0, 64)) value = 0;
    CHECK(!opened.encoder->encode(std::vector<std::int32_t>{64}).ok());
  }
}

CASE("the position table is full at its last row and refused after it") {
  Opened opened(ours, 1);
  CHECK(opened.encoder->encode(write(*opened.encoder, {noise(3200, 1)})).ok());
  CHECK(code_of(opened.encoder->encode(write(*opened.encoder, {noise(3201, 1)}))) == ErrorCode::bad_argument);
}

CASE("lengths and rows out of range are refused") {
  Opened opened(ours, 2);
  using Lengths = std::vector<std::int32_t>;
  for (const Lengths& lengths :
       {Lengths{}, Lengths{0}, Lengths{-1}, Lengths{longest_max + 1}, Lengths{8, 8, 8}}) {
    CHECK(code_of(opened.encoder->encode(lengths)) == ErrorCode::bad_argument);
  }
}

CASE("a contract that does not fit the graph is refused") {
  auto engine = load_ort_engine({ours, 1});
  REQUIRE_OK(engine);
  for (const EncoderConfig config : {EncoderConfig{80, 32, 8, 400}, EncoderConfig{128, 64, 8, 400},
                                     EncoderConfig{128, 32, 0, 400}, EncoderConfig{128, 32, 8, -1}}) {
    Arena arena;
    auto opened = Encoder::open(engine.value(), config, 1, 100, arena);
    REQUIRE(!opened.ok());
    CHECK(opened.error().code == ErrorCode::contract_mismatch);
  }
}

CASE("a wrong subsampling factor is an error, not a wrong text") {
  Opened opened(ours, 1, EncoderConfig{128, 32, 4, 400});
  CHECK(!opened.encoder->encode(write(*opened.encoder, {noise(160, 1)})).ok());
}

CASE("hostile encoders end in their error") {
  for (const char* name : {"encoder-text", "encoder-flipped", "encoder-truncated-rehashed"}) {
    CHECK_MESSAGE(code_of(outcome_of(name)) == ErrorCode::model_corrupt, name);
  }
  for (const char* name : {"input-name", "encoder-bins", "encoder-nan", "encoder-infinite", "lengths-lie"}) {
    CHECK_MESSAGE(code_of(outcome_of(name)) == ErrorCode::contract_mismatch, name);
  }
}

CASE("NaN in the features is caught") {
  Opened opened(ours, 1);
  Row row = noise(40, 1);
  row[700] = std::numeric_limits<float>::quiet_NaN();
  CHECK(code_of(opened.encoder->encode(write(*opened.encoder, {row}))) == ErrorCode::contract_mismatch);
  CHECK(opened.encoder->encode(write(*opened.encoder, {noise(40, 1)})).ok());
}

CASE("four threads on lanes of one engine get what one thread gets") {
  Opened reference(ours, 1);
  const auto expected = encode(*reference.encoder, {noise(99, 3)});
  std::vector<std::unique_ptr<Opened>> lanes;
  for (int i = 0; i < 4; ++i) lanes.push_back(std::make_unique<Opened>(ours, 1));
  std::vector<int> equal(4, 0);
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < 4; ++i) {
    threads.emplace_back([&, i] {
      const auto lengths = write(*lanes[i]->encoder, {noise(99, 3)});
      for (int run = 0; run < 10; ++run) {
        if (!lanes[i]->encoder->encode(lengths).ok()) return;
        const auto* begin = static_cast<const float*>(lanes[i]->encoder->encoded_BTD().data);
        equal[i] += std::vector<float>(begin, begin + expected[0].size()) == expected[0] ? 1 : 0;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const int count : equal) CHECK(count == 10);
}
