// Replays the training steps of a golden folder.
#pragma once

#include <string>
#include <vector>

#include "train/trainer.h"

namespace udi {

// What a folder holds: the model before step 0, the training configuration and the batches. Throws Error for what is
// missing or damaged.
struct GoldenRun {
  explicit GoldenRun(const std::string& folder);

  Model model;
  udi_train_config train{};
  std::vector<Views> batches;  // step i uses batches[i mod 3]
  int64_t steps = 0;
};

struct GoldenReplay {
  std::vector<udi_step_stats> stats;  // a step each
  Parameters first_gradients;         // of step 0, before clipping
};
// All steps, one after the other.
GoldenReplay replay(Trainer& trainer, const GoldenRun& run);

// Writes loss, parts, grads.*, student.*, teacher.* and center to tensors of one safetensors file, and with them
// `more`.
void write_replay(const Trainer& trainer, const GoldenReplay& replay, const std::vector<TensorView>& more,
                  const std::string& path);

}  // namespace udi
