// Mixed precision where kernels work: logits in float16.
#include <gtest/gtest.h>

#include <cmath>

#include "steps.h"

namespace udi {
namespace {

// Gradients through float16 logits: usual ones, and the largest that there are, where all rows see one prototype and
// should see another. Weights add up to 1, as a step's do.
TEST(Step, HalfLogitsKeepTheirGradients) {
  constexpr int64_t kRows = 200, kPrototypes = 300, kWidth = 16;
  constexpr double kStudentTemp = 0.1, kTeacherTemp = 0.04;
  for (const bool collapsed : {false, true}) {
    at::manual_seed(1);
    const auto unit = [](int64_t rows) {
      const at::Tensor x = at::randn({rows, kWidth}, at::kDouble);
      return x / x.norm(2, 1, true);
    };
    const at::Tensor prototypes = unit(kPrototypes);
    at::Tensor z = unit(kRows), target_z = unit(kRows);
    if (collapsed) {
      z = prototypes[0].expand({kRows, kWidth}).contiguous();
      target_z = -z;
    }
    RowTable table;
    table.level.assign(kRows, 0);
    for (int32_t row = 0; row < kRows; ++row) {
      table.add_target(row, 1);
      table.end_row(1 / double(kRows));
    }
    const at::Tensor z32 = z.to(at::kFloat), w16 = prototypes.to(at::kHalf);
    table.cut(kPrototypes, z32);
    const double scale = gradient_scale(1, kStudentTemp);
    EXPECT_EQ(std::log2(scale), std::floor(std::log2(scale)));
    const at::Tensor d_prototypes = at::zeros({kPrototypes, kWidth}), centers = at::zeros({1, kPrototypes});
    const CrossEntropy got =
        PrototypeLoss().run(z32, target_z.to(at::kFloat), table,
                            {w16, w16, centers, kStudentTemp, kTeacherTemp, scale, {}, {}}, d_prototypes);

    const at::Tensor p = at::softmax(at::mm(target_z, prototypes.t()) / kTeacherTemp, 1);
    const at::Tensor log_q = at::log_softmax(at::mm(z, prototypes.t()) / kStudentTemp, 1);
    const at::Tensor d = (log_q.exp() - p) / (kStudentTemp * double(kRows));
    EXPECT_LT(distance(got.row, -(p * log_q).sum(1)), 2e-3);
    EXPECT_LT(distance(got.d_z, at::mm(d, prototypes)), 1e-2);
    EXPECT_LT(distance(d_prototypes, at::mm(d.t(), z)), 1e-2);
  }
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
