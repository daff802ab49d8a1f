#include "model/model.h"

#include <unistd.h>

#include <cstdio>
#include <functional>

#include "cases.h"
#include "twin.h"

namespace udi {
namespace {

class ModelTest : public testing::Test {
 protected:
  void SetUp() override {
    at::manual_seed(2);
    path = testing::TempDir() + "model_test." + std::to_string(getpid()) + ".safetensors";
  }
  void TearDown() override { std::remove(path.c_str()); }

  static Model make(const udi_model_config& config) {
    Model model(config, at::kCPU);
    cases::randomize(model.weights);
    return model;
  }
  static std::string message_of(const std::function<void()>& run, udi_status status) {
    try {
      run();
    } catch (const Error& error) {
      EXPECT_EQ(error.status, status) << error.message;
      return error.message;
    }
    ADD_FAILURE() << "no error";
    return "";
  }

  std::string path;
};

// The twin's tokens of a block, after the final norm.
at::Tensor reference_tokens(const Model& model, const at::Tensor& images, int64_t from_end) {
  const twin::Weights w = twin::leaves(model.weights);
  const auto blocks = twin::vit(model.config, w, images.to(at::kDouble), {});
  return twin::norm(blocks[blocks.size() - 1 - size_t(from_end)], w, "backbone.backbone.norm").detach();
}

TEST_F(ModelTest, ExtractsEveryTokenOfEveryBlock) {
  const Model model = make(cases::small());
  const at::Tensor images = at::randn({5, 3, 16, 24});
  const int64_t patches = 4 * 6;
  for (int token = UDI_TOKEN_CLS; token <= UDI_TOKEN_PATCHES; ++token) {
    for (const auto& [block, count] : {std::pair<int, int>{0, 1}, {1, 1}, {0, 3}, {1, 2}}) {
      udi_extract_config options = extract_config_default();
      options.token = token;
      options.block = block;
      options.num_blocks = count;
      options.batch_size = 2;
      std::vector<at::Tensor> parts;
      for (int from_end = block + count - 1; from_end >= block; --from_end) {
        const at::Tensor t = reference_tokens(model, images, from_end), p = t.narrow(1, 2, patches);
        parts.push_back(token == UDI_TOKEN_CLS          ? t.select(1, 0)
                        : token == UDI_TOKEN_CLS_PLUS   ? t.select(1, 1)
                        : token == UDI_TOKEN_BOTH       ? t.narrow(1, 0, 2).flatten(1)
                        : token == UDI_TOKEN_PATCH_MEAN ? p.mean(1)
                                                        : p);
      }
      const at::Tensor expected = at::cat(parts, -1);
      const at::Tensor out = model.extract(images, UDI_NCHW, options);
      ASSERT_EQ(out.sizes(), expected.sizes());
      EXPECT_LE(twin::distance(out, expected), 1e-5) << token << " " << block << " " << count;
      options.normalize = 1;
      options.batch_size = 0;
      EXPECT_LE(twin::distance(model.extract(images.permute({0, 2, 3, 1}), UDI_NHWC, options),
                               expected / expected.norm(2, {-1}, true)),
                1e-5);
    }
  }
}

TEST_F(ModelTest, BytesAreNormalizedHere) {
  const Model model = make(cases::small());
  const at::Tensor bytes = at::randint(256, {2, 3, 16, 16}, at::kByte);
  const at::Tensor mean = at::tensor({0.485f, 0.456f, 0.406f}).view({1, 3, 1, 1});
  const at::Tensor std = at::tensor({0.229f, 0.224f, 0.225f}).view({1, 3, 1, 1});
  const at::Tensor floats = (bytes.to(at::kFloat) / 255 - mean) / std;
  EXPECT_TRUE(at::equal(model.extract(bytes, UDI_NCHW, extract_config_default()),
                        model.extract(floats, UDI_NCHW, extract_config_default())));
}

TEST_F(ModelTest, Bfloat16IsCloseToFloat) {
  const Model model = make(cases::small());
  Model half(model.config, at::kCPU, at::kBFloat16);
  half.weights.flat.copy_(model.weights.flat);
  half.weights.refresh();
  const at::Tensor images = at::randn({3, 3, 16, 16});
  const at::Tensor reference = model.extract(images, UDI_NCHW, extract_config_default());
  const at::Tensor out = half.extract(images, UDI_NCHW, extract_config_default());
  EXPECT_EQ(out.scalar_type(), at::kFloat);
  EXPECT_LE(twin::distance(out, reference), 2e-2);
  EXPECT_GT(twin::distance(out, reference), 1e-5);  // it did run in 16 bits
}

TEST_F(ModelTest, AttentionOfClassTokensAndOfAPatch) {
  const Model model = make(cases::small());
  const at::Tensor images = at::randn({2, 3, 16, 24});
  const twin::Weights w = twin::leaves(model.weights);
  at::Tensor attention, srs_attention;
  const at::Tensor tokens = twin::vit(model.config, w, images.to(at::kDouble), {}, &attention).back();
  udi_attention_config options{};
  for (int cls : {0, 1}) {
    options.source = cls == 0 ? UDI_ATTENTION_CLS : UDI_ATTENTION_CLS_PLUS;
    const at::Tensor expected = attention.select(2, cls).narrow(2, 2, 24).reshape({2, 3, 4, 6});
    const at::Tensor out = model.attention(images, UDI_NCHW, options);
    ASSERT_EQ(out.sizes(), expected.sizes());
    EXPECT_LE(twin::distance(out, expected), 1e-5);
  }
  at::Tensor map = at::zeros({2, 1, 24}, at::kDouble);
  map.select(2, 2 * 6 + 5).fill_(1);
  twin::srs(model.config, w, tokens, map, &srs_attention);
  options = {sizeof options, UDI_ATTENTION_SRS, 2, 5};
  EXPECT_LE(twin::distance(model.attention(images, UDI_NCHW, options), srs_attention.reshape({2, 6, 4, 6})), 1e-5);
}

TEST_F(ModelTest, RefusesWhatDoesNotFit) {
  udi_model_config config = cases::small();
  config.class_tokens = 1;
  config.include_patch = 0;
  const Model model = make(config);
  const at::Tensor images = at::zeros({1, 3, 16, 16});
  const struct {
    std::function<void(udi_extract_config&)> spoil;
    const char* word;
  } extracts[] = {{[](auto& o) { o.token = 6; }, "token"},
                  {[](auto& o) { o.token = 2; }, "cls_plus"},
                  {[](auto& o) { o.token = 3; }, "both"},
                  {[](auto& o) { o.block = 3; }, "block"},
                  {[](auto& o) { o.block = -1; }, "block"},
                  {[](auto& o) { o.num_blocks = 4; }, "num_blocks"},
                  {[](auto& o) { o.num_blocks = 0; }, "num_blocks"},
                  {[](auto& o) { o.normalize = 2; }, "normalize"},
                  {[](auto& o) { o.batch_size = -1; }, "batch_size"}};
  for (const auto& test : extracts) {
    udi_extract_config options = extract_config_default();
    test.spoil(options);
    const std::string message = message_of([&] { model.extract(images, UDI_NCHW, options); }, UDI_E_INVALID);
    EXPECT_NE(message.find(test.word), std::string::npos) << message;
  }
  const std::vector<std::vector<int64_t>> shapes = {
      {3, 16, 16}, {1, 1, 16, 16}, {1, 3, 16, 15}, {1, 3, 0, 16}, {0, 3, 16, 16}};
  for (const std::vector<int64_t>& shape : shapes) {
    message_of([&] { model.extract(at::zeros(shape), UDI_NCHW, extract_config_default()); }, UDI_E_SHAPE);
  }
  message_of([&] { model.extract(images.to(at::kInt), UDI_NCHW, extract_config_default()); }, UDI_E_SHAPE);
  for (int source : {0, 2, 3, 4}) {
    udi_attention_config options{sizeof options, source, 0, 0};
    message_of([&] { model.attention(images, UDI_NCHW, options); }, UDI_E_INVALID);
  }
  udi_attention_config outside{sizeof outside, UDI_ATTENTION_SRS, 4, 0};
  const Model with_srs = make(cases::small());
  message_of([&] { with_srs.attention(images, UDI_NCHW, outside); }, UDI_E_INVALID);
}

TEST_F(ModelTest, IsSavedAndLoaded) {
  udi_model_config config = cases::small();
  config.channels = 5;
  config.mean[4] = 0.3f;
  const Model model = make(config);
  save_model(model, path);
  const Model back = load_model(SafetensorsFile(path), UDI_TEACHER, at::kCPU);
  EXPECT_TRUE(at::equal(back.weights.flat, model.weights.flat));
  EXPECT_EQ(config_to_json(back.config), config_to_json(config));
  EXPECT_EQ(back.config.struct_size, sizeof(udi_model_config));
}

TEST_F(ModelTest, ReadsTheRoleOutOfACheckpoint) {
  const Model student = make(cases::small()), teacher = make(cases::small());
  std::vector<TensorView> views = student.weights.views("student.");
  for (const TensorView& view : teacher.weights.views("teacher.")) views.push_back(view);
  const at::Tensor center = at::zeros({3, 40});
  views.push_back({"center", UDI_F32, {3, 40}, center.const_data_ptr(), center.nbytes()});
  write_safetensors(path, views, {{kConfigKey, config_to_json(student.config).dump()}});
  const SafetensorsFile file(path);
  EXPECT_TRUE(at::equal(load_model(file, UDI_STUDENT, at::kCPU).weights.flat, student.weights.flat));
  EXPECT_TRUE(at::equal(load_model(file, UDI_TEACHER, at::kCPU).weights.flat, teacher.weights.flat));
  message_of([&] { load_model(file, 3, at::kCPU); }, UDI_E_INVALID);
}

TEST_F(ModelTest, DamagedFilesAreNamed) {
  const Model model = make(cases::small());
  const auto refused = [&](const std::vector<TensorView>& views, const Metadata& metadata, const char* word) {
    write_safetensors(path, views, metadata);
    const std::string message =
        message_of([&] { load_model(SafetensorsFile(path), UDI_TEACHER, at::kCPU); }, UDI_E_FORMAT);
    EXPECT_NE(message.find(path), std::string::npos) << message;
    EXPECT_NE(message.find(word), std::string::npos) << message;
  };
  const std::string json = config_to_json(model.config).dump();
  std::vector<TensorView> views = model.weights.views();
  refused(views, {}, kConfigKey);
  refused(views, {{kConfigKey, "{"}}, "JSON");
  refused(views, {{kConfigKey, R"({"depth": 1000})"}}, "depth");
  views.pop_back();
  refused(views, {{kConfigKey, json}}, "missing head.0.last_layer.weight_v");
}

}  // namespace
}  // namespace udi
