#include "data/crops.h"

#include <gtest/gtest.h>

#include "data/support.h"

namespace udi {
namespace {

using udi_test::kKsBound;
using udi_test::ks_statistic;
using udi_test::uniform_cdf;

constexpr int kHeight = 375, kWidth = 500;
const double kLogRatio = std::log(4.0 / 3.0);

// Area and ratio of accepted crops, whose joint density is constant over the (share, log ratio) that fit: the
// cumulative distribution of each by summing over a fine grid.
struct Accepted {
  std::vector<double> share_cdf, ratio_cdf;
  double scale_min, scale_max;

  Accepted(double scale_min, double scale_max) : scale_min(scale_min), scale_max(scale_max) {
    const int n = 2000;
    share_cdf.assign(n + 1, 0);
    ratio_cdf.assign(n + 1, 0);
    for (int a = 0; a < n; ++a) {
      for (int r = 0; r < n; ++r) {
        const double area = (scale_min + (a + 0.5) / n * (scale_max - scale_min)) * kHeight * kWidth;
        const double ratio = std::exp((2 * (r + 0.5) / n - 1) * kLogRatio);
        if (std::nearbyint(std::sqrt(area * ratio)) > kWidth || std::nearbyint(std::sqrt(area / ratio)) > kHeight)
          continue;
        ++share_cdf[size_t(a + 1)];
        ++ratio_cdf[size_t(r + 1)];
      }
    }
    for (auto* cdf : {&share_cdf, &ratio_cdf}) {
      for (size_t i = 1; i < cdf->size(); ++i) (*cdf)[i] += (*cdf)[i - 1];
      for (double& value : *cdf) value /= cdf->back();
    }
  }
  static double at(const std::vector<double>& cdf, double position) {
    const double place = std::clamp(position, 0.0, 1.0) * double(cdf.size() - 1);
    const size_t below = std::min(size_t(place), cdf.size() - 2);
    return cdf[below] + (place - double(below)) * (cdf[below + 1] - cdf[below]);
  }
};

// 40,000 crops each: a distribution function that is off by 0.026 anywhere (twice the bound 2.6 / sqrt(40,000)) fails
// with a probability above 0.999. Rounding to whole pixels moves the functions by less than 0.003.
class CropDistribution : public testing::TestWithParam<std::pair<double, double>> {};

TEST_P(CropDistribution, IsTheOfficialOne) {
  const auto [scale_min, scale_max] = GetParam();
  const Accepted accepted(scale_min, scale_max);
  Random random(7, Random::kTest);
  std::vector<double> shares, ratios, tops, lefts;
  for (int i = 0; i < 40000; ++i) {
    const Crop crop = draw_crop(random, kHeight, kWidth, scale_min, scale_max);
    ASSERT_TRUE(crop.top >= 0 && crop.left >= 0 && crop.height > 0 && crop.width > 0);
    ASSERT_TRUE(crop.top + crop.height <= kHeight && crop.left + crop.width <= kWidth);
    EXPECT_FALSE(crop.mirror);
    shares.push_back(double(crop.height) * crop.width / (kHeight * kWidth));
    ratios.push_back(std::log(double(crop.width) / crop.height));
    // A uniform whole number from 0 to n - 1, plus a uniform fraction, is uniform from 0 to n.
    tops.push_back((crop.top + random.uniform()) / (kHeight - crop.height + 1));
    lefts.push_back((crop.left + random.uniform()) / (kWidth - crop.width + 1));
  }
  EXPECT_LT(ks_statistic(
                shares,
                [&](double x) { return Accepted::at(accepted.share_cdf, (x - scale_min) / (scale_max - scale_min)); }),
            kKsBound);
  EXPECT_LT(ks_statistic(ratios, [&](double x) { return Accepted::at(accepted.ratio_cdf, (x / kLogRatio + 1) / 2); }),
            kKsBound);
  EXPECT_LT(ks_statistic(tops, uniform_cdf(0, 1)), kKsBound);
  EXPECT_LT(ks_statistic(lefts, uniform_cdf(0, 1)), kKsBound);
}
INSTANTIATE_TEST_SUITE_P(Scales, CropDistribution, testing::Values(std::pair(0.25, 1.0), std::pair(0.05, 0.25)));

TEST(DrawCrop, FallsBackToTheCentreOfALongImage) {
  Random random(1, Random::kTest);
  const Crop wide = draw_crop(random, 30, 1000, 0.9, 1);
  EXPECT_EQ(std::tie(wide.top, wide.left, wide.height, wide.width), std::make_tuple(0, 480, 30, 40));
  const Crop tall = draw_crop(random, 1000, 30, 0.9, 1);
  EXPECT_EQ(std::tie(tall.top, tall.left, tall.height, tall.width), std::make_tuple(480, 0, 40, 30));
  const Crop dot = draw_crop(random, 1, 1, 0.05, 0.25);
  EXPECT_EQ(std::tie(dot.top, dot.left, dot.height, dot.width), std::make_tuple(0, 0, 1, 1));
}

// The forced overlap spelt out axis by axis under the official names, for a crop that was drawn already.
Crop literal_shift(Crop crop, CropEnds ref, int H, int W, bool mended) {
  const int ri = ref.top, rI = ref.bottom, rj = std::min(ref.left, ref.right), rJ = std::max(ref.left, ref.right);
  const int rh = rI - ri, rw = rJ - rj, h = crop.height, w = crop.width;
  const int i = crop.top, j = crop.left, I = i + h - 1, J = j + w - 1;
  const int bb_h = std::max(I, rI) - std::min(i, ri), bb_w = std::max(J, rJ) - std::min(mended ? j : i, rj);
  double i_shift = bb_h > h + rh ? bb_h - h - rh : 0, j_shift = bb_w > w + rw ? bb_w - w - rw : 0;
  i_shift += bb_h >= h + rh - 0.5 * std::min(rh, h) ? 0.5 * std::min(rh, h) : 0;
  j_shift += bb_w >= w + rw - 0.5 * std::min(rw, w) ? 0.5 * std::min(rw, w) : 0;
  const double di = (rI + ri) / 2.0 - (i + I) / 2.0, dj = (rJ + rj) / 2.0 - (j + J) / 2.0;
  crop.top = i + int(std::nearbyint(di / (std::abs(di) + 1e-5) * i_shift));
  crop.left = j + int(std::nearbyint(dj / (std::abs(dj) + 1e-5) * j_shift));
  if (crop.top + h > H) crop.top = H - h;
  if (crop.top < 0) crop.top = 0;
  if (crop.left + w > W) crop.left = W - w;
  if (crop.left < 0) crop.left = 0;
  return crop;
}

TEST(DrawCropNear, MovesAsTheOfficialCodeDoes) {
  for (const bool mended : {false, true}) {
    for (uint64_t k = 0; k < 4000; ++k) {
      const int H = k % 3 == 0 ? 300 : 375, W = k % 3 == 0 ? 800 : 500;
      Random first(3, Random::kTest, 0, k), again(3, Random::kTest, 1, k), near(3, Random::kTest, 1, k);
      Crop reference = draw_crop(first, H, W, 0.25, 1);
      reference.mirror = first.chance(0.5);
      const Crop want = literal_shift(draw_crop(again, H, W, 0.25, 1), ends_of(reference), H, W, mended);
      const Crop got = draw_crop_near(near, H, W, 0.25, 1, ends_of(reference), mended);
      ASSERT_EQ(std::tie(got.top, got.left, got.height, got.width),
                std::tie(want.top, want.left, want.height, want.width));
    }
  }
}

struct Overlap {
  double rows, columns;  // of the smaller side
};
Overlap overlap(const Crop& a, const Crop& b) {
  const int rows = std::min(a.top + a.height, b.top + b.height) - std::max(a.top, b.top);
  const int columns = std::min(a.left + a.width, b.left + b.width) - std::max(a.left, b.left);
  return {double(rows) / std::min(a.height, b.height), double(columns) / std::min(a.width, b.width)};
}

// Shares of pairs whose overlap along the rows, along the columns, is below 49 % of the smaller side.
Overlap short_shares(int height, int width, int mode, int pairs) {
  Overlap shares{0, 0};
  for (int k = 0; k < pairs; ++k) {
    Random random(11, Random::kTest, 0, uint64_t(k));
    const Crop first = draw_crop(random, height, width, 0.25, 1);
    const Crop second = draw_crop_near(random, height, width, 0.25, 1, ends_of(first), mode);
    const Overlap both = overlap(first, second);
    shares.rows += both.rows < 0.49 ? 1.0 / pairs : 0;
    shares.columns += both.columns < 0.49 ? 1.0 / pairs : 0;
  }
  return shares;
}

TEST(DrawCropNear, MendedCropsShareHalfOfEachSide) {
  for (const auto& [height, width] :
       {std::pair(375, 500), std::pair(300, 800), std::pair(500, 375), std::pair(64, 64)}) {
    const Overlap seen = short_shares(height, width, 1, 4000);
    EXPECT_EQ(seen.rows, 0) << height << " x " << width;
    EXPECT_EQ(seen.columns, 0) << height << " x " << width;
  }
}

// The official code run on 4,000 pairs: 1.0 % of 500 x 375 and 5.5 % of 800 x 300 images fall short in width, none in
// height. Bounds: five standard errors of the difference between its share and ours.
TEST(DrawCropNear, OfficialCropsFallShortAsOftenAsTheOfficialCodes) {
  const int pairs = 20000;
  const auto bound = [&](double p) { return 5 * std::sqrt(p * (1 - p) * (1.0 / 4000 + 1.0 / pairs)); };
  const Overlap photo = short_shares(375, 500, 0, pairs), long_one = short_shares(300, 800, 0, pairs);
  EXPECT_EQ(photo.rows, 0);
  EXPECT_EQ(long_one.rows, 0);
  EXPECT_NEAR(photo.columns, 0.010, bound(0.010));
  EXPECT_NEAR(long_one.columns, 0.055, bound(0.055));
}

TEST(DrawCropInside, LiesInTheOuterCrop) {
  Random random(5, Random::kTest);
  const Crop outer{{40, 60, 200, 300}, false};
  std::vector<double> shares;
  for (int i = 0; i < 20000; ++i) {
    const Crop inner = draw_crop_inside(random, outer, 0.05, 0.25);
    ASSERT_TRUE(inner.top >= 40 && inner.left >= 60 && inner.top + inner.height <= 240 &&
                inner.left + inner.width <= 360);
    shares.push_back(double(inner.height) * inner.width / (200.0 * 300.0));
  }
  EXPECT_LT(ks_statistic(shares, uniform_cdf(0.05, 0.25)), kKsBound);  // all shapes of these shares fit: none refused
}

TEST(LocalReference, IsTheOfficialBoxOrTheIntersection) {
  const Crop a{{10, 20, 50, 60}, false}, b{{30, 50, 60, 70}, false};
  const CropEnds box = local_reference(a, b, 0), both = local_reference(a, b, 1);
  EXPECT_EQ(std::tie(box.top, box.left, box.bottom, box.right), std::make_tuple(10, 20, 89, 119));
  EXPECT_EQ(std::tie(both.top, both.left, both.bottom, both.right), std::make_tuple(30, 50, 59, 79));
  Crop mirrored = b;
  mirrored.mirror = true;  // ends 119 to 50: the official box takes min(20, 119) and max(79, 50)
  const CropEnds odd = local_reference(a, mirrored, 0), same = local_reference(a, mirrored, 1);
  EXPECT_EQ(std::tie(odd.top, odd.left, odd.bottom, odd.right), std::make_tuple(10, 20, 89, 79));
  EXPECT_EQ(std::tie(same.top, same.left, same.bottom, same.right), std::make_tuple(30, 50, 59, 79));
}

TEST(CropCoords, AreSharesOfTheImage) {
  float coords[4];
  Crop crop{{3, 4, 7, 5}, false};
  crop_coords(crop, 11, 21, coords);
  EXPECT_EQ(std::vector<float>(coords, coords + 4), (std::vector<float>{0.3f, 0.2f, 0.9f, 0.4f}));
  crop.mirror = true;
  crop_coords(crop, 11, 21, coords);
  EXPECT_EQ(std::vector<float>(coords, coords + 4), (std::vector<float>{0.3f, 0.4f, 0.9f, 0.2f}));
  crop_coords({{0, 2, 1, 3}, false}, 1, 5, coords);  // one row: no division by height - 1
  EXPECT_EQ(std::vector<float>(coords, coords + 4), (std::vector<float>{0, 0.5f, 1, 1}));
  crop_coords({{0, 0, 1, 1}, false}, 1, 1, coords);
  EXPECT_EQ(std::vector<float>(coords, coords + 4), (std::vector<float>{0, 0, 1, 1}));
}

}  // namespace
}  // namespace udi
