#include "model/parameters.h"

#include <set>

#include "cases.h"
#include "golden.h"
#include "twin.h"

namespace udi {
namespace {

Parameters make(const udi_model_config& config) { return Parameters(config, at::kFloat, at::kFloat, at::kCPU); }

std::string load_error(Parameters& p, const std::vector<TensorView>& tensors, bool partial = false) {
  try {
    p.load(tensors, partial);
  } catch (const Error& error) {
    EXPECT_EQ(error.status, UDI_E_FORMAT);
    return error.message;
  }
  ADD_FAILURE() << "no error";
  return "";
}

TEST(Parameters, HasTheOfficialTensors) {
  for (const char* name : {"udi_tiny", "udi_recipe", "udi_one_token", "dino_tiny"}) {
    const std::string folder = std::string(UDI_TEST_DIR) + "/golden/" + name;
    const SafetensorsFile init(folder + "/init.safetensors"), grads(folder + "/grads_step0.safetensors");
    const Parameters p = make(golden::config(folder));
    ASSERT_EQ(p.entries().size(), init.tensors().size());
    for (const ParameterInfo& entry : p.entries()) {
      EXPECT_EQ(init.at(entry.name).shape, entry.shape) << entry.name;
      EXPECT_EQ(grads.find("grads." + entry.name) != nullptr || grads.find(entry.name) != nullptr, entry.trainable)
          << entry.name;
    }
  }
}

// The order of the official checkpoint's optimizer state (docs/method.md): 58 decayed tensors, then 108.
TEST(Parameters, IsOrderedAndGroupedAsTheOfficialOptimizer) {
  const Parameters p = make([] {
    udi_model_config c = model_config_preset("vit_small");
    c.out_dim = 64;
    return c;
  }());
  std::vector<std::string> decayed, others;
  for (const ParameterInfo& entry : p.entries()) (entry.decayed ? decayed : others).push_back(entry.name);
  EXPECT_EQ(decayed.size(), 58u);
  EXPECT_EQ(others.size(), 108u);
  EXPECT_EQ(decayed[0], "backbone.backbone.cls_token");
  EXPECT_EQ(decayed[1], "backbone.backbone.pos_embed");
  EXPECT_EQ(decayed[3], "backbone.backbone.blocks.0.attn.qkv.weight");
  EXPECT_EQ(decayed[51], "backbone.attn.qkv.weight");
  EXPECT_EQ(decayed[57], "head.0.last_layer.weight_v");
  std::set<std::string> last_layer;
  for (const ParameterInfo& entry : p.entries()) {
    if (entry.last_layer) last_layer.insert(entry.name);
  }
  EXPECT_EQ(last_layer, (std::set<std::string>{"head.0.last_layer.weight_g", "head.0.last_layer.weight_v"}));
}

TEST(Parameters, AreViewsIntoOneTensor) {
  const Parameters p = make(cases::small());
  int64_t end = 0;
  for (size_t i = 0; i < p.entries().size(); ++i) {
    const ParameterInfo& entry = p.entries()[i];
    EXPECT_EQ(entry.offset % 16, 0);
    EXPECT_GE(entry.offset, end);
    end = entry.offset + entry.elements;
    EXPECT_EQ(p[i].const_data_ptr(), p.flat.const_data_ptr<float>() + entry.offset);
  }
  EXPECT_LE(end, p.flat.numel());
  p.vit.blocks[1].fc1.bias.fill_(3);
  EXPECT_EQ(p.at("backbone.backbone.blocks.1.mlp.fc1.bias").mean().item<float>(), 3);
  EXPECT_THROW(p.at("backbone.backbone.blocks.9.mlp.fc1.bias"), Error);
}

TEST(Parameters, SixteenBitCopyFollowsRefresh) {
  Parameters p(cases::small(), at::kFloat, at::kBFloat16, at::kCPU);
  p.initialize(cases::small(), 3);
  EXPECT_EQ(p.vit.blocks[0].qkv.weight.scalar_type(), at::kBFloat16);
  EXPECT_EQ(p.vit.blocks[0].norm1.weight.scalar_type(), at::kFloat);
  EXPECT_TRUE(
      at::equal(p.vit.blocks[0].qkv.weight, p.at("backbone.backbone.blocks.0.attn.qkv.weight").to(at::kBFloat16)));
  p.flat.mul_(2);
  p.refresh();
  EXPECT_TRUE(at::equal(p.head.mlp[2].weight, p.at("head.0.mlp.4.weight").to(at::kBFloat16)));
}

// Moments of the official initialisation. With n draws a mean lies within 5 deviations / sqrt(n) but for a chance of
// 6e-7, a standard deviation within 5 / sqrt(2 n) of itself (normal; the uniform's is tighter).
TEST(Parameters, StartAsTheOfficialInitialisation) {
  udi_model_config c = model_config_preset("vit_tiny");
  c.depth = 2;
  c.out_dim = 4096;
  Parameters p = make(c);
  p.initialize(c, 7);
  const auto moments = [&](const std::string& name, double deviation, double bound) {
    const at::Tensor values = p.at(name).to(at::kDouble);
    const double n = double(values.numel());
    EXPECT_NEAR(values.mean().item<double>(), 0, 5 * deviation / std::sqrt(n)) << name;
    EXPECT_NEAR(values.std().item<double>() / deviation, 1, 5 / std::sqrt(2 * n)) << name;
    EXPECT_LE(values.abs().max().item<double>(), bound) << name;
    return values.abs().max().item<double>();
  };
  for (const char* name :
       {"backbone.backbone.cls_token", "backbone.backbone.pos_embed", "backbone.backbone.blocks.1.attn.qkv.weight",
        "backbone.backbone.blocks.0.mlp.fc2.weight", "backbone.attn.proj.weight", "head.0.mlp.4.weight"}) {
    EXPECT_GT(moments(name, 0.02, 0.13), 0.04) << name;  // a normal's tail, not a uniform's edge
  }
  const double patch = 1 / std::sqrt(3.0 * 16 * 16), prototype = 1 / std::sqrt(256.0);
  moments("backbone.backbone.patch_embed.proj.weight", patch / std::sqrt(3.0), patch);
  EXPECT_GT(moments("backbone.backbone.patch_embed.proj.bias", patch / std::sqrt(3.0), patch), 0.8 * patch);
  moments("head.0.last_layer.weight_v", prototype / std::sqrt(3.0), prototype);
  for (size_t i = 0; i < p.entries().size(); ++i) {
    const std::string& name = p.entries()[i].name;
    if (p[i].dim() != 1 || name.find("patch_embed") != std::string::npos) continue;
    const float value = name.find(".weight") != std::string::npos ? 1 : 0;  // of norms; biases
    EXPECT_TRUE(at::equal(p[i], at::full_like(p[i], value))) << name;
  }
  EXPECT_TRUE(at::equal(p.head.weight_g, at::ones_like(p.head.weight_g)));

  Parameters again = make(c), other = make(c);
  again.initialize(c, 7);
  other.initialize(c, 8);
  EXPECT_TRUE(at::equal(p.flat, again.flat));
  EXPECT_FALSE(at::equal(p.vit.pos_embed, other.vit.pos_embed));
  EXPECT_FALSE(at::equal(p.vit.blocks[0].proj.weight, p.vit.blocks[1].proj.weight));
}

TEST(Parameters, LoadListsWhatDoesNotFit) {
  const Parameters from = make(cases::small());
  cases::randomize(from);
  Parameters p = make(cases::small());
  std::vector<TensorView> views = from.views();
  EXPECT_TRUE(p.load(views).empty());
  EXPECT_TRUE(at::equal(p.flat, from.flat));

  views[2].name = "head.0.mlp.9.bias";
  std::string message = load_error(p, views);
  EXPECT_NE(message.find("missing " + from.entries()[2].name), std::string::npos) << message;
  EXPECT_NE(message.find("extra head.0.mlp.9.bias"), std::string::npos) << message;
  EXPECT_EQ(p.load(views, true).size(), 2u);

  views = from.views();
  views[1].shape = {1, views[1].shape[1] + 1, views[1].shape[2]};
  for (const bool partial : {false, true}) {
    message = load_error(p, views, partial);
    EXPECT_NE(message.find("pos_embed is [1, 19, 24], must be [1, 18, 24]"), std::string::npos) << message;
  }
  views = from.views();
  views[0].dtype = UDI_I64;
  EXPECT_NE(load_error(p, views).find("I64"), std::string::npos);
}

TEST(Parameters, LoadTakesEveryWidthAtAnyAddress) {
  const Parameters from = make(cases::small());
  cases::randomize(from);
  const struct {
    udi_dtype dtype;
    at::ScalarType type;
  } widths[] = {{UDI_F16, at::kHalf}, {UDI_BF16, at::kBFloat16}, {UDI_F32, at::kFloat}, {UDI_F64, at::kDouble}};
  for (const auto& width : widths) {
    std::vector<at::Tensor> bytes;
    std::vector<TensorView> views = from.views();
    for (size_t i = 0; i < views.size(); ++i) {
      const at::Tensor cast = from[i].to(width.type).contiguous();
      bytes.push_back(at::empty({int64_t(cast.nbytes()) + 1}, at::kByte));
      uint8_t* odd = bytes.back().mutable_data_ptr<uint8_t>() + 1;
      std::memcpy(odd, cast.const_data_ptr(), cast.nbytes());
      views[i].dtype = width.dtype;
      views[i].data = odd;
      views[i].bytes = cast.nbytes();
    }
    Parameters p = make(cases::small());
    p.load(views);
    EXPECT_TRUE(at::equal(p.flat, from.flat.to(width.type).to(at::kFloat)));
  }
}

}  // namespace
}  // namespace udi
