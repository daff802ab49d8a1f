// What a step promises beside the official numbers (golden_test.cpp): chunks do not show, nothing moves on failure.
#include "train/trainer.h"

#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <cmath>

#include "support.h"
#include "train/drop_path.h"

namespace udi {
namespace {

using support::distance;
using support::make_model;
using support::make_views;
using support::run;
using support::small_model;
using support::small_train;
using support::ViewShape;

// Largest relative distance of all tensors, key thirds of qkv biases left out.
double difference(const Trainer& a, const Trainer& b) {
  double worst = 0;
  const auto x = a.tensors(), y = b.tensors();
  for (size_t i = 0; i < x.size(); ++i) {
    if (x[i].first.find("qkv.bias") != std::string::npos) continue;
    worst = std::max(worst, distance(x[i].second, y[i].second));
  }
  return worst;
}

// Flat weights without those thirds, which no loss depends on: their gradients are rounding, and AdamW makes whole steps
// of any.
at::Tensor flat_of(const Parameters& weights) {
  const at::Tensor flat = weights.flat.clone();
  for (const ParameterInfo& info : weights.entries()) {
    if (info.name.find("qkv.bias") == std::string::npos) continue;
    flat.narrow(0, info.offset + info.elements / 3, info.elements / 3).zero_();
  }
  return flat;
}

Trainer wide_trainer(const udi_model_config& config, const udi_train_config& train) {
  Model model = make_model(config);
  model.weights = model.weights.to(at::kDouble, at::kDouble, at::kCPU);
  return Trainer(model, train);
}

struct Method {
  const char* name;
  int class_tokens = 2, include_patch = 1, locals = 2, target_blend = 0;
};

class Chunks : public testing::TestWithParam<Method> {};

// k micro-batches of B are one batch of kB. Float32 is within rounding of float64, which shows that the rest is
// rounding.
TEST_P(Chunks, DoNotShow) {
  const Method& method = GetParam();
  udi_model_config config = small_model();
  config.class_tokens = method.class_tokens;
  config.include_patch = method.include_patch;
  config.drop_path_rate = 0.3f;
  udi_train_config train = small_train();
  train.target_blend = method.target_blend;
  ViewShape shape;
  shape.locals = method.locals;
  shape.batch = 2;
  const Views a = make_views(1, shape), b = make_views(2, shape);
  shape.batch = 1;
  const Views c = make_views(3, shape);
  for (const bool wide : {true, false}) {
    const double limit = wide ? 1e-10 : 1e-5;
    const auto trainer = [&](int32_t micro_batch) {
      train.micro_batch = micro_batch;
      return wide ? wide_trainer(config, train) : Trainer(make_model(config), train);
    };
    Trainer whole = trainer(100), single = trainer(1), chosen = trainer(0);
    for (int step = 0; step < 3; ++step) {
      const auto x = run(whole, {{&a, &b, &c}}), y = run(single, {{&a, &b, &c}}), z = run(chosen, {{&a, &b, &c}});
      EXPECT_NEAR(x[0].loss, y[0].loss, limit * x[0].loss);
      EXPECT_NEAR(x[0].loss, z[0].loss, limit * x[0].loss);
      EXPECT_NEAR(x[0].grad_norm_sum, y[0].grad_norm_sum, limit * x[0].grad_norm_sum);
      EXPECT_NEAR(x[0].feature_std, y[0].feature_std, limit);
      EXPECT_NEAR(x[0].teacher_entropy, y[0].teacher_entropy, limit * 10);
      if (step == 0) {
        EXPECT_LT(distance(whole.gradients().flat, single.gradients().flat), limit);
      }
    }
    EXPECT_LT(distance(flat_of(whole.student()), flat_of(single.student())), limit / 10);
    EXPECT_LT(distance(flat_of(whole.teacher()), flat_of(single.teacher())), limit / 10);
    EXPECT_LT(distance(whole.centers(), single.centers()), limit);
    if (wide) {
      EXPECT_LT(difference(whole, single), 1e-7);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, Chunks,
                         testing::Values(Method{"udi"}, Method{"one_token", 1}, Method{"dino", 1, 0},
                                         Method{"no_locals", 2, 1, 0}, Method{"probabilities", 2, 1, 2, 1}),
                         [](const auto& info) { return std::string(info.param.name); });

// Threads that images do not divide among: what is left over goes somewhere, and a thread without images adds nothing.
TEST(Trainer, AnyNumberOfThreadsWillDo) {
  ViewShape shape;
  shape.batch = 9;
  const Views views = make_views(1, shape);
  const int before = at::get_num_threads();
  at::Tensor expected;
  for (const int threads : {1, 2, 3, 5, 8, 16}) {
    at::set_num_threads(threads);
    Trainer trainer(make_model(small_model()), small_train());
    run(trainer, {{&views}});
    if (threads == 1) expected = trainer.gradients().flat.clone();
    EXPECT_LT(distance(trainer.gradients().flat, expected), 1e-5) << threads << " threads";
  }
  at::set_num_threads(before);
}

// Two views of two images are the batch that holds all four.
TEST(Trainer, SeveralViewsAreOneBatch) {
  const Views a = make_views(1), b = make_views(2);
  Views both;
  both.batch = a.batch + b.batch;
  both.local_crops = a.local_crops;
  both.channels = 3;
  both.global_size = a.global_size;
  both.local_size = a.local_size;
  both.patch_size = a.patch_size;
  const auto join = [&](auto Views::*field, int64_t groups) {
    const auto &x = a.*field, &y = b.*field;
    for (int64_t g = 0; g < groups; ++g) {
      (both.*field)
          .insert((both.*field).end(), x.begin() + g * (x.size() / groups), x.begin() + (g + 1) * (x.size() / groups));
      (both.*field)
          .insert((both.*field).end(), y.begin() + g * (y.size() / groups), y.begin() + (g + 1) * (y.size() / groups));
    }
  };
  join(&Views::global, 2);
  join(&Views::local, a.local_crops);
  join(&Views::coords, 2 + a.local_crops);
  join(&Views::sample_global, 1);
  join(&Views::sample_local, 1);
  both.maps = make_sample_maps(both.batch, both.local_crops, 4, 2, both.coords.data(), both.sample_global.data(),
                               both.sample_local.data());
  udi_model_config config = small_model();
  config.drop_path_rate = 0.2f;
  Trainer apart = wide_trainer(config, small_train()), together = wide_trainer(config, small_train());
  for (int step = 0; step < 3; ++step) {
    EXPECT_NEAR(run(apart, {{&a, &b}})[0].loss, run(together, {{&both}})[0].loss, 1e-12);
  }
  EXPECT_LT(distance(apart.student().flat, together.student().flat), 1e-10);
  EXPECT_LT(distance(apart.centers(), together.centers()), 1e-10);
}

TEST(Trainer, IsDeterministic) {
  udi_model_config config = small_model();
  config.drop_path_rate = 0.2f;
  const Views a = make_views(1), b = make_views(2);
  Trainer first(make_model(config), small_train()), second(make_model(config), small_train());
  run(first, {{&a}, {&b}, {&a}});
  run(second, {{&a}, {&b}, {&a}});
  EXPECT_TRUE(support::same_bits(first, second));
  udi_train_config other = small_train();
  other.seed = 1;
  Trainer third(make_model(config), other);
  run(third, {{&a}, {&b}, {&a}});
  EXPECT_FALSE(at::equal(first.student().flat, third.student().flat));  // the seed draws the stochastic depth
}

// With teacher and centers held still the targets do not move, so the student must come closer to them.
TEST(Trainer, StudentComesToAFixedTeacher) {
  udi_train_config train = small_train();
  train.total_steps = 60;
  train.lr = 5e-3;
  train.teacher_temp = train.warmup_teacher_temp = 0.04;
  train.momentum_teacher = train.momentum_teacher_end = train.center_momentum = 1;
  const Views views = make_views(1);
  Trainer trainer(make_model(small_model()), train);
  const auto stats = run(trainer, std::vector<std::vector<const Views*>>(60, {&views}));
  EXPECT_LT(stats.back().kl, 0.5 * stats.front().kl);
  EXPECT_LT(stats.back().loss, stats.front().loss);
}

TEST(Trainer, Bf16IsNearFloat32) {
  udi_train_config train = small_train(), half = train;
  half.precision = UDI_BF16;
  const Views a = make_views(1), b = make_views(2);
  Trainer exact(make_model(small_model()), train), rounded(make_model(small_model()), half);
  const auto x = run(exact, {{&a}, {&b}, {&a}}), y = run(rounded, {{&a}, {&b}, {&a}});
  EXPECT_NE(x[0].loss, y[0].loss);
  for (size_t i = 0; i < x.size(); ++i) EXPECT_NEAR(x[i].loss, y[i].loss, 0.05 * x[i].loss);
  EXPECT_EQ(rounded.student().dtype(), at::kFloat);
  EXPECT_LT(distance(rounded.student().flat, exact.student().flat), 0.02);
}

// After any failure the trainer goes on as if the call had not been.
TEST(Trainer, NothingMovesOnFailure) {
  const Views good = make_views(1);
  Trainer trainer(make_model(small_model()), small_train()), twin(make_model(small_model()), small_train());
  run(trainer, {{&good}});
  run(twin, {{&good}});
  const auto expect_failure = [&](const std::vector<const Views*>& views, const Host& host, udi_status status,
                                  const std::string& words) {
    try {
      trainer.step(views, host, nullptr);
      FAIL() << "expected an error about " << words;
    } catch (const Error& error) {
      EXPECT_EQ(error.status, status) << error.message;
      EXPECT_NE(error.message.find(words), std::string::npos) << error.message;
    }
    EXPECT_TRUE(support::same_bits(trainer, twin));
  };

  // The third image of the second views has a pixel that is no number, seen by all of its crops' parts.
  Views bad = make_views(2);
  bad.dtype = UDI_F32;
  for (auto* crops : {&bad.global, &bad.local}) {
    std::vector<float> pixels(crops->begin(), crops->end());
    for (float& p : pixels) p /= 255;
    if (crops == &bad.global) pixels[size_t(2 * 3 * 16 * 16 + 5)] = std::nanf("");
    crops->resize(pixels.size() * sizeof(float));
    std::memcpy(crops->data(), pixels.data(), crops->size());
  }
  expect_failure({&good, &bad}, Host(), UDI_E_NONFINITE,
                 "step 1: the loss is not finite in global_cls, global_cls_plus");
  expect_failure({&good, &bad}, Host(), UDI_E_NONFINITE, "for samples 202;");

  Host host;
  host.cancelled = true;
  expect_failure({&good}, host, UDI_E_CANCELLED, "cancelled");
  expect_failure({}, Host(), UDI_E_INVALID, "views");
  ViewShape shape;
  shape.locals = 1;
  const Views fewer = make_views(1, shape);
  expect_failure({&good, &fewer}, Host(), UDI_E_SHAPE, "2 and 1 local crops");
  Views patches = make_views(1);
  patches.patch_size = 8;
  expect_failure({&patches}, Host(), UDI_E_SHAPE, "patches of 8");
  Views gray = make_views(1);
  gray.channels = 1;
  expect_failure({&gray}, Host(), UDI_E_SHAPE, "1 channels");
  Views misfit = make_views(1);
  misfit.maps.tokens_global = 9;
  expect_failure({&misfit}, Host(), UDI_E_SHAPE, "sample maps of 3 images, 2 local crops and 9 tokens");

  run(trainer, {{&good}});
  run(twin, {{&good}});
  EXPECT_TRUE(support::same_bits(trainer, twin));
}

TEST(Trainer, FloatCropsAreTheBytesOver255) {
  const Views bytes = make_views(1);
  Views floats = bytes;
  floats.dtype = UDI_F32;
  for (auto* crops : {&floats.global, &floats.local}) {
    std::vector<float> pixels(crops->begin(), crops->end());
    for (float& p : pixels) p /= 255;
    crops->resize(pixels.size() * sizeof(float));
    std::memcpy(crops->data(), pixels.data(), crops->size());
  }
  Trainer a(make_model(small_model()), small_train()), b(make_model(small_model()), small_train());
  EXPECT_NEAR(run(a, {{&bytes}})[0].loss, run(b, {{&floats}})[0].loss, 1e-5);
}

TEST(Trainer, GivesCopiesOfItsModels) {
  const Views views = make_views(1);
  Trainer trainer(make_model(small_model()), small_train());
  run(trainer, {{&views}, {&views}, {&views}});
  const Model student = trainer.model(UDI_STUDENT), teacher = trainer.model(UDI_TEACHER);
  EXPECT_TRUE(at::equal(student.weights.flat, trainer.student().flat));
  EXPECT_TRUE(at::equal(teacher.weights.flat, trainer.teacher().flat));
  student.weights.flat.zero_();
  EXPECT_FALSE(at::equal(student.weights.flat, trainer.student().flat));
  EXPECT_THROW(trainer.model(3), Error);
}

TEST(DropPath, RatesGrowAndMeansStay) {
  udi_model_config model = small_model();
  model.depth = 5;
  model.drop_path_rate = 0.4f;
  const int64_t images = 5000;
  const at::Tensor f = drop_path_factors(model, 1, 7, 0, images, 0, 2, at::TensorOptions(at::kDouble));
  ASSERT_EQ(f.sizes(), at::IntArrayRef({5, 2, 2 * images}));
  for (int64_t block = 0; block < 5; ++block) {
    const double rate = 0.1 * double(block);
    for (int64_t branch = 0; branch < 2; ++branch) {
      const at::Tensor row = f[block][branch];
      EXPECT_NEAR((row == 0).to(at::kDouble).mean().item<double>(), rate, 0.025);  // five standard deviations
      EXPECT_NEAR(row.max().item<double>(), 1 / (1 - rate), 1e-6);
    }
    if (block > 0) {
      EXPECT_FALSE(at::equal(f[block][0], f[block][1]));
    }
  }
  // One image's draw is its own, whatever is drawn beside it.
  const at::Tensor alone = drop_path_factors(model, 1, 7, 12, 1, 1, 1, at::TensorOptions(at::kDouble));
  EXPECT_TRUE(at::equal(alone.select(2, 0), f.select(2, images + 12)));
  EXPECT_FALSE(at::equal(f, drop_path_factors(model, 1, 8, 0, images, 0, 2, at::TensorOptions(at::kDouble))));
  model.drop_path_rate = 0;
  EXPECT_FALSE(drop_path_factors(model, 1, 7, 0, 2, 0, 2, at::TensorOptions(at::kDouble)).defined());
}

}  // namespace
}  // namespace udi
