// Extraction whose work is recorded once and replayed, as on a GPU with graphs, emulated on the CPU: the rows are those of
// the batch at hand, not of the one that was recorded.
#include <gtest/gtest.h>

#include "cases.h"
#include "model/extractor.h"
#include "steps.h"

namespace udi {
namespace {

Model make(at::ScalarType precision) {
  Model model(cases::small(96, 3), at::kCPU, precision);
  at::manual_seed(7);
  cases::randomize(model.weights);
  model.weights.refresh();
  return model;
}

at::Tensor rows_of(Extraction& extraction, const at::Tensor& images) {
  extraction.push({images});
  return extraction.pop();
}

TEST(Replay, ExtractionFollowsItsBatches) {
  const Turned turned(Mode::kReplayed);
  const Model model = make(at::kFloat);
  udi_extract_config options = extract_config_default();
  options.token = UDI_TOKEN_BOTH;
  options.batch_size = 4;
  Extraction here(model, options, nullptr, 16, Extraction::Way::kHere);
  Extraction staged(model, options, nullptr, 16, Extraction::Way::kStaged);
  // The third batch of a shape is recorded: full and short ones behind it, another size and back, another type.
  const std::vector<std::vector<int64_t>> shapes = {{4, 3, 16, 16}, {4, 3, 16, 16}, {4, 3, 16, 16}, {4, 3, 16, 16},
                                                    {1, 3, 16, 16}, {4, 3, 16, 16}, {2, 3, 24, 16}, {4, 3, 24, 16},
                                                    {3, 3, 24, 16}, {4, 3, 24, 16}, {4, 3, 16, 16}};
  for (const at::ScalarType type : {at::kByte, at::kFloat}) {
    for (size_t i = 0; i < shapes.size(); ++i) {
      const at::Tensor images = at::randint(256, shapes[i], at::TensorOptions(type));
      const at::Tensor got = rows_of(staged, images), want = rows_of(here, images);
      ASSERT_EQ(got.sizes(), want.sizes());
      EXPECT_LT((got - want).abs().max().item<float>(), 1e-5f * want.abs().max().item<float>())
          << "batch " << i << " of " << type;
    }
  }
}

// One batch a call, as a pipeline asks for it: recorded in one call, replayed in later ones.
TEST(Replay, ExtractionCallByCall) {
  const Turned turned(Mode::kReplayed);
  const Model model = make(at::kFloat);
  const udi_extract_config options = extract_config_default();
  Extractor extractor;
  for (int call = 0; call < 5; ++call) {
    const at::Tensor images = at::randint(256, {call % 2 ? 3 : 4, 3, 16, 16}, at::kByte);
    const at::Tensor got = extractor.extract(model, images, UDI_NCHW, options, nullptr, Extraction::Way::kStaged);
    const at::Tensor want = model.extract(images, UDI_NCHW, options);
    ASSERT_EQ(got.sizes(), want.sizes());
    EXPECT_LT((got - want).abs().max().item<float>(), 1e-5f * want.abs().max().item<float>()) << "call " << call;
  }
  EXPECT_EQ(extractor.made(), 1);
}

TEST(Replay, ExtractionIn16Bits) {
  const Turned turned(Mode::kReplayed);
  const Model narrow = make(at::kBFloat16), wide = make(at::kFloat);
  udi_extract_config options = extract_config_default();
  options.batch_size = 4;
  Extraction staged(narrow, options, nullptr, 16, Extraction::Way::kStaged);
  for (int batch = 0; batch < 5; ++batch) {
    const at::Tensor images = at::randint(256, {4, 3, 16, 16}, at::kByte);
    const at::Tensor got = rows_of(staged, images), want = wide.extract(images, UDI_NCHW, options);
    EXPECT_GT(at::cosine_similarity(got, want, 1).min().item<float>(), 0.999f) << "batch " << batch;
  }
}

}  // namespace
}  // namespace udi
