#pragma once
// An utterance's tokens against those that a golden set has for the clip.

#include <algorithm>
#include <cmath>
#include <string>

#include "check.h"
#include "golden.h"
#include "recognizer_fixture.h"

namespace fixture {

inline void check_tokens(const golden::Set& set, const std::string& clip, const Outcome& outcome,
                         float tolerance) {
  const auto ids = set.ints(clip, "tokens");
  const auto frames = set.ints(clip, "frames");
  const auto durations = set.ints(clip, "durations");
  const auto confidence = set.floats(clip, "confidence");
  CHECK_MESSAGE(outcome.last == EventKind::end, clip + " " + outcome.message);
  CHECK_MESSAGE(outcome.tokens.size() == ids.size(), clip + ": " + std::to_string(outcome.tokens.size()) +
                                                         " tokens, NeMo " + std::to_string(ids.size()));
  for (std::size_t i = 0; i < std::min(ids.size(), outcome.tokens.size()); ++i) {
    CHECK_MESSAGE(outcome.tokens[i].id == ids[i], clip);
    CHECK_MESSAGE(outcome.tokens[i].frame == frames[i], clip);
    CHECK_MESSAGE(outcome.tokens[i].duration_frames == durations[i], clip);
    CHECK_MESSAGE(std::abs(outcome.tokens[i].confidence - confidence[i]) <= tolerance, clip);
  }
}

}  // namespace fixture
