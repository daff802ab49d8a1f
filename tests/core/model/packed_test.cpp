// Packed layers inside the model: they follow the weights, and neither threads nor the batch change a bit.
#include "model/packed.h"

#include <ATen/Parallel.h>

#include "cases.h"
#include "model/model.h"
#include "model/ops.h"
#include "twin.h"

namespace udi {
namespace {

class Packed : public testing::Test {
 protected:
  void SetUp() override { at::manual_seed(7); }
  void TearDown() override {
    gemm::use(nullptr);
    at::set_num_threads(threads_);
  }
  static Model make(const udi_model_config& config) {
    Model model(config, at::kCPU);
    cases::randomize(model.weights);
    return model;
  }
  static at::Tensor extract(const Model& model, const at::Tensor& images) {
    return model.extract(images, UDI_NCHW, extract_config_default());
  }
  const int threads_ = at::get_num_threads();
};

// Packed and not packed yet, against ATen in float64.
TEST_F(Packed, LayersAreThoseOfAten) {
  for (auto kernels = gemm::all_kernels(); *kernels; ++kernels) {
    gemm::use(*kernels);
    for (const auto& [rows, in, out] : {std::tuple<int, int, int>{1, 24, 72}, {198, 96, 384}, {33, 100, 96}}) {
      const at::Tensor x = at::randn({rows, in}), x_exact = x.to(at::kDouble);
      LinearWeights layer = {at::randn({out, in}), at::randn({out}), std::make_shared<PackedLinear>(), 0};
      const LinearWeights exact = {layer.weight.to(at::kDouble), layer.bias.to(at::kDouble), nullptr, 0};
      const at::Tensor expected = at::empty({rows, out}, at::kDouble), before_expected = at::empty_like(expected);
      const at::Tensor result = at::empty({rows, out}), before = at::empty_like(result);
      for (const bool packed : {false, true}) {
        SCOPED_TRACE(std::string((*kernels)->name) + (packed ? ", packed" : ""));
        if (packed) layer.packed->pack(layer.weight);
        linear(x_exact, exact, expected);
        linear(x, layer, result);
        EXPECT_LE(twin::distance(result, expected), 1e-6);
        linear_without_bias(x_exact, exact, expected);
        linear_without_bias(x, layer, result);
        EXPECT_LE(twin::distance(result, expected), 1e-6);
        linear_gelu(x_exact, exact, before_expected, expected);
        linear_gelu(x, layer, before, result);
        EXPECT_LE(twin::distance(before, before_expected), 1e-6);
        EXPECT_LE(twin::distance(result, expected), 1e-6);
        linear_gelu(x, layer, before, before);
        EXPECT_TRUE(at::equal(before, result));
        // Outputs [first, first + count), from the beginning of a panel or not.
        for (const int first : {0, 8, 24, 32, 64}) {
          const int count = out - first;
          if (count <= 0) continue;
          const at::Tensor some = at::empty({rows, count}), some_expected = at::empty({rows, count}, at::kDouble);
          linear(x_exact, part(exact, first, count), some_expected);
          linear(x, part(layer, first, count), some);
          EXPECT_LE(twin::distance(some, some_expected), 1e-6) << first;
        }
      }
    }
  }
}

TEST_F(Packed, ThreadsChangeNothing) {
  const at::Tensor weight = at::randn({500, 300}), bias = at::randn({500});
  LinearWeights layer = {weight, bias, std::make_shared<PackedLinear>()};
  layer.packed->pack(weight);
  for (const int64_t rows : {3, 40, 900}) {
    const at::Tensor x = at::randn({rows, 300});
    at::set_num_threads(1);
    const at::Tensor one = at::empty({rows, 500});
    linear_gelu(x, layer, one, one);
    for (const int threads : {2, 3, 8}) {
      at::set_num_threads(threads);
      const at::Tensor several = at::empty({rows, 500});
      linear_gelu(x, layer, several, several);
      EXPECT_TRUE(at::equal(one, several)) << rows << " rows, " << threads << " threads";
    }
  }
}

TEST_F(Packed, APictureHasTheSameBitsInAnyBatchOnAnyThreads) {
  udi_model_config config = cases::small(96, 3);
  config.image_size = 32;
  config.resize_size = 36;
  const Model model = make(config);
  const at::Tensor images = at::randn({7, 3, 32, 32});
  at::set_num_threads(1);
  const at::Tensor all = extract(model, images);
  for (const int threads : {1, 2, 4}) {
    at::set_num_threads(threads);
    EXPECT_TRUE(at::equal(extract(model, images), all)) << threads;
    for (int64_t i = 0; i < 7; i += 2) {
      EXPECT_TRUE(at::equal(extract(model, images.narrow(0, i, 1)), all.narrow(0, i, 1))) << threads << " " << i;
    }
  }
}

TEST_F(Packed, EveryProcessorsKernelsGiveTheTokens) {
  for (const cases::Case& c : cases::all()) {
    udi_model_config config = c.config;
    const at::Tensor images = at::randn({c.images, config.channels, c.height, c.width});
    for (auto kernels = gemm::all_kernels(); *kernels; ++kernels) {
      gemm::use(*kernels);
      const Model model = make(config);
      const twin::Weights w = twin::leaves(model.weights);
      const at::Tensor tokens =
          twin::norm(twin::vit(config, w, images.to(at::kDouble), {}).back(), w, "backbone.backbone.norm")
              .select(1, 0)
              .detach();
      const at::Tensor out = extract(model, images).to(at::kDouble);
      EXPECT_LE(twin::distance(out, tokens), 1e-5) << c.name << ", " << (*kernels)->name;
      EXPECT_GE(at::cosine_similarity(out, tokens).min().item<double>(), 0.999999) << c.name;
    }
  }
}

TEST_F(Packed, FollowsTheWeights) {
  const Model model = make(cases::small());
  const Parameters same = model.weights;  // another handle
  const at::Tensor images = at::randn({2, 3, 16, 16}), before = extract(model, images);
  Model changed = make(cases::small());
  changed.weights.flat.copy_(model.weights.flat * 1.25);
  changed.weights.refresh();
  model.weights.flat.mul_(1.25);
  Parameters(same).refresh();
  const at::Tensor after = extract(model, images);
  EXPECT_TRUE(at::equal(after, extract(changed, images)));
  EXPECT_GT(twin::distance(after, before.to(at::kDouble)), 1e-3);
}

}  // namespace
}  // namespace udi
