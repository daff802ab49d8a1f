// A step where kernels work, emulated on the CPU: it says nothing to the host, a recording holds nothing of its own
// step, padded is compacted, and what is not finite stops everything after it.
#include <ATen/record_function.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <mutex>
#include <set>

#include "base/error.h"
#include "model/kernels.h"
#include "train/checkpoint.h"
#include "train/support.h"

namespace udi {
namespace {

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

udi_model_config model_config() {
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
Outcome run(Mode mode, const udi_model_config& config, const udi_train_config& train, const ViewShape& shape, int steps,
            bool every_stats = true) {
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
    EXPECT_GT(names.count("aten::mm"), 100u);  // it does observe
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

// ---- What is not finite ------------------------------------------------------------------------------------------

// A pixel of one image is no number.
Views bad_views(uint64_t seed) {
  Views bad = make_views(seed);
  bad.dtype = UDI_F32;
  for (auto* crops : {&bad.global, &bad.local}) {
    std::vector<float> pixels(crops->begin(), crops->end());
    for (float& p : pixels) p /= 255;
    if (crops == &bad.global) pixels[size_t(2 * 3 * 16 * 16 + 5)] = std::nanf("");
    crops->resize(pixels.size() * sizeof(float));
    std::memcpy(crops->data(), pixels.data(), crops->size());
  }
  return bad;
}

Views float_views(uint64_t seed) {
  Views views = bad_views(seed);
  std::vector<float> pixels(views.global.size() / sizeof(float));
  std::memcpy(pixels.data(), views.global.data(), views.global.size());
  pixels[size_t(2 * 3 * 16 * 16 + 5)] = 0.5f;
  std::memcpy(views.global.data(), pixels.data(), views.global.size());
  return views;
}

template <class Call>
std::string nonfinite_words(const Call& call) {
  try {
    call();
  } catch (const Error& error) {
    EXPECT_EQ(error.status, UDI_E_NONFINITE);
    return error.message;
  }
  ADD_FAILURE() << "no error";
  return "";
}

TEST(Step, NamesWhatIsNotFiniteLate) {
  for (const Mode mode : {Mode::kKernels, Mode::kReplayed}) {
    SCOPED_TRACE(mode == Mode::kReplayed ? "replayed" : "kernels");
    const Turned turned(mode);
    Trainer trainer(make_model(model_config()), small_train()), twin(make_model(model_config()), small_train());
    const auto go = [&](Trainer& t, uint64_t seed) {
      const Views views = float_views(seed);
      t.step({&views}, Host(), nullptr);
    };
    for (uint64_t seed = 0; seed < 5; ++seed) go(trainer, seed), go(twin, seed);
    twin.settle();
    const Views bad = bad_views(5);
    trainer.step({&bad}, Host(), nullptr);
    for (uint64_t seed = 6; seed < 9; ++seed) go(trainer, seed);
    EXPECT_EQ(trainer.steps(), 9);
    const std::string words = nonfinite_words([&] { trainer.settle(); });
    EXPECT_EQ(words.find("step 5: the loss is not finite in global_cls, global_cls_plus"), 0u) << words;
    EXPECT_NE(words.find("for samples 502; nothing moved. What was done after it (3 steps)"), std::string::npos)
        << words;
    EXPECT_TRUE(support::same_bits(trainer, twin));  // steps() is 5 again, too
    go(trainer, 6);
    go(twin, 6);
    trainer.settle();
    twin.settle();
    EXPECT_TRUE(support::same_bits(trainer, twin));

    // At once where statistics are wanted, at a checkpoint, and after some steps by itself.
    udi_step_stats stats{};
    const std::string now = nonfinite_words([&] { trainer.step({&bad}, Host(), &stats); });
    EXPECT_NE(now.find("for samples 502; nothing moved"), std::string::npos) << now;
    EXPECT_EQ(now.find("after it"), std::string::npos) << now;
    support::TemporaryFolder folder;
    trainer.step({&bad}, Host(), nullptr);
    nonfinite_words([&] { save_checkpoint(trainer, {}, folder.path + "/c.safetensors"); });
    EXPECT_FALSE(std::filesystem::exists(folder.path + "/c.safetensors"));
    const std::string later = nonfinite_words([&] {
      trainer.step({&bad}, Host(), nullptr);
      for (uint64_t seed = 0; seed < 40; ++seed) go(trainer, seed);
    });
    EXPECT_NE(later.find("after it (15 steps)"), std::string::npos) << later;
    EXPECT_TRUE(support::same_bits(trainer, twin));
  }
}

// A checkpoint goes on to the same bits, counts of updates included, which live on the device in between.
TEST(Step, GoesOnFromACheckpoint) {
  support::TemporaryFolder folder;
  const std::string path = folder.path + "/c.safetensors";
  const auto go = [](Trainer& trainer, int count) {
    for (int i = 0; i < count; ++i) {
      const Views views = make_views(uint64_t(trainer.steps()));
      trainer.step({&views}, Host(), nullptr);
    }
  };
  for (const Mode mode : {Mode::kKernels, Mode::kReplayed}) {
    const Turned turned(mode);
    Trainer straight(make_model(model_config()), small_train());
    go(straight, 4);
    save_checkpoint(straight, {}, path);
    go(straight, 4);
    straight.settle();
    const LoadedCheckpoint loaded = load_checkpoint(path, at::kCPU, false);
    go(*loaded.trainer, 4);
    loaded.trainer->settle();
    EXPECT_TRUE(support::same_bits(straight, *loaded.trainer));
  }
}

// Kernels that go away in the middle of a run take their counts back to the host.
TEST(Step, LeavesTheDevice) {
  Trainer trainer(make_model(model_config()), small_train());
  const Outcome host = run(Mode::kOff, model_config(), small_train(), {}, 6);
  for (int step = 0; step < 6; ++step) {
    const Turned turned(step < 2 ? Mode::kReplayed : step < 4 ? Mode::kOff : Mode::kKernels);
    const Views a = make_views(uint64_t(10 + step)), b = make_views(uint64_t(50 + step));
    trainer.step({&a, &b}, Host(), nullptr);
  }
  trainer.settle();
  EXPECT_LT(distance(trainer.student().flat, host.student), 1e-4);
  EXPECT_EQ(trainer.state(), host.state);
}

// Logits in float16, activations in bfloat16: near float32, and what rounds in between is not the logits.
TEST(Step, MixedPrecisionIsNearFloat32) {
  udi_train_config train = small_train(), mixed = train;
  mixed.precision = UDI_BF16;
  const Outcome exact = run(Mode::kOff, model_config(), train, {}, 6);
  const Outcome bf16 = run(Mode::kOff, model_config(), mixed, {}, 6);
  for (const Mode mode : {Mode::kKernels, Mode::kReplayed}) {
    const Outcome half = run(mode, model_config(), mixed, {}, 6);
    double worst = 0;
    for (size_t i = 0; i < half.stats.size(); ++i)
      worst = std::max(worst, std::abs(half.stats[i].loss / exact.stats[i].loss - 1));
    std::printf("  mixed: loss within %.1e of float32, weights %.1e (bfloat16 with float32 logits: %.1e)\n", worst,
                distance(half.student, exact.student), distance(bf16.student, exact.student));
    EXPECT_NE(half.stats[0].loss, exact.stats[0].loss);
    EXPECT_LT(worst, 0.01);
    EXPECT_LT(distance(half.student, exact.student), 2 * distance(bf16.student, exact.student));
  }
}

}  // namespace
}  // namespace udi
