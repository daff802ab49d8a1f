#include "objective/center.h"

namespace udi {

void update_centers(const at::Tensor& centers, const CenterSums& sums, const at::Tensor& prototypes, double momentum) {
  for (int64_t level = 0; level < centers.size(0); ++level) {
    const double weight = sums.weight[level];
    if (!(weight > 0)) continue;
    at::Tensor center = centers[level];
    const at::Tensor z = sums.z[level].to(prototypes.scalar_type());
    if (z.scalar_type() == center.scalar_type()) {
      center.copy_(at::addmv(center, prototypes, z, momentum, (1 - momentum) / weight));
    } else {
      center.mul_(momentum).add_(at::mv(prototypes, z / weight), 1 - momentum);
    }
  }
}

at::Tensor center_rates(const std::vector<double>& weight, double momentum) {
  at::Tensor rates = at::empty({int64_t(weight.size()), 2}, at::kFloat);
  for (size_t level = 0; level < weight.size(); ++level) {
    const bool moves = weight[level] > 0;
    rates.data_ptr<float>()[2 * level] = float(moves ? momentum : 1);
    rates.data_ptr<float>()[2 * level + 1] = float(moves ? (1 - momentum) / weight[level] : 0);
  }
  return rates;
}

// Rates go with the means in the bottleneck: in 16 bits their logits are in range, those of sums would not be.
void update_centers(const at::Tensor& centers, const at::Tensor& z, const at::Tensor& rates,
                    const at::Tensor& prototypes, const at::Tensor& stop) {
  const at::Tensor taken = (z * rates.select(1, 1).unsqueeze(1)).to(prototypes.scalar_type());
  const at::Tensor next = centers * rates.select(1, 0).unsqueeze(1) + at::mm(taken, prototypes.t());
  centers.copy_(at::where(stop != 0, centers, next));
}

}  // namespace udi
