// Maps over pictures, by hand-made cases of a few pixels.
#include "jobs/overlay.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace udi {
namespace {

Image picture(int height, int width, int channels, const std::vector<uint8_t>& bytes) {
  Image image;
  image.height = height;
  image.width = width;
  image.channels = channels;
  image.bytes = bytes;
  return image;
}

std::vector<int> pixel(const Image& image, int y, int x) {
  const uint8_t* at = image.u8() + (size_t(y) * size_t(image.width) + size_t(x)) * size_t(image.channels);
  return {at, at + image.channels};
}

const std::vector<int> kDark = {8, 6, 28}, kBright = {252, 252, 190};  // the ends of the colours

TEST(Overlay, ACellCoversItsPixelsAndTheLargestIsTheBrightest) {
  const Image image = picture(4, 4, 1, std::vector<uint8_t>(16, 100));
  const Image out = overlay(image, at::tensor({0.f, 0.02f, 0.01f, 0.f}).view({2, 2}), 1);
  ASSERT_EQ(out.height, 4);
  ASSERT_EQ(out.width, 4);
  ASSERT_EQ(out.channels, 3);
  for (int y = 0; y < 4; ++y) {
    for (int x = 0; x < 4; ++x) {
      const std::vector<int> middle = {183, 57, 83};  // between the fourth colour and the fifth
      const std::vector<int>& wanted = y < 2 ? (x < 2 ? kDark : kBright) : (x < 2 ? middle : kDark);
      EXPECT_EQ(pixel(out, y, x), wanted) << y << ", " << x;
    }
  }
}

TEST(Overlay, OpacityMixesWithTheImage) {
  const Image image = picture(1, 2, 3, {10, 20, 30, 200, 100, 50});
  const at::Tensor map = at::tensor({1.f, 0.f}).view({1, 2});
  EXPECT_EQ(overlay(image, map, 0).bytes, image.bytes);
  const Image half = overlay(image, map, 0.5);
  EXPECT_EQ(pixel(half, 0, 0), (std::vector<int>{131, 136, 110}));
  EXPECT_EQ(pixel(half, 0, 1), (std::vector<int>{104, 53, 39}));
  EXPECT_EQ(pixel(overlay(image, at::zeros({1, 1}), 1), 0, 0), kDark);  // nothing to see is not a division by zero
}

TEST(Overlay, SidesAreCutToPatches) {
  const Image image = picture(20, 50, 3, std::vector<uint8_t>(3000, 77));
  const Image fitted = fit_to_patches(image, 40, 16);  // 40 x 100, then cut
  EXPECT_EQ(fitted.height, 32);
  EXPECT_EQ(fitted.width, 96);
  EXPECT_EQ(pixel(fitted, 31, 95), (std::vector<int>{77, 77, 77}));
  EXPECT_THROW(fit_to_patches(image, 8, 16), Error);
  EXPECT_THROW(fit_to_patches(picture(1, 60000, 1, std::vector<uint8_t>(60000)), 32, 16), Error);
}

TEST(Overlay, PicturesStandSideBySide) {
  const Image a = picture(1, 1, 3, {1, 2, 3}), b = picture(1, 2, 3, {4, 5, 6, 7, 8, 9});
  EXPECT_EQ(side_by_side({a, b}, 1).bytes, (std::vector<uint8_t>{1, 2, 3, 255, 255, 255, 4, 5, 6, 7, 8, 9}));
}

TEST(Overlay, AnyImageIsAPictureAndAnInput) {
  const Image five = picture(1, 2, 5, {9, 1, 2, 3, 4, 8, 1, 2, 3, 4});
  EXPECT_EQ(as_picture(five).bytes, (std::vector<uint8_t>{9, 8}));  // the first channel, gray
  Image floats = picture(1, 1, 3, {});
  floats.dtype = UDI_F32;
  const float values[3] = {0.5f, -1.f, 2.f};
  floats.bytes.assign(reinterpret_cast<const uint8_t*>(values), reinterpret_cast<const uint8_t*>(values + 3));
  EXPECT_EQ(as_picture(floats).bytes, (std::vector<uint8_t>{128, 0, 255}));
  udi_model_config model = model_config_preset("vit_tiny");
  for (int c = 0; c < 3; ++c) model.mean[c] = 0.5f, model.std[c] = 0.25f;
  EXPECT_TRUE(at::equal(as_model_input(floats, model).flatten(), at::tensor({0.f, -6.f, 6.f})));
  EXPECT_EQ(as_model_input(five, model).sizes(), at::IntArrayRef({1, 5, 1, 2}));
}

}  // namespace
}  // namespace udi
