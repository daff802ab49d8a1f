// Layers and whole models in fewer bits: what they are far from float32, that every processor's kernels agree, that
// they follow the weights, and that neither threads nor the batch change a bit.
#include <ATen/Parallel.h>

#include <thread>

#include "cases.h"
#include "golden.h"
#include "model/model.h"
#include "model/ops.h"
#include "twin.h"

namespace udi {
namespace {

using gemm::Bits;

class NarrowModel : public testing::Test {
 protected:
  void SetUp() override { at::manual_seed(7); }
  void TearDown() override {
    gemm::use_best_narrow();
    at::set_num_threads(threads_);
  }
  static std::vector<udi_precision> precisions() {
    std::vector<udi_precision> out = {UDI_PRECISION_INT8};
    if (gemm::narrow(Bits::kBf16)) out.push_back(UDI_PRECISION_BF16);
    return out;
  }
  static Bits bits_of(udi_precision p) { return p == UDI_PRECISION_INT8 ? Bits::kInt8 : Bits::kBf16; }
  static udi_extract_config in(udi_precision precision, udi_token token = UDI_TOKEN_CLS) {
    udi_extract_config config = extract_config_default();
    config.precision = precision;
    config.token = token;
    return config;
  }
  static Model make(const udi_model_config& config) {
    Model model(config, at::kCPU);
    cases::randomize(model.weights);
    return model;
  }
  static udi_model_config wide() {
    udi_model_config config = cases::small(96, 3);
    config.image_size = 32;
    config.resize_size = 36;
    return config;
  }
  static void expect_failure(const Model& model, udi_precision precision, udi_status status, const std::string& part) {
    try {
      model.extract(at::zeros({1, 3, 16, 16}, at::kByte), UDI_NCHW, in(precision));
      ADD_FAILURE() << "no error";
    } catch (const Error& error) {
      EXPECT_EQ(error.status, status);
      EXPECT_NE(error.message.find(part), std::string::npos) << error.message;
    }
  }
  const int threads_ = at::get_num_threads();
};

// The layer that whole numbers compute, in float64.
at::Tensor layer_of_bytes(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  const at::Tensor scale = weight.abs().amax(1, true) / 127, whole = at::round(weight * (1 / scale)).to(at::kDouble);
  const at::Tensor low = x.amin(1, true), width = x.amax(1, true) - low;
  const at::Tensor bytes = at::round((x - low) * (255 / width)).to(at::kDouble);
  const at::Tensor back = bytes * (width / 255).to(at::kDouble) + low.to(at::kDouble);
  return at::mm(back, (whole * scale.to(at::kDouble)).t()) + bias.to(at::kDouble);
}

TEST_F(NarrowModel, ALayerInBytes) {
  for (const auto& [rows, in, out] : {std::tuple<int, int, int>{1, 24, 72}, {198, 96, 384}, {33, 101, 96}}) {
    const at::Tensor x = at::randn({rows, in}), weight = at::randn({out, in}), bias = at::randn({out});
    const at::Tensor expected = layer_of_bytes(x, weight, bias);
    at::Tensor first;
    for (auto kernels = gemm::all_narrow(Bits::kInt8); *kernels; ++kernels) {
      LinearWeights layer = {weight, bias, std::make_shared<PackedLinear>()};
      layer.packed->narrow = std::make_shared<NarrowLinear>(weight, **kernels);
      const at::Tensor result = at::empty({rows, out}), without = at::empty({rows, out}),
                       active = at::empty({rows, out});
      linear(x, layer, result);
      EXPECT_LE(twin::distance(result, expected), 1e-6) << (*kernels)->name;
      if (!first.defined()) first = result;
      EXPECT_TRUE(at::equal(result, first)) << (*kernels)->name << " differs from " << gemm::narrow(Bits::kInt8)->name;
      linear_without_bias(x, layer, without);
      EXPECT_LE(twin::distance(without, expected - bias.to(at::kDouble)), 1e-6);
      linear_gelu(x, layer, active, active);
      EXPECT_LE(twin::distance(active, at::gelu(expected)), 1e-6);
      for (const int begin : {0, 8, 24, 32, 64, 70}) {  // some outputs, from the beginning of a panel or not
        const int count = out - begin;
        const at::Tensor some = at::empty({rows, count});
        linear(x, part(layer, begin, count), some);
        EXPECT_TRUE(at::equal(some, result.narrow(1, begin, count))) << begin;
        linear_gelu(x, part(layer, begin, count), some, some);
        EXPECT_TRUE(at::equal(some, active.narrow(1, begin, count))) << begin;
      }
    }
  }
}

// Weights of nothing, and weights that are no number, stay what they are.
TEST_F(NarrowModel, OddWeights) {
  const at::Tensor x = at::randn({5, 40}), weight = at::randn({6, 40}), bias = at::randn({6});
  weight[1].zero_();
  weight[2][3] = NAN;
  weight[3][39] = INFINITY;
  weight[4].mul_(1e-36);
  for (auto kernels = gemm::all_narrow(Bits::kInt8); *kernels; ++kernels) {
    LinearWeights layer = {weight, bias, std::make_shared<PackedLinear>()};
    layer.packed->narrow = std::make_shared<NarrowLinear>(weight, **kernels);
    const at::Tensor out = at::empty({5, 6});
    linear(x, layer, out);
    for (const int column : {0, 1, 4, 5}) EXPECT_TRUE(at::isfinite(out.select(1, column)).all().item<bool>()) << column;
    for (const int column : {2, 3}) EXPECT_TRUE(at::isnan(out.select(1, column)).all().item<bool>()) << column;
    EXPECT_TRUE(at::equal(out.select(1, 1), bias[1].expand({5})));
  }
}

TEST_F(NarrowModel, SumsTooLongAreRefused) {
  const at::Tensor weight = at::zeros({1, gemm::kMostBytes + 1});
  try {
    NarrowLinear layer(weight, *gemm::narrow(Bits::kInt8));
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.status, UDI_E_UNSUPPORTED);
    EXPECT_NE(error.message.find(std::to_string(gemm::kMostBytes)), std::string::npos) << error.message;
  }
}

TEST_F(NarrowModel, ThreadsChangeNothing) {
  const at::Tensor weight = at::randn({500, 300}), bias = at::randn({500});
  for (const udi_precision precision : precisions()) {
    LinearWeights layer = {weight, bias, std::make_shared<PackedLinear>()};
    layer.packed->narrow = std::make_shared<NarrowLinear>(weight, *gemm::narrow(bits_of(precision)));
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
}

TEST_F(NarrowModel, APictureHasTheSameBitsInAnyBatchOnAnyThreads) {
  udi_model_config odd = cases::small(72, 3);  // keys and values begin within a panel
  odd.image_size = 32;
  odd.resize_size = 36;
  for (const udi_model_config& config : {wide(), odd}) {
    const Model model = make(config);
    const at::Tensor images = at::randn({7, 3, 32, 32});
    for (const udi_precision precision : precisions()) {
      at::set_num_threads(1);
      const at::Tensor all = model.extract(images, UDI_NCHW, in(precision));
      for (const int threads : {1, 2, 4}) {
        at::set_num_threads(threads);
        EXPECT_TRUE(at::equal(model.extract(images, UDI_NCHW, in(precision)), all)) << threads;
        for (int64_t i = 0; i < 7; i += 2) {
          EXPECT_TRUE(at::equal(model.extract(images.narrow(0, i, 1), UDI_NCHW, in(precision)), all.narrow(0, i, 1)))
              << config.embed_dim << ", precision " << precision << ", threads " << threads << ", image " << i;
        }
      }
    }
  }
}

TEST_F(NarrowModel, FollowsTheWeights) {
  for (const udi_precision precision : precisions()) {
    const Model model = make(cases::small());
    const Parameters same = model.weights;  // another handle
    const at::Tensor images = at::randn({2, 3, 16, 16}), before = model.extract(images, UDI_NCHW, in(precision));
    Model changed = make(cases::small());
    changed.weights.flat.copy_(model.weights.flat * 1.25);
    changed.weights.refresh();
    model.weights.flat.mul_(1.25);
    Parameters(same).refresh();
    const at::Tensor after = model.extract(images, UDI_NCHW, in(precision));
    EXPECT_TRUE(at::equal(after, changed.extract(images, UDI_NCHW, in(precision))));
    EXPECT_GT(twin::distance(after, before.to(at::kDouble)), 1e-3);
  }
}

// First extractions at the same time share one set of weights in fewer bits.
TEST_F(NarrowModel, ManyThreadsBeginAtOnce) {
  for (const udi_precision precision : precisions()) {
    const Model model = make(wide());
    const at::Tensor images = at::randn({1, 3, 32, 32});
    std::vector<at::Tensor> found(4);
    std::vector<std::thread> threads;
    for (at::Tensor& out : found) {
      threads.emplace_back([&] { out = Model(model).extract(images, UDI_NCHW, in(precision)); });
    }
    for (std::thread& thread : threads) thread.join();
    for (const at::Tensor& out : found) EXPECT_TRUE(at::equal(out, found[0]));
    EXPECT_TRUE(at::equal(model.extract(images, UDI_NCHW, in(precision)), found[0]));
  }
}

// The least cosine to float32 over all tokens of the official runs' first batch, with each processor's kernels.
class NarrowGolden : public NarrowModel, public testing::WithParamInterface<const char*> {};

TEST_P(NarrowGolden, TokensAreNearFloat32) {
  const std::string folder = std::string(UDI_TEST_DIR) + "/golden/" + GetParam();
  const udi_model_config config = golden::config(folder);
  const Model model =
      model_from_tensors(config, SafetensorsFile(folder + "/init.safetensors").tensors(), false, nullptr, at::kCPU);
  const SafetensorsFile batches(folder + "/batches.safetensors");
  const at::Tensor images = golden::tensor(batches, "b0.global_u8")[0].contiguous();
  for (const udi_token token : {UDI_TOKEN_CLS, UDI_TOKEN_CLS_PLUS, UDI_TOKEN_PATCH_MEAN, UDI_TOKEN_PATCHES}) {
    if (token == UDI_TOKEN_CLS_PLUS && config.class_tokens == 1) continue;
    const at::Tensor exact = model.extract(images, UDI_NCHW, in(UDI_PRECISION_F32, token));
    for (const udi_precision precision : precisions()) {
      const double bound = precision == UDI_PRECISION_INT8 ? 0.999 : 0.9999;
      for (auto kernels = gemm::all_narrow(bits_of(precision)); *kernels; ++kernels) {
        gemm::use(**kernels);
        const at::Tensor tokens = model.extract(images, UDI_NCHW, in(precision, token));
        const double cosine = at::cosine_similarity(tokens, exact, -1).min().item<double>();
        EXPECT_GE(cosine, bound) << (*kernels)->name << ", token " << token;
        EXPECT_LT(cosine, 1 - 1e-8) << (*kernels)->name << " is float32 itself";
      }
      gemm::use_best_narrow();
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, NarrowGolden, testing::Values("udi_tiny", "udi_recipe", "udi_one_token", "dino_tiny"),
                         [](const auto& info) { return std::string(info.param); });

// Intermediate blocks, every case of the other tests, too.
TEST_F(NarrowModel, EveryShapeOfModel) {
  for (const cases::Case& c : cases::all()) {
    udi_model_config config = c.config;
    const Model model = make(config);
    const at::Tensor images = at::randn({c.images, config.channels, c.height, c.width});
    for (const udi_precision precision : precisions()) {
      udi_extract_config options = in(precision, UDI_TOKEN_PATCHES);
      options.num_blocks = config.depth;
      const at::Tensor tokens = model.extract(images, UDI_NCHW, options);
      options.precision = UDI_PRECISION_F32;
      const at::Tensor exact = model.extract(images, UDI_NCHW, options);
      EXPECT_GE(at::cosine_similarity(tokens, exact, -1).min().item<double>(), 0.998) << c.name << " " << precision;
    }
  }
}

TEST_F(NarrowModel, TheMemoryIsTheOneAnnounced) {
  for (const udi_model_config& config : {cases::small(), wide()}) {
    const Model model = make(config);
    const auto bytes_of = [](const VitWeights& vit) {
      int64_t sum = 0;
      const auto add = [&](const LinearWeights& layer) {
        const PackedLinear& packed = *layer.packed;
        const at::Tensor& memory = packed.narrow ? packed.narrow->memory : packed.memory;
        sum += int64_t(memory.nbytes()) + (packed.narrow ? int64_t(packed.narrow->columns.nbytes()) : 0);
      };
      add(vit.patch_embed);
      for (const BlockWeights& block : vit.blocks) {
        for (const LinearWeights* layer : {&block.qkv, &block.proj, &block.fc1, &block.fc2}) add(*layer);
      }
      return sum;
    };
    model.weights.pack();
    EXPECT_EQ(bytes_of(model.weights.vit), extraction_bytes(config, UDI_PRECISION_F32));
    for (const udi_precision precision : precisions()) {
      for (auto kernels = gemm::all_narrow(bits_of(precision)); *kernels; ++kernels) {
        gemm::use(**kernels);
        const Parameters in_bits = model.weights.in_bits(bits_of(precision));
        EXPECT_EQ(bytes_of(in_bits.vit), extraction_bytes(config, precision)) << (*kernels)->name;
        EXPECT_EQ(model.weights.in_bits(bits_of(precision)).vit.patch_embed.packed, in_bits.vit.patch_embed.packed);
      }
      gemm::use_best_narrow();
    }
  }
}

TEST_F(NarrowModel, RefusalsSayWhy) {
  const Model model = make(cases::small());
  gemm::pretend_none(Bits::kBf16);
  expect_failure(model, UDI_PRECISION_BF16, UDI_E_UNSUPPORTED, "AVX-512 BF16");
  EXPECT_NO_THROW(
      model.extract(at::zeros({1, 3, 16, 16}, at::kByte), UDI_NCHW, in(UDI_PRECISION_INT8)));  // its attention
  gemm::use_best_narrow();
  expect_failure(model, 3, UDI_E_INVALID, "precision is 3");
  const Model half(cases::small(), at::kCPU, at::kBFloat16);
  expect_failure(half, UDI_PRECISION_INT8, UDI_E_UNSUPPORTED, "float32");
}

}  // namespace
}  // namespace udi
