// What a trainer has more where kernels work (model/kernels.h): see Trainer::step_on_device.
#pragma once

#include "model/replay.h"
#include "train/device_update.h"
#include "train/losses.h"
#include "train/stage.h"

namespace udi {

// A step whose outcome the host has not read.
struct Unread {
  int64_t step = 0;
  std::vector<ChunkLabels> labels;
  at::Tensor losses;  // of all chunks, one after the other: global, local, entropy
  at::Tensor norms;   // [2]: DeviceUpdate::norms
};

struct OnDevice {
  OnDevice(const udi_train_config& config, const Parameters& student, const Optimizer& optimizer)
      : update(config, student, optimizer), replay(student.device()) {}

  Stage stage;
  DeviceUpdate update;
  Replay replay;
  std::vector<Unread> unread;  // oldest first

  // After so many steps the outcome is read, wanted or not.
  static constexpr size_t kMostUnread = 16;
};

}  // namespace udi
