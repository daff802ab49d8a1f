// A golden folder (tests/golden/README.md) as tensors.
#pragma once

#include <string>

#include "base/safetensors.h"
#include "model/config.h"
#include "model/parameters.h"

namespace udi::golden {

inline at::Tensor tensor(const SafetensorsFile& file, const std::string& name) {
  const TensorView& view = file.at(name);
  const at::ScalarType type = view.dtype == UDI_U8 ? at::kByte : at::kFloat;
  return at::from_blob(const_cast<void*>(view.data), view.shape, at::TensorOptions().dtype(type)).clone();
}

inline udi_model_config config(const std::string& folder) {
  const nlohmann::json j = nlohmann::json::parse(read_text(folder + "/golden.json")).at("config");
  udi_model_config c = model_config_preset("vit_small");
  c.image_size = j.at("global_size");
  c.patch_size = j.at("patch_size");
  c.resize_size = c.image_size;
  c.embed_dim = j.at("dim");
  c.depth = j.at("depth");
  c.heads = j.at("heads");
  c.srs_heads = j.at("srs_heads");
  c.out_dim = j.at("out_dim");
  c.head_hidden_dim = j.at("hidden");
  c.head_bottleneck_dim = j.at("bottleneck");
  c.class_tokens = j.value("class_tokens", 2);
  c.include_patch = j.value("include_patch", true);
  c.norm_last_layer = j.value("norm_last_layer", true);
  c.drop_path_rate = 0;
  check_model_config(c);
  return c;
}

// Dense official maps [B, Q, N] as the four taps of each row.
inline std::pair<at::Tensor, at::Tensor> taps(const at::Tensor& map) {
  auto [weight, index] = map.topk(4, -1);
  return {index, weight};
}

}  // namespace udi::golden
