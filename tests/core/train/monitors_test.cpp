#include "train/monitors.h"

#include <gtest/gtest.h>

#include <cmath>

#include "support.h"

namespace udi {
namespace {

udi_step_stats healthy(int64_t step) {
  udi_step_stats stats{};
  stats.step = step;
  stats.global_cls = 0.7 * std::log(60.0);
  stats.teacher_entropy = 0.4 * std::log(60.0);
  stats.feature_std = 0.8 / std::sqrt(24.0);
  return stats;
}

// The messages of steps [0, count).
std::vector<std::string> said(int64_t count, void (*change)(udi_step_stats&), int64_t warmup = 30,
                              int32_t prototypes = 60) {
  udi_train_config train = support::small_train();
  train.total_steps = count;
  train.warmup_steps = warmup;
  udi_model_config model = support::small_model();
  model.out_dim = prototypes;
  CollapseMonitor monitor(model, train);
  std::vector<std::string> all;
  for (int64_t step = 0; step < count; ++step) {
    udi_step_stats stats = healthy(step);
    change(stats);
    for (const std::string& message : monitor.see(stats)) all.push_back(message);
  }
  return all;
}

TEST(CollapseMonitor, IsSilentWhileARunIsWell) {
  EXPECT_TRUE(said(500, [](udi_step_stats&) {}).empty());
  // Flat during the warm-up, as runs are, and for less than the patience after it.
  EXPECT_TRUE(said(500, [](udi_step_stats& s) {
                if (s.step < 30 + 49) s.global_cls = s.teacher_entropy = std::log(60.0);
              }).empty());
  EXPECT_TRUE(said(500, [](udi_step_stats& s) {
                if (s.step % 40) s.global_cls = std::log(60.0);
              }).empty());
}

TEST(CollapseMonitor, SaysEachSymptomOnceWithCures) {
  const auto flat = said(500, [](udi_step_stats& s) { s.global_cls = 0.99 * std::log(60.0); });
  ASSERT_EQ(flat.size(), 1u);
  EXPECT_NE(flat[0].find("step 79"), std::string::npos) << flat[0];  // 30 of warm-up, then 50
  for (const char* cure : {"teacher_temp 0.04 (now 0.07)", "momentum_teacher 0.99 (now 0.996)", "warmup_steps, now 30",
                           "norm_last_layer 1", "freeze_last_layer_steps"})
    EXPECT_NE(flat[0].find(cure), std::string::npos) << flat[0];
  EXPECT_EQ(flat[0].find("fewer prototypes"), std::string::npos);  // 60 are few
  EXPECT_EQ(flat[0].find("small-data"), std::string::npos);
  const auto large = said(
      500, [](udi_step_stats& s) { s.global_cls = std::log(65536.0); }, 30, 65536);
  ASSERT_EQ(large.size(), 1u);
  EXPECT_NE(large[0].find("fewer prototypes (out_dim, now 65536)"), std::string::npos) << large[0];
  EXPECT_NE(large[0].find("--preset small-data"), std::string::npos) << large[0];

  const auto both = said(500, [](udi_step_stats& s) {
    s.teacher_entropy = std::log(60.0);
    s.feature_std = 0.01;
  });
  ASSERT_EQ(both.size(), 2u);
  EXPECT_NE(both[0].find("targets are flat"), std::string::npos);
  EXPECT_NE(both[1].find("same features"), std::string::npos);
  const auto sharp = said(500, [](udi_step_stats& s) { s.teacher_entropy = 0.001; });
  ASSERT_EQ(sharp.size(), 1u);
  EXPECT_NE(sharp[0].find("higher teacher_temp"), std::string::npos);
}

// Few images make epochs short, so that ten epochs of warm-up may be the whole run: a quarter of it is waited for.
TEST(CollapseMonitor, SpeaksInARunThatIsAllWarmUp) {
  const auto flat = said(
      200, [](udi_step_stats& s) { s.global_cls = std::log(60.0); }, 1000);
  ASSERT_EQ(flat.size(), 1u);
  EXPECT_NE(flat[0].find("step 99"), std::string::npos) << flat[0];  // 50 of 200, then 50
  EXPECT_NE(flat[0].find("warmup_steps 1000 of 200"), std::string::npos) << flat[0];
  EXPECT_EQ(flat[0].find("a longer warm-up"), std::string::npos) << flat[0];
}

// A model whose weights make all images alike, and one as it is initialised, seen through a real step.
TEST(CollapseMonitor, MeasuresSpreadInARealStep) {
  const Views views = support::make_views(1);
  Model model = support::make_model(support::small_model());
  udi_step_stats stats{};
  Trainer(model, support::small_train()).step({&views}, Host(), &stats);
  EXPECT_GT(stats.feature_std, 0);
  for (const BlockWeights& block : model.weights.vit.blocks) block.proj.weight.zero_(), block.fc2.weight.zero_();
  Trainer(model, support::small_train()).step({&views}, Host(), &stats);
  EXPECT_LT(stats.feature_std, 1e-4);  // nothing of the image reaches the class tokens
}

}  // namespace
}  // namespace udi
