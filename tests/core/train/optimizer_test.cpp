// Optimizers against their formulas, written out once more in float64 on plain arrays, an element at a time.
#include "train/optimizer.h"

#include <gtest/gtest.h>

#include <cmath>

#include "support.h"

namespace udi {
namespace {

struct Tensor64 {
  std::vector<double> weight, teacher, first, second;
  int64_t updates = 0;
};

double norm(const std::vector<double>& x) {
  double sum = 0;
  for (const double v : x) sum += v * v;
  return std::sqrt(sum);
}

// One tensor's step as PyTorch's AdamW and SGD, the official LARS, the official clipping and the official teacher do
// it.
void reference_step(const udi_train_config& c, const ScheduleValues& now, const ParameterInfo& info,
                    std::vector<double> g, Tensor64& t) {
  const double clip = c.clip_grad > 0 ? std::min(1.0, c.clip_grad / (norm(g) + 1e-6)) : 1.0;
  for (double& v : g) v *= clip;
  const bool frozen = info.last_layer && now.freeze_last_layer;
  const double decay = info.shape.size() > 1 ? now.weight_decay : 0;
  if (info.trainable && !frozen) {
    ++t.updates;
    if (c.optimizer == UDI_ADAMW) {
      for (size_t i = 0; i < g.size(); ++i) {
        t.weight[i] -= now.lr * decay * t.weight[i];
        t.first[i] = c.beta1 * t.first[i] + (1 - c.beta1) * g[i];
        t.second[i] = c.beta2 * t.second[i] + (1 - c.beta2) * g[i] * g[i];
        const double mean = t.first[i] / (1 - std::pow(c.beta1, double(t.updates)));
        const double square = t.second[i] / (1 - std::pow(c.beta2, double(t.updates)));
        t.weight[i] -= now.lr * mean / (std::sqrt(square) + c.epsilon);
      }
    } else {
      for (size_t i = 0; i < g.size(); ++i) g[i] += decay * t.weight[i];
      if (c.optimizer == UDI_LARS && info.shape.size() > 1) {
        const double w = norm(t.weight), u = norm(g);
        const double trust = w > 0 && u > 0 ? 0.001 * w / u : 1;
        for (double& v : g) v *= trust;
      }
      for (size_t i = 0; i < g.size(); ++i) {
        t.first[i] = c.sgd_momentum * t.first[i] + g[i];
        t.weight[i] -= now.lr * t.first[i];
      }
    }
  }
  for (size_t i = 0; i < g.size(); ++i)
    t.teacher[i] = now.momentum_teacher * t.teacher[i] + (1 - now.momentum_teacher) * t.weight[i];
}

std::vector<double> plain(const at::Tensor& t) {
  const at::Tensor wide = t.to(at::kDouble).contiguous();
  return {wide.const_data_ptr<double>(), wide.const_data_ptr<double>() + wide.numel()};
}

struct Case {
  const char* name;
  udi_optimizer optimizer;
  double clip;
  int norm_last_layer;
  bool wide;
};

class Optimizers : public testing::TestWithParam<Case> {};

TEST_P(Optimizers, FollowTheirFormulas) {
  const Case& p = GetParam();
  udi_train_config config = support::small_train();
  config.optimizer = p.optimizer;
  config.clip_grad = p.clip;
  config.weight_decay = 0.3;
  config.weight_decay_end = 0.5;
  config.momentum_teacher = 0.8;
  config.lr = 0.05;
  udi_model_config model = support::small_model();
  model.norm_last_layer = p.norm_last_layer;
  model.out_dim = 6000;  // prototypes of more than one slice
  model.drop_path_rate = 0;
  const at::ScalarType dtype = p.wide ? at::kDouble : at::kFloat;

  at::manual_seed(3);
  Parameters student(model, dtype, dtype, at::kCPU), teacher = student.zeros_like(), grads = student.zeros_like();
  const auto& entries = student.entries();
  std::vector<Tensor64> expected(entries.size());
  for (size_t i = 0; i < entries.size(); ++i) {
    student[i].copy_(at::randn(entries[i].shape, dtype));
    teacher[i].copy_(at::randn(entries[i].shape, dtype));
    if (i == 3) student[i].zero_();  // LARS: no norm, no trust
    expected[i].weight = plain(student[i]);
    expected[i].teacher = plain(teacher[i]);
    expected[i].first = expected[i].second = std::vector<double>(expected[i].weight.size(), 0.0);
  }
  const at::Tensor first_prototypes = student.head.weight_v.clone();

  Optimizer optimizer(config, student);
  for (int64_t step = 0; step < 6; ++step) {
    const ScheduleValues now = schedule_at(config, step);
    double max = 0, sum = 0;
    for (size_t i = 0; i < entries.size(); ++i) {
      grads[i].copy_(at::randn(entries[i].shape, dtype) * std::pow(10.0, double(i % 4) - 2));
      const std::vector<double> g = plain(grads[i]);
      if (entries[i].trainable) max = std::max(max, norm(g)), sum += norm(g);
      reference_step(config, now, entries[i], g, expected[i]);
    }
    const GradientNorms norms = optimizer.measure(grads, student);
    EXPECT_NEAR(norms.max, max, 1e-9 * max);
    EXPECT_NEAR(norms.sum, sum, 1e-9 * sum);
    optimizer.step(now, student, grads, teacher);
    if (step < config.freeze_last_layer_steps) {
      EXPECT_TRUE(at::equal(student.head.weight_v, first_prototypes));
    }
  }
  EXPECT_FALSE(at::equal(student.head.weight_v, first_prototypes));

  const double limit = p.wide ? 1e-12 : 2e-6;
  for (size_t i = 0; i < entries.size(); ++i) {
    const auto near = [&](const at::Tensor& value, const std::vector<double>& want, const char* what) {
      const at::Tensor reference = at::tensor(want, at::kDouble).view(value.sizes());
      EXPECT_LT(((value.to(at::kDouble) - reference).norm() / (reference.norm() + 1e-12)).item<double>(), limit)
          << entries[i].name << " " << what;
    };
    near(student[i], expected[i].weight, "weight");
    near(teacher[i], expected[i].teacher, "teacher");
    near(optimizer.first[i], expected[i].first, "first");
    if (p.optimizer == UDI_ADAMW) near(optimizer.second[i], expected[i].second, "second");
    EXPECT_EQ(optimizer.updates[i], expected[i].updates) << entries[i].name;
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, Optimizers,
    testing::Values(Case{"adamw", UDI_ADAMW, 0.5, 0, false}, Case{"adamw_wide", UDI_ADAMW, 0.5, 0, true},
                    Case{"adamw_no_clip_normed", UDI_ADAMW, 0, 1, false}, Case{"sgd", UDI_SGD, 0.5, 0, false},
                    Case{"sgd_wide", UDI_SGD, 0, 1, true}, Case{"lars", UDI_LARS, 0.5, 0, false},
                    Case{"lars_wide", UDI_LARS, 0.5, 0, true}, Case{"lars_no_clip_normed", UDI_LARS, 0, 1, false}),
    [](const auto& info) { return std::string(info.param.name); });

TEST(Optimizer, SeesWhatIsNotFinite) {
  const udi_model_config model = support::small_model();
  const Parameters student(model, at::kFloat, at::kFloat, at::kCPU), grads = student.zeros_like();
  Optimizer optimizer(support::small_train(), student);
  EXPECT_EQ(optimizer.measure(grads, student).sum, 0);
  grads[7].view(-1)[1] = std::numeric_limits<float>::infinity();
  EXPECT_FALSE(std::isfinite(optimizer.measure(grads, student).sum));
  grads[7].view(-1)[1] = std::nanf("");
  EXPECT_TRUE(std::isnan(optimizer.measure(grads, student).max));
}

}  // namespace
}  // namespace udi
