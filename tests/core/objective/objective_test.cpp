// The objective against the official loss done literally (literal.h).
#include <gtest/gtest.h>

#include <cmath>

#include "base/random.h"
#include "literal.h"
#include "objective/udi.h"

namespace {

using namespace udi;

struct Case {
  const char* name;
  int64_t images, locals, samples, local_samples, prototypes;
  int class_tokens = 2, include_patch = 1;
  double alpha = 0.5;
  int target_blend = 0, loss_reduction = 0;
  double valid = 0.7;   // share of samples inside the other crop
  bool corner = false;  // some valid rows whose weights are 0
};

void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

constexpr int64_t kTokens = 9, kDim = 8;

// Random maps: counts around `valid`, any tokens, weights that sum to about 1.
SampleMaps random_maps(const Case& c, Random& random) {
  SampleMaps maps;
  maps.batch = c.images;
  maps.local_crops = c.locals;
  maps.samples_global = c.samples;
  maps.samples_local = c.local_samples;
  maps.tokens_global = maps.tokens_local = kTokens;
  const auto fill = [&](int64_t groups, int64_t samples, auto& count, auto& source, auto& index, auto& weight) {
    for (int64_t g = 0; g < groups; ++g) {
      int32_t inside = 0;
      for (int64_t k = 0; k < samples; ++k) inside += random.chance(c.valid);
      count.push_back(inside);
      for (int64_t k = 0; k < samples; ++k) {
        source.push_back(k < inside ? int32_t(random.below(kTokens)) : 0);
        const bool zero = k >= inside || (c.corner && random.chance(0.5));
        const double a = random.uniform(), b = random.uniform();
        const double taps[4] = {a * b, a * (1 - b), (1 - a) * b, (1 - a) * (1 - b)};
        for (const double tap : taps) {
          index.push_back(int32_t(random.below(kTokens)));
          weight.push_back(zero ? 0 : float(tap));
        }
      }
    }
  };
  fill(2 * c.images, c.samples, maps.global_count, maps.global_source, maps.global_index, maps.global_weight);
  fill(2 * c.images * c.locals, c.local_samples, maps.local_count, maps.local_source, maps.local_index,
       maps.local_weight);
  return maps;
}

struct Scene {
  SampleMaps maps;
  udi_model_config model{};
  udi_train_config train{};
  literal::Inputs in;
};

at::Tensor random_tensor(Random& random, at::IntArrayRef shape) {
  at::Tensor out = at::empty(shape, at::kDouble);
  for (int64_t i = 0; i < out.numel(); ++i) out.data_ptr<double>()[i] = random.normal();
  return out;
}
at::Tensor random_rows(Random& random, std::vector<int64_t> shape) {
  shape.push_back(kDim);
  const at::Tensor z = random_tensor(random, shape);
  return z / z.norm(2, -1, true);
}

Scene make_scene(const Case& c, uint64_t seed) {
  Random random(seed, Random::kTest);
  Scene scene;
  scene.maps = random_maps(c, random);
  scene.model.class_tokens = c.class_tokens;
  scene.model.include_patch = c.include_patch;
  udi_train_config_init(&scene.train, sizeof scene.train);
  scene.train.alpha = c.alpha;
  scene.train.target_blend = c.target_blend;
  scene.train.loss_reduction = c.loss_reduction;
  literal::Inputs& in = scene.in;
  const int64_t crops = 2 * c.images;
  in.teacher_cls = random_rows(random, {crops});
  in.teacher_patch = random_rows(random, {crops, c.samples});
  in.teacher_local = random_rows(random, {c.locals, crops, c.local_samples});
  in.student_cls = random_rows(random, {crops});
  in.student_plus = random_rows(random, {crops});
  in.student_patch = random_rows(random, {crops, c.samples});
  in.local_cls = random_rows(random, {c.locals * c.images});
  in.local_plus = random_rows(random, {c.locals * c.images});
  in.student_prototypes = random_rows(random, {c.prototypes});
  in.teacher_prototypes = random_rows(random, {c.prototypes});
  in.centers = random_tensor(random, {c.class_tokens + c.include_patch, c.prototypes}) * 0.1;
  const auto sums = [](const std::vector<float>& weight, at::IntArrayRef shape) {
    return at::tensor(weight, at::kFloat).view({-1, 4}).sum(1).to(at::kDouble).view(shape);
  };
  in.teacher_mask = sums(scene.maps.global_weight, {crops, c.samples});
  in.student_mask = at::zeros({crops, c.samples}, at::kDouble);
  for (int64_t crop = 0; crop < crops; ++crop)
    in.student_mask[crop].slice(0, 0, scene.maps.global_count[crop]).fill_(1);
  in.local_mask = sums(scene.maps.local_weight, {c.locals, crops, c.local_samples});
  return scene;
}

struct Result {
  std::array<double, kParts> parts{};
  double loss = 0, entropy = 0;
  at::Tensor d_cls, d_plus, d_patch, d_local_cls, d_local_plus, d_prototypes, centers;
  std::array<double, 5> share{};
};

// The core's objective over chunks of `chunk` images, in `dtype`. padded: with rows for samples that fall outside.
Result run_core(const Scene& scene, int64_t chunk, at::ScalarType dtype, bool padded) {
  const SampleMaps& maps = scene.maps;
  const int64_t images = maps.batch, locals = maps.local_crops;
  const literal::Inputs& in = scene.in;
  const bool plus = scene.model.class_tokens > 1, patches = scene.model.include_patch;
  const auto options = at::TensorOptions(dtype);
  BatchTotals totals;
  totals.images = images;
  totals.local_crops = locals;
  totals.add(maps);
  UdiObjective objective(scene.model, scene.train);
  PrototypeLoss loss;
  CenterSums sums;
  const at::Tensor like = at::empty({0}, options);
  Prototypes prototypes{in.student_prototypes.to(dtype),
                        in.teacher_prototypes.to(dtype),
                        in.centers.to(dtype),
                        scene.train.student_temp,
                        in.teacher_temp,
                        1,
                        {},
                        {}};
  Result out;
  out.d_prototypes = at::zeros_like(prototypes.student);
  for (at::Tensor* d : {&out.d_cls, &out.d_plus}) *d = at::zeros({2, images, kDim}, options);
  out.d_patch = at::zeros({2, images, maps.samples_global, kDim}, options);
  for (at::Tensor* d : {&out.d_local_cls, &out.d_local_plus}) *d = at::zeros({locals, images, kDim}, options);
  for (int64_t first = 0; first < images; first += chunk) {
    const int64_t last = std::min(images, first + chunk), b = last - first;
    const auto crops_of = [&](const at::Tensor& t, int64_t groups) {  // [groups * B, ...] -> [groups * b, ...]
      auto shape = t.sizes().vec();
      shape[0] = groups;
      shape.insert(shape.begin() + 1, images);
      return t.view(shape).slice(1, first, last).flatten(0, 1).to(dtype);
    };
    const Samples samples = samples_of(maps, first, last, dtype, padded);
    EXPECT_EQ(samples.teacher.index.sizes(), at::IntArrayRef({2 * b, samples.queries(), 4}));
    // Everything that the teacher says of its crops, in the order in which the SRS module answers.
    const at::Tensor local = in.teacher_local.view({locals, 2, images, maps.samples_local, kDim}).slice(2, first, last);
    const at::Tensor answers =
        at::cat({crops_of(in.teacher_patch, 2),
                 local.permute({1, 2, 0, 3, 4}).reshape({2 * b, locals * maps.samples_local, kDim}).to(dtype)},
                1)
            .flatten(0, 1);
    TeacherRows teacher{crops_of(in.teacher_cls, 2), {}, {}};
    if (patches) {
      teacher.patch = answers.index_select(0, samples.teacher_place);
      teacher.local = answers.index_select(0, samples.local_place);
    }
    const Targets targets = blend_targets(teacher, samples, scene.train.alpha);
    objective.add_centers(teacher, targets, samples, sums.z);
    objective.add_center_weights(samples, sums.weight);

    const auto count = [&](const RowLabels& rows, const CrossEntropy& done) {
      const at::Tensor loss = done.row.to(at::kDouble);
      for (size_t r = 0; r < rows.part.size(); ++r)
        out.parts[rows.part[r]] += rows.weight[r] * loss.const_data_ptr<double>()[r];
    };
    LossRows rows = objective.global_rows(samples, totals);
    rows.table.cut(prototypes.student.size(0), like);
    std::vector<at::Tensor> z;
    z.push_back(crops_of(in.student_cls, 2));
    if (plus) z.push_back(crops_of(in.student_plus, 2));
    if (patches) z.push_back(crops_of(in.student_patch, 2).flatten(0, 1).index_select(0, samples.student_place));
    CrossEntropy done =
        loss.run(at::cat(z), objective.global_targets(teacher, targets), rows.table, prototypes, out.d_prototypes);
    count(rows.labels, done);
    out.entropy += done.target_entropy.narrow(0, 0, 2 * b).to(at::kDouble).sum().item<double>() / double(2 * images);
    out.d_cls.slice(1, first, last).copy_(done.d_z.slice(0, 0, 2 * b).view({2, b, kDim}));
    if (plus) out.d_plus.slice(1, first, last).copy_(done.d_z.slice(0, 2 * b, 4 * b).view({2, b, kDim}));
    if (patches) {
      at::Tensor d = at::zeros({2 * b * maps.samples_global, kDim}, options);
      d.index_copy_(0, samples.student_place, done.d_z.slice(0, plus ? 4 * b : 2 * b));
      out.d_patch.slice(1, first, last).copy_(d.view({2, b, -1, kDim}));
    }
    if (locals == 0) continue;
    rows = objective.local_rows(samples, totals);
    rows.table.cut(prototypes.student.size(0), like);
    at::Tensor local_z = crops_of(in.local_cls, locals);
    if (plus) local_z = at::cat({local_z, crops_of(in.local_plus, locals)});
    done = loss.run(local_z, objective.local_targets(teacher, targets), rows.table, prototypes, out.d_prototypes);
    count(rows.labels, done);
    out.d_local_cls.slice(1, first, last).copy_(done.d_z.slice(0, 0, locals * b).view({locals, b, kDim}));
    if (plus) out.d_local_plus.slice(1, first, last).copy_(done.d_z.slice(0, locals * b).view({locals, b, kDim}));
  }
  out.centers = prototypes.centers.clone();
  update_centers(out.centers, sums, prototypes.teacher, scene.train.center_momentum);
  for (int part = 0; part < kParts; ++part) {
    out.share[part] = objective.share(Part(part), totals);
    out.loss += out.share[part] * out.parts[part];
  }
  return out;
}

double difference(const at::Tensor& a, const at::Tensor& b) {
  if (a.numel() == 0) return 0;
  const at::Tensor x = a.flatten().to(at::kDouble), y = b.flatten().to(at::kDouble);
  return ((x - y).norm() / (y.norm() + 1e-3)).item<double>();  // a gradient that is zero may be zero
}

class Objective : public testing::TestWithParam<Case> {};

// Float64 against the twin: nothing but rounding may differ. Float32, whose loops are our own, within its rounding.
TEST_P(Objective, IsTheOfficialLoss) {
  const Case& c = GetParam();
  for (uint64_t seed = 0; seed < 3; ++seed) {
    Scene scene = make_scene(c, seed);
    literal::Inputs& in = scene.in;
    for (at::Tensor* leaf :
         {&in.student_cls, &in.student_plus, &in.student_patch, &in.local_cls, &in.local_plus, &in.student_prototypes})
      leaf->requires_grad_(true);
    const literal::Outputs expected = literal::run(in, scene.model, scene.train);
    expected.loss.backward();
    std::vector<at::Tensor> gradients;
    for (at::Tensor* leaf : {&in.student_cls, &in.student_plus, &in.student_patch, &in.local_cls, &in.local_plus,
                             &in.student_prototypes}) {
      gradients.push_back(leaf->grad().defined() ? leaf->grad() : at::zeros_like(leaf->detach()));
      *leaf = leaf->detach();
    }
    for (const bool wide : {true, false}) {
      for (const int64_t chunk : {c.images, int64_t(1), -c.images}) {
        const bool padded = chunk < 0;
        SCOPED_TRACE(testing::Message() << "seed " << seed << (wide ? " float64" : " float32")
                                        << (padded ? " padded" : "") << " chunk " << std::abs(chunk));
        const Result got = run_core(scene, std::abs(chunk), wide ? at::kDouble : at::kFloat, padded);
        // With a temperature of 0.04, a rounding of 6e-8 in a logit is 1.5e-6 in its softmax.
        const double limit = wide ? 1e-12 : 2e-5;
        ASSERT_TRUE(std::isfinite(got.loss));
        for (int part = 0; part < kParts; ++part) {
          if (!expected.parts[part].defined()) {
            EXPECT_EQ(got.share[part], 0) << part_name(part);
            continue;
          }
          const double want = expected.parts[part].item<double>();
          EXPECT_NEAR(got.parts[part], want, limit * (1 + std::abs(want))) << part_name(part);
        }
        EXPECT_NEAR(got.loss, expected.loss.item<double>(), limit * (1 + std::abs(got.loss)));
        EXPECT_LT(difference(got.d_cls, gradients[0]), limit);
        EXPECT_LT(difference(got.d_plus, gradients[1]), limit);
        EXPECT_LT(difference(got.d_patch, gradients[2]), limit);
        EXPECT_LT(difference(got.d_local_cls, gradients[3]), limit);
        EXPECT_LT(difference(got.d_local_plus, gradients[4]), limit);
        EXPECT_LT(difference(got.d_prototypes, gradients[5]), limit);
        EXPECT_LT(difference(got.centers, expected.centers), limit);
        const at::Tensor p =
            at::softmax((at::matmul(in.teacher_cls, in.teacher_prototypes.t()) - in.centers[0]) / 0.04, 1);
        EXPECT_NEAR(got.entropy, -(p * p.log()).sum(1).mean().item<double>(), limit * 10);
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    , Objective,
    testing::Values(Case{"usual", 3, 2, 5, 4, 37}, Case{"many_prototypes", 2, 3, 4, 3, 3001},
                    Case{"one_token", 2, 2, 4, 3, 40, 1}, Case{"dino", 2, 2, 4, 3, 40, 1, 0},
                    Case{"two_tokens_no_patches", 2, 2, 4, 3, 40, 2, 0}, Case{"alpha_0", 2, 2, 4, 3, 40, 2, 1, 0.0},
                    Case{"alpha_1", 2, 2, 4, 3, 40, 2, 1, 1.0}, Case{"probabilities", 2, 2, 5, 4, 37, 2, 1, 0.7, 1},
                    Case{"probabilities_few_valid", 2, 2, 3, 2, 37, 2, 1, 0.7, 1, 0, 0.3},
                    Case{"sum_of_levels", 2, 2, 4, 3, 40, 2, 1, 0.5, 0, 1}, Case{"no_locals", 2, 0, 4, 3, 40},
                    Case{"no_locals_probabilities", 2, 0, 4, 3, 40, 2, 1, 0.5, 1}, Case{"one_image", 1, 1, 4, 3, 40},
                    Case{"one_sample", 2, 2, 1, 1, 40}, Case{"no_sample", 2, 2, 0, 0, 40},
                    Case{"no_global_sample", 2, 2, 0, 3, 40}, Case{"no_local_sample", 2, 2, 4, 0, 40},
                    Case{"no_sample_probabilities", 2, 2, 0, 0, 40, 2, 1, 0.5, 1},
                    Case{"no_sample_one_token", 2, 0, 0, 0, 40, 1},
                    Case{"no_valid_sample", 2, 2, 4, 3, 40, 2, 1, 0.5, 0, 0, 0.0},
                    Case{"no_valid_sample_probabilities", 2, 2, 4, 3, 40, 2, 1, 0.5, 1, 0, 0.0},
                    Case{"all_valid", 2, 2, 4, 3, 40, 2, 1, 0.5, 0, 0, 1.0},
                    Case{"rows_of_zero_weight", 2, 2, 4, 3, 40, 2, 1, 0.5, 0, 0, 0.8, true},
                    Case{"rows_of_zero_weight_probabilities", 2, 2, 4, 3, 40, 2, 1, 0.5, 1, 0, 0.8, true},
                    Case{"two_prototypes", 2, 1, 2, 2, 2}),
    [](const auto& info) { return std::string(info.param.name); });

// More rows and targets than one block holds, targets shared across its border, against one product in float64.
TEST(PrototypeLoss, BlocksDoNotShow) {
  constexpr int64_t kRows = 150, kTargets = 40, kPrototypes = 70001, kWidth = 16;  // blocks of 119 rows
  Random random(1, Random::kTest);
  RowTable table;
  const at::Tensor z = random_tensor(random, {kRows, kWidth}).div_(4);
  const at::Tensor target_z = random_tensor(random, {kTargets, kWidth}).div_(4);
  at::Tensor share = at::zeros({kRows, kTargets}, at::kDouble), weight = at::empty({kRows}, at::kDouble);
  for (int64_t t = 0; t < kTargets; ++t) table.level.push_back(int32_t(t % 2));
  for (int64_t r = 0; r < kRows; ++r) {
    for (uint64_t i = random.below(4); i-- > 0;) {
      const int64_t target = int64_t(random.below(kTargets));
      const double part = random.uniform();
      table.add_target(int32_t(target), part);
      share[r][target] += part;
    }
    const double row_weight = random.uniform();
    table.end_row(row_weight);
    weight[r] = row_weight;
  }
  const at::Tensor w_student = random_tensor(random, {kPrototypes, kWidth}),
                   centers = random_tensor(random, {2, kPrototypes});
  const at::Tensor w_teacher = random_tensor(random, {kPrototypes, kWidth});
  const at::Tensor levels = at::tensor(std::vector<int64_t>(table.level.begin(), table.level.end()), at::kLong);
  const at::Tensor p = at::softmax((at::mm(target_z, w_teacher.t()) - centers.index_select(0, levels)) / 0.5, 1);
  const at::Tensor mix = at::mm(share, p);
  const at::Tensor q = at::log_softmax(at::mm(z, w_student.t()) / 0.7, 1);
  const at::Tensor d = (q.exp() * mix.sum(1, true) - mix) * (weight / 0.7).unsqueeze(1);

  const at::Tensor z32 = z.to(at::kFloat), target_z32 = target_z.to(at::kFloat);
  table.cut(kPrototypes, z32);
  const at::Tensor before = at::full({kPrototypes, kWidth}, 1e-4f), d_prototypes = before.clone();
  const CrossEntropy got = PrototypeLoss().run(
      z32, target_z32, table,
      {w_student.to(at::kFloat), w_teacher.to(at::kFloat), centers.to(at::kFloat), 0.7, 0.5, 1, {}, {}}, d_prototypes);
  EXPECT_LT(difference(got.row, -(mix * q).sum(1)), 1e-6);
  EXPECT_LT(difference(got.d_z, at::mm(d, w_student)), 1e-5);
  EXPECT_LT(difference(d_prototypes - before, at::mm(d.t(), z32.to(at::kDouble))), 1e-5);
  EXPECT_LT(difference(got.target_entropy.slice(0, 0, 1), -(p[0] * p[0].log()).sum()), 1e-5);
}

TEST(PrototypeLoss, NotANumberIsNotHidden) {
  const at::Tensor z = at::ones({2, 4});
  z[1][2] = std::nan("");
  RowTable table;
  table.level = {0, 0};
  for (int r = 0; r < 2; ++r) {
    table.add_target(r, 1);
    table.end_row(1);
  }
  table.cut(20, z);
  const at::Tensor d_prototypes = at::zeros({20, 4});
  const CrossEntropy got = PrototypeLoss().run(
      z, at::ones({2, 4}), table, {at::ones({20, 4}), at::ones({20, 4}), at::zeros({1, 20}), 0.1, 0.1, 1, {}, {}},
      d_prototypes);
  EXPECT_NEAR(got.row[0].item<double>(), std::log(20.0), 1e-5);
  EXPECT_TRUE(std::isnan(got.row[1].item<double>()));
}

TEST(Centers, StayWhereNothingCounts) {
  const at::Tensor centers = at::full({2, 5}, 3.0f), prototypes = at::ones({5, 4});
  update_centers(centers, {at::ones({2, 4}), {2.0, 0.0}}, prototypes, 0.9);
  EXPECT_TRUE(at::allclose(centers[0], at::full({5}, 3.0f * 0.9f + 0.1f * 4 / 2)));
  EXPECT_TRUE(at::equal(centers[1], at::full({5}, 3.0f)));
}

// With rates on the device: the same, and nothing where a step was stopped, whatever its sums are.
TEST(Centers, FollowTheirRates) {
  Random random(3, Random::kTest);
  const at::Tensor z = random_tensor(random, {3, 4}).to(at::kFloat), w = random_tensor(random, {5, 4}).to(at::kFloat);
  const at::Tensor start = random_tensor(random, {3, 5}).to(at::kFloat), centers = start.clone();
  const at::Tensor expected = start.clone(), go = at::zeros({1}, at::kInt), stop = at::ones({1}, at::kInt);
  const std::vector<double> weight = {7, 0, 0.5};
  update_centers(expected, {z, weight}, w, 0.9);
  update_centers(centers, z, center_rates(weight, 0.9), w, go);
  EXPECT_LT(difference(centers, expected), 1e-6);
  EXPECT_TRUE(at::equal(centers[1], start[1]));
  centers.copy_(start);
  update_centers(centers, at::full_like(z, std::nan("")), center_rates(weight, 0.9), w, stop);
  EXPECT_TRUE(at::equal(centers, start));
  update_centers(centers, z, center_rates(weight, 0.9), w.to(at::kHalf), go);
  EXPECT_LT(difference(centers, expected), 1e-3);
}

}  // namespace
