// What the shapes of the weights and a checkpoint's own arguments tell about the model.
#pragma once

#include "weights/names.h"

namespace udi {

// Fields of udi_model_config that say how an image becomes the model's input. The files that libudi writes for others
// carry them under these names: among the arguments of a .pth, in the metadata of a safetensors file (there as JSON).
constexpr const char* kTransformFields[] = {"resize_size", "mean", "std", "exif_turn"};

// Fills weights->model_config and weights->missing from weights->tensors, which have official names.
void derive_config(const std::string& path, const ImportOptions& options, const nlohmann::json& scalars,
                   ImportedWeights* weights);

}  // namespace udi
