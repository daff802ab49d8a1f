// A model as users hold it: configuration and weights together, with what they are used for after training.
#pragma once

#include <string>
#include <vector>

#include "base/host.h"
#include "base/safetensors.h"
#include "model/config.h"
#include "model/head.h"
#include "model/ops.h"
#include "model/parameters.h"
#include "model/srs.h"
#include "model/vit.h"

namespace udi {

struct Model {
  udi_model_config config{};
  Parameters weights;

  Model() = default;
  // Zeros; weights.initialize(config, seed) or weights.load() come next. Checks config.
  Model(const udi_model_config& config, at::Device device, at::ScalarType precision = at::kFloat);

  // Of udi_model_extract: images [B, C, H, W] (or [B, H, W, C] by layout), uint8 or normalised float32, on any device.
  // Returns float32 on the CPU, shapes at udi_token. host, if any, is asked for a cancel before every batch.
  at::Tensor extract(const at::Tensor& images, udi_layout layout, const udi_extract_config& options,
                     const Host* host = nullptr) const;

  // Of udi_model_attention: [B, heads, H / patch_size, W / patch_size], float32 on the CPU.
  at::Tensor attention(const at::Tensor& images, udi_layout layout, const udi_attention_config& options,
                       const Host* host = nullptr) const;
};

udi_extract_config extract_config_default();

// What the first extraction in this precision lays out on a CPU and keeps beside the weights (udi.h).
int64_t extraction_bytes(const udi_model_config& config, udi_precision precision);

// Weights under their official names, and the configuration under kConfigKey. Atomic.
void save_model(const Model& model, const std::string& path);

// Reads what save_model wrote, or a checkpoint that has the same names behind "student." and "teacher." (role says
// which). Strict: UDI_E_FORMAT lists the tensors that are missing, extra or misshapen.
Model load_model(const SafetensorsFile& file, udi_role role, at::Device device, at::ScalarType precision = at::kFloat);

// The same for tensors from elsewhere whose configuration is known: official names, nothing before them.
Model model_from_tensors(const udi_model_config& config, const std::vector<TensorView>& tensors, bool partial,
                         std::vector<std::string>* notes, at::Device device, at::ScalarType precision = at::kFloat);

}  // namespace udi
