// Blurring bytes on every kind of processor that this machine has, against the boxes in plain integers.
#include "image/blur.h"

#include <gtest/gtest.h>

#include <cmath>

#include "image/on_processor.h"
#include "image/support.h"

namespace udi {
namespace {

using udi_test::noise;
using udi_test::OwnPlanes;

// Pillow's box: radius in pixels, weights in 2^-24, pixels beyond the edge are the edge's.
void box(std::vector<uint8_t>& line, float radius) {
  const auto in = line;
  const int whole = int(radius), last = int(in.size()) - 1;
  const auto inner = uint32_t(float(1 << 24) / (radius * 2 + 1));
  const uint32_t outer = ((1u << 24) - uint32_t(2 * whole + 1) * inner) / 2;
  const auto at = [&](int place) { return uint32_t(in[size_t(std::clamp(place, 0, last))]); };
  for (int i = 0; i <= last; ++i) {
    uint32_t sum = (at(i - whole - 1) + at(i + whole + 1)) * outer + (1u << 23);
    for (int k = i - whole; k <= i + whole; ++k) sum += at(k) * inner;
    line[size_t(i)] = uint8_t(sum >> 24);
  }
}

// The radius of three boxes with a Gaussian's variance, as Pillow computes it.
float box_radius(float deviation) {
  const float variance = deviation * deviation / 3;
  const float length = float(std::sqrt(12.0 * double(variance) + 1.0));
  const float whole = float(std::floor((double(length) - 1.0) / 2.0));
  float part = (2 * whole + 1) * (whole * (whole + 1) - 3 * variance);
  part /= 6 * (variance - (whole + 1) * (whole + 1));
  return whole + part;
}

void blur_line(uint8_t* first, size_t count, size_t step, float radius) {
  std::vector<uint8_t> line(count);
  for (size_t i = 0; i < count; ++i) line[i] = first[i * step];
  for (int pass = 0; pass < 3; ++pass) box(line, radius);
  for (size_t i = 0; i < count; ++i) first[i * step] = line[i];
}

using Blurring = udi_test::OnProcessor;

TEST_P(Blurring, IsAsDefined) {
  std::mt19937 random(3);
  const auto below = [&](int end) { return int(random() % uint32_t(end)); };
  Memory memory;
  for (int round = 0; round < 150; ++round) {
    const int largest = round % 3 == 0 ? 4 : 110;
    OwnPlanes planes(1 + below(3), 1 + below(largest), 1 + below(largest));
    to_planes(noise(planes.channels, planes.height, planes.width, round % 2, uint32_t(round)), planes);
    const float deviation = round % 10 == 0 ? 100 : float(below(2000) + 1) / (round % 5 == 1 ? 30.0f : 1000.0f);
    OwnPlanes want = planes;
    const size_t height = size_t(planes.height), width = size_t(planes.width);
    for (int c = 0; c < planes.channels; ++c) {
      for (size_t y = 0; y < height; ++y) blur_line(want.u8(c) + y * width, width, 1, box_radius(deviation));
      for (size_t x = 0; x < width; ++x) blur_line(want.u8(c) + x, height, width, box_radius(deviation));
    }
    gaussian_blur(planes, deviation, round % 2 ? &memory : nullptr);
    ASSERT_EQ(planes.memory, want.memory) << height << " x " << width << ", deviation " << deviation;
  }
}

INSTANTIATE_TEST_SUITE_P(On, Blurring, udi_test::kProcessors, udi_test::processor_name);

}  // namespace
}  // namespace udi
