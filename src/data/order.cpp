#include "data/order.h"

#include <numeric>
#include <utility>

#include "base/error.h"
#include "base/random.h"

namespace udi {

std::vector<uint32_t> epoch_order(uint64_t seed, int64_t epoch, int64_t count) {
  check(count <= int64_t(UINT32_MAX), UDI_E_UNSUPPORTED, count, " images are more than ", UINT32_MAX);
  std::vector<uint32_t> order(static_cast<size_t>(count));
  std::iota(order.begin(), order.end(), 0u);
  Random random(seed, Random::kOrder, uint64_t(epoch));
  for (size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[random.below(i)]);
  return order;
}

}  // namespace udi
