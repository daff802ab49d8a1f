// The views' handle, which loaders make and trainers read.
#pragma once

#include "api/context.h"
#include "data/views.h"

struct udi_views {
  std::shared_ptr<udi::Context> context;
  udi::Views views;
};
