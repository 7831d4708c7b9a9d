#include "decode.h"

#include <algorithm>
#include <array>
#include <charconv>

namespace ptx {
namespace {

constexpr std::uint8_t kAnyBytes = 255;

/// Parts of an opcode between its dots.
std::vector<std::string_view> parts_of(std::string_view opcode) {
  std::vector<std::string_view> parts;
  for (std::size_t at = 0; at <= opcode.size();) {
    const std::size_t end = std::min(opcode.find('.', at), opcode.size());
    parts.push_back(opcode.substr(at, end - at));
    at = end + 1;
  }
  return parts;
}

/// Bytes of a type such as "u32" or "b64"; 0 where it is none.
std::uint8_t type_bytes(std::string_view type) {
  if (type.size() < 2 || std::string_view("busf").find(type[0]) == std::string_view::npos) return 0;
  const std::string_view bits = type.substr(1);
  if (bits == "8") return type[0] == 'f' ? 0 : 1;
  return bits == "16" ? 2 : bits == "32" ? 4 : bits == "64" ? 8 : 0;
}

class Decoder {
 public:
  Decoder(std::span<const Token> tokens, Names& names) : tokens_(tokens), names_(names) {}

  Instruction decode(std::string_view& label) {
    result_.line = now().line;
    guard();
    const std::string_view opcode = take();
    const std::vector<std::string_view> parts = parts_of(opcode);
    const std::string_view first = parts[0];
    if (first == "bra") {
      if (opcode != "bra" && opcode != "bra.uni") refuse("no such instruction");
      result_.kind = Kind::branch;
      label = take();
    } else if (opcode == "ret" || opcode == "exit") {
      result_.kind = Kind::exit;
    } else if (opcode == "bar.sync" || opcode == "barrier.sync") {
      result_.kind = Kind::barrier;
      result_.offset = number(take());
    } else if (first == "ld" || first == "st") {
      memory(parts);
    } else if (first == "atom") {
      atomic(parts);
    } else if (first == "cvta") {
      convert_address(opcode, parts);
    } else if (first == "mov" &&
               (next_is("{") || std::count_if(tokens_.begin(), tokens_.end(),
                                              [](const Token& token) { return token.text == "{"; }) > 0)) {
      pack();
    } else {
      compute(opcode, first);
    }
    if (at_ != tokens_.size()) refuse("more than the instruction takes");
    return result_;
  }

 private:
  [[noreturn]] void refuse(std::string_view what) const {
    throw Refused(tokens_.front().line, what, text_between(tokens_.front(), tokens_.back()));
  }
  [[nodiscard]] const Token& now() const {
    if (at_ == tokens_.size()) refuse("it ends too early");
    return tokens_[at_];
  }
  [[nodiscard]] bool next_is(std::string_view text) const {
    return at_ < tokens_.size() && tokens_[at_].text == text;
  }
  std::string_view take() {
    const std::string_view text = now().text;
    ++at_;
    return text;
  }
  void expect(std::string_view text) {
    if (take() != text) refuse("expected " + std::string(text));
  }

  void guard() {
    if (!next_is("@")) return;
    ++at_;
    if (next_is("!")) {
      ++at_;
      result_.negated = true;
    }
    result_.guard = reg(take(), kPredicate);
  }

  [[nodiscard]] Slot reg(std::string_view name, std::uint8_t bytes, bool wider = false) const {
    Names::Register found;
    if (!names_.find(name, found)) refuse("no register " + std::string(name));
    const bool fits =
        found.bytes == bytes || bytes == kAnyBytes || (wider && bytes != kPredicate && found.bytes > bytes);
    if (!fits) refuse("a register of another size, " + std::string(name));
    return found.slot;
  }

  [[nodiscard]] std::int64_t number(std::string_view text) const {
    const bool negative = text.starts_with("-");
    std::string_view digits = text.substr(negative ? 1 : 0);
    if (digits.ends_with("U")) digits.remove_suffix(1);
    const bool hexadecimal = digits.starts_with("0x") || digits.starts_with("0X");
    if (hexadecimal) digits.remove_prefix(2);
    std::uint64_t value = 0;
    const auto [end, error] =
        std::from_chars(digits.data(), digits.data() + digits.size(), value, hexadecimal ? 16 : 10);
    if (error != std::errc{} || end != digits.data() + digits.size())
      refuse("no number, " + std::string(text));
    return static_cast<std::int64_t>(negative ? std::uint64_t{0} - value : value);
  }

  /// A register, a special one, a number, or a symbol's address.
  Slot source(std::uint8_t bytes, bool wider = false) {
    const std::string_view text = take();
    if (text.starts_with("%")) {
      const Slot special = names_.special(text);
      if (special == kNoSlot) return reg(text, bytes, wider);
      if (bytes != 4) refuse("a special register has 32 bits");
      return special;
    }
    const bool single = text.starts_with("0f") || text.starts_with("0F");
    const bool twice = text.starts_with("0d") || text.starts_with("0D");
    if (single || twice) {
      const std::uint8_t size = single ? 4 : 8;
      if (size != bytes || text.size() != 2U + size * 2U)
        refuse("a number of another type, " + std::string(text));
      return names_.constant(static_cast<Word>(number("0x" + std::string(text.substr(2)))));
    }
    if (const Names::Symbol* symbol = names_.symbol(text)) {
      const bool narrow = symbol->space == Space::shared || symbol->space == Space::local;
      if (bytes != 8 && !(bytes == 4 && narrow)) refuse("an address has 32 or 64 bits");
      return names_.constant(symbol->address);
    }
    return names_.constant(static_cast<Word>(number(text)));
  }

  /// [register], [register+offset], [symbol+offset].
  void address(bool narrow_allowed) {
    expect("[");
    const std::string_view base = take();
    if (base.starts_with("%")) {
      Names::Register found;
      if (!names_.find(base, found)) refuse("no register " + std::string(base));
      result_.narrow = found.bytes == 4 && narrow_allowed;
      if (found.bytes != 8 && !result_.narrow) refuse("an address of another size");
      result_.address = found.slot;
    } else if (const Names::Symbol* symbol = names_.symbol(base)) {
      if (symbol->space != result_.space) refuse("a symbol of another space");
      result_.address = names_.constant(symbol->address);
    } else {
      result_.address = names_.constant(static_cast<Word>(number(base)));
    }
    if (next_is("+")) {
      ++at_;
      result_.offset = number(take());
    }
    expect("]");
  }

  bool space(std::string_view part) {
    constexpr std::pair<std::string_view, Space> kSpaces[] = {{"global", Space::global},
                                                              {"shared", Space::shared},
                                                              {"local", Space::local},
                                                              {"param", Space::parameter}};
    for (const auto& [name, is] : kSpaces) {
      if (part != name) continue;
      result_.space = is;
      return true;
    }
    return false;
  }

  void memory(const std::vector<std::string_view>& parts) {
    const bool load = parts[0] == "ld";
    result_.kind = load ? Kind::load : Kind::store;
    std::size_t at = 1;
    const auto optional = [&](std::string_view part) {
      return at < parts.size() && parts[at] == part && ++at != 0;
    };
    if (at < parts.size() && space(parts[at])) ++at;
    if (load && result_.space == Space::global) {
      if (optional("nc")) result_.constant = true;
    }
    // Hints of caches: all of these are coherent where a launch's own synchronization is heeded.
    if (!result_.constant && !optional("ca") && !optional("cg") && !optional("cs") &&
        !(load && optional("lu")) && !(!load && optional("wb"))) {
      (void)optional("wt");
    }
    if (optional("v2")) result_.elements = 2;
    if (optional("v4")) result_.elements = 4;
    if (at + 1 != parts.size()) refuse("no such instruction");
    const std::string_view type = parts[at];
    result_.element_bytes = type_bytes(type);
    if (result_.element_bytes == 0 || result_.bytes() > 16) refuse("no such type of access");
    if (!load && result_.space == Space::parameter) refuse("a kernel's parameters are not written");
    result_.extend = load && type[0] == 's';
    const bool narrow = result_.space == Space::shared || result_.space == Space::local;
    if (!load) {
      address(narrow);
      expect(",");
    }
    const bool vector = result_.elements > 1;
    if (vector) expect("{");
    for (std::size_t element = 0; element < result_.elements; ++element) {
      if (element != 0) expect(",");
      const bool wider = type[0] != 'f';
      result_.slots[element] =
          load ? reg(take(), result_.element_bytes, wider) : source(result_.element_bytes, wider);
    }
    if (vector) expect("}");
    result_.slots_count = result_.elements;
    result_.destinations = load ? result_.elements : 0;
    if (load) {
      expect(",");
      address(narrow);
    }
  }

  void atomic(const std::vector<std::string_view>& parts) {
    result_.kind = Kind::atomic;
    std::string_view scope = "gpu";
    std::string_view order = "relaxed";
    std::string_view operation;
    for (std::size_t at = 1; at + 1 < parts.size(); ++at) {
      const std::string_view part = parts[at];
      if (part == "relaxed" || part == "acquire" || part == "release" || part == "acq_rel") {
        order = part;
      } else if (part == "cta" || part == "gpu" || part == "sys") {
        scope = part;
      } else if ((part == "global" || part == "shared") && space(part)) {
        continue;
      } else if (operation.empty()) {
        operation = part;
      } else {
        refuse("no such instruction");
      }
    }
    const std::string name = "atom." + std::string(operation) + "." + std::string(parts.back());
    const Operation* found = find_operation(name);
    if (found == nullptr || found->bytes[0] < 4) refuse("no such instruction");
    result_.apply = found->apply;
    result_.element_bytes = found->bytes[0];
    // Other blocks' are not atomic beside these; within a block the machine asks for barriers.
    if (scope == "cta" && result_.space != Space::shared)
      refuse("atomic for a block alone, and not in its memory");
    result_.acquires = order == "acquire" || order == "acq_rel";
    result_.releases = order == "release" || order == "acq_rel";
    // Whether it hands anything over depends on what it finds.
    if (operation == "cas" && result_.releases) refuse("no such instruction");
    result_.slots[0] = reg(take(), result_.element_bytes);
    result_.destinations = 1;
    expect(",");
    address(result_.space == Space::shared);
    result_.slots_count = found->operands;  // The old value is the first of them.
    for (std::uint8_t at = 1; at < found->operands; ++at) {
      expect(",");
      result_.slots[at] = source(result_.element_bytes);
    }
  }

  void convert_address(std::string_view opcode, const std::vector<std::string_view>& parts) {
    const bool to = parts.size() == 4 && parts[1] == "to";
    const Operation* found = find_operation(opcode);
    if ((!to && parts.size() != 3) || parts.back() != "u64" || found == nullptr)
      refuse("no such instruction");
    operands(*found, false);
  }

  /// mov between a register and two of half its size.
  void pack() {
    const bool unpacks = next_is("{");
    const std::string_view opcode = tokens_[at_ - 1].text;
    const std::uint8_t whole = type_bytes(opcode.substr(std::min(opcode.size(), std::size_t{4})));
    const Operation* found = find_operation((unpacks ? "unpack." : "pack.") + std::string(opcode));
    if (found == nullptr) refuse("no such instruction");
    result_.apply = found->apply;
    result_.slots_count = 3;
    result_.destinations = unpacks ? 2 : 1;
    const auto half = static_cast<std::uint8_t>(whole / 2);
    const auto halves = [&](std::size_t first) {
      expect("{");
      for (std::size_t at = 0; at < 2; ++at) {
        if (at != 0) expect(",");
        result_.slots[first + at] = unpacks ? reg(take(), half) : source(half);
      }
      expect("}");
    };
    if (unpacks) {
      halves(0);
      expect(",");
      result_.slots[2] = source(whole);
    } else {
      result_.slots[0] = reg(take(), whole);
      expect(",");
      halves(1);
    }
  }

  void compute(std::string_view opcode, std::string_view first) {
    const Operation* found = find_operation(opcode);
    if (found == nullptr) refuse("no such instruction");
    const bool integers = opcode[opcode.size() - 3] != 'f' && opcode[opcode.size() - 2] != 'f';
    if ((first == "div" || first == "rem") && integers) result_.kind = Kind::divide;
    operands(*found, first == "cvt");
  }

  void operands(const Operation& operation, bool wider) {
    result_.apply = operation.apply;
    result_.destinations = 1;
    result_.slots_count = static_cast<std::uint8_t>(operation.operands + 1);
    if (result_.kind == Kind::divide) result_.element_bytes = operation.bytes[2];
    result_.slots[0] = reg(take(), operation.bytes[0], wider);
    for (std::size_t at = 1; at <= operation.operands; ++at) {
      expect(",");
      result_.slots[at] = source(operation.bytes[at], wider);
    }
  }

  std::span<const Token> tokens_;
  Names& names_;
  std::size_t at_ = 0;
  Instruction result_;
};

}  // namespace

Instruction decode(std::span<const Token> tokens, Names& names, std::string_view& label) {
  return Decoder(tokens, names).decode(label);
}

}  // namespace ptx
