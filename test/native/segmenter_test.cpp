// Segments of speech: by hand where the rules meet, and against a second, simple way to find them.

#include "vad/segmenter.h"

#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <type_traits>
#include <vector>

#include "check.h"

using namespace trt_asr;

namespace {

static_assert(std::is_trivially_copyable_v<Segmenter> && std::is_trivially_destructible_v<Segmenter>);
static_assert(std::is_trivially_copyable_v<SegmentRules> && std::is_trivially_copyable_v<Segment>);

constexpr std::uint64_t block = vad_block_samples;

/// In whole blocks, so that the cases below can be counted by hand.
SegmentRules in_blocks(std::size_t silence, std::size_t min_speech, std::size_t pre_roll,
                       std::size_t hang_over) {
  SegmentRules rules;
  rules.silence_samples = silence * block;
  rules.min_speech_samples = min_speech * block;
  rules.pre_roll_samples = pre_roll * block;
  rules.hang_over_samples = hang_over * block;
  return rules;
}

/// Probabilities of a drawing: '#' speech, '+' between the thresholds, '.' none.
std::vector<float> drawn(const std::string& drawing) {
  std::vector<float> probabilities;
  for (const char mark : drawing) probabilities.push_back(mark == '#' ? 0.9F : mark == '+' ? 0.4F : 0.1F);
  return probabilities;
}

/// All segments of a stream, the last one by its end.
std::vector<Segment> segments_of(const std::vector<float>& probabilities, const SegmentRules& rules,
                                 std::uint64_t total_samples) {
  std::vector<Segment> found;
  Segmenter segmenter;
  for (const float probability : probabilities) {
    if (const auto segment = segmenter.take(probability, rules)) found.push_back(*segment);
  }
  if (const auto segment = segmenter.finish(total_samples, rules)) found.push_back(*segment);
  return found;
}

/// In blocks, as "begin-end".
std::string text_of(const std::string& drawing, const SegmentRules& rules) {
  std::string text;
  for (const Segment& segment : segments_of(drawn(drawing), rules, drawing.size() * block)) {
    const auto in = [](std::uint64_t samples) {
      return samples % block == 0 ? std::to_string(samples / block)
                                  : std::to_string(static_cast<double>(samples) / block);
    };
    text += (text.empty() ? "" : " ") + in(segment.begin) + "-" + in(segment.end);
  }
  return text;
}

/// What the first blocks of a stream say, found by looking at all of them.
struct Known {
  std::vector<Segment> segments;
  bool open = false;
  std::uint64_t open_begin = 0;
  bool open_long_enough = false;
};

Known reference(const std::vector<float>& probabilities, std::size_t blocks, const SegmentRules& rules) {
  std::vector<std::size_t> speech;
  for (std::size_t n = 0; n < blocks; ++n) {
    const bool follows = !speech.empty() && speech.back() + 1 == n;
    if (probabilities[n] >= (follows ? std::min(rules.threshold, rules.threshold_off) : rules.threshold))
      speech.push_back(n);
  }
  // A run of this many blocks without speech ends a segment.
  std::size_t silent = 1;
  while (silent <= blocks && silent * block < rules.silence_samples) ++silent;
  Known known;
  std::uint64_t told = 0;
  for (std::size_t i = 0; i < speech.size();) {
    std::size_t j = i;
    while (j + 1 < speech.size() && speech[j + 1] - speech[j] - 1 < silent) ++j;
    const std::uint64_t first = speech[i] * block;
    const std::uint64_t last = (speech[j] + 1) * block;
    const std::uint64_t begin =
        std::max(told, first > rules.pre_roll_samples ? first - rules.pre_roll_samples : 0);
    const bool long_enough = (j - i + 1) * block >= rules.min_speech_samples;
    if (speech[j] + 1 + silent > blocks) {
      known.open = true;
      known.open_begin = begin;
      known.open_long_enough = long_enough;
    } else if (long_enough) {
      told = last + std::min<std::uint64_t>(rules.hang_over_samples, silent * block);
      known.segments.push_back({begin, told});
    }
    i = j + 1;
  }
  return known;
}

std::size_t between(std::mt19937& random, std::size_t low, std::size_t high) {
  return low + random() % (high - low + 1);
}

/// Runs of speech and silence, with doubtful blocks and, now and then, what is not a number.
std::vector<float> random_stream(std::mt19937& random, std::size_t blocks) {
  std::vector<float> probabilities;
  while (probabilities.size() < blocks) {
    const float middle = random() % 2 == 0 ? 0.1F : 0.8F;
    for (std::size_t left = between(random, 1, 12); left > 0; --left) {
      const float noise = static_cast<float>(random() % 1000) / 1000 - 0.5F;
      const bool is_number = random() % 50 != 0;
      probabilities.push_back(is_number ? std::clamp(middle + noise * 0.8F, 0.0F, 1.0F) : std::nanf(""));
    }
  }
  probabilities.resize(blocks);
  return probabilities;
}

SegmentRules random_rules(std::mt19937& random) {
  const auto length = [&](std::size_t high) {
    if (random() % 6 == 0) return std::size_t{0};
    if (random() % 40 == 0) return std::numeric_limits<std::size_t>::max();
    return between(random, 0, high);
  };
  SegmentRules rules;
  rules.threshold = 0.3F + static_cast<float>(random() % 50) / 100;
  rules.threshold_off = SegmentRules::threshold_off_of(rules.threshold);
  rules.silence_samples = length(10 * block);
  rules.min_speech_samples = length(6 * block);
  rules.pre_roll_samples = length(12 * block);
  rules.hang_over_samples = length(12 * block);
  return rules;
}

}  // namespace

CASE("a segment reaches from its pre-roll to its hang-over") {
  CHECK(text_of("......####........", in_blocks(4, 2, 2, 1)) == "4-11");
  CHECK(text_of("......####........", in_blocks(4, 2, 0, 0)) == "6-10");
  CHECK(text_of("..................", in_blocks(4, 0, 2, 1)).empty());
  CHECK(text_of("", in_blocks(4, 0, 2, 1)).empty());
}

CASE("speech from sample 0: there is nothing before it") {
  CHECK(text_of("###.......", in_blocks(4, 2, 2, 1)) == "0-4");
  CHECK(text_of(".##.......", in_blocks(4, 2, 2, 1)) == "0-4");
}

CASE("the stream ends inside speech, or before its silence is long enough: so does the segment") {
  CHECK(text_of("...###", in_blocks(4, 2, 2, 1)) == "1-6");
  CHECK(text_of("...###...", in_blocks(4, 2, 2, 1)) == "1-9");
  CHECK(text_of("...###....", in_blocks(4, 2, 2, 1)) == "1-7");
  CHECK(text_of("...#", in_blocks(4, 2, 2, 1)).empty());
}

CASE("the end lies within a block: short of the last one taken, or beyond it") {
  const SegmentRules rules = in_blocks(4, 2, 2, 1);
  const auto speech = drawn("...###");
  CHECK((segments_of(speech, rules, 6 * block - 100) == std::vector<Segment>{{block, 6 * block - 100}}));
  CHECK((segments_of(speech, rules, 6 * block + 511) == std::vector<Segment>{{block, 6 * block + 511}}));
  CHECK((segments_of({0.9F, 0.9F}, rules, 513) == std::vector<Segment>{{0, 513}}));
}

CASE("hysteresis: a doubtful block goes on with speech, but begins none") {
  CHECK(text_of("..++++....", in_blocks(2, 1, 0, 0)).empty());
  CHECK(text_of("..#+++....", in_blocks(2, 1, 0, 0)) == "2-6");
  CHECK(text_of("..#.++#.....", in_blocks(4, 1, 0, 0)) == "2-7");
  // After one quiet block doubtful ones are silence.
  CHECK(text_of("..##.+++++", in_blocks(3, 1, 0, 0)) == "2-4");
  CHECK(std::fabs(SegmentRules::threshold_off_of(0.5F) - 0.35F) < 1e-6F);
  CHECK(SegmentRules::threshold_off_of(0.1F) == 0.01F);
  CHECK(std::fabs(SegmentRules{}.threshold_off - SegmentRules::threshold_off_of(SegmentRules{}.threshold)) <
        1e-6F);
}

CASE("a probability of exactly the threshold is speech") {
  SegmentRules rules = in_blocks(2, 1, 0, 0);
  CHECK(segments_of({0.5F, 0.35F, 0, 0}, rules, 4 * block).size() == 1);
  CHECK((segments_of({0.5F, 0.35F, 0, 0}, rules, 4 * block)[0] == Segment{0, 2 * block}));
  CHECK(segments_of({std::nextafter(0.5F, 0.0F), 0, 0}, rules, 3 * block).empty());
}

CASE("a pause that is shorter than the silence does not part a segment") {
  CHECK(text_of("..##...##.....", in_blocks(4, 1, 0, 0)) == "2-9");
  CHECK(text_of("..##....##.....", in_blocks(4, 1, 0, 0)) == "2-4 8-10");
}

CASE("silence that is no multiple of a block counts in whole ones, and none at all as one") {
  SegmentRules rules = in_blocks(2, 1, 0, 0);
  rules.silence_samples = block + 1;
  CHECK(text_of("##.##..##", rules) == "0-5 7-9");
  rules.silence_samples = 0;
  CHECK(text_of("##.##..##.", rules) == "0-2 3-5 7-9");
}

CASE("clicks are dropped, also when several keep a segment open") {
  CHECK(text_of("..##........", in_blocks(4, 3, 1, 1)).empty());
  CHECK(text_of("..#..#......", in_blocks(4, 3, 1, 1)).empty());
  CHECK(text_of("..#..##.....", in_blocks(4, 3, 1, 1)) == "1-8");
  SegmentRules rules = in_blocks(4, 0, 1, 1);
  rules.min_speech_samples = 2 * block + 1;
  CHECK(text_of("..##........", rules).empty());
  CHECK(text_of("..###.......", rules) == "1-6");
}

CASE("a dropped click leaves its samples to the pre-roll of the next segment") {
  CHECK(text_of("..#....###.....", in_blocks(4, 2, 6, 1)) == "1-11");
}

CASE("pre-roll does not reach into the segment before, hang-over not beyond what was heard") {
  CHECK(text_of("..##....##.....", in_blocks(4, 1, 6, 3)) == "0-7 7-13");
  CHECK(text_of("..##....##....", in_blocks(4, 1, 6, 100)) == "0-8 8-14");
}

CASE("what is not a number is no speech") {
  const float none = std::nanf("");
  const SegmentRules rules = in_blocks(2, 1, 0, 0);
  CHECK(segments_of({none, none, none}, rules, 3 * block).empty());
  CHECK((segments_of({0.9F, none, none}, rules, 3 * block) == std::vector<Segment>{{0, block}}));
}

CASE("in_speech, segment_begin and keep_from while a stream goes on") {
  const SegmentRules rules = in_blocks(3, 2, 2, 1);
  Segmenter segmenter;
  CHECK(!segmenter.in_speech());
  CHECK(segmenter.keep_from() == 0);
  const std::string drawing = ".....##......";
  const std::vector<std::uint64_t> keep = {0, 0, 1, 2, 3, 3, 3, 3, 3, 8, 9, 10, 11};
  for (std::size_t n = 0; n < drawing.size(); ++n) {
    const auto ended = segmenter.take(drawn(drawing)[n], rules);
    CHECK(segmenter.heard_samples() == (n + 1) * block);
    CHECK(segmenter.in_speech() == (n >= 5 && n < 9));
    CHECK_MESSAGE(segmenter.keep_from() == keep[n] * block,
                  std::to_string(n) + ": " + std::to_string(segmenter.keep_from() / block));
    if (segmenter.in_speech()) CHECK(segmenter.segment_begin() == 3 * block);
    CHECK(ended.has_value() == (n == 9));
    if (ended) CHECK((*ended == Segment{3 * block, 8 * block}));
  }
}

CASE("positions beyond 2^32 samples, 75 hours") {
  const SegmentRules rules;
  Segmenter segmenter;
  constexpr std::uint64_t quiet = (std::uint64_t{1} << 32) / block + 1000;
  for (std::uint64_t n = 0; n < quiet; ++n) CHECK(!segmenter.take(0.1F, rules).has_value());
  for (int n = 0; n < 100; ++n) CHECK(!segmenter.take(0.9F, rules).has_value());
  std::optional<Segment> ended;
  while (!ended && segmenter.heard_samples() < (quiet + 200) * block) ended = segmenter.take(0.1F, rules);
  REQUIRE(ended.has_value());
  CHECK(ended->begin == quiet * block - rules.pre_roll_samples);
  CHECK(ended->end == (quiet + 100) * block + rules.hang_over_samples);
  CHECK(ended->begin > std::uint64_t{1} << 32);
}

CASE("random streams and rules: every prefix, and the end, as the simple way finds them") {
  std::mt19937 random(20);
  std::size_t told = 0;
  std::size_t dropped = 0;
  for (int round = 0; round < 3000; ++round) {
    const std::size_t blocks = between(random, 0, 120);
    const auto probabilities = random_stream(random, blocks);
    const SegmentRules rules = random_rules(random);
    Segmenter segmenter;
    std::vector<Segment> found;
    std::uint64_t kept = 0;
    bool same = true;
    for (std::size_t n = 0; n < blocks; ++n) {
      const bool was_open = segmenter.in_speech();
      const auto ended = segmenter.take(probabilities[n], rules);
      if (ended) found.push_back(*ended);
      if (was_open && !segmenter.in_speech() && !ended) ++dropped;
      const Known known = reference(probabilities, n + 1, rules);
      same = same && found == known.segments && segmenter.in_speech() == known.open;
      same = same && (!known.open || segmenter.segment_begin() == known.open_begin);
      same = same && segmenter.keep_from() >= kept && segmenter.keep_from() <= segmenter.heard_samples();
      same = same && (!ended || ended->begin >= kept);
      kept = segmenter.keep_from();
    }
    const std::uint64_t total = blocks * block + random() % block;
    Known known = reference(probabilities, blocks, rules);
    if (known.open && known.open_long_enough) known.segments.push_back({known.open_begin, total});
    if (const auto ended = segmenter.finish(total, rules)) found.push_back(*ended);
    same = same && found == known.segments && !segmenter.in_speech();
    CHECK_MESSAGE(same, "round " + std::to_string(round));
    told += found.size();
  }
  // The streams are such that both happen often.
  CHECK(told > 3000);
  CHECK(dropped > 300);
}

CASE("rules that change on the way: segments stay in order, apart and within what is kept") {
  std::mt19937 random(21);
  for (int round = 0; round < 2000; ++round) {
    Segmenter segmenter;
    std::uint64_t end = 0;
    std::uint64_t kept = 0;
    for (const float probability : random_stream(random, 100)) {
      const auto ended = segmenter.take(probability, random_rules(random));
      if (ended) {
        CHECK(ended->begin >= end && ended->begin >= kept && ended->begin < ended->end);
        CHECK(ended->end <= segmenter.heard_samples());
        end = ended->end;
      }
      CHECK(segmenter.keep_from() >= kept);
      kept = segmenter.keep_from();
      if (segmenter.in_speech()) CHECK(segmenter.segment_begin() >= end);
    }
  }
}

CASE("a copy goes on by itself") {
  std::mt19937 random(22);
  const auto first = random_stream(random, 50);
  const auto second = random_stream(random, 50);
  const SegmentRules rules = in_blocks(3, 2, 2, 1);
  Segmenter a;
  for (const float probability : first) (void)a.take(probability, rules);
  Segmenter b = a;
  for (const float probability : first) (void)b.take(probability, rules);
  for (const float probability : second) {
    Segmenter c = a;
    const auto ended = a.take(probability, rules);
    CHECK(c.take(probability, rules) == ended);
    CHECK(c.keep_from() == a.keep_from());
  }
  CHECK(a.heard_samples() == b.heard_samples());
}
