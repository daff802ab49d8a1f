// Crops, the evaluation transform, colours and blur: bytes equal to Pillow's for the cases of operations.txt, float32
// close to uint8, and refusals.
#include <gtest/gtest.h>
#include <zlib.h>

#include <cmath>
#include <limits>
#include <map>
#include <sstream>

#include "image/blur.h"
#include "image/colour.h"
#include "image/on_processor.h"
#include "image/resize.h"
#include "image/support.h"
#include "image/transform.h"

namespace udi {
namespace {

using udi_test::expect_error;
using udi_test::OwnPlanes;

// As make_operations.py draws it.
OwnPlanes picture(int channels, int height, int width) {
  OwnPlanes out(channels, height, width);
  uint8_t* value = out.u8();
  for (uint32_t c = 0; c < uint32_t(channels); ++c) {
    for (uint32_t y = 0; y < uint32_t(height); ++y) {
      for (uint32_t x = 0; x < uint32_t(width); ++x) {
        const uint32_t grain = (x * 2654435761u ^ y * 2246822519u ^ c * 3266489917u) * 668265263u;
        *value++ = uint8_t((x * x >> 5) + y * 3 + c * 77 + (grain >> 28));
      }
    }
  }
  return out;
}

OwnPlanes every_colour() {
  OwnPlanes out(3, 4096, 4096);
  for (uint32_t i = 0; i < 1u << 24; ++i) {
    for (int c = 0; c < 3; ++c) out.u8(c)[i] = uint8_t(i >> (8 * c));
  }
  return out;
}

std::string checksum(const Planes& planes) {
  char text[9];
  const uLong sum = crc32(0, static_cast<const Bytef*>(planes.data), uInt(planes.bytes()));
  std::snprintf(text, sizeof text, "%08lx", sum);
  return text;
}

template <class Value>
Value next(std::istream& line) {
  Value value{};
  line >> value;
  return value;
}

OwnPlanes cropped(const OwnPlanes& in, std::istream& line) {
  Box box;
  bool mirror = false;
  int height = 0, width = 0;
  line >> box.top >> box.left >> box.height >> box.width >> mirror >> height >> width;
  OwnPlanes out(in.channels, height, width, in.dtype);
  Resizer resizer;
  resizer.set_image(to_image(in));
  resizer.crop(box, mirror, out);
  return out;
}

OwnPlanes evaluated(const OwnPlanes& in, std::istream& line) {
  const int shorter = next<int>(line), kept = next<int>(line);
  OwnPlanes out(in.channels, kept, kept, in.dtype);
  Resizer resizer;
  evaluation_transform(resizer, to_image(in), shorter, out);
  return out;
}

OwnPlanes changed(OwnPlanes planes, const std::string& name, std::istream& line) {
  if (name == "brightness") adjust_brightness(planes, next<float>(line));
  if (name == "contrast") adjust_contrast(planes, next<float>(line));
  if (name == "saturation") adjust_saturation(planes, next<float>(line));
  if (name == "grayscale") to_grayscale(planes);
  if (name == "solarize") solarize(planes, next<int>(line));
  if (name == "hue" || name == "hue_of_all_colours") adjust_hue(planes, next<double>(line));
  if (name == "blur") gaussian_blur(planes, next<float>(line));
  return planes;
}

using Operations = udi_test::OnProcessor;

TEST_P(Operations, HavePillowsBytes) {
  std::istringstream text(read_text(udi_test::kImages + "operations.txt"));
  std::map<std::string, int> seen;
  for (std::string line; std::getline(text, line);) {
    std::istringstream fields(line);
    const std::string name = next<std::string>(fields), dtype = next<std::string>(fields);
    const int height = next<int>(fields), width = next<int>(fields), channels = next<int>(fields);
    const OwnPlanes drawn = name == "hue_of_all_colours" ? every_colour() : picture(channels, height, width);
    const OwnPlanes in = dtype == "f32" ? drawn.as_float() : drawn;
    const OwnPlanes out = name == "crop"         ? cropped(in, fields)
                          : name == "evaluation" ? evaluated(in, fields)
                                                 : changed(in, name, fields);
    EXPECT_EQ(checksum(out), next<std::string>(fields)) << line;
    ++seen[name + " " + dtype];
  }
  EXPECT_EQ(seen.size(), 11u);
  for (const auto& [name, count] : seen) EXPECT_GE(count, 3) << name;
}

INSTANTIATE_TEST_SUITE_P(On, Operations, udi_test::kProcessors, udi_test::processor_name);

// One object for many images gives what a fresh one gives.
TEST(Resizer, RemembersNothingOfTheImageBefore) {
  Resizer kept;
  for (const auto& [height, width, channels] :
       {std::tuple(90, 70, 3), std::tuple(20, 130, 1), std::tuple(61, 33, 16)}) {
    const Image image = to_image(picture(channels, height, width));
    kept.set_image(image);
    for (int i = 0; i < 4; ++i) {
      const Box box{i, 2 * i, height - 3 * i, width - 7 * i};
      OwnPlanes out(channels, 30 + i, 41 - 5 * i);
      kept.crop(box, i % 2, out);
      EXPECT_EQ(to_image(out).bytes, resize_bicubic(image, box, i % 2, out.height, out.width).bytes);
    }
  }
}

TEST(Resizer, AWindowIsAPartOfTheWhole) {
  Resizer resizer;
  resizer.set_image(to_image(picture(3, 57, 80)));
  OwnPlanes whole(3, 40, 101), part(3, 13, 37);
  resizer.resize_window(40, 101, {0, 0, 40, 101}, whole);
  resizer.resize_window(40, 101, {9, 50, 13, 37}, part);
  for (int c = 0; c < 3; ++c) {
    for (int y = 0; y < 13; ++y) {
      const uint8_t* want = whole.u8(c) + (9 + y) * 101 + 50;
      EXPECT_TRUE(std::equal(want, want + 37, part.u8(c) + y * 37)) << c << " " << y;
    }
  }
}

TEST(Resizer, RefusesWhatDoesNotFit) {
  Resizer resizer;
  const Image image = to_image(picture(3, 10, 20));
  resizer.set_image(image);
  OwnPlanes out(3, 8, 8), gray(1, 8, 8), floats(3, 8, 8, UDI_F32), none(3, 0, 8);
  for (const Box& box : {Box{-1, 0, 5, 5}, Box{0, -1, 5, 5}, Box{6, 0, 5, 5}, Box{0, 16, 5, 5}, Box{0, 0, 0, 5},
                         Box{0, 0, 5, 0}, Box{0, 0, 11, 5}, Box{2147483647, 0, 1, 1}, Box{0, 2, 5, 2147483647}}) {
    expect_error(UDI_E_INVALID, "leaves the image of 10 x 20", [&] { resizer.crop(box, false, out); });
  }
  expect_error(UDI_E_SHAPE, "an image of 3 channels", [&] { resizer.crop({0, 0, 5, 5}, false, gray); });
  expect_error(UDI_E_SHAPE, "another dtype", [&] { resizer.crop({0, 0, 5, 5}, false, floats); });
  expect_error(UDI_E_SHAPE, "cannot be resized to 0 x 8", [&] { resizer.crop({0, 0, 5, 5}, false, none); });
  expect_error(UDI_E_INVALID, "leaves the resized image", [&] { resizer.resize_window(9, 9, {2, 0, 8, 8}, out); });
  expect_error(UDI_E_SHAPE, "cannot be resized", [&] { resizer.set_image(Image()); });
  expect_error(UDI_E_INVALID, "resize_size is 0", [&] { evaluation_transform(resizer, image, 0, out); });
}

// ---- Whole images ---------------------------------------------------------------------------------------------------

TEST(WholeImage, HasSidesOfPatchesWithinTheLimit) {
  const struct {
    int height, width, resize_size, multiple;
    int64_t max_pixels;
    Sides expected;
  } cases[] = {{375, 500, 256, 16, 1 << 20, {256, 336}},  // 341 is rounded down
               {500, 375, 256, 16, 1 << 20, {336, 256}},
               {256, 256, 256, 16, 1 << 20, {256, 256}},
               {10, 10, 256, 16, 1 << 20, {256, 256}},      // small ones are enlarged
               {100, 100, 250, 16, 1 << 20, {240, 240}},    // resize_size is no multiple
               {375, 500, 256, 16, 43008, {176, 224}},      // 179 x 239, which has the limit's pixels
               {1, 1000, 256, 16, 1 << 20, {32, 32368}},    // 256 x 256000 shrinks to 32.4 x 32369
               {1, 100000, 256, 16, 1 << 20, {16, 65536}},  // 3 x 323817: a patch high, of what room is left
               {100000, 1, 256, 16, 1 << 20, {65536, 16}},
               {375, 500, 256, 16, 256, {16, 16}},
               {375, 500, 256, 16, 511, {16, 16}},
               {7, 5, 5, 1, 1000, {7, 5}}};
  for (const auto& c : cases) {
    Image image;
    image.height = c.height;
    image.width = c.width;
    const Sides sides = whole_sides(image, c.resize_size, c.multiple, c.max_pixels);
    SCOPED_TRACE(testing::Message() << c.height << " x " << c.width << " within " << c.max_pixels);
    EXPECT_EQ(sides.height, c.expected.height);
    EXPECT_EQ(sides.width, c.expected.width);
    EXPECT_LE(int64_t(sides.height) * sides.width, c.max_pixels);
  }
  Image image;
  expect_error(UDI_E_SHAPE, "without pixels", [&] { whole_sides(image, 256, 16, 1 << 20); });
  image.height = image.width = 2147483647;
  EXPECT_EQ(whole_sides(image, 65536, 16, 268435456).height, 16384);
  expect_error(UDI_E_INVALID, "at most 255 pixels", [&] { whole_sides(image, 256, 16, 255); });
  expect_error(UDI_E_INVALID, "resize_size is 0", [&] { whole_sides(image, 0, 16, 1 << 20); });
}

TEST(WholeImage, IsResizedWithoutACut) {
  for (const bool floats : {false, true}) {
    const OwnPlanes bytes = picture(3, 45, 67), in = floats ? bytes.as_float() : bytes;
    OwnPlanes whole(3, 32, 40, in.dtype), expected(3, 32, 40, in.dtype);
    Resizer resizer;
    whole_transform(resizer, to_image(in), whole);
    resizer.crop({0, 0, 45, 67}, false, expected);
    EXPECT_EQ(checksum(whole), checksum(expected));
  }
}

// ---- float32 --------------------------------------------------------------------------------------------------------

// float32 has the formulas without the roundings: it stays within `steps` of 255 of what uint8 gives.
template <class Change>
void expect_float_near_bytes(const std::string& what, double steps, const Change& change) {
  OwnPlanes bytes = picture(3, 45, 67), floats = bytes.as_float();
  change(bytes);
  change(floats);
  double largest = 0;
  for (size_t i = 0; i < bytes.memory.size(); ++i) {
    EXPECT_TRUE(floats.f32()[i] >= 0 && floats.f32()[i] <= 1);
    largest = std::max(largest, std::abs(double(floats.f32()[i]) * 255 - bytes.memory[i]));
  }
  EXPECT_LE(largest, steps) << what;
}

TEST(Floats, AreNearBytes) {
  for (const float factor : {0.0f, 0.4f, 0.8f, 1.2f, 1.7f}) {
    const std::string at = " " + std::to_string(factor);
    expect_float_near_bytes("brightness" + at, 1.001, [&](const Planes& p) { adjust_brightness(p, factor); });
    expect_float_near_bytes("contrast" + at, 2, [&](const Planes& p) { adjust_contrast(p, factor); });
    expect_float_near_bytes("saturation" + at, 2, [&](const Planes& p) { adjust_saturation(p, factor); });
  }
  expect_float_near_bytes("grayscale", 0.51, [](const Planes& p) { to_grayscale(p); });
  expect_float_near_bytes("solarize", 1e-4, [](const Planes& p) { solarize(p, 128); });
  for (const float radius : {0.3f, 1.0f, 1.9f, 8.0f}) {
    expect_float_near_bytes("blur", 2.5, [&](const Planes& p) { gaussian_blur(p, radius); });
  }
}

// Hue in float32 against its definition: the hexagon of colours, in double.
TEST(Floats, TurnHueAsDefined) {
  OwnPlanes planes = picture(3, 31, 29).as_float();
  for (const double shift : {-0.5, -0.13, 0.0, 0.08, 0.41}) {
    OwnPlanes out = planes;
    adjust_hue(out, shift);
    for (size_t i = 0; i < planes.pixels(); ++i) {
      const double rgb[3] = {planes.f32(0)[i], planes.f32(1)[i], planes.f32(2)[i]};
      const double value = *std::max_element(rgb, rgb + 3), range = value - *std::min_element(rgb, rgb + 3);
      double hue = 0;
      for (int c = 0; c < 3 && range > 0; ++c) {
        if (rgb[c] == value) hue = 2 * c + (rgb[(c + 1) % 3] - rgb[(c + 2) % 3]) / range;
      }
      for (int c = 0; c < 3; ++c) {
        const double k = std::fmod((c == 0 ? 5 : c == 1 ? 3 : 1) + hue + 6 * shift + 12, 6.0);
        const double want = value - range * std::max(0.0, std::min({k, 4 - k, 1.0}));
        EXPECT_NEAR(out.f32(c)[i], want, 2e-6) << shift << " " << c;
      }
    }
  }
}

// ---- Arguments ------------------------------------------------------------------------------------------------------

TEST(Colour, RefusesWhatItCannotDo) {
  OwnPlanes rgb = picture(3, 4, 5), gray = picture(1, 4, 5), two = picture(2, 4, 5);
  const float nan = std::numeric_limits<float>::quiet_NaN(), infinity = std::numeric_limits<float>::infinity();
  for (const float factor : {-0.1f, nan, infinity}) {
    expect_error(UDI_E_INVALID, "colour factor", [&] { adjust_brightness(rgb, factor); });
    expect_error(UDI_E_INVALID, "colour factor", [&] { adjust_contrast(rgb, factor); });
    expect_error(UDI_E_INVALID, "colour factor", [&] { adjust_saturation(rgb, factor); });
  }
  for (const double shift : {-0.51, 0.51, double(nan)}) {
    expect_error(UDI_E_INVALID, "hue shift", [&] { adjust_hue(rgb, shift); });
  }
  for (const float radius : {-1.0f, 100.5f, nan}) {
    expect_error(UDI_E_INVALID, "blur radius", [&] { gaussian_blur(rgb, radius); });
  }
  for (const Planes& planes : {Planes(gray), Planes(two)}) {
    expect_error(UDI_E_SHAPE, "needs 3 channels", [&] { adjust_saturation(planes, 1.5f); });
    expect_error(UDI_E_SHAPE, "needs 3 channels", [&] { adjust_hue(planes, 0.1); });
    expect_error(UDI_E_SHAPE, "needs 3 channels", [&] { to_grayscale(planes); });
  }
  EXPECT_EQ(rgb.memory, picture(3, 4, 5).memory);
}

TEST(Planes, AreTheImageInAnotherOrder) {
  for (const int channels : {1, 2, 3, 5}) {
    for (const int width : {1, 15, 16, 17, 50}) {
      const OwnPlanes in = picture(channels, 3, width);
      const Image image = to_image(in);
      for (int c = 0; c < channels; ++c) {
        for (int x = 0; x < width; ++x) ASSERT_EQ(image.bytes[size_t((width + x) * channels + c)], in.u8(c)[width + x]);
      }
      OwnPlanes back(channels, 3, width);
      to_planes(image, back);
      EXPECT_EQ(back.memory, in.memory);
      OwnPlanes other(channels, 3, width + 1);
      expect_error(UDI_E_SHAPE, "does not fit", [&] { to_planes(image, other); });
    }
  }
}

}  // namespace
}  // namespace udi
