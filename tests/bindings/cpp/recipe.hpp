// What bindings/README.md prescribes, in C++: images, model and crops of the tests.
#pragma once

#include <array>
#include <udi.hpp>
#include <vector>

namespace recipe {

constexpr int kImages = 8, kSide = 48, kSize = kSide * kSide * 3;

struct Images {
  Images() : pixels(kImages * kSize) {
    for (int i = 0; i < kImages * kSize; ++i) {
      const int c = i % 3, x = i / 3 % kSide, y = i / 3 / kSide % kSide, n = i / kSize;
      pixels[std::size_t(i)] = uint8_t(29 * n + 3 * x * (n % 5 + 1) + 5 * y * (n % 3 + 1) + 71 * c + x * y / 8);
    }
    for (int n = 0; n < kImages; ++n) {
      all.push_back(udi::pixels(udi::span<const uint8_t>(&pixels[std::size_t(n * kSize)], kSize), kSide, kSide));
    }
  }

  std::vector<uint8_t> pixels;
  std::vector<udi_image> all;
};

inline udi::ContextConfig one_thread() {
  udi::ContextConfig config;
  config.num_threads = 1;
  return config;
}

inline udi::ModelConfig sizes(int patch_size = 8, const std::string& arch = "vit_tiny") {
  udi::ModelConfig config(arch);
  config.image_size = config.resize_size = 32;
  config.patch_size = patch_size;
  config.embed_dim = 24;
  config.depth = 2;
  config.heads = config.srs_heads = 3;
  config.out_dim = 64;
  config.head_hidden_dim = 32;
  config.head_bottleneck_dim = 16;
  return config;
}

inline udi::Model model(const udi::Context& context) { return udi::Model(context, sizes(), 1); }

inline udi::ViewConfig crops() {
  udi::ViewConfig config;
  config.global_size = 32;
  config.local_size = 16;
  config.patch_size = 8;
  config.local_crops = 2;
  config.global_window = 2;
  config.local_window = 1;
  return config;
}

}  // namespace recipe
