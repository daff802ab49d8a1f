// What the view and loader settings of udi.h may be. (Their defaults: udi_view_config_init, udi_loader_config_init.)
#pragma once

#include <cstdint>

#include "udi.h"

namespace udi {

// UDI_E_INVALID names the field, its value and the limit.
void check_view_config(const udi_view_config& config);
void check_loader_config(const udi_loader_config& config);

// Tokens along a side of a crop. Without local crops their size does not matter: 0.
inline int64_t grid_global(const udi_view_config& config) { return config.global_size / config.patch_size; }
inline int64_t grid_local(const udi_view_config& config) {
  return config.local_crops > 0 ? config.local_size / config.patch_size : 0;
}

}  // namespace udi
