#include "train/drop_path.h"

#include "base/random.h"

namespace udi {

at::Tensor drop_path_factors(const udi_model_config& model, uint64_t seed, int64_t step, int64_t position,
                             int64_t images, int64_t first_crop, int64_t crops, const at::TensorOptions& options) {
  if (!(model.drop_path_rate > 0) || model.depth < 2) return {};
  const at::Tensor factors = at::empty({model.depth, 2, crops * images}, at::kDouble);
  double* const out = factors.data_ptr<double>();
  for (int64_t row = 0; row < crops * images; ++row) {
    // At most 66 crops an image, and fewer than 2^17 images a step.
    const uint64_t place = uint64_t(position + row % images) << 7 | uint64_t(first_crop + row / images);
    Random random(seed, Random::kDropPath, 0, (uint64_t(step) << 24) + place);
    for (int64_t branch = 0; branch < 2 * model.depth; ++branch) {
      const double rate = double(model.drop_path_rate) * double(branch / 2) / double(model.depth - 1);
      out[branch * crops * images + row] = random.chance(rate) ? 0 : 1 / (1 - rate);
    }
  }
  return factors.to(options);
}

}  // namespace udi
