// A model's configuration: its limits, its presets and its JSON form, which travels in the metadata of safetensors
// files.
#pragma once

#include <string>

#include "nlohmann/json.hpp"
#include "udi.h"

namespace udi {

constexpr const char* kConfigKey = "udi.config";  // of the safetensors metadata that holds config_to_json(...).dump()

// What udi_model_config_init fills in for "vit_tiny", "vit_small", "vit_base" or "vit_large". UDI_E_NOT_FOUND: another
// name.
udi_model_config model_config_preset(const std::string& arch);

// UDI_E_INVALID with field, value and limit.
void check_model_config(const udi_model_config& config);

// Keys are the struct's field names; mean and std are arrays of `channels` numbers.
nlohmann::json config_to_json(const udi_model_config& config);
// The reverse. A key that is absent has vit_small's value; an unknown one, a wrong type or a value out of range is
// UDI_E_INVALID.
udi_model_config config_from_json(const nlohmann::json& json);

// What follows from a configuration.
inline int64_t grid_size(const udi_model_config& c) { return c.image_size / c.patch_size; }
inline int64_t hidden_dim(const udi_model_config& c) { return int64_t(double(c.embed_dim) * double(c.mlp_ratio)); }
// Centers and levels of the loss: a class token each, and the patches.
inline int64_t num_levels(const udi_model_config& c) { return c.class_tokens + (c.include_patch ? 1 : 0); }

}  // namespace udi
