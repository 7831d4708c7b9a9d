// Counts what the core allocates once a recognizer is open: nothing.

#include "allocation_counter.h"
#include "check.h"
#include "golden.h"
#include "sessions_fixture.h"

using namespace fixture;

/// One allocation that no optimiser may leave out.
static void allocate() {
  void* volatile memory = std::malloc(100);
  std::free(memory);
}

CASE("the counter sees an allocation of the core, and one of a library apart") {
  const long core = allocation_counter::by_core;
  const long library = allocation_counter::by_library;
  {
    const trt_asr::HeapOwnerScope scope(trt_asr::HeapOwner::core);
    allocate();
    const trt_asr::HeapOwnerScope inner(trt_asr::HeapOwner::library);
    allocate();
  }
  allocate();
  CHECK(allocation_counter::by_core == core + 1);
  CHECK(allocation_counter::by_library == library + 1);
}

CASE("from open on, files short and long: no allocation by the core") {
  const golden::Set set("tiny");
  const auto clip = set.clip("speech.192000");
  std::vector<float> file;
  for (int i = 0; i < 6; ++i) {
    file.insert(file.end(), clip.begin(), clip.end());
    file.insert(file.end(), 16000, 0.0F);
  }
  for (const RecognizerConfig& config :
       {tiny_ours(), tiny_nemo(), tiny_sherpa(), rnnt_ours(), ctc_ours(), ctc_nemo(), ctc_causal()}) {
    Listener listener;
    auto recognizer = Recognizer::open(config, listener.sink());
    REQUIRE_OK(recognizer);
    Outcome outcomes[3];
    const long core = allocation_counter::by_core;
    const long library = allocation_counter::by_library;
    // The caller's side belongs to the core too: start, write and end run on this thread.
    trt_asr::heap_owner() = trt_asr::HeapOwner::core;
    for (Outcome& outcome : outcomes) {
      const auto id = recognizer.value()->start(&outcome);
      const auto fed = feed(*recognizer.value(), listener, id.value(), outcome, file, 4000);
      if (!fed.ok()) break;
      listener.wait(outcome);
    }
    trt_asr::heap_owner() = trt_asr::HeapOwner::host;
    for (const Outcome& outcome : outcomes) {
      CHECK(outcome.last == EventKind::end);
      CHECK(!outcome.tokens.empty());
    }
    const long by_core = allocation_counter::by_core - core;
    CHECK_MESSAGE(by_core == 0, std::to_string(by_core) + " allocations");
    CHECK(allocation_counter::by_library > library);
    std::printf("    %s: %ld by the core, %ld inside ONNX Runtime\n", config.model.files.encoder.c_str(),
                by_core, allocation_counter::by_library - library);
  }
}

CASE("from open on, live audio in every mode, alone and in batches: no allocation by the core") {
  const golden::Set set("tiny");
  const auto clip = set.clip("speech.192000");
  std::vector<float> file;
  for (int i = 0; i < 4; ++i) {
    file.insert(file.end(), clip.begin(), clip.end());
    file.insert(file.end(), 24000, 0.0F);
  }
  const BufferedContext context{50, 10, 10};
  for (RecognizerConfig config : {buffered(tiny_ours(), context), buffered(ctc_ours(), context),
                                  segmented(tiny_ours()), cached_rnnt(), cached_ctc()}) {
    for (const std::uint32_t batch_max : {1U, 3U}) {
      config.sessions_max = 3;
      config.batch_max = batch_max;
      Listener listener;
      auto recognizer = Recognizer::open(config, listener.sink());
      REQUIRE_OK(recognizer);
      Outcome outcomes[3];
      std::vector<UtteranceId> ids(3);
      const long core = allocation_counter::by_core;
      trt_asr::heap_owner() = trt_asr::HeapOwner::core;
      for (std::size_t i = 0; i < 3; ++i)
        ids[i] = recognizer.value()->start(&outcomes[i], UtteranceKind::live).value();
      // All at once, a little at a time, so that batches are full now and then.
      for (std::size_t at = 0; at < file.size(); at += 3000) {
        const auto piece = std::span(file).subspan(at, std::min<std::size_t>(3000, file.size() - at));
        for (std::size_t i = 0; i < 3; ++i) {
          std::span<const float> rest = piece;
          while (!rest.empty()) {
            const int rooms = listener.rooms(outcomes[i]);
            const auto taken = recognizer.value()->write(ids[i], rest);
            if (!taken.ok()) break;
            rest = rest.subspan(taken.value());
            if (!rest.empty()) listener.wait_for_room(outcomes[i], rooms);
          }
        }
      }
      for (std::size_t i = 0; i < 3; ++i) {
        if (recognizer.value()->end(ids[i]).ok()) listener.wait(outcomes[i]);
      }
      trt_asr::heap_owner() = trt_asr::HeapOwner::host;
      for (const Outcome& outcome : outcomes) {
        CHECK_MESSAGE(outcome.last == EventKind::end, outcome.message);
        CHECK(!outcome.tokens.empty());
      }
      const long by_core = allocation_counter::by_core - core;
      CHECK_MESSAGE(by_core == 0, std::to_string(by_core) + " allocations");
    }
  }
}
