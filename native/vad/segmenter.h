#pragma once
// Speech probabilities, block after block -> segments of speech.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "vad/vad_block.h"

namespace trt_asr {

/// When speech begins and ends. Lengths are samples at 16 kHz; they need not be multiples of a block.
struct SegmentRules {
  // CONTRACT: a block is speech from this probability on. SOURCE: Silero's own default. WHY: lower takes
  // noise for speech, higher loses quiet speakers. TODO: word error rates over thresholds, real weights.
  float threshold = 0.5F;
  /// Once in speech, a block stays speech down to this probability; see `threshold_off_of`.
  float threshold_off = 0.35F;
  // CONTRACT: a segment ends after 500 ms without speech. SOURCE: judgement: pauses within a sentence mostly
  // last less; Silero's 100 ms cuts sentences. WHY: shorter loses context, longer delays every final text.
  // TODO: word error rate and delay on conversations.
  std::size_t silence_samples = 8000;
  // CONTRACT: a segment with less than 100 ms of speech is not one. SOURCE: judgement: a short vowel lasts
  // about that, a click or a knock a block or two; Silero's 250 ms drop a short "yes". WHY: each false
  // segment costs a run of the encoder, and noise may be written down as words. TODO: as above.
  std::size_t min_speech_samples = 1600;
  // CONTRACT: a segment begins 300 ms before its speech and ends 200 ms after it. SOURCE: judgement: unvoiced
  // consonants before and after a word are quiet and last up to about 200 ms; Silero's 30 ms are for models
  // that only count speech. WHY: without them first and last words lose sounds. TODO: as above.
  std::size_t pre_roll_samples = 4800;
  std::size_t hang_over_samples = 3200;
  // CONTRACT: after 28 s whoever decodes cuts a segment; the segmenter itself does not. SOURCE: windows are
  // 30 s, less the context beyond a cut. WHY: bounds memory and delay. TODO: none.
  std::size_t utterance_samples_max = 448000;

  /// Of a threshold. SOURCE: Silero's own rule.
  [[nodiscard]] static constexpr float threshold_off_of(float threshold) noexcept {
    return std::max(threshold - 0.15F, 0.01F);
  }
};

/// Samples [begin, end) of a stream.
struct Segment {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  [[nodiscard]] bool operator==(const Segment&) const noexcept = default;
};

/// The segments of one stream. Plain data: a copy goes on by itself, a fresh one starts at sample 0.
///
/// A block is speech when its probability is at least `threshold`, or at least `threshold_off` when the block
/// before it was speech. A segment is open from its first block of speech until `silence_samples` without any
/// have passed, counted in whole blocks. It begins `pre_roll_samples` before its first speech, but not before
/// the end of the segment before it, and ends `hang_over_samples` after its last, but not beyond what was
/// heard. One whose blocks of speech make less than `min_speech_samples` is dropped. Segments are therefore
/// in order and apart.
class Segmenter {
 public:
  /// Takes the probability of the next block; one that is not a number is no speech. Returns the segment that
  /// this block of silence ended. The rules may change from block to block.
  std::optional<Segment> take(float probability, const SegmentRules& rules) noexcept;

  /// Says that a part of the open segment was taken already: it is told whatever its speech amounts to.
  /// Precondition: in_speech().
  void cut() noexcept { cut_ = true; }

  /// The stream ends at `total_samples`, which may cut the last block short or lie up to a block beyond it.
  /// Returns the open segment, ended there, unless it is too short in speech. Nothing is taken afterwards.
  std::optional<Segment> finish(std::uint64_t total_samples, const SegmentRules& rules) noexcept;

  /// Blocks taken, in samples.
  [[nodiscard]] std::uint64_t heard_samples() const noexcept { return heard_; }

  /// No segment that is not told yet begins before this sample; never decreases.
  [[nodiscard]] std::uint64_t keep_from() const noexcept { return keep_from_; }

  /// A segment is open. It may yet turn out too short.
  [[nodiscard]] bool in_speech() const noexcept { return open_; }

  /// Begin of the open segment. Precondition: in_speech().
  [[nodiscard]] std::uint64_t segment_begin() const noexcept { return keep_from_; }

 private:
  std::optional<Segment> close(std::uint64_t end, const SegmentRules& rules) noexcept;
  void forget(const SegmentRules& rules) noexcept;

  std::uint64_t heard_ = 0;
  std::uint64_t keep_from_ = 0;   ///< Begin of the open segment, too.
  std::uint64_t speech_ = 0;      ///< Samples in the open segment's blocks of speech.
  std::uint64_t speech_end_ = 0;  ///< End of its last one.
  bool open_ = false;
  bool speaking_ = false;  ///< The last block was speech.
  bool cut_ = false;       ///< A part of the open segment was taken.
};

}  // namespace trt_asr
