// The handle of a group, which trainers and jobs use.
#pragma once

#include "api/context.h"
#include "dist/group.h"

struct udi_group {
  std::shared_ptr<udi::Context> context;
  std::shared_ptr<udi::Group> group;
};
