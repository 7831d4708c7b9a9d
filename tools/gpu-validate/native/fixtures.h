#pragma once
// Included before everything else: the golden sets are found through TRT_ASR_FIXTURES, and the executable may
// have been built in another folder or on another machine than the one that they are on.

#include <cstdlib>
#include <string>

namespace validate {

/// The folder test/fixtures: the one that the environment names, else that of the sources it was built from.
[[nodiscard]] inline std::string fixtures_folder() {
  const char* const named = std::getenv("TRT_ASR_VALIDATE_FIXTURES");
  return named != nullptr ? named : TRT_ASR_FIXTURES_BUILT;
}

}  // namespace validate

#define TRT_ASR_FIXTURES validate::fixtures_folder()
