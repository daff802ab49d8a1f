// The centers: for each level a moving average of the teacher's logits, subtracted from them before the softmax so that
// no prototype wins for all images (official: Centering). The last layer is linear, so the mean of logits is the logits
// of the mean: sums are kept in the bottleneck, and one small product a step makes the logits.
#pragma once

#include <vector>

#include "model/aten.h"

namespace udi {

struct CenterSums {
  at::Tensor z;                // [levels, D]: sum of the teacher's rows of each level
  std::vector<double> weight;  // [levels]: of these rows
};

// centers [levels, K] = momentum * centers + (1 - momentum) * (sums / weight) prototypes^T. A level without rows is
// left as it is. prototypes: the teacher's, [K, D].
void update_centers(const at::Tensor& centers, const CenterSums& sums, const at::Tensor& prototypes, double momentum);

// What the two terms are multiplied by, float32 [levels, 2]: 1 and 0 for a level without rows.
at::Tensor center_rates(const std::vector<double>& weight, double momentum);
// The same with rates and sums z that lie where the centers lie, on a device that the host does not wait for.
// stop, int32 [1]: if it is not 0 the centers stay.
void update_centers(const at::Tensor& centers, const at::Tensor& z, const at::Tensor& rates,
                    const at::Tensor& prototypes, const at::Tensor& stop);

}  // namespace udi
