// Resizing bytes on every kind of processor that this machine has, against the definition in plain integers.
#include "image/resize.h"

#include <gtest/gtest.h>

#include <random>

#include "image/on_processor.h"
#include "image/resize_taps.h"
#include "image/support.h"

namespace udi {
namespace {

using udi_test::noise;
using udi_test::OwnPlanes;

uint8_t rounded(int64_t sum) {
  return uint8_t(std::clamp<int64_t>((sum + (1 << (kWeightBits - 1))) >> kWeightBits, 0, 255));
}

// in [lines][length][step] along the middle axis; any order of the values is one of these.
std::vector<uint8_t> summed(const std::vector<uint8_t>& in, size_t lines, size_t length, size_t step,
                            const ResizeTaps& taps) {
  std::vector<uint8_t> out(lines * size_t(taps.outputs) * step);
  for (size_t line = 0; line < lines; ++line) {
    for (size_t i = 0; i < size_t(taps.outputs); ++i) {
      for (size_t s = 0; s < step; ++s) {
        int64_t sum = 0;
        for (size_t t = 0; t < size_t(taps.count[i]); ++t) {
          const size_t place = size_t(taps.first[i]) + t;
          sum += int64_t(in[(line * length + place) * step + s]) * taps.fixed[i * taps.stride + t];
        }
        out[(line * size_t(taps.outputs) + i) * step + s] = rounded(sum);
      }
    }
  }
  return out;
}

std::vector<uint8_t> defined(const Image& image, const Box& box, bool mirror, int out_height, int out_width) {
  const size_t channels = size_t(image.channels), height = size_t(box.height), width = size_t(box.width);
  std::vector<uint8_t> in;
  for (size_t y = 0; y < height; ++y) {
    const uint8_t* row = image.u8() + ((size_t(box.top) + y) * size_t(image.width) + size_t(box.left)) * channels;
    in.insert(in.end(), row, row + width * channels);
  }
  ResizeTaps across, down;
  make_taps(box.width, out_width, 0, out_width, mirror, across);
  make_taps(box.height, out_height, 0, out_height, false, down);
  if (out_height < box.height && box.height - out_height > 2 * (box.width - out_width)) {
    return summed(summed(in, 1, height, width * channels, down), size_t(out_height), width, channels, across);
  }
  return summed(summed(in, height, width, channels, across), 1, height, size_t(out_width) * channels, down);
}

using Resizing = udi_test::OnProcessor;

TEST_P(Resizing, IsAsDefined) {
  std::mt19937 random(7);
  const auto below = [&](int end) { return int(random() % uint32_t(end)); };
  Resizer resizer;
  for (int round = 0; round < 400; ++round) {
    const int channels = std::array{1, 2, 3, 4, 16}[size_t(below(5))];
    const int largest = round % 4 == 0 ? 6 : 120;  // a few pixels, or enough for several blocks
    const Image image = noise(channels, 1 + below(largest), 1 + below(largest), round % 2, uint32_t(round));
    resizer.set_image(image);
    for (int crop = 0; crop < 3; ++crop) {
      Box box;
      box.height = 1 + below(image.height);
      box.width = 1 + below(image.width);
      box.top = below(image.height - box.height + 1);
      box.left = below(image.width - box.width + 1);
      const bool mirror = below(2);
      OwnPlanes out(channels, 1 + below(70), 1 + below(70));
      resizer.crop(box, mirror, out);
      ASSERT_EQ(to_image(out).bytes, defined(image, box, mirror, out.height, out.width))
          << channels << " channels, " << box.height << " x " << box.width << " at " << box.top << ", " << box.left
          << " of " << image.height << " x " << image.width << " to " << out.height << " x " << out.width;
    }
  }
}

// Many taps an output, and few; long and thin.
TEST_P(Resizing, TakesAnyFactor) {
  for (const auto& [height, width, out_height, out_width] :
       {std::tuple(700, 900, 3, 2), std::tuple(1, 3000, 1, 7), std::tuple(3000, 1, 7, 1), std::tuple(2, 2, 300, 301),
        std::tuple(1, 1, 33, 65), std::tuple(900, 40, 30, 38), std::tuple(64, 64, 64, 64)}) {
    for (const bool mirror : {false, true}) {
      const Image image = noise(3, height, width, true, uint32_t(height));
      const Box whole{0, 0, height, width};
      ASSERT_EQ(resize_bicubic(image, whole, mirror, out_height, out_width).bytes,
                defined(image, whole, mirror, out_height, out_width))
          << height << " x " << width << " to " << out_height << " x " << out_width;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(On, Resizing, udi_test::kProcessors, udi_test::processor_name);

}  // namespace
}  // namespace udi
