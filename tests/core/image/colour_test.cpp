// Colour operations on bytes, on every kind of processor that this machine has: any size, against the plain
// formulas. (operations_test.cpp compares with Pillow, every colour's hue among them.)
#include "image/colour.h"

#include <gtest/gtest.h>

#include <cmath>

#include "image/on_processor.h"
#include "image/support.h"

namespace udi {
namespace {

using udi_test::noise;
using udi_test::OwnPlanes;

// Pillow's: in float32, cut to 0..255, the fraction dropped.
uint8_t blend(int from, int to, float factor) {
  const float step = factor * (float(to) - float(from));
  const float mixed = float(from) + step;
  return uint8_t(std::min(std::max(mixed, 0.0f), 255.0f));
}

int gray_at(const Planes& p, size_t i) {
  return (p.u8(0)[i] * 19595 + p.u8(1)[i] * 38470 + p.u8(2)[i] * 7471 + 0x8000) >> 16;
}

OwnPlanes contrasted(const OwnPlanes& in, float factor) {
  OwnPlanes out = in;
  double sum = 0;
  const bool rgb = in.channels == 3;
  for (size_t i = 0; i < (rgb ? in.pixels() : in.memory.size()); ++i) sum += rgb ? gray_at(in, i) : in.memory[i];
  const int mean = int(sum / double(rgb ? in.pixels() : in.memory.size()) + 0.5);
  for (uint8_t& v : out.memory) v = blend(mean, v, factor);
  return out;
}

OwnPlanes saturated(const OwnPlanes& in, float factor) {
  OwnPlanes out = in;
  for (size_t i = 0; i < in.pixels(); ++i) {
    for (int c = 0; c < 3; ++c) out.u8(c)[i] = blend(gray_at(in, i), in.u8(c)[i], factor);
  }
  return out;
}

using Colouring = udi_test::OnProcessor;

TEST_P(Colouring, IsAsDefined) {
  std::mt19937 random(11);
  const auto below = [&](int end) { return int(random() % uint32_t(end)); };
  for (int round = 0; round < 600; ++round) {
    OwnPlanes in(round % 5 == 0 ? 1 + below(5) : 3, 1 + below(20), 1 + below(30));
    to_planes(noise(in.channels, in.height, in.width, round % 7 == 0, uint32_t(round)), in);
    // Any factor, and those whose products with whole numbers are whole or just beside.
    float factor = float(below(4000)) / 1000.0f;
    if (round % 3 == 0) factor = float(below(40)) / 10.0f;
    if (round % 3 == 1) factor = std::nextafter(float(below(64)) / 16.0f, below(2) ? 9.0f : 0.0f);
    OwnPlanes out = in, want = in;
    adjust_brightness(out, factor);
    for (uint8_t& v : want.memory) v = blend(0, v, factor);
    ASSERT_EQ(out.memory, want.memory) << "brightness " << factor;
    out.memory = in.memory;
    adjust_contrast(out, factor);
    ASSERT_EQ(out.memory, contrasted(in, factor).memory) << "contrast " << factor;
    if (in.channels != 3) continue;
    out.memory = in.memory;
    adjust_saturation(out, factor);
    ASSERT_EQ(out.memory, saturated(in, factor).memory) << "saturation " << factor;
    out.memory = in.memory;
    to_grayscale(out);
    ASSERT_EQ(out.memory, saturated(in, 0).memory);
  }
}

TEST_P(Colouring, InvertsFromTheThresholdOn) {
  for (const int threshold : {-1, 0, 1, 127, 128, 255, 256}) {
    OwnPlanes planes(1, 3, 100);
    for (size_t i = 0; i < planes.memory.size(); ++i) planes.memory[i] = uint8_t(i);
    solarize(planes, threshold);
    for (int i = 0; i < 300; ++i) {
      const int v = i & 255;
      ASSERT_EQ(planes.memory[size_t(i)], v < threshold ? v : 255 - v) << threshold;
    }
  }
}

// What a colour's hue becomes does not depend on its place, nor on how many there are.
TEST_P(Colouring, TurnsHuePixelByPixel) {
  for (const int shift : {-127, -100, -1, 0, 1, 25, 127}) {
    OwnPlanes all(3, 7, 61);
    to_planes(noise(3, 7, 61, false, 5), all);
    OwnPlanes turned = all;
    adjust_hue(turned, shift / 255.0);
    for (size_t i = 0; i < all.pixels(); ++i) {
      OwnPlanes one(3, 1, 1);
      for (int c = 0; c < 3; ++c) one.u8(c)[0] = all.u8(c)[i];
      adjust_hue(one, shift / 255.0);
      for (int c = 0; c < 3; ++c) ASSERT_EQ(one.u8(c)[0], turned.u8(c)[i]) << shift << " " << i;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(On, Colouring, udi_test::kProcessors, udi_test::processor_name);

}  // namespace
}  // namespace udi
