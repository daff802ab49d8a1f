// Settings at their corners train: no part is missing that is there, none is no number.
#include <gtest/gtest.h>

#include <cmath>

#include "support.h"

namespace udi {
namespace {

using support::make_model;
using support::make_views;
using support::small_model;
using support::small_train;
using support::ViewShape;

struct Corner {
  const char* name;
  ViewShape shape;
  udi_train_config train = small_train();
  udi_model_config model = small_model();
};

std::vector<Corner> corners() {
  std::vector<Corner> all(18);
  size_t i = 0;
  const auto next = [&](const char* name) -> Corner& {
    all[i].name = name;
    return all[i++];
  };
  next("no overlap: no sample is valid").shape.overlap = false;
  next("one image").shape.batch = 1;
  next("one sample a grid").shape.global_window = 4;
  next("windows larger than the grid: no sample").shape.global_window = 5;
  all[i - 1].shape.local_window = 5;
  next("no sample of global crops").shape.global_window = 5;
  next("no sample of local crops").shape.local_window = 5;
  Corner& paper_bare = next("the paper's mixture without a sample");
  paper_bare.shape.global_window = paper_bare.shape.local_window = 5;
  paper_bare.train.target_blend = 1;
  next("no local crops").shape.locals = 0;
  Corner& small = next("image, crops and windows of one token");
  small.shape.local_size = 4;
  small.shape.local_window = 1;
  Corner& other = next("crops of another size than the model's");
  other.shape.global_size = 24;
  other.shape.local_size = 12;
  next("alpha 0").train.alpha = 0;
  next("alpha 1").train.alpha = 1;
  Corner& paper = next("the paper's mixture and sum");
  paper.train.target_blend = paper.train.loss_reduction = 1;
  Corner& paper_empty = next("the paper's mixture without a valid sample");
  paper_empty.train.target_blend = 1;
  paper_empty.shape.overlap = false;
  next("sgd").train.optimizer = UDI_SGD;
  next("lars").train.optimizer = UDI_LARS;
  Corner& bare = next("two class tokens, no patches");
  bare.model.include_patch = 0;
  Corner& brief = next("a run shorter than its warm-ups");
  brief.train.total_steps = 2;
  brief.train.warmup_steps = 10;
  brief.train.teacher_temp_warmup_epochs = 30;
  return all;
}

TEST(Corners, Train) {
  for (const Corner& corner : corners()) {
    SCOPED_TRACE(corner.name);
    const Views a = make_views(1, corner.shape), b = make_views(2, corner.shape);
    Trainer trainer(make_model(corner.model), corner.train);
    const at::Tensor before = trainer.student().flat.clone();
    for (const udi_step_stats& stats : support::run(trainer, {{&a}, {&b}, {&a}, {&b}})) {
      EXPECT_TRUE(std::isfinite(stats.loss));
      EXPECT_GT(stats.loss, 0);
      EXPECT_GE(stats.valid_share, 0);
      EXPECT_EQ(std::isnan(stats.local_cls), corner.shape.locals == 0);
      EXPECT_EQ(std::isnan(stats.global_patch), corner.model.include_patch == 0);
      if (!corner.shape.overlap || corner.shape.global_window > 4) {
        EXPECT_EQ(stats.global_patch, 0);
      }
    }
    EXPECT_TRUE(at::isfinite(trainer.student().flat).all().item<bool>());
    EXPECT_TRUE(at::isfinite(trainer.centers()).all().item<bool>());
    EXPECT_FALSE(at::equal(before, trainer.student().flat));
    EXPECT_EQ(trainer.steps(), 4);
  }
}

}  // namespace
}  // namespace udi
