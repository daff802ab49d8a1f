// Schedules at their corners; golden_test.cpp compares them with the official ones step by step.
#include "train/schedule.h"

#include <gtest/gtest.h>

#include "support.h"

namespace udi {
namespace {

TEST(Schedule, WarmUpHoldsBothItsEnds) {
  udi_train_config c = support::small_train();
  c.warmup_steps = 5;
  c.lr = 1;
  c.min_lr = 0.1;
  EXPECT_DOUBLE_EQ(schedule_at(c, 0).lr, 0);
  EXPECT_DOUBLE_EQ(schedule_at(c, 1).lr, 0.25);
  EXPECT_DOUBLE_EQ(schedule_at(c, 4).lr, 1);
  EXPECT_DOUBLE_EQ(schedule_at(c, 5).lr, 1);                       // the cosine starts at the peak, too
  EXPECT_NEAR(schedule_at(c, 5 + 5).lr, 0.1 + 0.9 * 0.75, 1e-12);  // a third of the 15 steps that are left
  EXPECT_GT(schedule_at(c, 19).lr, 0.1);                           // official: the end itself is never reached
}

TEST(Schedule, BeyondTheRunIsItsEnd) {
  const udi_train_config c = support::small_train();
  for (const int64_t step : {c.total_steps, c.total_steps + 1, 100 * c.total_steps}) {
    const ScheduleValues now = schedule_at(c, step);
    EXPECT_DOUBLE_EQ(now.lr, c.min_lr);
    EXPECT_DOUBLE_EQ(now.weight_decay, c.weight_decay_end);
    EXPECT_DOUBLE_EQ(now.momentum_teacher, c.momentum_teacher_end);
    EXPECT_DOUBLE_EQ(now.teacher_temp, c.teacher_temp);
  }
}

TEST(Schedule, WarmUpsMayBeLongerThanTheRun) {
  udi_train_config c = support::small_train();
  c.warmup_steps = 101;
  c.teacher_temp_warmup_epochs = 31;
  c.lr = 1;
  EXPECT_DOUBLE_EQ(schedule_at(c, 19).lr, 0.19);
  EXPECT_DOUBLE_EQ(schedule_at(c, 19).teacher_temp, 0.04 + 0.03 * 4 / 30);
  c.total_steps = c.steps_per_epoch = 1;
  c.warmup_steps = 1;
  EXPECT_DOUBLE_EQ(schedule_at(c, 0).lr, 0);  // numpy.linspace of one value is its start
}

TEST(Schedule, TemperatureMovesOnceAnEpoch) {
  udi_train_config c = support::small_train();
  c.teacher_temp_warmup_epochs = 3;
  for (int64_t step = 0; step < 20; ++step) {
    const double want[] = {0.04, 0.055, 0.07, 0.07, 0.07};
    EXPECT_DOUBLE_EQ(schedule_at(c, step).teacher_temp, want[step / 4]) << step;
    EXPECT_EQ(schedule_at(c, step).freeze_last_layer, step < 2);
  }
  c.teacher_temp_warmup_epochs = 1;
  EXPECT_DOUBLE_EQ(schedule_at(c, 0).teacher_temp, 0.04);
  EXPECT_DOUBLE_EQ(schedule_at(c, 4).teacher_temp, 0.07);
  c.teacher_temp_warmup_epochs = 0;
  EXPECT_DOUBLE_EQ(schedule_at(c, 0).teacher_temp, 0.07);
}

}  // namespace
}  // namespace udi
