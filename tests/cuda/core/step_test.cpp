// A step where kernels work, emulated on the CPU, against the host's: padded is compacted, a recording holds nothing of
// its own step, and nothing is said to the host.
#include <ATen/record_function.h>
#include <gtest/gtest.h>

#include <cmath>
#include <mutex>
#include <set>

#include "steps.h"

namespace udi {
namespace {

void expect_close(const Outcome& got, const Outcome& want, double limit) {
  ASSERT_EQ(got.stats.size(), want.stats.size());
  for (size_t i = 0; i < got.stats.size(); ++i) {
    const udi_step_stats &x = got.stats[i], &y = want.stats[i];
    const auto near = [&](double value, double expected, const char* name) {
      if (std::isnan(expected)) {
        EXPECT_TRUE(std::isnan(value)) << name;
      } else {
        EXPECT_NEAR(value, expected, limit * (std::abs(expected) + 1e-3)) << name << " of step " << i;
      }
    };
    near(x.loss, y.loss, "loss");
    near(x.global_cls, y.global_cls, "global_cls");
    near(x.global_cls_plus, y.global_cls_plus, "global_cls_plus");
    near(x.global_patch, y.global_patch, "global_patch");
    near(x.local_cls, y.local_cls, "local_cls");
    near(x.local_cls_plus, y.local_cls_plus, "local_cls_plus");
    near(x.grad_norm_max, y.grad_norm_max, "grad_norm_max");
    near(x.grad_norm_sum, y.grad_norm_sum, "grad_norm_sum");
    near(x.teacher_entropy, y.teacher_entropy, "teacher_entropy");
    near(x.feature_std, y.feature_std, "feature_std");
    for (int level = 0; level < 3; ++level) near(x.center_norm[level], y.center_norm[level], "center_norm");
    EXPECT_EQ(x.step, y.step);
    EXPECT_EQ(x.lr, y.lr);
    EXPECT_EQ(x.teacher_temp, y.teacher_temp);
    EXPECT_EQ(x.valid_share, y.valid_share);
  }
  EXPECT_LT(distance(got.student, want.student), limit);
  EXPECT_LT(distance(got.teacher, want.teacher), limit);
  EXPECT_LT(distance(got.centers, want.centers), limit);
  EXPECT_EQ(got.state, want.state);
}

struct Case {
  const char* name;
  ViewShape shape = {};
  int class_tokens = 2, include_patch = 1, target_blend = 0, loss_reduction = 0, micro_batch = 0;
};

std::vector<Case> cases() {
  std::vector<Case> all = {{"usual"},
                           {"one_token", {}, 1},
                           {"dino", {}, 1, 0},
                           {"two_tokens_no_patches", {}, 2, 0},
                           {"probabilities", {}, 2, 1, 1},
                           {"sum_of_levels", {}, 2, 1, 0, 1},
                           {"chunks", {}, 2, 1, 0, 0, 2}};
  const auto shaped = [&](const char* name, int target_blend = 0) -> ViewShape& {
    all.push_back({name});
    all.back().target_blend = target_blend;
    return all.back().shape;
  };
  shaped("no_locals").locals = 0;
  shaped("no_valid_sample").overlap = false;
  shaped("no_valid_sample_probabilities", 1).overlap = false;
  ViewShape& none = shaped("no_sample");
  none.global_window = none.local_window = 5;
  shaped("no_global_sample").global_window = 5;
  shaped("no_local_sample_probabilities", 1).local_window = 5;
  shaped("one_image").batch = 1;
  return all;
}

class Steps : public testing::TestWithParam<Case> {};

// Kernels with compacted rows, and recorded steps with padded ones, which run with other steps' tables from the third
// step on, against the host's loops.
TEST_P(Steps, AreTheHosts) {
  const Case& c = GetParam();
  udi_model_config config = model_config();
  config.class_tokens = c.class_tokens;
  config.include_patch = c.include_patch;
  udi_train_config train = small_train();
  train.target_blend = c.target_blend;
  train.loss_reduction = c.loss_reduction;
  train.micro_batch = c.micro_batch;
  const Outcome host = run(Mode::kOff, config, train, c.shape, 4);
  for (const Mode mode : {Mode::kKernels, Mode::kReplayed}) {
    SCOPED_TRACE(mode == Mode::kReplayed ? "replayed" : "kernels");
    expect_close(run(mode, config, train, c.shape, 4), host, 1e-4);
  }
}

INSTANTIATE_TEST_SUITE_P(, Steps, testing::ValuesIn(cases()),
                         [](const auto& info) { return std::string(info.param.name); });

// Whether statistics are read changes nothing.
TEST(Step, ComesToTheSameUnread) {
  for (const Mode mode : {Mode::kKernels, Mode::kReplayed}) {
    const Outcome read = run(mode, model_config(), small_train(), {}, 6);
    const Outcome unread = run(mode, model_config(), small_train(), {}, 6, false);
    EXPECT_TRUE(at::equal(read.student, unread.student));
    EXPECT_TRUE(at::equal(read.teacher, unread.teacher));
    EXPECT_TRUE(at::equal(read.centers, unread.centers));
    EXPECT_EQ(read.state, unread.state);
    EXPECT_EQ(read.stats.back().loss, unread.stats.back().loss);
  }
}

// Shapes that change drop the recording, and the next is made of the new ones.
TEST(Step, FollowsOtherShapes) {
  ViewShape small;
  small.batch = 1;
  const auto trained = [&](Mode mode) {
    const Turned turned(mode);
    Trainer trainer(make_model(model_config()), small_train());
    for (const int step : {0, 1, 2, 3, 4, 5, 6, 7, 8, 9}) {
      const Views views = make_views(uint64_t(step), step == 4 ? small : ViewShape());
      udi_step_stats stats{};
      trainer.step({&views}, Host(), step % 3 ? nullptr : &stats);
    }
    trainer.settle();
    return trainer.student().flat.clone();
  };
  EXPECT_LT(distance(trained(Mode::kReplayed), trained(Mode::kOff)), 1e-4);
}

// ---- No word to the host -----------------------------------------------------------------------------------------

std::mutex seen_mutex;
std::multiset<std::string>* seen = nullptr;

std::unique_ptr<at::ObserverContext> observe(const at::RecordFunction& function) {
  const std::lock_guard lock(seen_mutex);
  if (seen) seen->insert(function.name());
  return nullptr;
}

// Names of operators that read a value back, or whose result's shape depends on one: a GPU would wait for them.
std::vector<std::string> reads(const std::multiset<std::string>& names) {
  const std::set<std::string> reading = {
      "aten::item",     "aten::_local_scalar_dense", "aten::nonzero",    "aten::is_nonzero",
      "aten::equal",    "aten::masked_select",       "aten::unique_dim", "aten::_unique2",
      "aten::argwhere", "aten::repeat_interleave",   "aten::allclose",   "aten::_to_cpu"};
  std::vector<std::string> found;
  for (const std::string& name : names) {
    if (reading.count(name)) found.push_back(name);
  }
  return found;
}

// Every operator that LibTorch is asked for in steps without statistics, tables included. (A copy from the device to
// the host cannot be told from another one here, where both are the CPU; what the host would make of it is what
// AreTheHosts replays without.)
TEST(Step, ReadsNothing) {
  at::clearThreadLocalCallbacks();
  const at::CallbackHandle handle = at::addGlobalCallback(
      at::RecordFunctionCallback(observe).scopes({at::RecordScope::FUNCTION, at::RecordScope::BACKWARD_FUNCTION}));
  for (const Mode mode : {Mode::kKernels, Mode::kReplayed}) {
    const Turned turned(mode);
    Trainer trainer(make_model(model_config()), small_train());
    const Views views = make_views(1);
    std::multiset<std::string> names;
    seen = &names;
    for (int step = 0; step < 5; ++step) trainer.step({&views}, Host(), nullptr);
    seen = nullptr;
    EXPECT_GT(names.count("aten::copy_"), 100u);  // it does observe
    EXPECT_EQ(reads(names), std::vector<std::string>());
    // And it would see one: the outcome is read value by value on the host.
    std::multiset<std::string> after;
    seen = &after;
    EXPECT_GT(trainer.centers().sum().item<double>(), -1e9);
    seen = nullptr;
    EXPECT_EQ(reads(after).size(), 2u);
  }
  at::removeCallback(handle);
}

}  // namespace
}  // namespace udi
