// A module's directives, and the bodies of its kernels.

#include <algorithm>
#include <memory>
#include <unordered_map>

#include "decode.h"
#include "lexer.h"
#include "program.h"

namespace ptx {
namespace {

constexpr std::size_t round_up(std::size_t value, std::size_t to) {
  return (value + to - 1) / to * to;
}

class LoadedModule final : public Module {
 public:
  explicit LoadedModule(std::vector<std::unique_ptr<Program>> programs) : programs_(std::move(programs)) {}
  [[nodiscard]] const Kernel* find(std::string_view name) const noexcept override {
    for (const auto& program : programs_) {
      if (program->name() == name) return program.get();
    }
    return nullptr;
  }
  [[nodiscard]] std::vector<const Kernel*> kernels() const override {
    std::vector<const Kernel*> all;
    for (const auto& program : programs_) all.push_back(program.get());
    return all;
  }

 private:
  std::vector<std::unique_ptr<Program>> programs_;
};

/// Tokens one after the other.
class Reader {
 public:
  explicit Reader(std::string_view text) : tokens_(tokens_of(text)) {}

  [[nodiscard]] const Token& now() const { return tokens_[at_]; }
  [[nodiscard]] bool done() const { return at_ + 1 == tokens_.size(); }
  [[nodiscard]] bool is(std::string_view text) const { return now().text == text; }
  [[nodiscard]] bool next_is(std::string_view text) const { return !done() && tokens_[at_ + 1].text == text; }
  std::string_view take() {
    if (done()) throw Refused(now().line, "the text ends too early", "");
    return tokens_[at_++].text;
  }
  bool skip(std::string_view text) {
    if (!is(text)) return false;
    ++at_;
    return true;
  }
  void expect(std::string_view text) {
    if (!is(text)) throw Refused(now().line, "expected " + std::string(text), now().text);
    ++at_;
  }
  std::uint32_t number() {
    const Token& token = now();
    std::uint64_t value = 0;
    for (const char digit : take()) {
      if (digit < '0' || digit > '9' || value > 0x7fffffffU)
        throw Refused(token.line, "expected a number", token.text);
      value = value * 10 + static_cast<std::uint64_t>(digit - '0');
    }
    return static_cast<std::uint32_t>(value);
  }
  /// Up to a semicolon, which is taken as well.
  std::span<const Token> statement() {
    const std::size_t first = at_;
    while (!is(";")) (void)take();
    if (at_ == first) throw Refused(now().line, "an empty statement", ";");
    ++at_;
    return {tokens_.data() + first, at_ - 1 - first};
  }

 private:
  std::vector<Token> tokens_;
  std::size_t at_ = 0;
};

/// `.align 16 .b8 name[256]`, and all that C would call an array or a variable.
struct Variable {
  std::string_view name;
  std::size_t align = 1;
  std::size_t bytes = 0;
  bool open = false;  ///< `name[]`.
};

class ModuleParser {
 public:
  explicit ModuleParser(std::string_view text) : reader_(text) {}

  std::unique_ptr<Module> parse() {
    while (!reader_.done()) {
      const Token token = reader_.now();
      const std::string_view word = reader_.take();
      if (word == ".version" || word == ".address_size") {
        const std::string_view value = reader_.take();
        if (word == ".address_size" && value != "64")
          throw Refused(token.line, "addresses have 64 bits", value);
      } else if (word == ".target") {
        do {
          (void)reader_.take();
        } while (reader_.skip(","));
      } else if (word == ".visible" || word == ".weak" || word == ".extern") {
        if (!reader_.is(".entry") && !(word == ".extern" && reader_.is(".shared"))) unknown(token);
      } else if (word == ".entry") {
        entry();
      } else if (word == ".shared") {
        module_shared_.push_back(variable());
        reader_.expect(";");
      } else {
        unknown(token);
      }
    }
    return std::make_unique<LoadedModule>(std::move(programs_));
  }

 private:
  [[noreturn]] void unknown(const Token& token) const {
    throw Refused(token.line, "no such directive",
                  reader_.done() ? token.text : text_between(token, reader_.now()));
  }

  std::uint8_t register_bytes(const Token& type) const {
    if (type.text == ".pred") return kPredicate;
    const std::string_view bits = type.text.substr(std::min(type.text.size(), std::size_t{2}));
    if (bits == "16") return 2;
    if (bits == "32") return 4;
    if (bits == "64") return 8;
    throw Refused(type.line, "no such type of a register", type.text);
  }

  Variable variable() {
    Variable result;
    bool aligned = false;
    if (reader_.skip(".align")) {
      result.align = reader_.number();
      aligned = true;
      if (result.align == 0 || (result.align & (result.align - 1)) != 0) {
        throw Refused(reader_.now().line, "no such alignment", reader_.now().text);
      }
    }
    const Token type = reader_.now();
    (void)reader_.take();
    const std::size_t element = type.text.size() == 3 && type.text[2] == '8' ? 1 : register_bytes(type);
    if (element == 0) throw Refused(type.line, "no such type of a variable", type.text);
    if (!aligned) result.align = element;
    result.name = reader_.take();
    result.bytes = element;
    while (reader_.skip("[")) {
      if (reader_.skip("]")) {
        result.open = true;
        result.bytes = 0;
        break;
      }
      result.bytes *= reader_.number();
      reader_.expect("]");
    }
    return result;
  }

  void entry() {
    auto program = std::make_unique<Program>();
    const Token name = reader_.now();
    program->name_ = reader_.take();
    Names names(*program);
    if (reader_.skip("(")) {
      while (!reader_.skip(")")) {
        reader_.expect(".param");
        const Variable parameter = variable();
        const std::size_t offset = round_up(program->parameter_bytes_, parameter.align);
        program->parameters_.push_back({offset, parameter.bytes});
        program->parameter_bytes_ = offset + parameter.bytes;
        (void)names.place(parameter.name, kParameterWindow + offset, Space::parameter);
        if (!reader_.is(")")) reader_.expect(",");
      }
    }
    while (!reader_.is("{")) {
      const Token token = reader_.now();
      const std::string_view word = reader_.take();
      std::uint32_t product = reader_.number();
      while (reader_.skip(",")) product *= reader_.number();
      if (word == ".maxntid") {
        program->threads_max_ = product;
      } else if (word != ".minnctapersm" && word != ".maxnreg") {
        unknown(token);
      }
    }
    body(*program, names);
    for (const auto& other : programs_) {
      if (other->name_ == program->name_) throw Refused(name.line, "a second kernel of this name", name.text);
    }
    programs_.push_back(std::move(program));
  }

  void body(Program& program, Names& names) {
    // Static shared variables lie below the dynamic part, whose place is known when all of them are.
    const std::vector<Variable> shared = shared_of_body();
    std::size_t open_align = 16;
    for (const Variable& one : shared) {
      if (one.open) {
        open_align = std::max(open_align, one.align);
        continue;
      }
      const std::size_t offset = round_up(program.shared_bytes_, one.align);
      program.shared_bytes_ = offset + one.bytes;
      place(names, one, kSpaceBase + offset, Space::shared);
    }
    const bool dynamic =
        std::any_of(shared.begin(), shared.end(), [](const Variable& one) { return one.open; });
    if (dynamic) program.shared_bytes_ = round_up(program.shared_bytes_, open_align);
    for (const Variable& one : shared) {
      if (one.open) place(names, one, kSpaceBase + program.shared_bytes_, Space::shared);
    }
    labels_.clear();
    jumps_.clear();
    reader_.expect("{");
    for (int depth = 1; depth > 0;) depth += statement(program, names);
    Instruction end;  // Running off the end is an exit, too.
    end.kind = Kind::exit;
    end.line = reader_.now().line;
    program.code.push_back(end);
    program.texts.emplace_back("}");
    for (const auto& [instruction, label] : jumps_) {
      const auto found = labels_.find(label.text);
      if (found == labels_.end()) throw Refused(label.line, "no such label", label.text);
      program.code[instruction].target = found->second;
    }
    for (const Instruction& one : program.code) {
      const bool accesses = one.kind == Kind::load || one.kind == Kind::store || one.kind == Kind::atomic;
      const auto bytes = std::uint32_t{one.element_bytes};
      if (!accesses) continue;
      const bool generic = one.space == Space::generic;
      if (generic || one.space == Space::shared)
        program.shared_granule = std::min(program.shared_granule, bytes);
      if (generic || one.space == Space::global)
        program.global_granule = std::min(program.global_granule, bytes);
    }
    check_registers(program);
  }

  void place(Names& names, const Variable& variable, Word address, Space space) const {
    if (!names.place(variable.name, address, space)) {
      throw Refused(reader_.now().line, "a second variable of this name", variable.name);
    }
  }

  /// The module's, where the body names them, and the body's own. Reads ahead and comes back.
  std::vector<Variable> shared_of_body() {
    const Reader begin = reader_;
    std::vector<Variable> found;
    int depth = 0;
    do {
      const std::string_view word = reader_.take();
      depth += word == "{" ? 1 : word == "}" ? -1 : 0;
      if (word == ".shared") {
        found.push_back(variable());
        continue;
      }
      for (const Variable& one : module_shared_) {
        const auto same = [&](const Variable& other) { return other.name == one.name; };
        if (one.name == word && std::none_of(found.begin(), found.end(), same)) found.push_back(one);
      }
    } while (depth > 0);
    reader_ = begin;
    return found;
  }

  /// What it adds to the depth of braces.
  int statement(Program& program, Names& names) {
    const Token token = reader_.now();
    if (reader_.skip("{")) {
      names.open_scope();
      return 1;
    }
    if (reader_.skip("}")) {
      names.close_scope();
      return -1;
    }
    if (reader_.next_is(":")) {
      if (!labels_.insert({token.text, static_cast<std::uint32_t>(program.code.size())}).second) {
        throw Refused(token.line, "a second label of this name", token.text);
      }
      (void)reader_.take();
      (void)reader_.take();
      return 0;
    }
    if (token.text.starts_with(".")) {
      directive(program, names);
      return 0;
    }
    const std::span<const Token> tokens = reader_.statement();
    std::string_view label;
    const Instruction instruction = decode(tokens, names, label);
    if (instruction.kind == Kind::branch) {
      jumps_.emplace_back(program.code.size(), Token{label, token.line});
    }
    program.code.push_back(instruction);
    program.texts.emplace_back(text_between(tokens.front(), tokens.back()));
    return 0;
  }

  void directive(Program& program, Names& names) {
    const Token token = reader_.now();
    const std::string_view word = reader_.take();
    if (word == ".reg") {
      const Token type = reader_.now();
      (void)reader_.take();
      const std::uint8_t bytes = register_bytes(type);
      do {
        const std::string_view name = reader_.take();
        std::uint32_t count = 0;
        if (reader_.skip("<")) {
          count = reader_.number();
          if (count == 0 || count > 1U << 20) throw Refused(token.line, "so many registers", name);
          reader_.expect(">");
        }
        names.declare(name, count, bytes);
      } while (reader_.skip(","));
    } else if (word == ".local") {
      const Variable local = variable();
      const std::size_t offset = round_up(program.local_bytes_, local.align);
      program.local_bytes_ = offset + local.bytes;
      place(names, local, kSpaceBase + offset, Space::local);
    } else if (word == ".shared") {
      (void)variable();  // It has its place already.
    } else if (word == ".pragma") {
      (void)reader_.take();
    } else {
      unknown(token);
    }
    reader_.expect(";");
  }

  Reader reader_;
  std::vector<Variable> module_shared_;
  std::vector<std::unique_ptr<Program>> programs_;
  std::unordered_map<std::string_view, std::uint32_t> labels_;
  std::vector<std::pair<std::size_t, Token>> jumps_;
};

}  // namespace

std::unique_ptr<Module> Module::parse(std::string_view text, std::string& wrong) {
  try {
    return ModuleParser(text).parse();
  } catch (const Refused& refused) {
    wrong = refused.what();
    return nullptr;
  }
}

}  // namespace ptx
