#include "model/config.h"

#include <cmath>
#include <set>

#include "base/error.h"

namespace udi {

namespace {

void in_range(const char* field, int64_t value, int64_t low, int64_t high) {
  check(value >= low && value <= high, UDI_E_INVALID, field, " is ", value, ", must be ", low, " to ", high);
}

// Every integer field, so that reading and writing JSON cannot forget one.
struct IntField {
  const char* name;
  int32_t udi_model_config::*field;
};
constexpr IntField kIntFields[] = {
    {"image_size", &udi_model_config::image_size},
    {"patch_size", &udi_model_config::patch_size},
    {"channels", &udi_model_config::channels},
    {"embed_dim", &udi_model_config::embed_dim},
    {"depth", &udi_model_config::depth},
    {"heads", &udi_model_config::heads},
    {"class_tokens", &udi_model_config::class_tokens},
    {"include_patch", &udi_model_config::include_patch},
    {"srs_heads", &udi_model_config::srs_heads},
    {"srs_residual", &udi_model_config::srs_residual},
    {"out_dim", &udi_model_config::out_dim},
    {"head_hidden_dim", &udi_model_config::head_hidden_dim},
    {"head_bottleneck_dim", &udi_model_config::head_bottleneck_dim},
    {"norm_last_layer", &udi_model_config::norm_last_layer},
    {"resize_size", &udi_model_config::resize_size},
    {"exif_turn", &udi_model_config::exif_turn},
};
struct FloatField {
  const char* name;
  float udi_model_config::*field;
};
constexpr FloatField kFloatFields[] = {{"drop_path_rate", &udi_model_config::drop_path_rate},
                                       {"mlp_ratio", &udi_model_config::mlp_ratio}};

float read_float(const nlohmann::json& value, const std::string& key) {
  check(value.is_number(), UDI_E_INVALID, key, " must be a number");
  return value.get<float>();
}

void read_channels(const nlohmann::json& value, const std::string& key, int32_t channels, float (&out)[16]) {
  check(value.is_array() && int64_t(value.size()) == channels, UDI_E_INVALID, key, " must be an array of ", channels,
        " numbers, one a channel");
  for (int32_t c = 0; c < channels; ++c) out[c] = read_float(value[size_t(c)], key);
}

}  // namespace

udi_model_config model_config_preset(const std::string& arch) {
  udi_model_config config{};
  udi_error error;
  const udi_status status = udi_model_config_init(&config, sizeof config, arch.c_str(), &error);
  check(status == UDI_OK, status, error.message);
  return config;
}

void check_model_config(const udi_model_config& c) {
  in_range("patch_size", c.patch_size, 1, 512);
  in_range("image_size", c.image_size, c.patch_size, 8192);
  check(c.image_size % c.patch_size == 0, UDI_E_INVALID, "image_size is ", c.image_size,
        ", must be a multiple of patch_size, ", c.patch_size);
  in_range("channels", c.channels, 1, 16);
  in_range("embed_dim", c.embed_dim, 1, 16384);
  in_range("depth", c.depth, 1, 256);
  in_range("heads", c.heads, 1, c.embed_dim);
  check(c.embed_dim % c.heads == 0, UDI_E_INVALID, "heads is ", c.heads, ", must divide embed_dim, ", c.embed_dim);
  in_range("class_tokens", c.class_tokens, 1, 2);
  in_range("include_patch", c.include_patch, 0, 1);
  if (c.include_patch) {
    in_range("srs_heads", c.srs_heads, 1, c.embed_dim);
    check(c.embed_dim % c.srs_heads == 0, UDI_E_INVALID, "srs_heads is ", c.srs_heads, ", must divide embed_dim, ",
          c.embed_dim);
  }
  in_range("srs_residual", c.srs_residual, 0, 1);
  in_range("out_dim", c.out_dim, 2, 1 << 22);
  in_range("head_hidden_dim", c.head_hidden_dim, 1, 65536);
  in_range("head_bottleneck_dim", c.head_bottleneck_dim, 1, 16384);
  in_range("norm_last_layer", c.norm_last_layer, 0, 1);
  in_range("resize_size", c.resize_size, c.image_size, 16384);
  in_range("exif_turn", c.exif_turn, 0, 1);
  check(c.drop_path_rate >= 0 && c.drop_path_rate < 1, UDI_E_INVALID, "drop_path_rate is ", c.drop_path_rate,
        ", must be at least 0 and less than 1");
  check(c.mlp_ratio > 0 && c.mlp_ratio <= 64 && hidden_dim(c) >= 1, UDI_E_INVALID, "mlp_ratio is ", c.mlp_ratio,
        ", must be more than 0 and at most 64, and make a hidden layer of at least 1 (embed_dim is ", c.embed_dim, ")");
  for (int i = 0; i < c.channels; ++i) {
    check(std::isfinite(c.mean[i]), UDI_E_INVALID, "mean[", i, "] is ", c.mean[i], ", must be finite");
    check(std::isfinite(c.std[i]) && c.std[i] > 0, UDI_E_INVALID, "std[", i, "] is ", c.std[i],
          ", must be more than 0 and finite");
  }
}

nlohmann::json config_to_json(const udi_model_config& config) {
  nlohmann::json json = nlohmann::json::object();
  for (const IntField& f : kIntFields) json[f.name] = config.*f.field;
  for (const FloatField& f : kFloatFields) json[f.name] = config.*f.field;
  json["mean"] = std::vector<float>(config.mean, config.mean + config.channels);
  json["std"] = std::vector<float>(config.std, config.std + config.channels);
  return json;
}

udi_model_config config_from_json(const nlohmann::json& json) {
  check(json.is_object(), UDI_E_INVALID, "a model's configuration must be a JSON object");
  udi_model_config config = model_config_preset("vit_small");
  std::set<std::string> known = {"mean", "std"};
  for (const IntField& f : kIntFields) {
    known.insert(f.name);
    if (!json.contains(f.name)) continue;
    const nlohmann::json& value = json[f.name];
    // Unsigned numbers beyond int64 would wrap in get<int64_t>.
    const bool fits = value.is_number_integer() && value <= INT32_MAX && value >= INT32_MIN;
    check(fits, UDI_E_INVALID, f.name, " must be a whole number of 32 bits");
    config.*f.field = value.get<int32_t>();
  }
  for (const FloatField& f : kFloatFields) {
    known.insert(f.name);
    if (json.contains(f.name)) config.*f.field = read_float(json[f.name], f.name);
  }
  for (const auto& item : json.items()) {
    check(known.count(item.key()) == 1, UDI_E_INVALID, "a model's configuration has no field '", item.key(), "'");
  }
  in_range("channels", config.channels, 1, 16);
  if (json.contains("mean")) read_channels(json["mean"], "mean", config.channels, config.mean);
  if (json.contains("std")) read_channels(json["std"], "std", config.channels, config.std);
  check_model_config(config);
  return config;
}

}  // namespace udi
