// Unpacks .tar.gz shards, so that any file in them can be reached.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/host.h"
#include "data/cache.h"

namespace udi {

// Whether the file begins as gzip does.
bool is_gzip(const std::string& path);

// The archive, if it has at most memory_limit bytes; a larger one is appended to the file that cache() gives, and
// nothing is returned. Says so in the log. UDI_E_FORMAT: damaged, cut off, or no tar inside; UDI_E_IO: the cache cannot
// be written.
std::vector<uint8_t> unpack_gzip(const std::string& path, uint64_t memory_limit,
                                 const std::function<CacheFile&()>& cache, const Host& host);

}  // namespace udi
