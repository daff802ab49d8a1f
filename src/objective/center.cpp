#include "objective/center.h"

namespace udi {

void update_centers(const at::Tensor& centers, const CenterSums& sums, const at::Tensor& prototypes, double momentum) {
  for (int64_t level = 0; level < centers.size(0); ++level) {
    const double weight = sums.weight[level];
    if (!(weight > 0)) continue;
    at::Tensor center = centers[level];
    center.copy_(at::addmv(center, prototypes, sums.z[level], momentum, (1 - momentum) / weight));
  }
}

}  // namespace udi
