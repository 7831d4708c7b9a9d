#include "models.h"

#include <algorithm>
#include <numeric>

#include "golden.h"

namespace validate {

using namespace trt_asr;

std::vector<Clip> golden_clips() {
  const golden::Set set("demo-en");
  std::vector<Clip> clips;
  for (const golden::Record& record : set.all("clip")) {
    Clip clip;
    clip.name = record[1];
    if (!set.has("ints", clip.name, "tokens") || !set.has("ints", clip.name, "durations")) continue;
    clip.samples = set.clip(clip.name);
    const auto ids = set.ints(clip.name, "tokens");
    const auto frames = set.ints(clip.name, "frames");
    const auto durations = set.ints(clip.name, "durations");
    for (std::size_t i = 0; i < ids.size(); ++i) clip.tokens.push_back({ids[i], frames[i], durations[i], 0});
    clips.push_back(std::move(clip));
  }
  return clips;
}

std::size_t edits(std::span<const Token> expected, std::span<const Token> received) {
  std::vector<std::size_t> row(received.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < expected.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i + 1;
    for (std::size_t j = 0; j < received.size(); ++j) {
      const std::size_t replaced = diagonal + (expected[i].id == received[j].id ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j + 1] + 1, row[j] + 1});
    }
  }
  return row.back();
}

bool same_tokens(std::span<const Token> expected, std::span<const Token> received) {
  return std::equal(expected.begin(), expected.end(), received.begin(), received.end(),
                    [](const Token& a, const Token& b) {
                      return a.id == b.id && a.frame == b.frame && a.duration_frames == b.duration_frames;
                    });
}

Result<TokenLists> recognize_stepwise(const Model& model, std::span<const Clip> clips) {
  const ModelContract& contract = model.contract;
  Arena arena;
  std::size_t longest = 0;
  for (const Clip& clip : clips) longest = std::max(longest, clip.samples.size());
  const auto frames_max =
      static_cast<std::int32_t>(longest / static_cast<std::size_t>(contract.features.hop_samples));
  TRT_ASR_ASSIGN(LogMel mel, LogMel::create(contract.features, arena));
  TRT_ASR_ASSIGN(Encoder encoder, Encoder::open(model.encoder, contract.encoder, 1, frames_max, arena));
  TRT_ASR_ASSIGN(const DecoderSlots slots, claim_decoder_slots(contract.decoder, 1, arena));
  TRT_ASR_ASSIGN(auto decoder, open_decoder(model.transducer, contract.decoder, slots, arena));
  TokenLists lists;
  for (const Clip& clip : clips) {
    const std::size_t frames = mel.frames(clip.samples.size());
    const auto length = static_cast<std::int32_t>(frames);
    const std::span<float> features_MT = encoder.features_MT(0, length);
    TRT_ASR_TRY(mel.log_mel(clip.samples, 0, frames, features_MT, frames));
    TRT_ASR_TRY(mel.normalize(features_MT, frames, frames));
    TRT_ASR_TRY(encoder.encode(std::span<const std::int32_t>(&length, 1)));
    TRT_ASR_TRY(decoder->reset(0));
    DecodeRow row;
    row.frame_end = encoder.encoded_frames(length);
    row.ends = true;
    std::vector<Token> tokens(tokens_room(contract.decoder.rules, row.frame_end));
    row.tokens = tokens;
    TRT_ASR_TRY(decoder->decode(encoder.encoded_BTD(), std::span<DecodeRow>(&row, 1)));
    tokens.resize(row.tokens_count);
    lists.push_back(std::move(tokens));
  }
  return lists;
}

Result<TokenLists> recognize_on_gpu(const Model& model, std::span<const Clip> clips, std::int32_t batch) {
  std::size_t longest = 0;
  for (const Clip& clip : clips) longest = std::max(longest, clip.samples.size());
  Arena arena;
  TRT_ASR_ASSIGN(const LaneSlots slots, LaneSlots::claim(model, static_cast<std::uint32_t>(batch), 0, arena));
  TRT_ASR_ASSIGN(const auto pipeline, GpuPipeline::open(model, *slots.device, batch, longest));
  TokenLists lists;
  for (std::size_t begin = 0; begin < clips.size(); begin += static_cast<std::size_t>(batch)) {
    const auto part = clips.subspan(begin, std::min(clips.size() - begin, static_cast<std::size_t>(batch)));
    std::vector<DecodeRow> rows(part.size());
    std::vector<std::vector<Token>> tokens(part.size());
    for (std::size_t i = 0; i < part.size(); ++i) {
      TRT_ASR_TRY(pipeline->put(static_cast<std::int32_t>(i), part[i].samples));
      rows[i].slot = static_cast<SlotId>(i);
      rows[i].row = static_cast<std::uint32_t>(i);
      rows[i].frame_end = pipeline->encoded_frames(part[i].samples.size());
      rows[i].ends = true;
      tokens[i].resize(tokens_room(model.contract.decoder.rules, rows[i].frame_end));
      rows[i].tokens = tokens[i];
      TRT_ASR_TRY(pipeline->reset(rows[i].slot));
    }
    TRT_ASR_TRY(pipeline->encode(static_cast<std::int32_t>(part.size())));
    TRT_ASR_TRY(pipeline->decode(rows));
    for (std::size_t i = 0; i < part.size(); ++i) {
      tokens[i].resize(rows[i].tokens_count);
      lists.push_back(std::move(tokens[i]));
    }
  }
  return lists;
}

}  // namespace validate
