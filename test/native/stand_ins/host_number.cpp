#include <cstdlib>

#include "host_cuda.h"

namespace stand_in {

long number_of(const char* variable, long otherwise) noexcept {
  const char* text = std::getenv(variable);
  return text == nullptr || *text == 0 ? otherwise : std::strtol(text, nullptr, 10);
}

}  // namespace stand_in
