// What the shapes of the weights and a checkpoint's own arguments tell about the model.
#pragma once

#include "weights/names.h"

namespace udi {

// Fills weights->model_config and weights->missing from weights->tensors, which have official names.
void derive_config(const std::string& path, const ImportOptions& options, const nlohmann::json& scalars,
                   ImportedWeights* weights);

}  // namespace udi
