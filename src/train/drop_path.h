// Stochastic depth (official: DropPath, rates linspace(0, rate, depth)): the draw of a crop depends on seed, step, its
// image's position in the step and its number alone, so it is the same however a step is cut into chunks.
#pragma once

#include <cstdint>

#include "model/aten.h"
#include "udi.h"

namespace udi {

// Crops [first_crop, first_crop + crops) of images [position, position + images), in VitOptions::drop_path's form for
// rows crop * images + image; 0 and 1 are the global crops. Undefined where the rate is 0.
at::Tensor drop_path_factors(const udi_model_config& model, uint64_t seed, int64_t step, int64_t position,
                             int64_t images, int64_t first_crop, int64_t crops, const at::TensorOptions& options);

}  // namespace udi
