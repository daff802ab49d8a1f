// Every step of the four golden folders.
#include "model/golden.h"

#include <gtest/gtest.h>

#include <cmath>

#include "../../golden/replay_train.h"

namespace udi {
namespace {

double distance(const at::Tensor& value, const at::Tensor& reference) {
  const at::Tensor a = value.to(at::kDouble), b = reference.to(at::kDouble);
  return ((a - b).norm() / b.norm().clamp_min(1e-30)).item<double>();
}

// Without the key third of qkv biases: its true gradient is zero, and Adam moves it by rounding noise.
at::Tensor comparable(const std::string& name, const at::Tensor& value) {
  if (name.find("qkv.bias") == std::string::npos) return value;
  const int64_t dim = value.size(0) / 3;
  return at::cat({value.narrow(0, 0, dim), value.narrow(0, 2 * dim, dim)});
}

// Keeps the largest of differences, and says at the end which it was.
class Worst {
 public:
  Worst(std::string what, double limit) : what_(std::move(what)), limit_(limit) {}
  ~Worst() {
    std::printf("  %-12s largest difference %.2e (%s), %.0f %% of the tolerance\n", what_.c_str(), value_,
                where_.c_str(), 100 * value_ / limit_);
  }
  void see(const std::string& where, double value) {
    EXPECT_LE(value, limit_) << what_ << ": " << where;
    if (!(value <= value_)) value_ = value, where_ = where;
  }

 private:
  std::string what_, where_;
  double limit_, value_ = 0;
};

class GoldenSteps : public testing::TestWithParam<const char*> {};

TEST_P(GoldenSteps, AreReplayed) {
  const std::string folder = std::string(UDI_TEST_DIR) + "/golden/" + GetParam();
  const GoldenRun run(folder);
  Trainer trainer(run.model, run.train);
  const GoldenReplay got = replay(trainer, run);
  const nlohmann::json steps = nlohmann::json::parse(read_text(folder + "/golden.json")).at("steps");
  ASSERT_EQ(got.stats.size(), steps.size());

  Worst parts("loss parts", 5e-6), schedules("schedules", 1e-12), norms("norms", 1e-5);
  for (size_t i = 0; i < steps.size(); ++i) {
    const udi_step_stats& stats = got.stats[i];
    const auto see = [&](Worst& worst, const char* name, double value) {
      const nlohmann::json& want = steps[i].at(name);
      if (want.is_null()) {
        EXPECT_TRUE(std::isnan(value)) << name;
        return;
      }
      const double scale = std::max(std::abs(want.get<double>()), 1e-300);
      worst.see("step " + std::to_string(i) + " " + name,
                value == want.get<double>() ? 0 : std::abs(value - want.get<double>()) / scale);
    };
    see(parts, "loss", stats.loss);
    see(parts, "global_cls", stats.global_cls);
    see(parts, "global_cls_plus", stats.global_cls_plus);
    see(parts, "global_patch", stats.global_patch);
    see(parts, "local_cls", stats.local_cls);
    see(parts, "local_cls_plus", stats.local_cls_plus);
    see(schedules, "lr", stats.lr);
    see(schedules, "wd", stats.weight_decay);
    see(schedules, "momentum", stats.momentum_teacher);
    see(schedules, "teacher_temp", stats.teacher_temp);
    see(norms, "grad_norm_max", stats.grad_norm_max);
    see(norms, "grad_norm_sum", stats.grad_norm_sum);
    size_t level = 0;
    for (const double norm : stats.center_norm) {
      if (std::isnan(norm)) continue;
      const double want = steps[i].at("center_norm").at(level++);
      norms.see("step " + std::to_string(i) + " center", std::abs(norm - want) / want);
    }
    EXPECT_EQ(level, steps[i].at("center_norm").size());
    EXPECT_NEAR(stats.kl + stats.teacher_entropy, stats.global_cls, 1e-12);
  }

  const SafetensorsFile grads(folder + "/grads_step0.safetensors"), final(folder + "/final.safetensors");
  Worst gradient("gradients", 1e-5), weight("weights", 1e-5), center("centers", 1e-5);
  size_t seen = 0;
  for (const auto& info : got.first_gradients.entries()) {
    const at::Tensor value = got.first_gradients.at(info.name);
    if (info.trainable) {
      gradient.see(info.name, distance(comparable(info.name, value),
                                       comparable(info.name, golden::tensor(grads, info.name).view(info.shape))));
      ++seen;
    }
    for (const char* role : {"student.", "teacher."}) {
      const Parameters& weights = role[0] == 's' ? trainer.student() : trainer.teacher();
      const at::Tensor want = golden::tensor(final, role + info.name).view(info.shape);
      weight.see(role + info.name, distance(comparable(info.name, weights.at(info.name)), comparable(info.name, want)));
    }
  }
  EXPECT_EQ(seen, grads.tensors().size());
  center.see("center", distance(trainer.centers(), golden::tensor(final, "center")));
}

INSTANTIATE_TEST_SUITE_P(All, GoldenSteps, testing::Values("udi_tiny", "udi_recipe", "udi_one_token", "dino_tiny"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace udi
