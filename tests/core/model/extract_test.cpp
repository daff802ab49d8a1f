// Extraction in stages, as it runs on an accelerator, here on the CPU: the same rows in the same order as at once, with
// batches that are not full, several sizes in one pass, errors and a cancel in the middle.
#include "model/extractor.h"

#include "cases.h"
#include "twin.h"

namespace udi {
namespace {

Model make(udi_model_config config) {
  Model model(config, at::kCPU);
  at::manual_seed(7);
  cases::randomize(model.weights);
  model.weights.refresh();
  return model;
}

// Of a model whose products are all of packed weights: a row's bits do not depend on what goes through with it.
udi_model_config exact() { return cases::small(96, 3); }

udi_extract_config options_of(udi_token token, int32_t batch_size, bool normalize = false) {
  udi_extract_config options = extract_config_default();
  options.token = token;
  options.batch_size = batch_size;
  options.normalize = normalize;
  return options;
}

// Push after push, each popped as late as can be.
std::vector<at::Tensor> rows_of(Extraction& extraction, const std::vector<std::vector<at::Tensor>>& pushes) {
  std::vector<at::Tensor> rows;
  for (const auto& batches : pushes) {
    if (extraction.full()) rows.push_back(extraction.pop());
    extraction.push(batches);
  }
  while (!extraction.empty()) rows.push_back(extraction.pop());
  return rows;
}

TEST(StagedExtraction, GivesTheRowsOfBatchesThatAreNotFull) {
  const Model model = make(exact());
  const at::Tensor bytes = at::randint(256, {11, 3, 16, 16}, at::kByte);
  for (const at::Tensor& images : {bytes, bytes.to(at::kFloat) / 100 - 1}) {
    for (const udi_token token :
         {UDI_TOKEN_CLS, UDI_TOKEN_CLS_PLUS, UDI_TOKEN_BOTH, UDI_TOKEN_PATCH_MEAN, UDI_TOKEN_PATCHES}) {
      for (const bool normalize : {false, true}) {
        SCOPED_TRACE(testing::Message() << images.scalar_type() << ", token " << token << ", normalize " << normalize);
        const udi_extract_config options = options_of(token, 4, normalize);
        const at::Tensor expected = model.extract(images, UDI_NCHW, options);
        Extraction extraction(model, options, nullptr, 16, Extraction::Way::kStaged);
        EXPECT_TRUE(extraction.staged());
        EXPECT_EQ(extraction.capacity(), 4);
        std::vector<std::vector<at::Tensor>> pushes;
        std::vector<int64_t> counts;
        int64_t first = 0;
        for (const int64_t count : {4, 1, 4, 2}) {  // a set's last batch, or one that has lost bad images, is short
          pushes.push_back({images.narrow(0, first, count)});
          counts.push_back(count);
          first += count;
        }
        const std::vector<at::Tensor> rows = rows_of(extraction, pushes);
        for (size_t i = 0; i < rows.size(); ++i) EXPECT_EQ(rows[i].size(0), counts[i]);
        EXPECT_TRUE(at::equal(at::cat(rows), expected));
      }
    }
  }
}

TEST(StagedExtraction, LooksBackAtBlocks) {
  const Model model = make(exact());
  const at::Tensor images = at::randint(256, {5, 3, 16, 16}, at::kByte);
  udi_extract_config options = options_of(UDI_TOKEN_BOTH, 2);
  options.block = 1;
  options.num_blocks = 2;
  Extraction extraction(model, options, nullptr, 16, Extraction::Way::kStaged);
  const auto rows = rows_of(extraction, {{images.narrow(0, 0, 2)}, {images.narrow(0, 2, 2)}, {images.narrow(0, 4, 1)}});
  EXPECT_TRUE(at::equal(at::cat(rows), model.extract(images, UDI_NCHW, options)));
}

TEST(StagedExtraction, SeveralSizesAreEachImagesOwn) {
  const Model model = make(exact());
  const std::vector<at::Tensor> batches = {
      at::randint(256, {2, 3, 16, 16}, at::kByte), at::randint(256, {1, 3, 4, 24}, at::kByte),
      at::randint(256, {1, 3, 16, 16}, at::kByte), at::randint(256, {2, 3, 36, 8}, at::kByte)};
  for (const udi_token token : {UDI_TOKEN_CLS, UDI_TOKEN_CLS_PLUS, UDI_TOKEN_BOTH, UDI_TOKEN_PATCH_MEAN}) {
    const udi_extract_config options = options_of(token, 6);
    std::vector<at::Tensor> alone;
    for (const at::Tensor& batch : batches) {
      for (int64_t i = 0; i < batch.size(0); ++i) {
        alone.push_back(model.extract(batch.narrow(0, i, 1), UDI_NCHW, options));
      }
    }
    for (const Extraction::Way way : {Extraction::Way::kStaged, Extraction::Way::kHere}) {
      Extraction extraction(model, options, nullptr, 16, way);
      // The same again in other memory, behind a batch of one size.
      const auto rows = rows_of(extraction, {batches, {batches[0]}, batches});
      ASSERT_EQ(rows.size(), 3u);
      EXPECT_TRUE(at::equal(rows[0], at::cat(alone))) << token;
      EXPECT_TRUE(at::equal(rows[2], rows[0])) << token;
    }
  }
  Extraction patches(model, options_of(UDI_TOKEN_PATCHES, 6), nullptr, 16, Extraction::Way::kStaged);
  EXPECT_THROW(patches.push(batches), Error);
}

// Against float64, with a model whose products are LibTorch's.
TEST(StagedExtraction, IsTheTwins) {
  for (const cases::Case& c : cases::all()) {
    const Model model = make(c.config);
    const twin::Weights w = twin::leaves(model.weights);
    const at::Tensor images = at::randn({7, c.config.channels, c.height, c.width});
    const at::Tensor reference =
        twin::norm(twin::vit(c.config, w, images.to(at::kDouble), {}).back(), w, "backbone.backbone.norm").select(1, 0);
    Extraction extraction(model, options_of(UDI_TOKEN_CLS, 3), nullptr, 16, Extraction::Way::kStaged);
    const auto rows =
        rows_of(extraction, {{images.narrow(0, 0, 3)}, {images.narrow(0, 3, 3)}, {images.narrow(0, 6, 1)}});
    EXPECT_LE(twin::distance(at::cat(rows), reference.detach()), 1e-5) << c.name;
  }
}

TEST(StagedExtraction, StopsWhereItIsToldTo) {
  const Model model = make(exact());
  const at::Tensor images = at::randint(256, {2, 3, 16, 16}, at::kByte);
  Host host;
  Extraction extraction(model, options_of(UDI_TOKEN_CLS, 2), &host, 16, Extraction::Way::kStaged);
  extraction.push({images});
  host.cancelled = true;
  try {
    extraction.push({images});
    FAIL() << "a cancel must be seen";
  } catch (const Error& error) {
    EXPECT_EQ(error.status, UDI_E_CANCELLED);
  }
  host.cancelled = false;
  extraction.push({images});  // what was pushed before is still there
  EXPECT_TRUE(extraction.full());
  const at::Tensor rows = extraction.pop();
  EXPECT_TRUE(at::equal(rows, extraction.pop()));
  EXPECT_TRUE(extraction.empty());
}

TEST(StagedExtraction, ChecksWhatItIsGiven) {
  const Model model = make(exact());
  const at::Tensor images = at::randint(256, {2, 3, 16, 16}, at::kByte);
  Extraction extraction(model, options_of(UDI_TOKEN_CLS, 2), nullptr, 16, Extraction::Way::kStaged);
  EXPECT_THROW(extraction.pop(), Error);
  EXPECT_THROW(extraction.push({at::zeros({3, 3, 16, 16}, at::kByte)}), Error);            // more than fit
  EXPECT_THROW(extraction.push({images, images.to(at::kFloat)}), Error);                   // two types
  EXPECT_THROW(extraction.push({at::zeros({1, 3, 16, 15}, at::kByte)}), Error);            // no multiple of a patch
  EXPECT_THROW(extraction.push({images.narrow(0, 0, 1), images.narrow(0, 0, 0)}), Error);  // no image
  extraction.push({images});
  extraction.push({images});
  EXPECT_THROW(extraction.push({images}), Error);  // full
  const at::Tensor expected = model.extract(images, UDI_NCHW, options_of(UDI_TOKEN_CLS, 2));
  EXPECT_TRUE(at::equal(extraction.pop(), expected));
  EXPECT_TRUE(at::equal(extraction.pop(), expected));
  EXPECT_THROW(Extraction(model, options_of(udi_token(6), 2), nullptr, 16), Error);
  EXPECT_FALSE(Extraction(model, options_of(UDI_TOKEN_CLS, 2), nullptr, 16).staged());  // on the CPU nothing is gained
}

// Call after call over one Extractor, staged as on a GPU.
struct Calls {
  Model model = make(exact());
  Extractor extractor;

  void expect_rows(int64_t images, const udi_extract_config& options, int64_t made, int64_t side = 16) {
    SCOPED_TRACE(testing::Message() << images << " images of " << side << ", made " << made);
    const at::Tensor pixels = at::randint(256, {images, 3, side, side}, at::kByte);
    const at::Tensor got = extractor.extract(model, pixels, UDI_NCHW, options, nullptr, Extraction::Way::kStaged);
    EXPECT_TRUE(at::equal(got, model.extract(pixels, UDI_NCHW, options)));
    EXPECT_EQ(extractor.made(), made);
  }
};

TEST(Extractor, StaysForCallsThatAskForTheSame) {
  Calls calls;
  const udi_extract_config options = options_of(UDI_TOKEN_CLS, 4);
  calls.expect_rows(11, options, 1);
  calls.expect_rows(4, options, 1);
  calls.expect_rows(3, options, 1);
  calls.expect_rows(9, options, 1, 32);  // another size
  calls.expect_rows(2, options, 2);      // more than half of a batch of 4 would be nothing
  calls.expect_rows(2, options, 2);
  calls.expect_rows(1, options, 3);
  calls.expect_rows(11, options, 4);
}

TEST(Extractor, IsMadeAnewForAnythingElse) {
  Calls calls;
  udi_extract_config options = options_of(UDI_TOKEN_CLS, 0);
  calls.expect_rows(5, options, 1);
  options.token = UDI_TOKEN_PATCHES;
  calls.expect_rows(5, options, 2);
  options.normalize = 1;
  calls.expect_rows(5, options, 3);
  options.block = 1;
  calls.expect_rows(5, options, 4);
  options.num_blocks = 2;
  calls.expect_rows(5, options, 5);
  options.precision = UDI_PRECISION_INT8;
  calls.expect_rows(5, options, 6);
  calls.model.weights.flat.mul_(1.5);  // in 8 bits they are copies
  calls.model.weights.refresh();
  calls.expect_rows(5, options, 7);
  const Model other = make(exact());
  const at::Tensor pixels = at::randint(256, {5, 3, 16, 16}, at::kByte);
  const auto rows = calls.extractor.extract(other, pixels, UDI_NCHW, options, nullptr, Extraction::Way::kStaged);
  EXPECT_TRUE(at::equal(rows, other.extract(pixels, UDI_NCHW, options)));
  EXPECT_EQ(calls.extractor.made(), 8);
}

TEST(Extractor, LeavesNothingOfACallThatFailed) {
  Calls calls;
  const udi_extract_config options = options_of(UDI_TOKEN_CLS, 2);
  Host host;
  host.cancelled.store(true);
  const at::Tensor pixels = at::randint(256, {3, 3, 16, 16}, at::kByte);
  EXPECT_THROW(calls.extractor.extract(calls.model, pixels, UDI_NCHW, options, &host, Extraction::Way::kStaged), Error);
  calls.expect_rows(3, options, 2);
  EXPECT_THROW(calls.extractor.extract(calls.model, pixels, UDI_NCHW, options_of(UDI_TOKEN_CLS, -1), nullptr), Error);
  calls.expect_rows(3, options, 4);
}

TEST(Extractor, KeepsNothingWhereNothingIsStaged) {
  Calls calls;
  const at::Tensor pixels = at::randint(256, {3, 3, 16, 16}, at::kByte);
  for (int64_t made = 1; made <= 2; ++made) {
    calls.extractor.extract(calls.model, pixels, UDI_NCHW, options_of(UDI_TOKEN_CLS, 2));
    EXPECT_EQ(calls.extractor.made(), made);
  }
}

}  // namespace
}  // namespace udi
