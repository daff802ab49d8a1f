// Features of the official code, in all four folders.
#include "golden.h"

#include "model/head.h"
#include "model/model.h"
#include "model/srs.h"
#include "model/vit.h"
#include "twin.h"

namespace udi {
namespace {

constexpr double kTolerance = 1e-5;

class Golden : public testing::TestWithParam<const char*> {
 protected:
  Golden()
      : folder(std::string(UDI_TEST_DIR) + "/golden/" + GetParam()),
        features(folder + "/features.safetensors"),
        batches(folder + "/batches.safetensors"),
        config(golden::config(folder)),
        model(model_from_tensors(config, SafetensorsFile(folder + "/init.safetensors").tensors(), false, nullptr,
                                 at::kCPU)),
        images(golden::tensor(batches, "b0.global_u8")[0].contiguous()) {}

  void expect(const std::string& name, const at::Tensor& value) {
    const at::Tensor reference = golden::tensor(features, name);
    ASSERT_EQ(value.sizes(), reference.sizes()) << name;
    EXPECT_LE(twin::distance(value, reference), kTolerance) << name;
  }
  at::Tensor normed(const at::Tensor& tokens) const {
    const NormWeights& norm = model.weights.vit.norm;
    return at::layer_norm(tokens, {config.embed_dim}, norm.weight, norm.bias, 1e-6);
  }
  at::Tensor tokens(const at::Tensor& of) {
    return normed(Vit(config, model.weights).forward(of.contiguous(), {}).tokens);
  }

  std::string folder;
  SafetensorsFile features, batches;
  udi_model_config config;
  Model model;
  at::Tensor images;
};

TEST_P(Golden, Tokens) {
  std::vector<at::Tensor> blocks;
  at::Tensor attention;
  VitOptions options;
  options.blocks = &blocks;
  options.attention = &attention;
  Vit vit(config, model.weights);
  const VitOutput out = vit.forward(images, options);
  expect("tokens_last", normed(out.tokens));
  expect("attention_last", attention);
  ASSERT_EQ(blocks.size(), size_t(config.depth));
  for (size_t i = 0; i < blocks.size(); ++i) expect("tokens_layer" + std::to_string(i), normed(blocks[i]));
  EXPECT_LE(twin::distance(out.cls, golden::tensor(features, "tokens_last").narrow(1, 0, config.class_tokens)),
            kTolerance);
}

TEST_P(Golden, OtherSizes) {
  const int64_t size = config.image_size, patch = config.patch_size;
  expect("tokens_rect", tokens(images.narrow(2, 0, size - 4 * patch).narrow(3, 0, size - 2 * patch)));
  expect("tokens_localcrop", tokens(golden::tensor(batches, "b0.local_u8")[0]));
}

TEST_P(Golden, HeadLogits) {
  const at::Tensor cls = Vit(config, model.weights).forward(images, {}).cls.select(1, 0);
  const at::Tensor z = Head(config, model.weights).forward(cls, false);
  const at::Tensor prototypes = at::empty_like(model.weights.head.weight_v);
  prototype_weights(model.weights.head, prototypes);
  expect("head_cls", at::mm(z, prototypes.t()));
}

TEST_P(Golden, Srs) {
  if (!config.include_patch) GTEST_SKIP() << "no SRS module";
  const at::Tensor map = golden::tensor(batches, "b0.tgt_maps_global")[0];
  const auto [index, weight] = golden::taps(map);
  at::Tensor attention;
  const at::Tensor tokens = Vit(config, model.weights).forward(images, {}).tokens;
  udi::Srs srs(config, model.weights);
  expect("srs_tokens", srs.forward(tokens, {index, weight}, false, &attention));
  const at::Tensor valid = (map.sum(-1) > 0).to(at::kFloat);
  expect("srs_attention", attention * valid.unsqueeze(1).unsqueeze(3));
}

TEST_P(Golden, Extract) {
  const at::Tensor last = golden::tensor(features, "tokens_last"), first = golden::tensor(features, "tokens_layer0");
  udi_extract_config options = extract_config_default();
  EXPECT_LE(twin::distance(model.extract(images, UDI_NCHW, options), last.select(1, 0)), kTolerance);
  options.token = UDI_TOKEN_PATCH_MEAN;
  options.num_blocks = config.depth;
  options.batch_size = 1;
  const int64_t classes = config.class_tokens, patches = last.size(1) - classes;
  const at::Tensor means =
      at::cat({first.narrow(1, classes, patches).mean(1), last.narrow(1, classes, patches).mean(1)}, 1);
  EXPECT_LE(twin::distance(model.extract(images.permute({0, 2, 3, 1}), UDI_NHWC, options), means), kTolerance);
}

INSTANTIATE_TEST_SUITE_P(All, Golden, testing::Values("udi_tiny", "udi_recipe", "udi_one_token", "dino_tiny"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace udi
