// Tests that run on every kind of processor that the machine has.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <random>
#include <string>

#include "image/image.h"
#include "image/processor.h"

namespace udi_test {

class OnProcessor : public testing::TestWithParam<udi::Processor> {
 protected:
  void SetUp() override {
    udi::limit_processor(GetParam());
    if (udi::processor() != GetParam()) GTEST_SKIP() << "this machine has no such processor";
  }
  void TearDown() override { udi::limit_processor(udi::Processor::kVnni); }
};

inline const auto kProcessors = testing::Values(udi::Processor::kAny, udi::Processor::kAvx2, udi::Processor::kVnni);
inline std::string processor_name(const testing::TestParamInfo<udi::Processor>& info) {
  return std::array{"any", "avx2", "vnni"}[size_t(info.param)];
}

// Black and white alone, so that sums go as far as they can, or any values.
inline udi::Image noise(int channels, int height, int width, bool extremes, uint32_t seed) {
  std::mt19937 random(seed);
  udi::Image image;
  image.height = height;
  image.width = width;
  image.channels = channels;
  image.bytes.resize(size_t(height) * size_t(width) * size_t(channels));
  for (uint8_t& value : image.bytes) value = uint8_t(extremes ? (random() & 1) * 255 : random());
  return image;
}

}  // namespace udi_test
