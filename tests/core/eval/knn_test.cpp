#include "eval/knn.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/error.h"

namespace udi {
namespace {

struct Set {
  at::Tensor features;
  std::vector<int64_t> labels;
};

// The same features as knn_reference.py.
Set make_set(int64_t first, int64_t count) {
  constexpr int64_t kWidth = 12;
  Set set{at::empty({count, kWidth}, at::kFloat), {}};
  float* out = set.features.mutable_data_ptr<float>();
  for (int64_t row = first; row < first + count; ++row) {
    const int64_t label = row * 5 % 7;
    set.labels.push_back(label);
    for (int64_t j = 1; j <= kWidth; ++j) {
      *out++ = float(std::sin(double(row + 1) * double(j) * double(j) * 0.7310585) +
                     0.55 * std::cos(double(label) * double(j) * 1.7));
    }
  }
  return set;
}

std::vector<KnnScore> classify(const Set& train, const Set& test, const KnnOptions& options) {
  return knn_classify(train.features, train.labels, test.features, test.labels, options);
}

TEST(Knn, EqualsNumpy) {
  const Set train = make_set(0, 400), test = make_set(400, 150);
  KnnOptions options;
  options.k = {1, 3, 10, 20, 50, 400};
  const double top1[2][6] = {{32, 37.3333333333, 45.3333333333, 48, 49.3333333333, 48.6666666667},
                             {32, 50, 61.3333333333, 65.3333333333, 67.3333333333, 64.6666666667}};
  const double top5[2][6] = {{32, 76, 95.3333333333, 98, 99.3333333333, 99.3333333333},
                             {32, 76, 95.3333333333, 98.6666666667, 98.6666666667, 99.3333333333}};
  for (int t = 0; t < 2; ++t) {
    options.temperature = t == 0 ? 0.07 : 1.0;
    const auto scores = classify(train, test, options);
    ASSERT_EQ(scores.size(), 6u);
    for (size_t i = 0; i < 6; ++i) {
      EXPECT_EQ(scores[i].k, options.k[i]);
      EXPECT_NEAR(scores[i].top1, top1[t][i], 1e-9) << options.k[i] << " " << options.temperature;
      EXPECT_NEAR(scores[i].top5, top5[t][i], 1e-9) << options.k[i] << " " << options.temperature;
    }
  }
}

TEST(Knn, ChunksChangeNothing) {
  const Set train = make_set(0, 400), test = make_set(400, 150);
  KnnOptions options;
  const auto whole = classify(train, test, options);
  options.train_chunk = 37;
  options.test_chunk = 11;
  const auto pieces = classify(train, test, options);
  EXPECT_EQ(whole[0].top1, pieces[0].top1);
  EXPECT_EQ(whole[0].top5, pieces[0].top5);
}

TEST(Knn, EqualNeighboursRankByPlace) {
  const at::Tensor train = at::ones({6, 4}), test = at::ones({1, 4});
  KnnOptions options;
  options.k = {1, 3};
  options.train_chunk = 2;
  auto scores = knn_classify(train, {7, 8, 8, 7, 7, 7}, test, {7}, options);
  EXPECT_EQ(scores[0].top1, 100.0);
  EXPECT_EQ(scores[1].top1, 0.0);    // 7, 8, 8
  EXPECT_EQ(scores[1].top5, 100.0);  // 7 comes second
}

TEST(Knn, TakesAnyLabelsAndLargeK) {
  const at::Tensor train = at::eye(3, at::kFloat), test = at::eye(3, at::kFloat) * 5;
  KnnOptions options;
  options.k = {1000};
  const auto scores = knn_classify(train, {-5, 1'000'000'000'000, 0}, test, {-5, 1'000'000'000'000, 3}, options);
  EXPECT_NEAR(scores[0].top1, 200.0 / 3, 1e-9);  // a class that the training set lacks is wrong
}

TEST(Knn, ReportsProgress) {
  const Set train = make_set(0, 40), test = make_set(400, 25);
  KnnOptions options;
  options.test_chunk = 10;
  std::vector<int64_t> rows;
  options.progress = [&](int64_t more) { rows.push_back(more); };
  classify(train, test, options);
  EXPECT_EQ(rows, (std::vector<int64_t>{10, 10, 5}));
}

TEST(Knn, RefusesMisfits) {
  const Set train = make_set(0, 40), test = make_set(400, 25);
  KnnOptions options;
  EXPECT_THROW(knn_classify(train.features, test.labels, test.features, test.labels, options), Error);
  EXPECT_THROW(knn_classify(train.features.narrow(1, 0, 5), train.labels, test.features, test.labels, options), Error);
  at::Tensor broken = test.features.clone();
  broken[3][2] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THROW(knn_classify(train.features, train.labels, broken, test.labels, options), Error);
  options.k = {0};
  EXPECT_THROW(classify(train, test, options), Error);
}

}  // namespace
}  // namespace udi
