// The cache-aware encoder against NeMo's streaming, and against itself in other company.

#include <cmath>
#include <cstring>
#include <limits>

#include "allocation_counter.h"
#include "cache_aware_fixture.h"
#include "encoder/encoder.h"
#include "features/log_mel.h"
#include "golden.h"

using namespace cache_aware;

namespace {

/// Largest excess of |a - b| over tolerance (1 + |b|); not above 0 means that they agree.
double excess(const std::vector<float>& a, const std::vector<float>& b, double tolerance = 1e-4) {
  if (a.size() != b.size()) return std::numeric_limits<double>::infinity();
  double worst = -1;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double most = tolerance * (1 + std::fabs(double{b[i]}));
    worst = std::max(worst, std::fabs(double{a[i]} - double{b[i]}) - most);
  }
  return worst;
}

/// Some frames of [T', D].
std::vector<float> frames_of(const std::vector<float>& encoded, const std::vector<std::int32_t>& frames,
                             std::size_t width) {
  std::vector<float> out;
  for (const std::int32_t frame : frames) {
    const auto begin = encoded.begin() + frame * static_cast<std::ptrdiff_t>(width);
    out.insert(out.end(), begin, begin + static_cast<std::ptrdiff_t>(width));
  }
  return out;
}

/// features_TM of 16 kHz samples, as the fixtures' contracts have them.
std::vector<float> features_of(const std::vector<float>& samples) {
  LogMelConfig config;
  config.mel_bins = bins;
  config.normalization = Normalization::none;
  Arena arena;
  auto mel = LogMel::create(config, arena);
  REQUIRE_OK(mel);
  const std::size_t frames = samples.size() / 160;
  std::vector<float> features_MT(frames * bins), features_TM(frames * bins);
  REQUIRE_OK(mel.value().log_mel(samples, 0, frames, features_MT, frames));
  for (std::size_t t = 0; t < frames; ++t) {
    for (std::size_t m = 0; m < static_cast<std::size_t>(bins); ++m)
      features_TM[t * bins + m] = features_MT[m * frames + t];
  }
  return features_TM;
}

/// The best path of log-probabilities without repeats and blanks.
std::vector<std::int32_t> ctc_tokens(const std::vector<float>& log_probs) {
  std::vector<std::int32_t> tokens;
  std::int32_t before = -1;
  for (auto at = log_probs.begin(); at != log_probs.end(); at += ctc_classes) {
    const auto label = static_cast<std::int32_t>(std::max_element(at, at + ctc_classes) - at);
    if (label != before && label != ctc_classes - 1) tokens.push_back(label);
    before = label;
  }
  return tokens;
}

ErrorCode code_of(const Status& status) {
  return status.ok() ? ErrorCode::closed : status.error().code;
}

Status encode(Opened& opened, std::vector<ChunkRow> rows) {
  return opened.encoder->encode(rows, *opened.caches);
}

/// Why a graph that says other things of itself cannot be opened.
Error refusal(const std::function<void(StandIn&)>& change, CacheAwareConfig config = config_of(2)) {
  auto engine = std::make_shared<StandIn>(engine_of(rnnt));
  change(*engine);
  Arena arena;
  const auto opened = CacheAwareEncoder::open(engine, config, 1, arena);
  REQUIRE(!opened.ok());
  return opened.error();
}

}  // namespace

CASE("a closed loop over each clip equals NeMo's, chunk by chunk") {
  for (const auto& [set_name, path] : {std::pair{"streaming/ctc", ctc}, {"streaming/rnnt", rnnt}}) {
    const golden::Set set(set_name);
    Opened opened(path);
    std::size_t clips = 0;
    for (const auto& item : set.all("item")) {
      const std::string& clip = item[1];
      const std::vector<std::int32_t> counts = set.ints(clip, "chunk_encoded");
      if (counts.empty()) continue;
      const bool has_features = set.has("tensor", clip, "features");
      const Stream stream =
          heard(opened, has_features ? set.tensor(clip, "features").values : features_of(set.clip(clip)));
      CHECK_MESSAGE(stream.counts == counts, clip);
      REQUIRE(stream.counts == counts);
      const golden::Tensor wanted = set.tensor(clip, "encoded");
      const std::vector<float> found =
          frames_of(stream.encoded, set.ints(clip, "encoded_rows"), wanted.extents[1]);
      // Features that are computed here differ from NeMo's by up to 3e-4.
      const double worst = excess(found, wanted.values, has_features ? 1e-4 : 1e-3);
      CHECK_MESSAGE(worst <= 0, clip + " by " + std::to_string(worst));
      if (path == ctc) CHECK_MESSAGE(ctc_tokens(stream.encoded) == set.ints(clip, "tokens"), clip);
      ++clips;
    }
    CHECK(clips >= 10);
  }
}

CASE("rows of a batch equal the same streams alone, also those that begin later and end earlier") {
  for (const std::string& path : {ctc, rnnt}) {
    Opened opened(path);
    std::vector<Stream> streams;
    for (const std::int32_t frames : {203, 90, 17, 158})
      streams.emplace_back(noise(frames, static_cast<std::uint32_t>(frames)),
                           static_cast<std::uint32_t>(streams.size()));
    for (std::size_t call = 0; !std::ranges::all_of(streams, &Stream::over); ++call) {
      std::vector<Stream*> rows;
      // The third joins after the eighth chunk; the order of rows changes from call to call.
      for (std::size_t index = 0; index < streams.size(); ++index) {
        Stream& stream = streams[(index + call) % streams.size()];
        if (!stream.over && (stream.slot != 2 || call >= 8)) rows.push_back(&stream);
      }
      step(opened, rows);
    }
    for (const Stream& stream : streams) {
      const Stream alone = heard(opened, stream.features, 5);
      CHECK(stream.counts == alone.counts);
      CHECK_MESSAGE(excess(stream.encoded, alone.encoded) <= 0, "slot " + std::to_string(stream.slot));
    }
  }
}

CASE("streams of two slots in turn do not hear each other") {
  for (const std::string& path : {ctc, rnnt}) {
    Opened opened(path);
    Stream one(noise(150, 1), 1), other(noise(121, 2), 4);
    while (!one.over || !other.over) {
      if (!one.over) step(opened, {&one});
      if (!other.over) step(opened, {&other});
    }
    CHECK(one.encoded == heard(opened, one.features, 0).encoded);
    CHECK(other.encoded == heard(opened, other.features, 0).encoded);
  }
}

CASE("after a reset a slot begins afresh, and the others go on") {
  Opened opened(rnnt);
  Stream other(noise(100, 7), 3);
  step(opened, {&other});
  const Stream first = heard(opened, noise(90, 3), 2);
  CHECK(!opened.caches->is_fresh(2));
  CHECK(opened.caches->is_over(2));
  const Stream second = heard(opened, noise(75, 4), 2);
  while (!other.over) step(opened, {&other});
  Opened fresh(rnnt);
  CHECK(first.encoded == heard(fresh, first.features).encoded);
  CHECK(second.encoded == heard(fresh, second.features, 1).encoded);
  CHECK(other.encoded == heard(fresh, other.features, 2).encoded);
}

CASE("a run that fails leaves the caches as they were, and the chunk can be given again") {
  auto engine = std::make_shared<StandIn>(engine_of(rnnt));
  Opened opened(engine, config_of(2));
  Stream stream(noise(120, 5), 0);
  while (!stream.over) {
    std::vector<ChunkRow> rows = {write(*opened.encoder, stream, 0)};
    engine->fails = true;
    CHECK(code_of(opened.encoder->encode(rows, *opened.caches)) == ErrorCode::internal);
    engine->fails = false;
    step(opened, {&stream});
  }
  Opened plain(rnnt);
  CHECK(stream.encoded == heard(plain, stream.features).encoded);
}

CASE("what is no number in one stream fails that one alone, and only for this chunk") {
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    Opened opened(rnnt);
    Stream sound(noise(100, 8), 0), hurt(noise(100, 9), 1);
    step(opened, {&sound, &hurt});
    std::vector<ChunkRow> rows = {write(*opened.encoder, hurt, 0), write(*opened.encoder, sound, 1)};
    opened.encoder->features_MT(0)[900] = bad;
    REQUIRE_OK(opened.encoder->run(rows, *opened.caches));
    CHECK(code_of(opened.encoder->check_row(0)) == ErrorCode::bad_argument);
    CHECK(rows[0].encoded_frames == 0);
    REQUIRE_OK(opened.encoder->check_row(1));
    keep(*opened.encoder, sound, rows[1], 1);
    while (!sound.over) step(opened, {&sound, &hurt});
    while (!hurt.over) step(opened, {&hurt});
    Opened plain(rnnt);
    CHECK(excess(sound.encoded, heard(plain, sound.features).encoded) <= 0);
    CHECK(excess(hurt.encoded, heard(plain, hurt.features).encoded) <= 0);
  }
}

CASE("outputs that are no numbers, and lengths that are not the plan's, are errors") {
  struct Lie {
    const char* output;
    std::function<void(TensorView&)> tell;
  };
  const auto set_length = [](std::int64_t length) {
    return [length](TensorView& output) { std::memcpy(output.data, &length, sizeof length); };
  };
  const auto set_nan = [](TensorView& output) {
    static_cast<float*>(output.data)[40] = std::numeric_limits<float>::quiet_NaN();
  };
  for (const Lie& lie :
       {Lie{"encoded", set_nan}, Lie{"encoded_lengths", set_length(1)},
        Lie{"encoded_lengths", set_length(1LL << 40)}, Lie{"cache_last_channel_len_next", set_length(-1)},
        Lie{"cache_last_channel_len_next", set_length(71)}}) {
    auto engine = std::make_shared<StandIn>(engine_of(rnnt));
    Opened opened(engine, config_of(2));
    const Stream stream(noise(60, 6), 0);
    engine->change = [&](const std::string& name, TensorView& output) {
      if (name == lie.output) lie.tell(output);
    };
    const Status status = encode(opened, {write(*opened.encoder, stream, 0)});
    REQUIRE(!status.ok());
    CHECK(status.error().code == ErrorCode::contract_mismatch);
    CHECK_MESSAGE(status.error().field.find("'" + std::string(lie.output) + "'") != std::string::npos,
                  status.error().field);
    CHECK(opened.caches->is_fresh(0));
  }
}

CASE("chunks and rows that cannot be are refused") {
  Opened opened(rnnt);
  const Stream stream(noise(60, 6), 0);
  write(*opened.encoder, stream, 0);
  const auto refused = [&](std::vector<ChunkRow> rows) { return code_of(encode(opened, std::move(rows))); };
  // The first chunk: 16 frames of padding and up to 9 of audio.
  for (const std::int32_t frames : {-1, 0, 1, 15, 26, std::numeric_limits<std::int32_t>::max()})
    CHECK(refused({{0, frames}}) == ErrorCode::bad_argument);
  CHECK(refused({}) == ErrorCode::bad_argument);
  CHECK(refused({{0, 25}, {1, 25}, {2, 25}, {3, 25}, {4, 25}}) == ErrorCode::bad_argument);
  CHECK(refused({{6, 25}}) == ErrorCode::internal);
  CHECK(refused({{0, 25}, {0, 25}}) == ErrorCode::internal);
  CHECK(opened.caches->is_fresh(0));
  REQUIRE_OK(encode(opened, {{0, 25}}));
  // A later one: 9 frames again, of which alone nothing comes.
  for (const std::int32_t frames : {0, 9, 26}) CHECK(refused({{0, frames}}) == ErrorCode::bad_argument);
  REQUIRE_OK(encode(opened, {{0, 12}}));
  CHECK(refused({{0, 25}}) == ErrorCode::internal);
}

CASE("extents are derived from the graph; a contract that denies them is refused by the tensor") {
  const Opened opened(rnnt);
  const CacheAwareConfig& found = opened.encoder->config();
  CHECK(found.mel_bins == 80 && found.width == 32 && found.layers == 2 && found.channel_frames == 70);
  CHECK(found.channel_width == 32 && found.time_frames == 8);
  struct Denial {
    std::int32_t CacheAwareConfig::*field;
    const char* tensor;
  };
  for (const Denial& denial :
       {Denial{&CacheAwareConfig::mel_bins, "'features'"}, Denial{&CacheAwareConfig::width, "'encoded'"},
        Denial{&CacheAwareConfig::layers, "'cache_last_channel'"},
        Denial{&CacheAwareConfig::channel_frames, "'cache_last_channel'"},
        Denial{&CacheAwareConfig::channel_width, "'cache_last_channel'"},
        Denial{&CacheAwareConfig::time_frames, "'cache_last_time'"}}) {
    CacheAwareConfig config = found;
    config.*denial.field += 1;
    const Error error = refusal([](StandIn&) {}, config);
    CHECK(error.code == ErrorCode::contract_mismatch);
    CHECK_MESSAGE(error.field.find(denial.tensor) == 0, error.field);
  }
  CacheAwareConfig config = found;
  config.plan.cache_drop = 1;
  CHECK(refusal([](StandIn&) {}, config).field == "streaming.cache_drop_frames");
}

CASE("a plan of other chunks than the graph's is an error, not a wrong text") {
  Opened opened(engine_of(rnnt), config_of(3));
  const Stream stream(noise(60, 6), 0);
  CHECK(!encode(opened, {write(*opened.encoder, stream, 0)}).ok());
}

CASE("graphs of another kind or with damaged inputs and outputs are refused by the tensor") {
  for (const char* file : {"tiny-ours/encoder.onnx", "variants/ctc-causal/model.onnx"}) {
    Arena arena;
    const auto opened = CacheAwareEncoder::open(engine_of(models + file), config_of(2), 1, arena);
    REQUIRE(!opened.ok());
    CHECK(opened.error().code == ErrorCode::contract_mismatch);
    CHECK(opened.error().remedy.find("offline") != std::string::npos);
  }
  Arena arena;
  CHECK(!Encoder::open(engine_of(rnnt), EncoderConfig{80, 32, 8, 400, true}, 1, 25, arena).ok());
  struct Damage {
    const char* tensor;
    std::function<void(TensorSpec&)> apply;
  };
  const auto axis = [](std::size_t which, std::int64_t extent) {
    return [which, extent](TensorSpec& spec) {
      Shape shape;
      for (std::size_t at = 0; at < spec.shape.rank(); ++at)
        shape.push(at == which ? extent : spec.shape[at]);
      spec.shape = shape;
    };
  };
  const auto dtype = [](TensorSpec& spec) { spec.dtype = DType::i32; };
  const auto rank = [](TensorSpec& spec) { spec.rank = 5; };
  for (const Damage& damage : {Damage{"features", dtype},
                               Damage{"lengths", dtype},
                               Damage{"encoded", rank},
                               Damage{"encoded", dtype},
                               Damage{"encoded_lengths", dtype},
                               Damage{"cache_last_channel", dtype},
                               Damage{"cache_last_time", rank},
                               Damage{"cache_last_channel_len", dtype},
                               Damage{"cache_last_channel_next", rank},
                               Damage{"cache_last_time_next", dtype},
                               Damage{"cache_last_channel_len_next", rank},
                               Damage{"cache_last_time", axis(1, 3)},
                               Damage{"cache_last_time", axis(2, 16)},
                               Damage{"cache_last_channel_next", axis(1, 3)},
                               Damage{"cache_last_channel_next", axis(2, 69)},
                               Damage{"cache_last_channel_next", axis(3, 16)},
                               Damage{"cache_last_time_next", axis(1, 1)},
                               Damage{"cache_last_time_next", axis(2, 33)},
                               Damage{"cache_last_time_next", axis(3, 9)},
                               Damage{"cache_last_channel", axis(2, -1)}}) {
    const Error error = refusal([&](StandIn& engine) { damage.apply(engine.spec(damage.tensor)); });
    CHECK(error.code == ErrorCode::contract_mismatch);
    CHECK_MESSAGE(error.field.find("'" + std::string(damage.tensor) + "'") == 0,
                  std::string(damage.tensor) + ": " + error.field);
  }
  CHECK(refusal([](StandIn& engine) {
          engine.spec("cache_last_time_next").name = "something";
        }).expected.find("cache_last_time_next") != std::string::npos);
  CHECK(refusal([](StandIn& engine) { engine.space = MemorySpace::device; }).code ==
        ErrorCode::contract_mismatch);
}

CASE("the names and the layout of NeMo's own export: time last") {
  auto engine = std::make_shared<StandIn>(engine_of(rnnt));
  // The graph computes [B, T', D] of what is said to be [B, D, T']: the numbers come out in another order.
  engine->spec("features").name = "audio_signal";
  engine->spec("lengths").name = "length";
  engine->spec("cache_last_channel_len_next").name = "cache_last_channel_next_len";
  TensorSpec& encoded = engine->spec("encoded");
  encoded.name = "outputs";
  encoded.shape = Shape{-1, 32, -1};
  engine->binds_as = {"outputs", {1, 2, 32}};
  Opened opened(engine, config_of(2));
  const Stream stream(noise(9, 6), 0);
  REQUIRE_OK(encode(opened, {write(*opened.encoder, stream, 0)}));
  Opened plain(rnnt);
  const std::vector<float> wanted = heard(plain, stream.features).encoded;
  const auto* found = static_cast<const float*>(opened.encoder->encoded_BTD().data);
  for (std::size_t flat = 0; flat < 64; ++flat) CHECK(found[flat % 2 * 32 + flat / 2] == wanted[flat]);
}

CASE("from open on: no allocation by the core") {
  auto engine = engine_of(rnnt);
  Opened opened(engine, config_of(2));
  Stream one(noise(400, 1), 0), other(noise(300, 2), 1);
  for (Stream* stream : {&one, &other}) {
    stream->encoded.reserve(100000);
    stream->counts.reserve(1000);
  }
  std::vector<ChunkRow> rows(2);
  const long core = allocation_counter::by_core;
  const long library = allocation_counter::by_library;
  trt_asr::heap_owner() = HeapOwner::core;
  bool sound = true;
  for (int call = 0; sound && call < 12; ++call) {
    // Both, one, both: the batch changes, too.
    const std::size_t count = call % 3 == 1 ? 1 : 2;
    rows[0] = write(*opened.encoder, one, 0);
    if (count == 2) rows[1] = write(*opened.encoder, other, 1);
    sound = opened.encoder->encode(std::span(rows).first(count), *opened.caches).ok();
    keep(*opened.encoder, one, rows[0], 0);
    if (count == 2) keep(*opened.encoder, other, rows[1], 1);
  }
  opened.caches->reset(0);
  trt_asr::heap_owner() = HeapOwner::host;
  CHECK(sound);
  CHECK_MESSAGE(allocation_counter::by_core == core, std::to_string(allocation_counter::by_core - core));
  CHECK(allocation_counter::by_library > library);
}
