// A step over ranks: ranks are threads with a trainer and a group each. W ranks with their views equal one rank with all
// of them; whatever fails on one fails on all.
#include "dist/ranks.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "support.h"
#include "train/checkpoint.h"

namespace udi {
namespace {

using support::distance;
using support::expect_well;
using support::make_model;
using support::make_views;
using support::run_ranks;
using support::same_bits;
using support::says;
using support::small_model;
using support::small_train;
using support::ViewShape;

using GroupOf = std::shared_ptr<Group>;

struct Case {
  const char* name;
  int32_t world = 2;
  bool wide = false;           // float64
  int64_t locals = 2, batch = 2;
  int class_tokens = 2, include_patch = 1, steps = 20;
  int64_t bucket_bytes = 0;
  int64_t views = 1;           // of a rank in a step
  int64_t more = 0;            // images that each rank has more than the one before
};

Trainer trainer_of(const Case& c, uint64_t seed = 5) {
  udi_model_config config = small_model();
  config.class_tokens = c.class_tokens;
  config.include_patch = c.include_patch;
  config.drop_path_rate = 0.3f;
  Model model = make_model(config, seed);
  if (c.wide) model.weights = model.weights.to(at::kDouble, at::kDouble, at::kCPU);
  return Trainer(model, small_train());
}

// The n-th views of a rank in a step.
Views views_of(const Case& c, int64_t step, int64_t rank, int64_t n) {
  ViewShape shape;
  shape.locals = c.locals;
  shape.batch = c.batch + c.more * rank;
  return make_views(uint64_t(1000 * step + 100 * rank + n), shape);
}

// What is compared of a step.
std::vector<double> numbers_of(const udi_step_stats& s) {
  return {s.loss,          s.global_cls,    s.global_cls_plus, s.global_patch,   s.local_cls,      s.local_cls_plus,
          s.center_norm[0], s.center_norm[1], s.center_norm[2],  s.teacher_entropy, s.kl,             s.valid_share,
          s.feature_std,    s.grad_norm_max};
}

void expect_close(const udi_step_stats& one, const udi_step_stats& many, double limit) {
  EXPECT_EQ(one.step, many.step);
  const auto a = numbers_of(one), b = numbers_of(many);
  for (size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(std::isnan(a[i]), std::isnan(b[i])) << i;
    if (!std::isnan(a[i])) {
      EXPECT_NEAR(a[i], b[i], limit * std::max(1.0, std::abs(a[i]))) << "number " << i << " of step " << one.step;
    }
  }
}

class Ranks : public testing::TestWithParam<Case> {};

TEST_P(Ranks, EqualOneWithAllImages) {
  const Case& c = GetParam();
  Trainer one = trainer_of(c);
  std::vector<udi_step_stats> expected;
  for (int64_t step = 0; step < c.steps; ++step) {
    std::vector<Views> all;
    for (int64_t n = 0; n < c.views; ++n) {
      for (int32_t rank = 0; rank < c.world; ++rank) all.push_back(views_of(c, step, rank, n));
    }
    std::vector<const Views*> given;
    for (const Views& views : all) given.push_back(&views);
    expected.push_back(support::run(one, {given})[0]);
  }

  std::vector<std::unique_ptr<Trainer>> trainers(static_cast<size_t>(c.world));
  expect_well(run_ranks(
      c.world,
      [&](const GroupOf& group) {
        auto& trainer = trainers[size_t(group->rank())];
        trainer = std::make_unique<Trainer>(trainer_of(c, group->first() ? 5 : 6));  // rank 0's weights count
        trainer->join(group);
        for (int64_t step = 0; step < c.steps; ++step) {
          std::vector<Views> own;
          for (int64_t n = 0; n < c.views; ++n) own.push_back(views_of(c, step, group->rank(), n));
          std::vector<const Views*> given;
          for (const Views& views : own) given.push_back(&views);
          expect_close(expected[size_t(step)], support::run(*trainer, {given})[0], c.wide ? 1e-10 : 1e-5);
        }
      },
      20, c.bucket_bytes));
  for (int32_t rank = 1; rank < c.world; ++rank) EXPECT_TRUE(same_bits(*trainers[0], *trainers[size_t(rank)]));
  // A step by Adam divides by the size of its gradient: rounding shows in weights whose gradient is nothing but.
  const double limit = c.wide ? 1e-6 : 0.02;
  EXPECT_LT(distance(trainers[0]->teacher().flat, one.teacher().flat), limit);
  EXPECT_LT(distance(trainers[0]->centers(), one.centers()), c.wide ? 1e-10 : 1e-4);
  while (!trainers.empty()) trainers.pop_back();  // rank 0, which keeps the store, waits for the others to leave
}

INSTANTIATE_TEST_SUITE_P(, Ranks,
                         testing::Values(Case{"two"}, Case{"three", 3}, Case{"two_float64", 2, true},
                                         Case{"without_local_crops", 2, true, 0}, Case{"one_token", 2, true, 2, 2, 1, 0},
                                         Case{"small_buckets", 3, true, 2, 2, 2, 1, 4, 2000},
                                         Case{"several_views", 2, true, 2, 2, 2, 1, 6, 0, 3},
                                         Case{"unequal", 3, true, 2, 1, 2, 1, 6, 0, 2, 2}),
                         [](const auto& info) { return std::string(info.param.name); });

// The official reduction: gradients, losses and centers are means of what each rank would have alone.
TEST(RankReduction, MeanOfMeansIsThat) {
  const Case c{"", 2, true, 2, 2, 2, 1, 1, 0, 1, 1};
  const auto mean_trainer = [&] {
    udi_train_config train = small_train();
    train.rank_reduction = 1;
    Model model = make_model(small_model());
    model.weights = model.weights.to(at::kDouble, at::kDouble, at::kCPU);
    return Trainer(model, train);
  };
  double loss = 0, valid = 0;
  at::Tensor gradients, centers;
  for (int64_t rank = 0; rank < 2; ++rank) {
    Trainer alone = mean_trainer();
    const Views views = views_of(c, 0, rank, 0);
    const udi_step_stats stats = support::run(alone, {{&views}})[0];
    loss += stats.loss / 2;
    valid += stats.valid_share;
    const at::Tensor half = alone.gradients().flat / 2, center = alone.centers() / 2;
    gradients = gradients.defined() ? gradients + half : half;
    centers = centers.defined() ? centers + center : center;
  }
  expect_well(run_ranks(2, [&](const GroupOf& group) {
    Trainer trainer = mean_trainer();
    trainer.join(group);
    const Views views = views_of(c, 0, group->rank(), 0);
    const udi_step_stats stats = support::run(trainer, {{&views}})[0];
    EXPECT_NEAR(stats.loss, loss, 1e-12);
    EXPECT_LT(distance(trainer.gradients().flat, gradients), 1e-12);
    EXPECT_LT(distance(trainer.centers(), centers), 1e-12);
  }));
  // And it is another number than the default's: the ranks have different counts.
  expect_well(run_ranks(2, [&](const GroupOf& group) {
    Trainer trainer = trainer_of(c);
    trainer.join(group);
    const Views views = views_of(c, 0, group->rank(), 0);
    EXPECT_GT(std::abs(support::run(trainer, {{&views}})[0].loss - loss), 1e-6);
  }));
  EXPECT_GT(valid, 0);
}

// A loss that is not finite on one rank is an error on all, which names it; nothing has moved, and the next step works.
TEST(RankFailure, NothingMovesAnywhere) {
  const Case c{""};
  for (const int64_t bucket_bytes : {0, 400}) {
    expect_well(run_ranks(
        2,
        [&](const GroupOf& group) {
          Trainer trainer = trainer_of(c), before = trainer_of(c);
          trainer.join(group);
          Views good = views_of(c, 0, group->rank(), 0), bad = good;
          if (group->rank() == 1) {
            bad.dtype = UDI_F32;
            std::vector<float> pixels(bad.global.size(), 0.5f);
            pixels[7] = std::numeric_limits<float>::quiet_NaN();
            bad.global.resize(pixels.size() * sizeof(float));
            std::memcpy(bad.global.data(), pixels.data(), bad.global.size());
            bad.local.assign(bad.local.size() * sizeof(float), 0);
          }
          try {
            support::run(trainer, {{&bad}});
            ADD_FAILURE() << "a step over NaN worked";
          } catch (const Error& error) {
            EXPECT_EQ(error.status, UDI_E_NONFINITE);
            EXPECT_EQ(error.rank, 1);
            EXPECT_TRUE(says(error.message, "rank 1 of 2: step 0: the loss is not finite in")) << error.message;
            EXPECT_TRUE(says(error.message, "samples 10000;")) << error.message;
          }
          EXPECT_TRUE(same_bits(trainer, before));
          support::run(trainer, {{&good}});
          EXPECT_EQ(trainer.steps(), 1);
        },
        20, bucket_bytes));
  }
}

TEST(RankFailure, ACancelOfOneEndsAll) {
  const Case c{""};
  expect_well(run_ranks(3, [&](const GroupOf& group) {
    Trainer trainer = trainer_of(c), before = trainer_of(c);
    trainer.join(group);
    const Views views = views_of(c, 0, group->rank(), 0);
    Host host;
    host.cancelled = group->rank() == 2;
    try {
      trainer.step({&views}, host, nullptr);
      ADD_FAILURE() << "a cancelled step worked";
    } catch (const Error& error) {
      EXPECT_EQ(error.status, UDI_E_CANCELLED);
      EXPECT_EQ(error.rank, 2);
    }
    EXPECT_TRUE(same_bits(trainer, before));
  }));
}

// A rank that is gone in the midst of a step: an error that names it, and nothing moved.
TEST(RankFailure, OneThatIsGone) {
  const Case c{""};
  const auto results = run_ranks(3, [&](const GroupOf& group) {
    Trainer trainer = trainer_of(c), before = trainer_of(c);
    trainer.join(group);
    if (group->rank() == 1) return;
    const Views views = views_of(c, 0, group->rank(), 0);
    try {
      support::run(trainer, {{&views}});
    } catch (const Error&) {
      EXPECT_TRUE(same_bits(trainer, before));
      EXPECT_THROW(support::run(trainer, {{&views}}), Error);
      throw;
    }
  });
  for (const size_t rank : {0, 2}) {
    EXPECT_EQ(results[rank].status, UDI_E_IO);
    EXPECT_TRUE(says(results[rank].message, "rank 1 of 3 is gone")) << results[rank].message;
  }
}

TEST(Join, RefusesWhatDoesNotBelongTogether) {
  const Case c{""};
  const auto message_of = [](const auto& body) {
    try {
      body();
    } catch (const Error& error) {
      return error.message;
    }
    return std::string("accepted");
  };
  udi_train_config train = small_train();
  train.world = 2;
  Trainer second(make_model(small_model()), train);
  const Views views = views_of(c, 0, 0, 0);
  EXPECT_TRUE(says(message_of([&] { support::run(second, {{&views}}); }), "is rank 0 of 2 and has joined no group"));
  EXPECT_TRUE(says(message_of([&] { second.join(std::make_shared<Group>()); }), "rank 0 of 2, the group's is 0 of 1"));
  expect_well(run_ranks(2, [&](const GroupOf& group) {
    udi_train_config other = small_train();
    if (group->rank() == 1) other.lr = 0.25;
    Trainer differing(make_model(small_model()), other);
    EXPECT_EQ(message_of([&] { differing.join(group); }), "lr is 0.002 on rank 0 and 0.25 on rank 1");

    Trainer trainer = trainer_of(c);
    trainer.join(group);
    Case fewer = c;
    fewer.locals = 2 - group->rank();
    const Views own = views_of(fewer, 0, group->rank(), 0);
    EXPECT_EQ(message_of([&] { support::run(trainer, {{&own}}); }), "local crops of a step: 2 on rank 0, 1 on rank 1");
  }));
}

// From one rank to two and back: the run is the one that never changed.
TEST(Join, ACheckpointGoesOnOnAnyNumberOfRanks) {
  const Case c{"", 2, true};
  const support::TemporaryFolder folder;
  const std::string path = folder.path + "/c.safetensors";
  const auto both = [&](Trainer& trainer, int64_t step) {
    const Views a = views_of(c, step, 0, 0), b = views_of(c, step, 1, 0);
    return support::run(trainer, {{&a, &b}})[0];
  };
  Case narrow = c;
  narrow.wide = false;
  Trainer straight = trainer_of(narrow);
  std::vector<udi_step_stats> expected;
  for (int64_t step = 0; step < 9; ++step) expected.push_back(both(straight, step));

  Trainer first = trainer_of(narrow);
  for (int64_t step = 0; step < 3; ++step) both(first, step);
  save_checkpoint(first, {}, path);
  expect_well(run_ranks(2, [&](const GroupOf& group) {
    auto trainer = group->first() ? load_checkpoint(path, at::kCPU, false).trainer
                                  : std::make_unique<Trainer>(trainer_of(narrow, 6));
    trainer->join(group);
    EXPECT_EQ(trainer->steps(), 3);
    for (int64_t step = 3; step < 6; ++step) {
      const Views own = views_of(c, step, group->rank(), 0);
      expect_close(expected[size_t(step)], support::run(*trainer, {{&own}})[0], 1e-5);
    }
    if (group->rank() == 1) save_checkpoint(*trainer, {}, path);
    group->agree_on([] {});
  }));
  const auto last = load_checkpoint(path, at::kCPU, false).trainer;
  EXPECT_EQ(last->config().world, 1);
  for (int64_t step = 6; step < 9; ++step) expect_close(expected[size_t(step)], both(*last, step), 1e-5);
}

}  // namespace
}  // namespace udi
