// The tar index on any bytes; every file that it finds is read.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "base/error.h"
#include "data/tar.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const udi::MemoryBytes bytes(data, size);
  udi::Skips skips;
  try {
    std::vector<uint8_t> content;
    for (const udi::TarEntry& entry : udi::index_tar(bytes, "fuzz.tar", skips, udi::Host())) {
      if (entry.name.empty() || entry.name[0] == '/') std::abort();
      content.resize(entry.size);
      bytes.read(entry.offset, content.data(), content.size());
    }
  } catch (const udi::Error&) {
  }
  return 0;
}
