// XXH64 (Collet, xxHash specification 0.1.1): a checksum that is as fast as memory. Against damage, not against
// forgers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace udi {

uint64_t xxh64(const void* data, size_t size, uint64_t seed = 0);
std::string xxh64_hex(const void* data, size_t size);  // 16 digits

}  // namespace udi
