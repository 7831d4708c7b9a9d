#include "decode/greedy_ctc.h"

#include <algorithm>

#include "base/contract.h"

namespace trt_asr {

namespace {

class GreedyCtc final : public GreedyDecoder {
 public:
  GreedyCtc(DecodeRules rules, std::span<CtcState> states) noexcept
      : rules_(std::move(rules)), states_(states) {}

  Status reset(SlotId slot) noexcept override {
    TRT_ASR_REQUIRE(slot < states_.size(), internal, "slot", "below " + show(states_.size()), slot, "");
    states_[slot] = ctc_start(rules_);
    return {};
  }

  Status fork(SlotId from, SlotId to) noexcept override {
    const bool known = from < states_.size() && to < states_.size();
    TRT_ASR_REQUIRE(known, internal, "slot", "below " + show(states_.size()), std::max(from, to), "");
    states_[to] = states_[from];
    return {};
  }

  Status decode(const TensorView& encoded_BTD, std::span<DecodeRow> rows) noexcept override {
    const std::int32_t classes = rules_.vocabulary + 1;
    TRT_ASR_TRY(check_batch(encoded_BTD, classes, rows, static_cast<std::uint32_t>(states_.size())));
    for (const DecodeRow& row : rows)
      TRT_ASR_REQUIRE(states_[row.slot].started == 1, internal, "slot", "one that was reset", row.slot, "");
    const auto row_elements =
        static_cast<std::size_t>(encoded_BTD.shape[1]) * static_cast<std::size_t>(classes);
    for (DecodeRow& row : rows) {
      const float* first = static_cast<const float*>(encoded_BTD.data) + row.row * row_elements;
      // The slot is written only when the row went well, so a failed row leaves it where it was.
      CtcState state = states_[row.slot];
      TRT_ASR_TRY(ctc_greedy(rules_, {first, row_elements}, row, state));
      states_[row.slot] = state;
    }
    return {};
  }

 private:
  DecodeRules rules_;
  std::span<CtcState> states_;
};

}  // namespace

Result<std::unique_ptr<GreedyDecoder>> create_greedy_ctc(const DecodeRules& rules,
                                                         std::span<CtcState> states) noexcept {
  TRT_ASR_TRY(check_rules(rules));
  return std::unique_ptr<GreedyDecoder>(std::make_unique<GreedyCtc>(rules, states));
}

}  // namespace trt_asr
