#include "train/schedule.h"

#include <algorithm>
#include <cmath>

namespace udi {
namespace {

// Half a cosine from `from` at place 0 towards `to`, which place `count` would have.
double cosine(double from, double to, int64_t place, int64_t count) {
  if (count <= 0) return to;
  const double share = double(std::min(place, count)) / double(count);
  return to + 0.5 * (from - to) * (1 + std::cos(3.14159265358979323846 * share));
}

// Value `place` of `count` from `from` to `to`, both included; a single value is `from` (numpy.linspace).
double linear(double from, double to, int64_t place, int64_t count) {
  return count > 1 ? from + (to - from) * double(place) / double(count - 1) : from;
}

}  // namespace

ScheduleValues schedule_at(const udi_train_config& config, int64_t step) {
  ScheduleValues now{};
  now.lr = step < config.warmup_steps
               ? linear(0, config.lr, step, config.warmup_steps)
               : cosine(config.lr, config.min_lr, step - config.warmup_steps, config.total_steps - config.warmup_steps);
  now.weight_decay = cosine(config.weight_decay, config.weight_decay_end, step, config.total_steps);
  now.momentum_teacher = cosine(config.momentum_teacher, config.momentum_teacher_end, step, config.total_steps);
  const int64_t epoch = step / config.steps_per_epoch;
  now.teacher_temp = epoch < config.teacher_temp_warmup_epochs ? linear(config.warmup_teacher_temp, config.teacher_temp,
                                                                        epoch, config.teacher_temp_warmup_epochs)
                                                               : config.teacher_temp;
  now.freeze_last_layer = step < config.freeze_last_layer_steps;
  return now;
}

}  // namespace udi
