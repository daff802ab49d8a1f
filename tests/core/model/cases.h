// Small models of several shapes, for the tests of this room.
#pragma once

#include <vector>

#include "base/error.h"
#include "model/config.h"
#include "model/parameters.h"

namespace udi::cases {

inline udi_model_config small(int embed_dim = 24, int heads = 3) {
  udi_model_config c = model_config_preset("vit_tiny");
  c.image_size = 16;
  c.patch_size = 4;
  c.resize_size = 18;
  c.embed_dim = embed_dim;
  c.heads = heads;
  c.depth = 3;
  c.srs_heads = 6;
  c.out_dim = 40;
  c.head_hidden_dim = 30;
  c.head_bottleneck_dim = 10;
  return c;
}

struct Case {
  const char* name;
  udi_model_config config;
  int64_t images, height, width;
  bool drop_path;
};

// Channels, class tokens, widths that are no multiple of the loops' lanes, residual or not, own grid or another, drop
// path.
inline std::vector<Case> all() {
  udi_model_config gray = small(), five = small(20, 5), wide = small(48, 4), bare = small(32, 2);
  gray.channels = 1;
  gray.class_tokens = 1;
  five.channels = 5;
  five.mlp_ratio = 2.5f;
  five.srs_heads = 4;
  wide.srs_residual = 0;
  wide.patch_size = 8;
  wide.depth = 1;
  bare.include_patch = 0;
  bare.class_tokens = 1;
  return {{"gray, one class token", gray, 3, 16, 16, false},
          {"five channels, wide image", five, 2, 12, 20, true},
          {"one block, no SRS residual", wide, 2, 16, 16, true},
          {"no SRS, small image", bare, 2, 8, 8, false},
          {"RGB, drop path", small(), 5, 16, 16, true}};
}

// Weights at which everything has a gradient worth measuring: the official initialisation's biases are zero.
inline void randomize(const Parameters& parameters) {
  for (size_t i = 0; i < parameters.entries().size(); ++i) {
    const bool norm_weight =
        parameters[i].dim() == 1 && parameters.entries()[i].name.find(".weight") != std::string::npos;
    parameters[i].copy_(at::randn(parameters[i].sizes(), at::kDouble) * 0.2 + (norm_weight ? 1 : 0));
  }
}

// Factors as stochastic depth draws them: about a quarter is 0.
inline at::Tensor drop_path_factors(const Case& c) {
  if (!c.drop_path) return {};
  return (at::rand({c.config.depth, 2, c.images}, at::kDouble) > 0.25).to(at::kDouble) / 0.75;
}

}  // namespace udi::cases
