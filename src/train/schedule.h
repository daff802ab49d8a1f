// What changes from step to step (official: utils.cosine_scheduler, the temperature of UDILoss).
#pragma once

#include "udi.h"

namespace udi {

struct ScheduleValues {
  double lr, weight_decay, momentum_teacher, teacher_temp;
  bool freeze_last_layer;
};

// lr: warmup_steps values from 0 to lr, both included, then lr to min_lr along half a cosine over the steps that are
// left. Weight decay and teacher momentum: half a cosine over all steps. Teacher temperature: once an epoch,
// teacher_temp_warmup_epochs values from warmup_teacher_temp to teacher_temp, both included. A warm-up longer than the
// run is cut off by its end; steps beyond the run have its last values.
ScheduleValues schedule_at(const udi_train_config& config, int64_t step);

}  // namespace udi
