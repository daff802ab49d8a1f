// Unpacks .tar.gz shards, so that any file in them can be reached.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/host.h"

namespace udi {

struct Unpacked {
  std::vector<uint8_t> memory;  // the archive, or empty when it lies in `file`
  std::string file;
};

// Whether the file begins as gzip does.
bool is_gzip(const std::string& path);

// Into memory up to memory_limit bytes; a larger archive goes to a file in cache_folder (made if needed), where a later
// call with the same, unchanged archive finds it. Says so in the log. UDI_E_FORMAT: damaged, cut off, or no tar inside;
// UDI_E_IO: the cache cannot be written.
Unpacked unpack_gzip(const std::string& path, uint64_t memory_limit, const std::string& cache_folder, const Host& host);

}  // namespace udi
