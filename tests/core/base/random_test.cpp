#include "base/random.h"

#include <gtest/gtest.h>

#include <array>
#include <set>
#include <vector>

namespace udi {
namespace {

// Random123's known answer for counter 0 and key 0, then answers of a separate program that gives Random123's three.
TEST(Random, IsPhilox) {
  Random zero(0, Random::Purpose(0));
  for (const uint32_t want : {0x6627e8d5u, 0xe169c58du, 0xbc57ac4cu, 0x9b00dbd8u}) EXPECT_EQ(zero.next(), want);
  Random keyed(0x299f31d0a4093822u, Random::kView, 5, 0x89abcdef01234567u);
  for (const uint32_t want :
       {0xf98e0469u, 0xcabaab94u, 0xfa38c873u, 0xe3525788u, 0xefc786fau, 0xd99fccc1u, 0x43067776u, 0x07b7acccu}) {
    EXPECT_EQ(keyed.next(), want);
  }
}

TEST(Random, EveryPartOfTheKeyMatters) {
  std::set<uint64_t> first;
  for (const uint64_t seed : {0ull, 1ull, 1ull << 32}) {
    for (const auto purpose : {Random::kInit, Random::kOrder, Random::kView}) {
      for (const uint64_t epoch : {0, 1, 2}) {
        for (const uint64_t index : {0ull, 1ull, 1ull << 32})
          first.insert(Random(seed, purpose, epoch, index).next64());
      }
    }
  }
  EXPECT_EQ(first.size(), 81u);
}

// Bounds of five standard errors; the seed is fixed, so this passes always or never.
TEST(Random, MomentsOfUniformAndNormal) {
  Random random(1, Random::kTest);
  const int count = 200000;
  double sum = 0, square = 0, normal_sum = 0, normal_square = 0, normal_fourth = 0;
  for (int i = 0; i < count; ++i) {
    const double u = random.uniform();
    ASSERT_GE(u, 0.0);
    ASSERT_LT(u, 1.0);
    sum += u;
    square += u * u;
    const double z = random.normal();
    normal_sum += z;
    normal_square += z * z;
    normal_fourth += z * z * z * z;
  }
  const double root = std::sqrt(double(count));
  EXPECT_NEAR(sum / count, 0.5, 5 * std::sqrt(1.0 / 12) / root);
  EXPECT_NEAR(square / count, 1.0 / 3, 5 * std::sqrt(4.0 / 45) / root);
  EXPECT_NEAR(normal_sum / count, 0.0, 5 / root);
  EXPECT_NEAR(normal_square / count, 1.0, 5 * std::sqrt(2.0) / root);
  EXPECT_NEAR(normal_fourth / count, 3.0, 5 * std::sqrt(96.0) / root);
}

TEST(Random, BelowIsEvenAndChanceKeepsItsShare) {
  Random random(2, Random::kTest);
  const int count = 70000;
  std::array<int, 7> hits{};
  int heads = 0;
  for (int i = 0; i < count; ++i) {
    ++hits[random.below(7)];
    heads += random.chance(0.2);
  }
  double chi2 = 0;
  for (const int n : hits) chi2 += (n - count / 7.0) * (n - count / 7.0) / (count / 7.0);
  EXPECT_LT(chi2, 27.9);  // 6 degrees of freedom: 1 in 10,000
  EXPECT_NEAR(heads / double(count), 0.2, 5 * 0.4 / std::sqrt(double(count)));
  EXPECT_EQ(random.below(1), 0u);
  for (int i = 0; i < 100; ++i) EXPECT_FALSE(random.chance(0));
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(random.chance(1));
}

}  // namespace
}  // namespace udi
