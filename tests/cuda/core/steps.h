// Steps of a small model with kernels off, on, or on with recorded steps; all on the CPU.
#pragma once

#include "model/kernels.h"
#include "train/support.h"

namespace udi {

using support::distance;
using support::make_model;
using support::make_views;
using support::small_model;
using support::small_train;
using support::ViewShape;

enum class Mode { kOff, kKernels, kReplayed };

// The suite's switch is on; each of these turns it for a while.
class Turned {
 public:
  explicit Turned(Mode mode) {
    kernels::leave();
    if (mode != Mode::kOff) kernels::use(at::kCPU, UDI_KERNELS);
    if (mode == Mode::kReplayed) kernels::use_graphs();
  }
  ~Turned() {
    kernels::leave();
    kernels::use(at::kCPU, UDI_KERNELS);
  }
};

inline udi_model_config model_config() {
  udi_model_config config = small_model();
  config.drop_path_rate = 0.3f;
  return config;
}

struct Outcome {
  std::vector<udi_step_stats> stats;
  at::Tensor student, teacher, centers;
  nlohmann::json state;
};

// `steps` steps over views that differ from step to step, with statistics of each, or of the last alone.
inline Outcome run(Mode mode, const udi_model_config& config, const udi_train_config& train, const ViewShape& shape,
                   int steps, bool every_stats = true) {
  const Turned turned(mode);
  Trainer trainer(make_model(config), train);
  Outcome out;
  for (int step = 0; step < steps; ++step) {
    const Views a = make_views(uint64_t(10 + step), shape), b = make_views(uint64_t(50 + step), shape);
    udi_step_stats stats{};
    const bool wanted = every_stats || step + 1 == steps;
    trainer.step({&a, &b}, Host(), wanted ? &stats : nullptr);
    if (wanted) out.stats.push_back(stats);
  }
  trainer.settle();
  out.student = trainer.student().flat.clone();
  out.teacher = trainer.teacher().flat.clone();
  out.centers = trainer.centers().clone();
  out.state = trainer.state();
  return out;
}

}  // namespace udi
