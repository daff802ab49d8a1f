// AdamW, clipping and teacher's average by cuda/update.h, where kernels take the weights: nothing is said to the host,
// and after a gradient or a loss that is not finite nothing moves until it is cleared.
#pragma once

#include "../../cuda/update.h"
#include "train/optimizer.h"

namespace udi {

class DeviceUpdate {
 public:
  // For weights of student's layout; begins with optimizer's counts. Copies handles of its moments.
  DeviceUpdate(const udi_train_config& config, const Parameters& student, const Optimizer& optimizer);

  // One step, the 16-bit copies included. schedule: see schedule_table; on the device.
  void run(const at::Tensor& schedule, const Parameters& grads, const Parameters& student, const Parameters& teacher);

  at::Tensor updates;     // int64 [tensors]: as Optimizer::updates
  at::Tensor norms;       // float64 [2]: GradientNorms
  at::Tensor not_finite;  // int32 [1]: see cuda::UpdateArgs

 private:
  udi_train_config config_;
  at::Tensor first_, second_;  // flat
  int64_t slices_ = 0;
  at::Tensor slice_, first_slice_, info_, workspace_, step_;
};

// A cuda::Schedule as bytes, on the CPU.
at::Tensor schedule_table(const ScheduleValues& now);

}  // namespace udi
