#pragma once
// Readers of the golden sets; the format is documented in tools/golden/README.md. A fixture that cannot be
// read ends the test program: nothing after it would mean anything.

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace golden {

[[noreturn]] inline void broken(const std::string& what) {
  std::printf("broken fixture: %s\n", what.c_str());
  std::exit(EXIT_FAILURE);
}

inline std::string read_bytes(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) broken("cannot open " + path);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

/// "caf%C3%A9" -> UTF-8; a single "%" is the empty string.
inline std::string percent_decoded(std::string_view text) {
  if (text == "%") return {};
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    if (i + 2 >= text.size()) broken("percent-encoding " + std::string(text));
    out += static_cast<char>(std::strtol(std::string(text.substr(i + 1, 2)).c_str(), nullptr, 16));
    i += 2;
  }
  return out;
}

/// One line, parted at blanks; field 0 is the kind.
struct Record {
  std::vector<std::string> fields;

  [[nodiscard]] const std::string& operator[](std::size_t index) const {
    if (index >= fields.size()) broken("a field is missing in a record of kind " + fields[0]);
    return fields[index];
  }
  [[nodiscard]] std::int64_t integer(std::size_t index) const {
    return std::strtoll((*this)[index].c_str(), nullptr, 10);
  }
  [[nodiscard]] double number(std::size_t index) const {
    return std::strtod((*this)[index].c_str(), nullptr);
  }
};

struct Tensor {
  std::vector<std::size_t> extents;
  std::vector<float> values;  ///< Row-major.
};

/// A set: test/fixtures/golden/NAME.
class Set {
 public:
  explicit Set(const std::string& name) : folder_(std::string(TRT_ASR_FIXTURES) + "/golden/" + name) {
    std::istringstream lines(read_bytes(folder_ + "/manifest.txt"));
    for (std::string line; std::getline(lines, line);) {
      Record record;
      std::istringstream fields(line);
      for (std::string field; std::getline(fields, field, ' ');) record.fields.push_back(field);
      if (!record.fields.empty()) records_.push_back(std::move(record));
    }
    if (records_.empty() || records_[0].fields != std::vector<std::string>{"format", "trt-asr-golden", "1"}) {
      broken(folder_ + "/manifest.txt is of another format");
    }
  }

  /// A path that a record names.
  [[nodiscard]] std::string path(const std::string& relative) const { return folder_ + "/" + relative; }

  /// All records of a kind, in order.
  [[nodiscard]] std::vector<Record> all(std::string_view kind) const {
    std::vector<Record> found;
    for (const Record& record : records_) {
      if (record[0] == kind) found.push_back(record);
    }
    return found;
  }
  /// All records of a kind that belong to an owner (field 1).
  [[nodiscard]] std::vector<Record> all(std::string_view kind, std::string_view owner) const {
    std::vector<Record> found;
    for (const Record& record : records_) {
      if (record[0] == kind && record.fields.size() > 1 && record[1] == owner) found.push_back(record);
    }
    return found;
  }
  [[nodiscard]] bool has(std::string_view kind, std::string_view owner, std::string_view name) const {
    return find(kind, owner, name) != nullptr;
  }

  [[nodiscard]] std::vector<std::int32_t> ints(std::string_view owner, std::string_view name) const {
    const Record& record = get("ints", owner, name);
    std::vector<std::int32_t> values;
    for (std::int64_t i = 0; i < record.integer(3); ++i) {
      values.push_back(static_cast<std::int32_t>(record.integer(4 + static_cast<std::size_t>(i))));
    }
    return values;
  }
  [[nodiscard]] std::vector<float> floats(std::string_view owner, std::string_view name) const {
    const Record& record = get("floats", owner, name);
    std::vector<float> values;
    for (std::int64_t i = 0; i < record.integer(3); ++i) {
      values.push_back(static_cast<float>(record.number(4 + static_cast<std::size_t>(i))));
    }
    return values;
  }
  [[nodiscard]] std::string text(std::string_view owner, std::string_view name) const {
    return percent_decoded(get("text", owner, name)[3]);
  }
  [[nodiscard]] Tensor tensor(std::string_view owner, std::string_view name) const {
    const Record& record = get("tensor", owner, name);
    Tensor tensor;
    std::size_t elements = 1;
    for (std::int64_t axis = 0; axis < record.integer(5); ++axis) {
      tensor.extents.push_back(static_cast<std::size_t>(record.integer(6 + static_cast<std::size_t>(axis))));
      elements *= tensor.extents.back();
    }
    const std::string bytes = read_bytes(path(record[3]));
    const std::size_t offset = static_cast<std::size_t>(record.integer(4)) * sizeof(float);
    if (offset + elements * sizeof(float) > bytes.size()) broken(record[3] + " is too short");
    tensor.values.resize(elements);
    if (elements != 0) std::memcpy(tensor.values.data(), bytes.data() + offset, elements * sizeof(float));
    return tensor;
  }

  /// 16 kHz mono samples of a clip.
  [[nodiscard]] std::vector<float> clip(std::string_view name) const {
    if (const std::vector<Record> joined = all("joined", name); joined.size() == 1) {
      std::vector<float> samples;
      for (std::int64_t part = 0; part < joined[0].integer(2); ++part) {
        const std::vector<float> more = clip(joined[0][3 + static_cast<std::size_t>(part)]);
        samples.insert(samples.end(), more.begin(), more.end());
      }
      return samples;
    }
    const std::vector<Record> found = all("clip", name);
    if (found.size() != 1) broken("no single clip " + std::string(name));
    const Record& record = found[0];
    constexpr std::size_t header_bytes = 44;
    const std::string bytes = read_bytes(path(record[2]));
    const std::size_t begin = header_bytes + 2 * static_cast<std::size_t>(record.integer(3));
    const auto count = static_cast<std::size_t>(record.integer(4));
    if (begin + 2 * count > bytes.size()) broken(record[2] + " is too short");
    std::vector<float> samples(count);
    for (std::size_t i = 0; i < count; ++i) {
      std::int16_t sample = 0;
      std::memcpy(&sample, bytes.data() + begin + 2 * i, sizeof sample);
      samples[i] = static_cast<float>(sample) / 32768.0F;
    }
    return samples;
  }

 private:
  [[nodiscard]] const Record* find(std::string_view kind, std::string_view owner,
                                   std::string_view name) const {
    for (const Record& record : records_) {
      const auto& fields = record.fields;
      if (fields.size() > 2 && fields[0] == kind && fields[1] == owner && fields[2] == name) return &record;
    }
    return nullptr;
  }
  [[nodiscard]] const Record& get(std::string_view kind, std::string_view owner,
                                  std::string_view name) const {
    const Record* record = find(kind, owner, name);
    if (record == nullptr)
      broken("no " + std::string(kind) + " " + std::string(owner) + " " + std::string(name));
    return *record;
  }

  std::string folder_;
  std::vector<Record> records_;
};

}  // namespace golden
