// Operations of the matrix products that the exact algebra needs, counted from the sizes: a multiply and an add are
// two.
#pragma once

#include "udi.h"

namespace udi {

// One image through the backbone to its class tokens.
double extract_flops(const udi_model_config& model);

// One image's share of a training step. valid_share: of the SRS samples (udi_step_stats).
double step_flops(const udi_model_config& model, const udi_view_config& views, double valid_share);

}  // namespace udi
