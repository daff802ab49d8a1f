#include "model/config.h"

#include <gtest/gtest.h>

#include <functional>

#include "base/error.h"

namespace udi {
namespace {

std::string message_of(const std::function<void()>& run, udi_status status) {
  try {
    run();
  } catch (const Error& error) {
    EXPECT_EQ(error.status, status) << error.message;
    return error.message;
  }
  ADD_FAILURE() << "no error";
  return "";
}

TEST(Config, PresetsPassTheirOwnCheck) {
  const struct {
    const char* arch;
    int dim, heads, depth;
  } expected[] = {
      {"vit_tiny", 192, 3, 12}, {"vit_small", 384, 6, 12}, {"vit_base", 768, 12, 12}, {"vit_large", 1024, 16, 24}};
  for (const auto& e : expected) {
    const udi_model_config c = model_config_preset(e.arch);
    EXPECT_EQ(c.embed_dim, e.dim);
    EXPECT_EQ(c.heads, e.heads);
    EXPECT_EQ(c.depth, e.depth);
    check_model_config(c);
  }
  EXPECT_NE(message_of([] { model_config_preset("vit_huge"); }, UDI_E_NOT_FOUND).find("'vit_huge'"), std::string::npos);
}

TEST(Config, NamesFieldValueAndLimit) {
  const struct {
    std::function<void(udi_model_config&)> spoil;
    std::vector<std::string> words;
  } cases[] = {
      {[](auto& c) { c.image_size = 100; }, {"image_size", "100", "patch_size", "16"}},
      {[](auto& c) { c.image_size = 0; }, {"image_size", "0", "16"}},
      {[](auto& c) { c.patch_size = -16; }, {"patch_size", "-16", "1"}},
      {[](auto& c) { c.channels = 17; }, {"channels", "17", "16"}},
      {[](auto& c) { c.embed_dim = 0; }, {"embed_dim", "0", "1"}},
      {[](auto& c) { c.depth = 257; }, {"depth", "257", "256"}},
      {[](auto& c) { c.heads = 5; }, {"heads", "5", "embed_dim", "384"}},
      {[](auto& c) { c.heads = 0; }, {"heads", "0"}},
      {[](auto& c) { c.class_tokens = 3; }, {"class_tokens", "3", "2"}},
      {[](auto& c) { c.include_patch = 2; }, {"include_patch", "2", "1"}},
      {[](auto& c) { c.srs_heads = 7; }, {"srs_heads", "7", "embed_dim"}},
      {[](auto& c) { c.srs_residual = -1; }, {"srs_residual", "-1"}},
      {[](auto& c) { c.out_dim = 1; }, {"out_dim", "1", "2"}},
      {[](auto& c) { c.head_hidden_dim = 0; }, {"head_hidden_dim", "0"}},
      {[](auto& c) { c.head_bottleneck_dim = -2; }, {"head_bottleneck_dim", "-2"}},
      {[](auto& c) { c.norm_last_layer = 7; }, {"norm_last_layer", "7"}},
      {[](auto& c) { c.resize_size = 223; }, {"resize_size", "223", "224"}},
      {[](auto& c) { c.exif_turn = 2; }, {"exif_turn", "2", "1"}},
      {[](auto& c) { c.drop_path_rate = 1; }, {"drop_path_rate", "1"}},
      {[](auto& c) { c.drop_path_rate = NAN; }, {"drop_path_rate", "nan"}},
      {[](auto& c) { c.mlp_ratio = 0; }, {"mlp_ratio", "0"}},
      {[](auto& c) { c.mlp_ratio = INFINITY; }, {"mlp_ratio", "inf"}},
      {[](auto& c) { c.mean[1] = NAN; }, {"mean[1]", "nan"}},
      {[](auto& c) { c.std[2] = 0; }, {"std[2]", "0"}},
  };
  for (const auto& test : cases) {
    udi_model_config c = model_config_preset("vit_small");
    test.spoil(c);
    const std::string message = message_of([&] { check_model_config(c); }, UDI_E_INVALID);
    for (const std::string& word : test.words) EXPECT_NE(message.find(word), std::string::npos) << message;
  }
  udi_model_config c = model_config_preset("vit_small");
  c.include_patch = 0;
  c.srs_heads = 7;  // nothing reads it
  check_model_config(c);
}

TEST(Config, GoesThroughJsonUnchanged) {
  udi_model_config c = model_config_preset("vit_base");
  c.channels = 5;
  c.mean[4] = 0.1234567f;
  c.drop_path_rate = 0.3f;
  c.norm_last_layer = 1;
  c.exif_turn = 1;
  const nlohmann::json json = nlohmann::json::parse(config_to_json(c).dump());
  EXPECT_EQ(json["mean"].size(), 5u);
  const udi_model_config back = config_from_json(json);
  EXPECT_EQ(config_to_json(back), config_to_json(c));
  EXPECT_EQ(back.mean[4], c.mean[4]);
  EXPECT_EQ(back.exif_turn, 1);
  EXPECT_EQ(back.drop_path_rate, c.drop_path_rate);
}

TEST(Config, RefusesOtherJson) {
  const struct {
    const char *json, *word;
  } cases[] = {
      {"[]", "object"},
      {R"({"embed_dims": 384})", "embed_dims"},
      {R"({"embed_dim": "384"})", "embed_dim"},
      {R"({"embed_dim": 384.5})", "embed_dim"},
      {R"({"embed_dim": 18446744073709551615})", "embed_dim"},
      {R"({"embed_dim": 4294967680})", "embed_dim"},
      {R"({"channels": 40})", "channels"},
      {R"({"mean": [0.5]})", "mean"},
      {R"({"std": [0.5, 0.5, "x"]})", "std"},
      {R"({"mlp_ratio": true})", "mlp_ratio"},
      {R"({"heads": 5})", "heads"},
  };
  for (const auto& test : cases) {
    const std::string message = message_of([&] { config_from_json(nlohmann::json::parse(test.json)); }, UDI_E_INVALID);
    EXPECT_NE(message.find(test.word), std::string::npos) << test.json << ": " << message;
  }
}

}  // namespace
}  // namespace udi
