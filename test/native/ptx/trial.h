#pragma once
// An instruction on the machine over all combinations of hostile values, against what the host computes.

#include <bit>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "check.h"
#include "fixture.h"

namespace ptx_fixture {

using u16 = std::uint16_t;
using u32 = std::uint32_t;
using u64 = std::uint64_t;
using s16 = std::int16_t;
using s32 = std::int32_t;
using s64 = std::int64_t;

template <class Type>
std::vector<Type> hostile() {
  if constexpr (std::is_same_v<Type, bool>) {
    return {false, true};
  } else if constexpr (std::is_floating_point_v<Type>) {
    using Limits = std::numeric_limits<Type>;
    std::vector<Type> values{0,
                             1,
                             Type(0.5),
                             Type(1.5),
                             Type(2.5),
                             Type(3.14159265358979),
                             Type(1) / 3,
                             std::nextafter(Type(1), Type(2)),
                             Type(127.5),
                             Type(65535.5),
                             Type(2147483648.0),
                             Type(9223372036854775808.0),
                             Type(18446744073709551616.0),
                             Limits::max(),
                             Limits::min(),
                             Limits::denorm_min(),
                             Limits::min() - Limits::denorm_min(),
                             Limits::infinity(),
                             Limits::quiet_NaN()};
    for (std::size_t at = 0, size = values.size(); at < size; ++at) values.push_back(-values[at]);
    return values;
  } else {
    using Limits = std::numeric_limits<Type>;
    std::vector<Type> values{0, 1, 2, 7, 31, 32, 33, 63, 64, 65, 100, Type(-1), Type(-2), Type(-7)};
    for (const u64 bits : {0x7fULL, 0x80ULL, 0x12345678ULL, 0x8000ULL, 0x80000000ULL, 0x7ffffffffULL})
      values.push_back(static_cast<Type>(bits));
    values.insert(values.end(),
                  {Limits::min(), Limits::max(), Type(Limits::max() - 1), Type(Limits::min() + 1)});
    return values;
  }
}

template <class Type>
u64 bits_of(Type value) {
  u64 bits = 0;
  std::memcpy(&bits, &value, sizeof value);
  return bits;
}

/// What a register holds. Words of fewer than 8 bytes have zeros above.
struct Kind {
  char letter = 'b';  ///< 'p' for a predicate, 'f', 's', 'b'.
  std::size_t bytes = 4;

  [[nodiscard]] std::string name(int number) const {
    const char* const prefix = letter == 'p'   ? "%p"
                               : letter == 'f' ? (bytes == 4 ? "%f" : "%fd")
                               : bytes == 2    ? "%rs"
                               : bytes == 4    ? "%r"
                                               : "%rd";
    return prefix + std::to_string(number);
  }
  [[nodiscard]] std::string type() const { return (letter == 'f' ? ".f" : ".b") + std::to_string(bytes * 8); }
  [[nodiscard]] std::string text(u64 bits) const {
    if (letter == 'f')
      return std::to_string(bytes == 4 ? std::bit_cast<float>(static_cast<u32>(bits))
                                       : std::bit_cast<double>(bits));
    return letter == 's' ? std::to_string(static_cast<s64>(bits << (64 - bytes * 8)) >> (64 - bytes * 8))
                         : std::to_string(bits);
  }
};

template <class Type>
Kind kind_of() {
  if (std::is_same_v<Type, bool>) return {'p', 1};
  return {std::is_floating_point_v<Type> ? 'f' : std::is_signed_v<Type> ? 's' : 'b', sizeof(Type)};
}
template <class Type>
std::vector<u64> hostile_bits() {
  std::vector<u64> bits;
  for (const Type value : hostile<Type>()) bits.push_back(bits_of(value));
  return bits;
}

/// PTX tells nothing of a NaN in double precision but that it is one.
inline bool same(const Kind& kind, u64 received, u64 expected) {
  if (kind.letter == 'f' && kind.bytes == 8 && std::isnan(std::bit_cast<double>(expected))) {
    return std::isnan(std::bit_cast<double>(received));
  }
  return received == expected;
}

struct Trial {
  std::string opcode;
  Kind result;
  std::vector<Kind> operands;
  std::vector<std::vector<u64>> values;  ///< Of each operand.
  std::function<u64(const u64*)> expected;
  std::function<bool(const u64*)> wanted;  ///< Empty: all are.

  /// Runs the opcode on every combination of values that is wanted: a thread each, with four words of 8
  /// bytes.
  void run() const {
    Setting setting;
    setting.data.clear();
    std::vector<std::size_t> at(operands.size(), 0);
    for (std::size_t digit = 0; digit < at.size();) {
      u64 words[4] = {};
      for (std::size_t one = 0; one < at.size(); ++one) words[one] = values[one][at[one]];
      if (!wanted || wanted(words)) {
        for (const u64 word : words) {
          setting.data.push_back(static_cast<u32>(word));
          setting.data.push_back(static_cast<u32>(word >> 32));
        }
      }
      for (digit = 0; digit < at.size() && ++at[digit] == values[digit].size(); ++digit) at[digit] = 0;
    }
    const std::vector<u32> given = setting.data;
    const std::size_t threads = given.size() / 8;
    setting.block.x = 64;
    while (threads % setting.block.x != 0) --setting.block.x;
    setting.grid.x = static_cast<u32>(threads / setting.block.x);
    const Run run = run_text(kernel_of(body()), setting);
    CHECK_MESSAGE(run.finding.empty(), opcode + ": " + run.finding);
    int told = 0;
    for (std::size_t thread = 0; thread < threads && told < 3; ++thread) {
      const auto word = [&](const std::vector<u32>& data, std::size_t index) {
        return data[thread * 8 + index * 2] | u64{data[thread * 8 + index * 2 + 1]} << 32;
      };
      const u64 words[] = {word(given, 0), word(given, 1), word(given, 2)};
      const u64 right = expected(words);
      if (same(result, word(run.data, 3), right)) continue;
      ++told;
      std::string text = opcode;
      for (std::size_t one = 0; one < operands.size(); ++one) text += " " + operands[one].text(words[one]);
      check::fail(__FILE__, __LINE__,
                  text + ": received " + result.text(word(run.data, 3)) + ", expected " + result.text(right));
    }
  }

 private:
  [[nodiscard]] std::string body() const {
    std::string text =
        "mov.u32 %r3, %ntid.x;\nmad.lo.s32 %r4, %r1, %r3, %r0;\nmul.wide.s32 %rd3, %r4, 32;\n"
        "add.s64 %rd2, %rd1, %rd3;\n";
    std::string call = opcode + " " + result.name(4);
    for (std::size_t one = 0; one < operands.size(); ++one) {
      const std::string from = ", [%rd2+" + std::to_string(one * 8) + "];\n";
      const std::string name = operands[one].name(static_cast<int>(one) + 5);
      const bool predicate = operands[one].letter == 'p';
      text += predicate ? "ld.global.u32 %r10" + from + "setp.ne.s32 " + name + ", %r10, 0;\n"
                        : "ld.global" + operands[one].type() + " " + name + from;
      call += ", " + name;
    }
    text += call + ";\n";
    if (result.letter != 'p')
      return text + "st.global" + result.type() + " [%rd2+24], " + result.name(4) + ";\n";
    return text + "selp.u32 %r4, 1, 0, %p4;\nst.global.u32 [%rd2+24], %r4;\n";
  }
};

template <class Type>
Type value_of(u64 bits) {
  Type value{};
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

template <class... Operands, class Function, std::size_t... at>
auto call(const Function& function, const u64* words, std::index_sequence<at...>) {
  return function(value_of<Operands>(words[at])...);
}

/// What hangs on types alone, apart from the hundreds of functions.
template <class Result, class... Operands>
Trial plain_trial(const std::string& opcode) {
  return {opcode, kind_of<Result>(), {kind_of<Operands>()...}, {hostile_bits<Operands>()...}, {}, {}};
}

template <class Result, class... Operands, class Expected>
Trial trial_of(const std::string& opcode, Expected expected) {
  Trial trial = plain_trial<Result, Operands...>(opcode);
  trial.expected = [=](const u64* words) {
    return bits_of(
        static_cast<Result>(call<Operands...>(expected, words, std::index_sequence_for<Operands...>{})));
  };
  return trial;
}

template <class Result, class... Operands, class Expected>
void try_all(const std::string& opcode, Expected expected) {
  trial_of<Result, Operands...>(opcode, expected).run();
}

template <class Result, class... Operands, class Expected, class Wanted>
void try_where(const std::string& opcode, Expected expected, Wanted wanted) {
  Trial trial = trial_of<Result, Operands...>(opcode, expected);
  trial.wanted = [=](const u64* words) {
    return call<Operands...>(wanted, words, std::index_sequence_for<Operands...>{});
  };
  trial.run();
}

}  // namespace ptx_fixture
