#include "data/augment.h"

#include <gtest/gtest.h>

#include "data/pool.h"
#include "data/support.h"
#include "image/colour.h"

namespace udi {
namespace {

using udi_test::expect_error;
using udi_test::picture;
using udi_test::small_views;

std::vector<Image> pictures() {
  return {picture(1, 40, 60), picture(2, 75, 50), picture(3, 33, 33), picture(4, 20, 90)};
}

Image to_float(const Image& image) {
  Image out = image;
  out.dtype = UDI_F32;
  out.bytes.resize(image.bytes.size() * 4);
  for (size_t i = 0; i < image.bytes.size(); ++i) out.f32()[i] = float(image.bytes[i]) / 255.0f;
  return out;
}

TEST(MakeViews, HasTheShapesOfViews) {
  Views views;
  make_views(pictures(), small_views(), 5, 0, {0, 1, 2, 3}, views);
  EXPECT_EQ(views.batch, 4);
  EXPECT_EQ(views.dtype, UDI_U8);
  EXPECT_EQ(views.global.size(), 2u * 4 * 3 * 32 * 32);
  EXPECT_EQ(views.local.size(), 2u * 4 * 3 * 16 * 16);
  EXPECT_EQ(views.coords.size(), 4u * 4 * 4);
  EXPECT_EQ(views.sample_global.size(), 4u * 64);
  EXPECT_EQ(views.sample_local.size(), 4u * 16);
  EXPECT_EQ(views.maps.samples_global, 4);  // 8 x 8 tokens, windows of 3
  EXPECT_EQ(views.maps.samples_local, 4);
  EXPECT_EQ(views.sample, (std::vector<int64_t>{0, 1, 2, 3}));
}

// Every row is drawn from (seed, epoch, sample) alone: order, company and threads do not matter.
TEST(MakeViews, DependsOnSeedEpochAndSampleAlone) {
  const auto images = pictures();
  Views together, alone, threaded, other;
  make_views(images, small_views(), 5, 2, {10, 11, 12, 13}, together);
  WorkerPool pool(3);
  make_views(images, small_views(), 5, 2, {10, 11, 12, 13}, threaded, &pool);
  EXPECT_EQ(together.global, threaded.global);
  EXPECT_EQ(together.local, threaded.local);
  EXPECT_EQ(together.coords, threaded.coords);
  EXPECT_EQ(together.maps.global_weight, threaded.maps.global_weight);
  make_views({images[2]}, small_views(), 5, 2, {12}, alone);
  const size_t crop = 3 * 32 * 32;
  EXPECT_TRUE(std::equal(alone.global.begin(), alone.global.begin() + crop, together.global.begin() + 2 * crop));
  EXPECT_TRUE(std::equal(alone.global.begin() + crop, alone.global.end(), together.global.begin() + 6 * crop));
  for (const auto& [seed, epoch, sample] : {std::tuple(6, 2, 12), std::tuple(5, 3, 12), std::tuple(5, 2, 13)}) {
    make_views({images[2]}, small_views(), uint64_t(seed), epoch, {sample}, other);
    EXPECT_NE(alone.coords, other.coords);
  }
}

// A crop is what the image room makes of the drawn plan.
TEST(MakeViews, CropsResizesAndColoursAsPlanned) {
  const Image image = picture(1, 60, 80);
  const udi_view_config config = small_views();
  for (int64_t sample = 0; sample < 30; ++sample) {
    Views views;
    make_views({image}, config, 5, 1, {sample}, views);
    Random random(5, Random::kView, 1, uint64_t(sample));
    ViewPlan plan;
    draw_plan(random, config, 60, 80, plan);
    for (size_t view = 0; view < 4; ++view) {
      const int size = view < 2 ? 32 : 16;
      Image crop = resize_bicubic(image, plan.crops[view], plan.crops[view].mirror, size, size);
      std::vector<uint8_t> pixels(crop.bytes.size());
      const Planes planes{pixels.data(), 3, size, size, UDI_U8};
      to_planes(crop, planes);
      apply_colours(plan.colours[view], config, planes);
      const auto& all = view < 2 ? views.global : views.local;
      const size_t at = (view < 2 ? view : view - 2) * pixels.size();
      ASSERT_EQ(pixels, std::vector<uint8_t>(all.begin() + long(at), all.begin() + long(at + pixels.size())));
      float coords[4];
      crop_coords(plan.crops[view], 60, 80, coords);
      EXPECT_TRUE(std::equal(coords, coords + 4, &views.coords[view * 4]));
    }
  }
}

TEST(ApplyColours, TakesTheJitterInItsOrder) {
  const udi_view_config config = small_views();
  Colours colours;
  colours.jitter = true;
  colours.brightness = 1.3f;
  colours.contrast = 0.7f;
  colours.saturation = 1.15f;
  colours.hue = 0.07;
  Image image = picture(1, 16, 16);
  const auto run = [&](std::array<Colours::Op, 4> order) {
    colours.order = order;
    std::vector<uint8_t> pixels = image.bytes;
    apply_colours(colours, config, Planes{pixels.data(), 3, 16, 16, UDI_U8});
    return pixels;
  };
  const auto a = run({Colours::kBrightness, Colours::kContrast, Colours::kSaturation, Colours::kHue});
  std::vector<uint8_t> want = image.bytes;
  const Planes planes{want.data(), 3, 16, 16, UDI_U8};
  adjust_brightness(planes, 1.3f);
  adjust_contrast(planes, 0.7f);
  adjust_saturation(planes, 1.15f);
  adjust_hue(planes, 0.07);
  EXPECT_EQ(a, want);
  EXPECT_NE(a, run({Colours::kContrast, Colours::kBrightness, Colours::kSaturation, Colours::kHue}));
}

TEST(ApplyColours, LeavesColourAloneWithoutThreeChannels) {
  Colours colours;
  colours.jitter = colours.grayscale = true;
  colours.order = {Colours::kSaturation, Colours::kHue, Colours::kSaturation, Colours::kHue};
  colours.saturation = 1.2f;
  colours.hue = 0.1;
  for (const int channels : {1, 2, 4}) {
    std::vector<uint8_t> pixels = picture(1, 8, 8, channels).bytes;
    const auto before = pixels;
    apply_colours(colours, small_views(), Planes{pixels.data(), channels, 8, 8, UDI_U8});
    EXPECT_EQ(pixels, before);
  }
}

TEST(MakeViews, TakesAnyNumberOfChannels) {
  for (const int channels : {1, 2, 4, 16}) {
    Views views;
    make_views({picture(1, 40, 50, channels), picture(2, 50, 40, channels)}, small_views(), 1, 0, {0, 1}, views);
    EXPECT_EQ(views.channels, channels);
    EXPECT_EQ(views.global.size(), size_t(2 * 2 * channels * 32 * 32));
  }
}

// Floats go through the same formulas without rounding: on smooth pictures, where no value is clipped, the views stay
// within the sum of the roundings.
TEST(MakeViews, OfFloatsAreNearThoseOfBytes) {
  udi_view_config config = small_views();
  config.solarize_probability_b = 0;  // a jump at 128: one rounding changes everything
  config.hue = 0;                     // through 8-bit HSV
  std::vector<Image> images = pictures();
  for (Image& image : images) {
    for (size_t i = 0; i < image.bytes.size(); ++i) {
      image.bytes[i] = uint8_t(60 + 80 * i / image.bytes.size() + 20 * (i % 3));
    }
  }
  Views bytes, floats, mixed;
  make_views(images, config, 5, 0, {0, 1, 2, 3}, bytes);
  make_views({to_float(images[0]), to_float(images[1]), to_float(images[2]), to_float(images[3])}, config, 5, 0,
             {0, 1, 2, 3}, floats);
  make_views({images[0], to_float(images[1]), images[2], images[3]}, config, 5, 0, {0, 1, 2, 3}, mixed);
  EXPECT_EQ(floats.dtype, UDI_F32);
  EXPECT_EQ(mixed.global, floats.global);
  const float* values = reinterpret_cast<const float*>(floats.global.data());
  for (size_t i = 0; i < bytes.global.size(); ++i) ASSERT_NEAR(bytes.global[i], values[i] * 255, 5);
}

TEST(MakeViews, WorksWithoutLocalCrops) {
  udi_view_config config = small_views();
  config.local_crops = 0;
  config.local_size = 0;
  Views views;
  make_views(pictures(), config, 5, 0, {0, 1, 2, 3}, views);
  EXPECT_TRUE(views.local.empty());
  EXPECT_EQ(views.coords.size(), 2u * 4 * 4);
  EXPECT_EQ(views.maps.samples_global, 4);
}

TEST(MakeViews, RefusesWhatDoesNotFit) {
  Views views;
  expect_error(UDI_E_INVALID, "no image", [&] { make_views({}, small_views(), 0, 0, {}, views); });
  expect_error(UDI_E_INVALID, "1 images but 2", [&] {
    make_views({picture(1, 9, 9)}, small_views(), 0, 0, {1, 2}, views);
  });
  expect_error(UDI_E_SHAPE, "1 channels, not 3", [&] {
    make_views({picture(1, 9, 9), picture(1, 9, 9, 1)}, small_views(), 0, 0, {1, 2}, views);
  });
}

}  // namespace
}  // namespace udi
