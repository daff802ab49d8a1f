// What a caller allows of files that describe their own contents.
#pragma once

#include <cstdint>

namespace udi {

// In bytes; 0: each format's own.
struct FormatLimits {
  uint64_t header_bytes = 0;  // max_header_bytes: safetensors' JSON, the pickle of a .pth, a tar's pax header
  uint64_t name_bytes = 0;    // max_name_bytes: of a tensor, a metadata key, a file in an archive
};

inline uint64_t limit_or(uint64_t given, uint64_t own) { return given > 0 ? given : own; }

}  // namespace udi
