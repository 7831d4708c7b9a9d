#pragma once
// Libraries that are looked for when they are needed, and not when this module is loaded.

#include <string>

#include "base/result.h"

namespace trt_asr {

/// Folder of the module this code is linked into: the add-on, or a test's executable.
[[nodiscard]] std::string module_folder();

/// Opens a library by path, or by name in the system's own order. Its symbols stay its own, so that they do
/// not meet those of another copy in the process. Errors: ERR_BACKEND_UNAVAILABLE: `field` is `what`,
/// received is the loader's message.
[[nodiscard]] Result<void*> open_shared_library(const std::string& path, const std::string& what,
                                                const std::string& remedy) noexcept;

/// Path that the loader resolved for the library that `symbol` stands in; "" when it does not say.
[[nodiscard]] std::string path_of_symbol(const void* symbol);

[[nodiscard]] void* find_address(void* library, const char* name) noexcept;

/// The symbol as a pointer to a function, or null.
template <class Function>
[[nodiscard]] Function* find_symbol(void* library, const char* name) noexcept {
  return reinterpret_cast<Function*>(find_address(library, name));
}

}  // namespace trt_asr
