// A training run's configuration: its limits and its JSON form, which travels in checkpoints.
#pragma once

#include "nlohmann/json.hpp"
#include "udi.h"

namespace udi {

// UDI_E_INVALID with field, value and limit.
void check_train_config(const udi_train_config& config);

// Keys are the struct's field names; optimizer and precision are words ("adamw", "f32").
nlohmann::json config_to_json(const udi_train_config& config);
// The reverse. A key that is absent has udi_train_config_init's value; an unknown one, a wrong type or a value out of
// range is UDI_E_INVALID.
udi_train_config train_config_from_json(const nlohmann::json& json);

}  // namespace udi
