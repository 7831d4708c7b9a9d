#pragma once
// Written by `npm run generate` from contracts/.

#include <array>
#include <cstdint>

/// Bounds of what a contract or a caller may say: against damaged files and mistyped numbers. SOURCE:
/// contracts/schema.json and contracts/limits.json.
namespace trt_asr::limits {

// SOURCE: every Parakeet and FastConformer preprocessor.
// WHY: the audio code resamples to it, and a model for another rate would give wrong text without an error.
inline constexpr std::int32_t audio_rate_hz = 16000;
// SOURCE: ours; a slot holds 2 MB of samples.
// WHY: a mistyped number should be an error, not an exhausted machine.
inline constexpr std::int32_t sessions_max = 4096;
// SOURCE: ours.
// WHY: a service rarely has one caller; four slots cost 8 MB.
inline constexpr std::int32_t sessions_default = 4;
// SOURCE: ours; a lane holds about 5 MB.
// WHY: as for sessions.
inline constexpr std::int32_t lanes_max = 64;
// SOURCE: ours, above the processors of any machine in sight.
// WHY: as for sessions.
inline constexpr std::int32_t threads_max = 256;
// SOURCE: ours.
// WHY: beyond that one window of 30 s gains little from more threads.
inline constexpr std::int32_t threads_default_max = 8;
// SOURCE: ours; 4 MB of samples at 16 kHz.
// WHY: writes that nobody waits for would pile up behind a recognizer that is slower than the audio.
inline constexpr std::int32_t session_queue_ms_max = 60000;
// SOURCE: ours; a final has a few kB.
// WHY: events that nobody reads would pile up without end; beyond it writes wait for the reader.
inline constexpr std::int32_t session_events_max = 256;
// SOURCE: NeMo's buffered transducer script.
// WHY: with it the words are those of the whole recording.
inline constexpr std::int32_t context_left_ms_default = 10000;
// SOURCE: as for the left context.
// WHY: as for the left context.
inline constexpr std::int32_t context_chunk_ms_default = 2000;
// SOURCE: as for the left context.
// WHY: as for the left context.
inline constexpr std::int32_t context_right_ms_default = 2000;
// SOURCE: the longest window, native/session/window_plan.cpp.
// WHY: quality falls beyond what was trained, and a slot holds no more.
inline constexpr std::int32_t context_ms_max = 30000;
// SOURCE: ours: longer than the pauses inside sentences.
// WHY: shorter parts sentences, longer holds their end back.
inline constexpr std::int32_t silence_ms_default = 800;
// SOURCE: ours; the voice detector hears a silence itself, tokens only tell that no word began.
// WHY: as for the silence between words.
inline constexpr std::int32_t segment_silence_ms_default = 500;
// SOURCE: ours: the closure of a plosive is shorter.
// WHY: silences inside words would end utterances.
inline constexpr std::int32_t silence_ms_min = 100;
// SOURCE: ours.
// WHY: a mistyped number should be an error.
inline constexpr std::int32_t silence_ms_max = 10000;
// SOURCE: ours: readers want sentences, not pages.
// WHY: speech without a pause would never become final.
inline constexpr std::int32_t utterance_ms_default = 20000;
// SOURCE: ours.
// WHY: below it utterances are single words.
inline constexpr std::int32_t utterance_ms_min = 1000;
// SOURCE: ours; a session holds the text of one utterance.
// WHY: as for the default.
inline constexpr std::int32_t utterance_ms_max = 600000;
// SOURCE: the longest window less context on one side.
// WHY: a segment is decoded as a whole.
inline constexpr std::int32_t segment_ms_max = 28000;
// SOURCE: ours; a row of a lane holds about 5 MB.
// WHY: a mistyped number should be an error, not an exhausted machine.
inline constexpr std::int32_t batch_max = 64;
// SOURCE: ours; docs/DECISION_LOG.md.
// WHY: where batches pay, most of the gain is there.
inline constexpr std::int32_t batch_default = 8;
// SOURCE: ours.
// WHY: text that waits longer is not live.
inline constexpr std::int32_t batch_wait_ms_max = 1000;
inline constexpr std::int32_t vocabulary_max = 1048576;
inline constexpr std::int32_t subsampling_max = 64;
inline constexpr std::int32_t symbols_per_frame_max = 1024;
inline constexpr std::int32_t sample_rate_hz_max = 384000;
inline constexpr std::int32_t mel_bins_max = 256;
inline constexpr std::int32_t fft_samples_min = 64;
inline constexpr std::int32_t fft_samples_max = 4096;
inline constexpr std::int32_t window_samples_min = 2;
inline constexpr std::int32_t hop_samples_min = 1;
inline constexpr std::int32_t durations_max = 64;
inline constexpr std::int32_t duration_frames_max = 1024;

}  // namespace trt_asr::limits

/// What a model without a contract is taken to be. SOURCE: contracts/parakeet-tdt-0.6b-v3.contract.json.
namespace trt_asr::reference {

inline constexpr std::int32_t sample_rate_hz = 16000;
inline constexpr std::int32_t mel_bins = 128;
inline constexpr std::int32_t fft_samples = 512;
inline constexpr std::int32_t window_samples = 400;
inline constexpr std::int32_t hop_samples = 160;
inline constexpr double pre_emphasis = 0.97;
inline constexpr double mel_low_hz = 0;
inline constexpr double mel_high_hz = 8000;
inline constexpr double log_guard = 5.960464477539063e-8;
inline constexpr double normalization_epsilon = 0.00001;
inline constexpr std::int32_t subsampling = 8;
inline constexpr std::int32_t frames_max = 5000;
inline constexpr std::int32_t max_symbols_per_frame = 10;
inline constexpr std::array<std::int32_t, 5> durations = {0, 1, 2, 3, 4};

}  // namespace trt_asr::reference
