// Unpacking of .tar.gz on any bytes, into memory and into the cache; then the index of the archive inside.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <vector>

#include "base/error.h"
#include "data/gzip.h"
#include "data/tar.h"
#include "fuzz/memory_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const udi_test::MemoryFile file(data, size);
  const uint64_t memory_limit = size % 2 ? 1 << 12 : 1 << 20;
  std::unique_ptr<udi::CacheFile> cache;
  const auto make_cache = [&]() -> udi::CacheFile& { return *(cache = std::make_unique<udi::CacheFile>("/tmp")); };
  try {
    if (!udi::is_gzip(file.path())) return 0;
    const std::vector<uint8_t> memory = udi::unpack_gzip(file.path(), memory_limit, make_cache, udi::Host());
    if (memory.size() > memory_limit || memory.empty() != bool(cache)) std::abort();
    udi::Skips skips;
    if (cache) {
      udi::index_tar(*cache, "fuzz.tar", skips, udi::Host());
    } else {
      udi::index_tar(udi::MemoryBytes(memory.data(), memory.size()), "fuzz.tar", skips, udi::Host());
    }
  } catch (const udi::Error&) {
  }
  return 0;
}
