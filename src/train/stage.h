// What goes to the device before a step's work, and what comes back after it: in one piece each way.
#pragma once

#include <vector>

#include "model/aten.h"
#include "model/buffer.h"
#include "model/stream.h"

namespace udi {

// The device's side of the tables of a step.
class Stage {
 public:
  // Tables become views of one piece of memory on `device`, laid side by side in pinned memory and copied at once,
  // without waiting for it; only where the copy of the last call but one has not begun yet. Undefined ones stay so. True: they lie where those of the last call lay, with the same
  // shapes and types, so that what was made of those reads these now.
  bool move(const std::vector<at::Tensor*>& tables, at::Device device);

 private:
  struct Staging {
    Buffer memory;  // pinned
    Mark copied;
  };
  std::vector<int64_t> layout_;
  Buffer memory_;
  Staging staging_[2];
  size_t next_ = 0;
};

// Tensors that lie on one device become copies on the CPU, after one transfer, in float64; those on the CPU stay what
// they are. Undefined ones stay so. Waits for the device.
void read_back(const std::vector<at::Tensor*>& tensors);

}  // namespace udi
