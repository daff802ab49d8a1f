// The model's handle, which trainers read and make, too.
#pragma once

#include "api/context.h"
#include "model/model.h"

struct udi_model {
  std::shared_ptr<udi::Context> context;
  udi::Model model;
};
