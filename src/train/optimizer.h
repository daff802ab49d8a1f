// Clipping, update and teacher average in one pass over flat memory (official: utils.clip_gradients, AdamW or SGD of
// torch.optim or utils.LARS, and the EMA loop of main_udi.py).
#pragma once

#include <vector>

#include "model/parameters.h"
#include "train/schedule.h"

namespace udi {

struct GradientNorms {
  double max = 0, sum = 0;  // over trainable tensors, before clipping
};

class Optimizer {
 public:
  // Moments of zero for weights of this layout.
  Optimizer(const udi_train_config& config, const Parameters& student);

  // Norms of all tensors of `grads`; step() clips by them. Not finite if any gradient is not.
  GradientNorms measure(const Parameters& grads, const Parameters& student);

  // After measure(): each tensor's gradient times min(1, clip_grad / (norm + 1e-6)), update of the student by
  // config.optimizer, then teacher = m teacher + (1 - m) student. Weight decay for `decayed` tensors alone. What is
  // frozen or not trainable keeps its weights, moments and count of updates; the teacher's average takes it along.
  void step(const ScheduleValues& now, Parameters& student, const Parameters& grads, Parameters& teacher);

  // The state, to save and to load.
  Parameters first, second;      // AdamW: exp_avg, exp_avg_sq; SGD and LARS: momentum buffer, none (flat undefined)
  std::vector<int64_t> updates;  // of each tensor

 private:
  struct Slice {
    size_t tensor;
    int64_t begin, size;  // in flat memory
  };
  struct TensorStep {
    bool moves;
    double clip, weight_decay, trust;
  };

  TensorStep tensor_step(const ParameterInfo& info, size_t tensor, const ScheduleValues& now) const;
  void step_loops(const std::vector<TensorStep>& plan, const ScheduleValues& now, Parameters& student,
                  const Parameters& grads, Parameters& teacher);
  void step_aten(const std::vector<TensorStep>& plan, const ScheduleValues& now, Parameters& student,
                 const Parameters& grads, Parameters& teacher);

  udi_train_config config_;
  std::vector<Slice> slices_;
  std::vector<double> gradient2_, gradient_weight_, weight2_;  // of each tensor, from measure()
};

}  // namespace udi
