// The fused float32 loops against ATen in float64, at widths that are and are not multiples of their lanes, over more
// rows than one block of sums; and the same bits whatever the number of threads.
#include "model/ops.h"

#include <ATen/Parallel.h>

#include "model/attention.h"
#include "model/lanes.h"
#include "twin.h"

namespace udi {
namespace {

constexpr int64_t kWidths[] = {1, 15, 16, 48, 100};
constexpr int64_t kRows = 150;

at::Tensor floats(at::IntArrayRef shape) { return at::randn(shape, at::kFloat); }
at::Tensor wide(const at::Tensor& t) { return t.to(at::kDouble, false, true); }

class Ops : public testing::Test {
 protected:
  void SetUp() override { at::manual_seed(5); }
};

TEST_F(Ops, NormAndItsGradient) {
  for (const int64_t width : kWidths) {
    const at::Tensor x = floats({kRows, width}) * 3 + 1, d_out = floats({kRows, width});
    const NormWeights weights = {floats({width}), floats({width})};
    const at::Tensor out = at::empty_like(x), statistics = at::empty({kRows, 2});
    norm_forward(x, weights, out, statistics);
    const at::Tensor x64 = wide(x).set_requires_grad(true), w64 = wide(weights.weight).set_requires_grad(true),
                     b64 = wide(weights.bias).set_requires_grad(true);
    const at::Tensor reference = at::layer_norm(x64, {width}, w64, b64, kNormEpsilon);
    EXPECT_LE(twin::distance(out, reference), 1e-6) << width;
    (reference * wide(d_out)).sum().backward();
    const at::Tensor d_x = floats({kRows, width}), before = d_x.clone();
    const NormWeights grads = {at::zeros({width}), at::zeros({width})};
    norm_backward(d_out, x, statistics, weights, d_x, grads);
    // A row of one number has no gradient; its deviation is the square root of epsilon, a thousandth.
    EXPECT_LE((wide(d_x - before) - x64.grad()).norm().item<double>(),
              1e-5 * std::max(1.0, x64.grad().norm().item<double>()));
    EXPECT_LE((wide(grads.weight) - w64.grad()).norm().item<double>(),
              1e-5 * std::max(1.0, w64.grad().norm().item<double>()));
    EXPECT_LE(twin::distance(grads.bias, b64.grad()), 1e-5) << width;
  }
}

TEST_F(Ops, BranchesAndTheirGradient) {
  for (const int64_t width : kWidths) {
    for (const bool scaled : {false, true}) {
      const at::Tensor x = floats({kRows, width}), x_out = at::empty_like(x);
      const Branch branch = {floats({kRows, width}), floats({width}), scaled ? floats({3}) : at::Tensor()};
      const at::Tensor factor =
          scaled ? wide(branch.scale).repeat_interleave(kRows / 3).view({-1, 1}) : at::ones({kRows, 1}, at::kDouble);
      add_branch(x, branch, x_out);
      EXPECT_LE(twin::distance(x_out, wide(x) + factor * (wide(branch.rows) + wide(branch.bias))), 1e-6);
      const NormWeights weights = {floats({width}), floats({width})};
      const at::Tensor out = at::empty_like(x), statistics = at::empty({kRows, 2}), again = at::empty_like(x);
      add_branch_norm(x, branch, again, weights, out, statistics);
      EXPECT_TRUE(at::equal(again, x_out));
      EXPECT_LE(twin::distance(
                    out, at::layer_norm(wide(x_out), {width}, wide(weights.weight), wide(weights.bias), kNormEpsilon)),
                1e-6);
      const at::Tensor d_rows = at::empty_like(x), d_bias = at::zeros({width});
      branch_backward(x, {branch.scale, d_rows, d_bias});
      EXPECT_LE(twin::distance(d_rows, factor * wide(x)), 1e-6);
      EXPECT_LE(twin::distance(d_bias, (factor * wide(x)).sum(0)), 1e-5);
    }
  }
}

// The two in one pass: against float64, and to the bit what they are one after the other; with kernels, too.
TEST_F(Ops, NormAndTheBranchBeforeIt) {
  for (const int64_t width : kWidths) {
    for (const int64_t factors : {0, 3, 150}) {
      for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
        const at::Tensor x = floats({kRows, width}) * 3 + 1, d_out = floats({kRows, width}).to(type);
        const NormWeights weights = {floats({width}), floats({width})};
        const at::Tensor statistics = at::empty({kRows, 2}), before = floats({kRows, width});
        const at::Tensor scale = factors ? floats({factors}) : at::Tensor();
        norm_forward(x, weights, at::empty_like(x), statistics);
        const auto run = [&](bool one_pass) {
          const at::Tensor d_x = before.clone(), rows = type == at::kFloat && !factors ? d_x : at::empty_like(d_out);
          const NormWeights grads = {at::ones({width}), at::ones({width})};
          const BranchGradient branch = {scale, rows, at::ones({width})};
          if (one_pass) {
            norm_branch_backward(d_out, x, statistics, weights, d_x, grads, branch);
          } else {
            norm_backward(d_out, x, statistics, weights, d_x, grads);
            branch_backward(d_x, branch);
          }
          return std::vector<at::Tensor>{d_x, rows.to(at::kFloat), branch.bias, grads.weight, grads.bias};
        };
        const std::vector<at::Tensor> one = run(true), two = run(false);
        for (size_t i = 0; i < one.size(); ++i) EXPECT_TRUE(at::equal(one[i], two[i])) << width << " " << i;
        const at::Tensor factor =
            factors ? wide(scale).repeat_interleave(kRows / factors).view({-1, 1}) : at::ones({kRows, 1}, at::kDouble);
        const at::Tensor rows = factor * wide(one[0]);
        EXPECT_LE(twin::distance(one[1], rows), type == at::kFloat ? 1e-6 : 4e-3);
        EXPECT_LE(twin::distance(one[2], rows.sum(0) + 1), 1e-5);
      }
    }
  }
}

TEST_F(Ops, GeluAndItsGradient) {
  for (const int64_t width : kWidths) {
    const at::Tensor rows = floats({kRows, width}) * 4, bias = floats({width}), out = at::empty_like(rows);
    const at::Tensor x = (wide(rows) + wide(bias)).set_requires_grad(true);
    const at::Tensor reference = at::gelu(x);
    bias_gelu(rows, bias, out);
    EXPECT_LE((wide(out) - reference).abs().max().item<double>(), 3e-6) << width;
    EXPECT_LE(twin::distance(rows, x), 1e-6);
    const at::Tensor d = floats({kRows, width}), d_rows = d.clone(), d_bias = at::zeros({width});
    (reference * wide(d)).sum().backward();
    gelu_backward(rows, d_rows, d_bias);
    EXPECT_LE(twin::distance(d_rows, x.grad()), 1e-6) << width;
    EXPECT_LE(twin::distance(d_bias, x.grad().sum(0)), 1e-5) << width;
    EXPECT_LE(twin::distance(rows, reference), 1e-6) << width;
  }
}

// Every lane function over its range, against the C library in float64.
TEST_F(Ops, ExpAndNormalDistribution) {
  double exp_error = 0, distribution_error = 0, density_error = 0;
  for (float x = -80; x < 10; x += 0.001f) {
    lanes::Floats v = lanes::Floats{} + x, distribution, density;
    exp_error = std::max(exp_error, std::abs(double(lanes::exp(v)[3]) / std::exp(double(x)) - 1));
    lanes::normal(v, distribution, density);
    if (x < -9) continue;
    const double tail = 0.5 * std::erfc(-double(x) / std::sqrt(2.0));
    distribution_error = std::max(distribution_error, std::abs(double(distribution[0]) / tail - 1));
    density_error = std::max(density_error,
                             std::abs(double(density[0]) / (std::exp(-0.5 * x * double(x)) * 0.3989422804014327) - 1));
  }
  EXPECT_LE(exp_error, 3e-7);
  EXPECT_LE(distribution_error, 1e-5);  // relative, nine deviations out: the square in the exponent is rounded
  EXPECT_LE(density_error, 1e-5);
  for (float x : {-INFINITY, -1e30f, -200.f}) EXPECT_LE(lanes::exp(lanes::Floats{} + x)[0], 2e-38f);
  EXPECT_TRUE(std::isnan(lanes::exp(lanes::Floats{} + NAN)[0]));
  EXPECT_EQ(lanes::exp(lanes::Floats{})[0], 1.f);
}

TEST_F(Ops, BfloatIsRoundedAsATenRounds) {
  const at::Tensor values =
      at::cat({floats({4096}) * 100, at::tensor({INFINITY, -INFINITY, 0.f, -0.f, 3.4e38f, 1e-40f})});
  const int64_t count = values.numel() / 16 * 16;
  const at::Tensor ours = at::empty({count}, at::kBFloat16), tail = values.narrow(0, values.numel() - 16, 16);
  for (int64_t i = 0; i < count; i += 16) {
    lanes::store(ours.mutable_data_ptr<c10::BFloat16>() + i, lanes::load(values.const_data_ptr<float>() + i));
  }
  EXPECT_TRUE(at::equal(ours, values.narrow(0, 0, count).to(at::kBFloat16)));
  c10::BFloat16 last[16];
  lanes::store(last, lanes::load(tail.const_data_ptr<float>()));
  for (int i = 0; i < 16; ++i) EXPECT_EQ(last[i].x, c10::BFloat16(tail[i].item<float>()).x) << i;
  lanes::store(last, lanes::Floats{} + NAN);
  EXPECT_TRUE(std::isnan(float(last[0])));
}

TEST_F(Ops, AttentionTakesStridedHeads) {
  const int64_t images = 2, rows = 21, heads = 3, width = 10;
  const at::Tensor packed = floats({images, rows, 3 * heads * width}), d_out = floats({images, rows, heads * width});
  const auto part = [&](const at::Tensor& t, int64_t i) { return split_heads(t, 3, i, heads); };
  const Heads in = {part(packed, 0), part(packed, 1), part(packed, 2)};
  const at::Tensor probabilities = at::empty({images, heads, rows, rows}), out = at::empty_like(d_out);
  attention_forward(in, probabilities, out);
  const at::Tensor packed64 = wide(packed).set_requires_grad(true);
  const at::Tensor p =
      at::softmax(at::matmul(part(packed64, 0), part(packed64, 1).transpose(2, 3)) / std::sqrt(double(width)), -1);
  const at::Tensor reference = at::matmul(p, part(packed64, 2)).transpose(1, 2).flatten(2);
  EXPECT_LE(twin::distance(probabilities, p), 1e-6);
  EXPECT_LE(twin::distance(out, reference), 1e-6);
  (reference * wide(d_out)).sum().backward();
  const at::Tensor d_packed = at::empty_like(packed);
  attention_backward(in, probabilities, d_out, {part(d_packed, 0), part(d_packed, 1), part(d_packed, 2)});
  EXPECT_LE(twin::distance(d_packed, packed64.grad()), 3e-6);
}

TEST_F(Ops, UnfoldGivesNormalizedPatches) {
  udi_model_config c = model_config_preset("vit_tiny");
  c.patch_size = 4;
  c.channels = 2;
  const at::Tensor bytes = at::randint(256, {3, 2, 8, 12}, at::kByte);
  const at::Tensor mean = at::tensor({c.mean[0], c.mean[1]}).view({1, 2, 1, 1});
  const at::Tensor std = at::tensor({c.std[0], c.std[1]}).view({1, 2, 1, 1});
  const at::Tensor unit = bytes.to(at::kFloat) / 255, normalized = (unit - mean) / std;
  const at::Tensor expected = at::im2col(normalized, {4, 4}, {1, 1}, {0, 0}, {4, 4}).transpose(1, 2).reshape({18, 32});
  const at::Tensor out = at::empty({18, 32}), wide_out = at::empty({18, 32}, at::kDouble);
  unfold_patches(bytes, c, false, out);
  EXPECT_TRUE(at::equal(out, expected));
  unfold_patches(unit, c, false, out);
  EXPECT_TRUE(at::equal(out, expected));
  unfold_patches(normalized, c, true, out);
  EXPECT_TRUE(at::equal(out, expected));
  unfold_patches(bytes, c, false, wide_out);
  EXPECT_LE(twin::distance(wide_out, expected), 1e-7);
}

TEST_F(Ops, DoNotDependOnTheNumberOfThreads) {
  const int64_t width = 40;
  const at::Tensor x = floats({1000, width}), d = floats({1000, width});
  const NormWeights weights = {floats({width}), floats({width})};
  std::vector<at::Tensor> results;
  const int before = at::get_num_threads();
  for (const int threads : {1, 2, 3}) {
    at::set_num_threads(threads);
    const at::Tensor out = at::empty_like(x), statistics = at::empty({1000, 2}), d_x = at::zeros_like(x);
    const NormWeights grads = {at::zeros({width}), at::zeros({width})};
    norm_forward(x, weights, out, statistics);
    norm_backward(d, x, statistics, weights, d_x, grads);
    const at::Tensor hidden = x.clone(), d_hidden = d.clone(), d_bias = at::zeros({width});
    gelu_backward(hidden, d_hidden, d_bias);
    results.push_back(at::cat({out.view(-1), d_x.view(-1), grads.weight, grads.bias, d_hidden.view(-1), d_bias}));
  }
  at::set_num_threads(before);
  EXPECT_TRUE(at::equal(results[0], results[1]));
  EXPECT_TRUE(at::equal(results[0], results[2]));
}

}  // namespace
}  // namespace udi
