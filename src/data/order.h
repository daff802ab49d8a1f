// In which order an epoch visits the images.
#pragma once

#include <cstdint>
#include <vector>

namespace udi {

// A permutation of 0 .. count - 1, drawn from (seed, epoch) alone.
std::vector<uint32_t> epoch_order(uint64_t seed, int64_t epoch, int64_t count);

}  // namespace udi
