// What an export spells in many nodes, checked by what it does for given extents.

#include <algorithm>

#include "base/contract.h"
#include "engine/packed/recognise_encoder.h"

namespace trt_asr::packed {

namespace {

using Extents = std::vector<std::int64_t>;

template <class Visit>
bool each_position(const Extents& extents, const Visit& visit) {
  std::int64_t count = 1;
  for (const std::int64_t extent : extents) count *= extent;
  Extents at(extents.size(), 0);
  for (std::int64_t i = 0; i < count; ++i) {
    if (!visit(at)) return false;
    for (std::size_t axis = extents.size(); axis-- > 0;) {
      if (++at[axis] < extents[axis]) break;
      at[axis] = 0;
    }
  }
  return true;
}

/// Whether each axis of the mask has 1 or the extent of the axis of x that it goes with.
bool broadcasts_to(const Array& mask, const Array& x) {
  if (mask.extents.size() > x.extents.size()) return false;
  return std::equal(mask.extents.rbegin(), mask.extents.rend(), x.extents.rbegin(),
                    [](std::int64_t of_mask, std::int64_t of_x) { return of_mask == 1 || of_mask == of_x; });
}

/// The element of `mask` at a position in what it broadcasts to.
double broadcast_at(const Array& mask, const Extents& at) {
  const std::size_t skipped = at.size() - mask.extents.size();
  Extents in_mask(at.begin() + static_cast<std::ptrdiff_t>(skipped), at.end());
  for (std::size_t axis = 0; axis < in_mask.size(); ++axis) {
    if (mask.extents[axis] == 1) in_mask[axis] = 0;
  }
  return mask.at(in_mask);
}

/// Whether x stays as it is here; nothing for a factor or a summand that does neither.
std::optional<bool> is_kept(const FrameMask& mask, double value) {
  if (mask.is_added) {
    if (value == 0.0) return true;
    // SOURCE: NeMo hides with -10,000; anything whose exponent vanishes does.
    return value <= -1000.0 ? std::optional<bool>(false) : std::nullopt;
  }
  if (value != 0.0 && value != 1.0) return std::nullopt;
  return (value != 0.0) == mask.match.kept_where_true;
}

/// All positions of x that the mask can tell apart: 1 for axes that it does not have.
Extents visited(const Array& mask, const Array& x) {
  Extents extents = x.extents;
  const std::size_t skipped = extents.size() - mask.extents.size();
  for (std::size_t axis = 0; axis < extents.size(); ++axis) {
    const bool varies =
        axis >= skipped && mask.extents[axis - skipped] != 1 && mask.strides[axis - skipped] != 0;
    // The batch always counts: a mask without it cannot hide the shorter row's frames alone.
    if (!varies && axis != 0) extents[axis] = 1;
  }
  return extents;
}

/// Whether two masks have the same elements and hide the same axis of the same extents.
bool is_same_mask(const Evaluation& evaluation, const FrameMask& a, const FrameMask& b) {
  const Array& left = evaluation[a.match.mask];
  const Array& right = evaluation[b.match.mask];
  return left.elements != nullptr && left.elements == right.elements && left.offset == right.offset &&
         left.extents == right.extents && left.strides == right.strides &&
         evaluation[a.match.x].extents == evaluation[b.match.x].extents && a.of_scores == b.of_scores &&
         a.level == b.level && a.time_axis == b.time_axis && a.is_added == b.is_added &&
         a.match.kept_where_true == b.match.kept_where_true;
}

Status check_mask(const Matcher& matcher, const FrameMask& mask, const TrialExtents& trial) {
  const Array& values = matcher.evaluation()[mask.match.mask];
  const Array& x = matcher.evaluation()[mask.match.x];
  const auto refused = [&](const char* what) {
    return matcher.refuse(mask.match.mask, "a mask of the frames beyond a row's length", what);
  };
  if (!values.known() || !x.has_shape || x.extents.empty()) {
    return refused("a mask that does not follow from lengths");
  }
  const std::size_t axis = mask.of_scores ? x.extents.size() - 1 : mask.time_axis;
  // Scores have queries before keys.
  if (x.extents[0] != 2 || axis >= x.extents.size() || (mask.of_scores && axis < 2) ||
      x.extents[axis] != trial.frames[mask.level] || !broadcasts_to(values, x)) {
    return refused("another shape");
  }
  Extents extents = visited(values, x);
  extents[axis] = x.extents[axis];
  const std::array<std::int64_t, 2>& lengths = trial.lengths[mask.level];
  const bool fits = each_position(extents, [&](const Extents& at) {
    const std::int64_t length = lengths[static_cast<std::size_t>(at[0])];
    const auto kept = is_kept(mask, broadcast_at(values, at));
    // What queries beyond the length see makes no difference.
    if (kept && mask.of_scores && at[axis - 1] >= length) return true;
    return kept && *kept == (at[axis] < length);
  });
  return fits ? Status() : refused("other frames");
}

/// What an element's row-major index in `from` has to be, for a position in `to`.
class MoveRule {
 public:
  MoveRule(Move move, const Array& from, const Array& to)
      : move_(move), from_(from.extents), to_(to.extents) {}

  [[nodiscard]] bool fits_shapes() const {
    switch (move_) {
      case Move::none:
        return false;
      case Move::features:
        return from_.size() == 3 && to_ == Extents{from_[0], 1, from_[2], from_[1]};
      case Move::flattened:
        return from_.size() == 4 && to_ == Extents{from_[0], from_[2], from_[1] * from_[3]};
      case Move::heads:
        return is_frames() && to_.size() == 4 && to_[0] == from_[0] && to_[1] == from_[1];
      case Move::turned:
        return from_.size() == 4 && to_ == Extents{from_[0], from_[2], from_[1], from_[3]};
      case Move::queries:
        return is_frames() && to_.size() == 4 && to_[0] == from_[0] && to_[2] == from_[1];
      case Move::keys:
        return is_frames() && to_.size() == 4 && to_[0] == from_[0] && to_[3] == from_[1];
      case Move::positions:
        return from_.size() >= 2 && to_.size() >= 3 && to_.back() == from_[from_.size() - 2] &&
               (to_.size() == 3 || (to_.size() == 4 && to_[0] == 1));
      case Move::shifted:
        return from_.size() == 4 && from_[3] >= 2 * from_[2] - 1 &&
               to_ == Extents{from_[0], from_[1], from_[2], from_[2]};
      case Move::joined:
        return from_.size() == 4 && to_ == Extents{from_[0], from_[2], from_[1] * from_[3]};
    }
    return false;
  }

  /// Precondition: fits_shapes().
  [[nodiscard]] std::int64_t source(const Extents& at) const {
    switch (move_) {
      case Move::none:
        return -1;
      case Move::features:
        return (at[0] * from_[1] + at[3]) * from_[2] + at[2];
      case Move::flattened: {
        const std::int64_t channel = at[2] / from_[3];
        return ((at[0] * from_[1] + channel) * from_[2] + at[1]) * from_[3] + at[2] % from_[3];
      }
      case Move::heads:
        return (at[0] * from_[1] + at[1]) * from_[2] + at[2] * to_[3] + at[3];
      case Move::turned:
        return ((at[0] * from_[1] + at[2]) * from_[2] + at[1]) * from_[3] + at[3];
      case Move::queries:
        return (at[0] * from_[1] + at[2]) * from_[2] + at[1] * to_[3] + at[3];
      case Move::keys:
        return (at[0] * from_[1] + at[3]) * from_[2] + at[1] * to_[2] + at[2];
      case Move::positions: {
        const std::size_t rank = at.size();
        const std::int64_t width_of_head = to_[rank - 2];
        return at[rank - 1] * from_.back() + at[rank - 3] * width_of_head + at[rank - 2];
      }
      case Move::shifted: {
        const std::int64_t column = from_[2] - 1 - at[2] + at[3];
        return ((at[0] * from_[1] + at[1]) * from_[2] + at[2]) * from_[3] + column;
      }
      case Move::joined: {
        const std::int64_t head = at[2] / from_[3];
        return ((at[0] * from_[1] + head) * from_[2] + at[1]) * from_[3] + at[2] % from_[3];
      }
    }
    return -1;
  }

 private:
  [[nodiscard]] bool is_frames() const { return from_.size() == 3; }

  Move move_;
  Extents from_;
  Extents to_;
};

const char* move_name(Move move) {
  switch (move) {
    case Move::features:
      return "frames of mel bins";
    case Move::flattened:
      return "the channels of a frame, bin by bin, side by side";
    case Move::shifted:
      return "scores of positions moved to the keys that they are of";
    case Move::joined:
      return "the heads of a frame side by side";
    default:
      return "the channels of a frame head by head";
  }
}

}  // namespace

TrialExtents TrialExtents::of(std::int64_t frames, std::int64_t shorter) noexcept {
  TrialExtents trial;
  trial.frames[0] = frames;
  trial.lengths[0] = {frames, shorter};
  const auto halved = [](std::int64_t count) { return (count - 1) / 2 + 1; };
  for (std::size_t level = 1; level < 4; ++level) {
    trial.frames[level] = halved(trial.frames[level - 1]);
    for (std::size_t row = 0; row < 2; ++row) {
      trial.lengths[level][row] = halved(trial.lengths[level - 1][row]);
    }
  }
  return trial;
}

Status check_masks(const Matcher& matcher, const Findings& findings, const TrialExtents& trial) {
  // Layers share their masks, under names of their own.
  std::vector<const FrameMask*> checked;
  for (const FrameMask& each : findings.masks) {
    const bool is_known = std::any_of(checked.begin(), checked.end(), [&](const FrameMask* other) {
      return is_same_mask(matcher.evaluation(), each, *other);
    });
    if (is_known) continue;
    TRT_ASR_TRY(check_mask(matcher, each, trial));
    checked.push_back(&each);
  }
  return {};
}

Status check_moves(const Matcher& matcher, const Findings& findings) {
  for (const ExpectedMove& each : findings.moves) {
    const Array& from = matcher.evaluation()[each.from];
    const Array& to = matcher.evaluation()[each.to];
    const char* name = move_name(each.move);
    const auto is_followed = [](const Array& array) {
      return array.known() && array.count() >= 1 && array.count() <= made_elements_max;
    };
    if (!is_followed(from) || !is_followed(to)) {
      return matcher.refuse(each.to, name, "a move that is not known");
    }
    const MoveRule rule(each.move, from, to);
    const bool fits = rule.fits_shapes() && each_position(to.extents, [&](const Extents& at) {
                        return to.at(at) == static_cast<double>(rule.source(at));
                      });
    if (!fits) return matcher.refuse(each.to, name, "another order");
  }
  return {};
}

}  // namespace trt_asr::packed
