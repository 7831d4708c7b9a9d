#pragma once
// The digest of a file that may be gigabytes long, kept for as long as the file stays as it is.

#include <filesystem>
#include <string>

#include "base/result.h"

namespace trt_asr {

/// SHA-256 of a file. Seconds for gigabytes, so the digest is kept in `cache`/digests under the file's
/// device, inode, size, mtime and ctime in nanoseconds; an unwritable or damaged cache only means hashing
/// again, and an empty path means keeping nothing.
///
/// When that is safe: a write, a replacement or a copy over the file moves its ctime, which no caller can set
/// back as `touch`, `cp -p` and `rsync -t` set back the mtime. Two writes within the clock's step leave the
/// same times, so a digest is kept only of a file that has been at rest for two seconds. It is not safe on
/// file systems that keep no times of their own, and against who can write to the cache folder: he can
/// replace plans, too. Errors: ERR_MODEL_NOT_FOUND, ERR_MODEL_CORRUPT (unreadable, or it changed while it was
/// read).
[[nodiscard]] Result<std::string> digest_file(const std::filesystem::path& path,
                                              const std::filesystem::path& cache) noexcept;

}  // namespace trt_asr
