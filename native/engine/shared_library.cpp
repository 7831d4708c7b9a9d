#include "engine/shared_library.h"

#include <dlfcn.h>

namespace trt_asr {

std::string path_of_symbol(const void* symbol) {
  Dl_info info{};
  if (dladdr(symbol, &info) == 0 || info.dli_fname == nullptr) return "";
  return info.dli_fname;
}

std::string module_folder() {
  const std::string path = path_of_symbol(reinterpret_cast<const void*>(&module_folder));
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : path.substr(0, slash);
}

Result<void*> open_shared_library(const std::string& path, const std::string& what,
                                  const std::string& remedy) noexcept {
  dlerror();
  void* handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle != nullptr) return handle;
  const char* told = dlerror();
  std::string why = told == nullptr ? "no reason from the loader" : told;
  // The loader begins with the path, which stands in `expected`.
  if (why.starts_with(path + ": ")) why.erase(0, path.size() + 2);
  return Error{ErrorCode::backend_unavailable, what, "a library that loads at " + path, why, remedy};
}

void* find_address(void* library, const char* name) noexcept {
  return dlsym(library, name);
}

}  // namespace trt_asr
