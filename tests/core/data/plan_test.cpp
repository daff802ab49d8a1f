#include "data/plan.h"

#include <gtest/gtest.h>

#include <map>

#include "data/config.h"
#include "data/masks.h"
#include "data/support.h"
#include "data/views.h"

namespace udi {
namespace {

using udi_test::expect_error;
using udi_test::expect_share;
using udi_test::kKsBound;
using udi_test::ks_statistic;
using udi_test::uniform_cdf;

udi_view_config official() {
  udi_view_config config;
  udi_view_config_init(&config, sizeof config);
  return config;
}

// 40,000 masks: every token's rate within 5.5 standard errors (for the centre 0.111 +- 0.0086).
TEST(SampleMask, DrawsBorderTokensAsRarelyAsTheOfficialOne) {
  const int64_t grid = 14, n = 40000;
  Random random(2, Random::kTest);
  std::vector<int64_t> hits(grid * grid, 0);
  std::vector<uint8_t> mask(grid * grid);
  for (int64_t i = 0; i < n; ++i) {
    draw_sample_mask(random, grid, 3, mask.data());
    for (size_t t = 0; t < mask.size(); ++t) hits[t] += mask[t];
  }
  for (int64_t y = 0; y < grid; ++y) {
    for (int64_t x = 0; x < grid; ++x) {
      const double rows = y < 2 || y > 11 ? 0.5 : 1,
                   columns = x < 2 || x > 11 ? 0.5 : 1;  // corner blocks that cover it
      expect_share(double(hits[size_t(y * grid + x)]) / double(n), rows * columns / 9, n);
    }
  }
}

TEST(SampleMask, HasOneSampleACell) {
  Random random(3, Random::kTest);
  std::vector<uint8_t> mask(36);
  std::vector<int> cells(9);
  for (int i = 0; i < 500; ++i) {
    draw_sample_mask(random, 6, 2, mask.data());
    std::fill(cells.begin(), cells.end(), 0);
    for (size_t t = 0; t < 36; ++t) cells[t / 12 * 3 + t % 6 / 2] += mask[t];
    EXPECT_EQ(cells, std::vector<int>(9, 1));
  }
}

TEST(SampleMask, TakesAnyGridAndWindow) {
  Random random(4, Random::kTest);
  for (int64_t grid = 0; grid <= 12; ++grid) {
    for (int64_t window = 1; window <= 13; ++window) {
      std::vector<uint8_t> mask(size_t(grid * grid), 9);
      draw_sample_mask(random, grid, window, mask.data());
      EXPECT_EQ(std::count(mask.begin(), mask.end(), 1), samples_of(grid, window)) << grid << " " << window;
      EXPECT_EQ(std::count(mask.begin(), mask.end(), 0), grid * grid - samples_of(grid, window));
    }
  }
}

// 100,000 crops: a share off by 7.5 standard errors (0.012 at one half) is found with a probability above 0.97.
TEST(Colours, FollowTheOfficialDistributions) {
  const udi_view_config config = official();
  std::map<std::array<Colours::Op, 4>, int64_t> orders;
  std::vector<double> brightness, contrast, saturation, hue, radius;
  int64_t n = 0, jitter = 0, gray = 0, blur = 0, solarize = 0, both = 0, mirrors = 0;
  ViewPlan plan;
  for (uint64_t k = 0; n < 100000; ++k) {
    Random random(6, Random::kView, 0, k);
    draw_plan(random, config, 375, 500, plan);
    for (const Crop& crop : plan.crops) mirrors += crop.mirror;
    for (const Colours& c : plan.colours) {
      ++n;
      gray += c.grayscale;
      blur += c.blur;
      solarize += c.solarize;
      both += c.blur && c.solarize;
      if (c.blur) radius.push_back(c.blur_radius);
      if (!c.jitter) continue;
      ++jitter;
      ++orders[c.order];
      brightness.push_back(c.brightness);
      contrast.push_back(c.contrast);
      saturation.push_back(c.saturation);
      hue.push_back(c.hue);
    }
  }
  const double total = double(n);
  expect_share(double(mirrors) / total, 0.5, n);
  expect_share(double(jitter) / total, 0.8, n);
  expect_share(double(gray) / total, 0.2, n);
  expect_share(double(blur) / total, 0.425, n);
  expect_share(double(solarize) / total, 0.10, n);
  expect_share(double(both) / total, 0.5 * 0.1 * 0.2, n);
  EXPECT_EQ(orders.size(), 24u);
  for (const auto& [order, count] : orders) expect_share(double(count) / double(jitter), 1.0 / 24, jitter);
  EXPECT_LT(ks_statistic(brightness, uniform_cdf(0.6, 1.4)), kKsBound);
  EXPECT_LT(ks_statistic(contrast, uniform_cdf(0.6, 1.4)), kKsBound);
  EXPECT_LT(ks_statistic(saturation, uniform_cdf(0.8, 1.2)), kKsBound);
  EXPECT_LT(ks_statistic(hue, uniform_cdf(-0.1, 0.1)), kKsBound);
  EXPECT_LT(ks_statistic(radius, uniform_cdf(0.1, 2)), kKsBound);
}

// The official code on 500 x 375 images: 11.6 of 16 global and 6.7 of 9 local samples fall into the other crop. Over
// 3,000 images the standard error of our means is below 0.07; the figures are rounded to 0.1.
TEST(ViewPlan, LetsAsManySamplesMeetAsTheOfficialCode) {
  const udi_view_config config = official();
  const int images = 3000;
  double global = 0, local = 0;
  ViewPlan plan;
  for (int k = 0; k < images; ++k) {
    Random random(8, Random::kView, 0, uint64_t(k));
    draw_plan(random, config, 375, 500, plan);
    std::vector<float> coords(plan.crops.size() * 4);
    for (size_t i = 0; i < plan.crops.size(); ++i) crop_coords(plan.crops[i], 375, 500, &coords[i * 4]);
    const SampleMaps maps = make_sample_maps(1, config.local_crops, grid_global(config), grid_local(config),
                                             coords.data(), plan.sample_global.data(), plan.sample_local.data());
    for (const int32_t count : maps.global_count) global += count / 2.0 / images;
    for (const int32_t count : maps.local_count) local += count / 20.0 / images;
  }
  EXPECT_NEAR(global, 11.6, 0.4);
  EXPECT_NEAR(local, 6.7, 0.4);
}

TEST(ViewPlan, NestsTheSecondCropIfAsked) {
  udi_view_config config = official();
  config.crop_pairing = 1;
  ViewPlan plan;
  for (uint64_t k = 0; k < 1000; ++k) {
    Random random(9, Random::kView, 0, k);
    draw_plan(random, config, 375, 500, plan);
    const Crop &a = plan.crops[0], &b = plan.crops[1];
    EXPECT_TRUE(b.top >= a.top && b.left >= a.left && b.top + b.height <= a.top + a.height &&
                b.left + b.width <= a.left + a.width);
  }
}

TEST(ViewPlan, FitsEveryImageSize) {
  const udi_view_config config = official();
  ViewPlan plan;
  for (const auto& [height, width] : {std::pair(1, 1), std::pair(1, 700), std::pair(700, 1), std::pair(2, 3),
                                      std::pair(7, 4000), std::pair(4000, 3000)}) {
    for (uint64_t k = 0; k < 200; ++k) {
      Random random(10, Random::kView, 0, k);
      draw_plan(random, config, height, width, plan);
      ASSERT_EQ(plan.crops.size(), 12u);
      for (const Crop& crop : plan.crops) {
        ASSERT_TRUE(crop.top >= 0 && crop.left >= 0 && crop.height > 0 && crop.width > 0 &&
                    crop.top + crop.height <= height && crop.left + crop.width <= width);
      }
    }
  }
}

TEST(ViewConfig, IsCheckedFieldByField) {
  check_view_config(official());
  const auto broken = [](auto change, udi_status status, const std::string& words) {
    udi_view_config config = official();
    change(config);
    expect_error(status, words, [&] { check_view_config(config); });
  };
  broken([](auto& c) { c.global_size = 225; }, UDI_E_INVALID, "global_size 225 is not a multiple of patch_size 16");
  broken([](auto& c) { c.patch_size = 0; }, UDI_E_INVALID, "patch_size is 0, outside 1 to 1024");
  broken([](auto& c) { c.local_crops = 65; }, UDI_E_INVALID, "local_crops is 65");
  broken([](auto& c) { c.local_scale_max = 0.01f; }, UDI_E_INVALID, "local_scale_min 0.05");
  broken([](auto& c) { c.flip_probability = NAN; }, UDI_E_INVALID, "flip_probability is nan");
  broken([](auto& c) { c.hue = 0.6f; }, UDI_E_INVALID, "hue is 0.6");
  broken([](auto& c) { c.crop_overlap = 2; }, UDI_E_INVALID, "crop_overlap is 2");
  udi_view_config no_locals = official();
  no_locals.local_crops = 0;
  no_locals.local_size = 95;
  check_view_config(no_locals);
}

}  // namespace
}  // namespace udi
