// The loader's handle, whose position trainers save and set.
#pragma once

#include <atomic>

#include "api/context.h"
#include "data/loader.h"

struct udi_loader {
  std::shared_ptr<udi::Context> context;
  udi::Loader loader;  // after its context, whose host its threads use: it goes first

  // May be asked while a call is running.
  std::atomic<int64_t> position{0};
  void note_position() { position = loader.position(); }
};
