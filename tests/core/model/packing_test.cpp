// Batches of several sizes in one pass: against autograd over the twin, each batch by itself, in three precisions; and
// against passes of one batch each, to the bit where products promise it.
#include "cases.h"
#include "model/vit.h"
#include "twin.h"

namespace udi {
namespace {

struct Precision {
  const char* name;
  at::ScalarType weights, products;
  double value, gradient;  // tolerances, relative norms
};
constexpr Precision kPrecisions[] = {{"float64", at::kDouble, at::kDouble, 1e-12, 1e-10},
                                     {"float32", at::kFloat, at::kFloat, 3e-6, 2e-5},
                                     {"bfloat16", at::kFloat, at::kBFloat16, 2e-2, 1e-1}};

struct Part {
  int64_t images, height, width;
  bool class_tokens_only, drop_path;
};
struct Mixture {
  const char* name;
  std::vector<Part> parts;
};
const Mixture kMixtures[] = {
    {"all tokens, then class tokens", {{2, 16, 16, false, true}, {5, 8, 8, true, true}}},
    {"class tokens first, drop path of one alone", {{3, 8, 12, true, false}, {1, 16, 8, false, true}}},
    {"three sizes, one patch", {{1, 4, 4, false, false}, {2, 20, 12, false, false}, {1, 16, 16, false, false}}},
    {"class tokens everywhere", {{2, 8, 8, true, true}, {2, 16, 16, true, false}, {1, 4, 8, true, true}}},
    {"two batches of one size", {{2, 16, 16, true, false}, {3, 16, 16, false, false}}}};

class BatchesOfSizes : public testing::TestWithParam<Precision> {
 protected:
  void SetUp() override { at::manual_seed(3); }

  at::Tensor cast(const at::Tensor& t) const { return t.defined() ? t.to(GetParam().weights) : t; }

  VitBatch batch(const udi_model_config& config, const Part& part, bool keep) const {
    VitBatch batch;
    batch.images = cast(twin::random({part.images, config.channels, part.height, part.width}));
    batch.options.class_tokens_only = part.class_tokens_only;
    batch.options.keep_for_backward = keep;
    batch.options.pixels = Pixels::kNormalized;
    if (part.drop_path) {
      const cases::Case c = {"", config, part.images, part.height, part.width, true};
      batch.options.drop_path = cast(cases::drop_path_factors(c));
    }
    return batch;
  }
};

TEST_P(BatchesOfSizes, GradientsAreAutograds) {
  for (const udi_model_config& config : {cases::small(), cases::all()[1].config}) {
    for (const Mixture& mixture : kMixtures) {
      SCOPED_TRACE(testing::Message() << mixture.name << ", " << config.class_tokens << " class tokens");
      Parameters p(config, GetParam().weights, GetParam().products, at::kCPU);
      cases::randomize(p);
      p.refresh();
      const twin::Weights w = twin::leaves(p);
      std::vector<VitBatch> batches;
      std::vector<VitOutput> references, d_outputs;
      at::Tensor sum = at::zeros({}, at::kDouble);
      for (const Part& part : mixture.parts) {
        const VitBatch& added = batches.emplace_back(batch(config, part, true));
        const at::Tensor factors = added.options.drop_path;
        at::Tensor tokens =
            twin::vit(config, w, added.images.to(at::kDouble), factors.defined() ? factors.to(at::kDouble) : factors)
                .back();
        if (part.class_tokens_only) tokens = tokens.narrow(1, 0, config.class_tokens);
        const at::Tensor cls = twin::norm(tokens.narrow(1, 0, config.class_tokens), w, "backbone.backbone.norm");
        references.push_back({tokens, cls});
        const bool of_tokens = d_outputs.size() % 2 == 0;  // every second batch has a gradient of class tokens alone
        d_outputs.push_back({of_tokens ? twin::random(tokens.sizes()) : at::Tensor(), twin::random(cls.sizes())});
        if (of_tokens) sum = sum + (tokens * d_outputs.back().tokens).sum();
        sum = sum + (cls * d_outputs.back().cls).sum();
      }
      sum.backward();

      Vit vit(config, p);
      const Parameters grads = p.zeros_like();
      // First a pass of other sizes: nothing may stay behind in the working memory.
      vit.forward({batch(config, {4, 20, 20, false, true}, true), batch(config, {1, 12, 4, true, false}, true)});
      const std::vector<VitOutput> outputs = vit.forward(batches);
      ASSERT_EQ(outputs.size(), batches.size());
      for (size_t i = 0; i < outputs.size(); ++i) {
        EXPECT_LE(twin::distance(outputs[i].tokens, references[i].tokens), GetParam().value) << i;
        EXPECT_LE(twin::distance(outputs[i].cls, references[i].cls), GetParam().value) << i;
        d_outputs[i] = {cast(d_outputs[i].tokens), cast(d_outputs[i].cls)};
      }
      vit.backward(d_outputs, grads.vit);
      double largest = 0;  // gradients that are noise against it are not compared in their own size
      for (const auto& [name, tensor] : w) {
        if (tensor.grad().defined()) largest = std::max(largest, tensor.grad().norm().item<double>());
      }
      twin::expect_gradients(grads, w, GetParam().gradient, largest * 1e-3);
      EXPECT_THROW(vit.backward(d_outputs, grads.vit), Error);
    }
  }
}

TEST_P(BatchesOfSizes, BlocksAndAttentionAreOfTheirBatch) {
  const udi_model_config config = cases::small();
  Parameters p(config, GetParam().weights, GetParam().products, at::kCPU);
  cases::randomize(p);
  p.refresh();
  std::vector<VitBatch> batches = {batch(config, {2, 8, 16, false, false}, false),
                                   batch(config, {3, 16, 16, true, false}, false),
                                   batch(config, {1, 16, 20, false, false}, false)};
  std::vector<at::Tensor> blocks, blocks_alone;
  at::Tensor attention, attention_alone, cls_attention, cls_attention_alone;
  batches[0].options.attention = &attention;
  batches[1].options.attention = &cls_attention;
  batches[2].options.blocks = &blocks;
  Vit(config, p).forward(batches);
  batches[0].options.attention = &attention_alone;
  batches[1].options.attention = &cls_attention_alone;
  batches[2].options.blocks = &blocks_alone;
  for (const VitBatch& alone : batches) Vit(config, p).forward(alone.images, alone.options);
  EXPECT_EQ(attention.sizes(), (std::vector<int64_t>{2, config.heads, 10, 10}));
  EXPECT_EQ(cls_attention.sizes(), (std::vector<int64_t>{3, config.heads, 2, 18}));
  EXPECT_LE(twin::distance(attention, attention_alone), GetParam().value);
  EXPECT_LE(twin::distance(cls_attention, cls_attention_alone), GetParam().value);
  ASSERT_EQ(blocks.size(), size_t(config.depth));
  for (size_t i = 0; i < blocks.size(); ++i) {
    EXPECT_EQ(blocks[i].sizes(), (std::vector<int64_t>{1, 22, config.embed_dim}));
    EXPECT_LE(twin::distance(blocks[i], blocks_alone[i]), GetParam().value) << i;
  }
}

INSTANTIATE_TEST_SUITE_P(All, BatchesOfSizes, testing::ValuesIn(kPrecisions),
                         [](const auto& info) { return info.param.name; });

// The products of packed weights add up in one order whatever stands in the other rows.
TEST(BatchesOfSizesBits, AreThoseOfEachImageAlone) {
  at::manual_seed(4);
  const udi_model_config config = cases::small(64, 4);  // parts of qkv begin at a panel of any processor's kernels
  const Parameters p(config, at::kFloat, at::kFloat, at::kCPU);
  cases::randomize(p);
  ASSERT_TRUE(p.pack());
  std::vector<VitBatch> batches;
  for (const auto& [height, width, class_tokens_only] :
       {std::tuple<int64_t, int64_t, bool>{16, 16, false}, {4, 4, true}, {36, 8, false}, {12, 52, true}}) {
    batches.emplace_back();
    batches.back().images = at::randint(256, {1, 3, height, width}, at::kByte);
    batches.back().options.class_tokens_only = class_tokens_only;
  }
  Vit together(config, p), alone(config, p);
  const std::vector<VitOutput> outputs = together.forward(batches);
  for (size_t i = 0; i < batches.size(); ++i) {
    const VitOutput expected = alone.forward(batches[i].images, batches[i].options);
    EXPECT_TRUE(at::equal(outputs[i].tokens, expected.tokens)) << i;
    EXPECT_TRUE(at::equal(outputs[i].cls, expected.cls)) << i;
  }
}

// A step whose chunks have two shapes makes offsets once: a recording reads them where they lay.
TEST(Packing, KeepsOffsetsOfTheShapesItHadLately) {
  const std::vector<Segment> wide = {{2, 17, 17}, {3, 5, 1}}, narrow = {{1, 17, 17}};
  Packing packing;
  packing.make(wide, at::kCPU);
  const void* const offsets = packing.row_offsets().const_data_ptr();
  packing.make(narrow, at::kCPU);
  EXPECT_EQ(packing.rows(), 17);
  EXPECT_EQ(packing.segments().size(), 1u);
  EXPECT_NE(packing.row_offsets().const_data_ptr(), offsets);
  packing.make(wide, at::kCPU);
  EXPECT_EQ(packing.row_offsets().const_data_ptr(), offsets);
  EXPECT_EQ(packing.rows(), 2 * 17 + 3 * 5);
  EXPECT_EQ(packing.asking(), 2 * 17 + 3);
  EXPECT_EQ(packing.longest(), 17);
  EXPECT_TRUE(at::equal(packing.row_offsets(), at::tensor({0, 17, 34, 39, 44, 49}, at::kInt)));
  EXPECT_TRUE(at::equal(packing.asking_offsets(), at::tensor({0, 17, 34, 35, 36, 37}, at::kInt)));
  for (int64_t tokens = 1; tokens <= 200; ++tokens) packing.make({{1, tokens, 1}}, at::kCPU);  // more than it keeps
  packing.make(wide, at::kCPU);
  EXPECT_EQ(packing.rows(), 49);
}

TEST(BatchesOfSizesShapes, AreChecked) {
  const udi_model_config config = cases::small();
  Vit vit(config, Parameters(config, at::kFloat, at::kFloat, at::kCPU));
  const at::Tensor images = at::zeros({1, 3, 16, 16});
  VitOptions kept;
  kept.keep_for_backward = true;
  const auto status_of = [&](const std::vector<VitBatch>& batches) -> udi_status {
    try {
      vit.forward(batches);
    } catch (const Error& error) {
      return error.status;
    }
    return UDI_OK;
  };
  EXPECT_EQ(status_of({}), UDI_E_SHAPE);
  EXPECT_EQ(status_of({{images, {}}, {at::zeros({0, 3, 16, 16}), {}}}), UDI_E_SHAPE);
  EXPECT_EQ(status_of({{images, {}}, {at::zeros({1, 3, 16, 15}), {}}}), UDI_E_SHAPE);
  EXPECT_EQ(status_of({{images, {}}, {at::zeros({1, 1, 16, 16}), {}}}), UDI_E_SHAPE);
  EXPECT_EQ(status_of({{images, {}}, {images, kept}}), UDI_E_INTERNAL);
  EXPECT_EQ(status_of({{images, kept}, {images, kept}}), UDI_OK);
  EXPECT_THROW(vit.backward(std::vector<VitOutput>(3), Parameters(config, at::kFloat, at::kFloat, at::kCPU).vit),
               Error);
}

}  // namespace
}  // namespace udi
