// A step's tables in one piece of memory: values, what is said of their layout, and what is left of a call that failed.
#include "train/stage.h"

#include <gtest/gtest.h>

namespace udi {
namespace {

TEST(Stage, MovesTablesSideBySide) {
  Stage stage;
  const void* first = nullptr;
  for (int call = 0; call < 5; ++call) {
    at::Tensor numbers = at::arange(call, call + 7, at::kFloat), places = at::full({2, 3}, call, at::kLong), none;
    at::Tensor turned = at::arange(6, at::kDouble).view({2, 3}).t(), empty = at::empty({0, 4}, at::kByte);
    EXPECT_EQ(stage.move({&numbers, &none, &places, &turned, &empty}, at::kCPU), call > 0);
    EXPECT_TRUE(at::equal(numbers, at::arange(call, call + 7, at::kFloat)));
    EXPECT_TRUE(at::equal(places, at::full({2, 3}, call, at::kLong)));
    EXPECT_TRUE(at::equal(turned, at::arange(6, at::kDouble).view({2, 3}).t()));
    EXPECT_EQ(empty.sizes(), at::IntArrayRef({0, 4}));
    EXPECT_FALSE(none.defined());
    EXPECT_EQ(numbers.storage().data(), places.storage().data());
    if (call == 0) first = numbers.const_data_ptr();
    EXPECT_EQ(numbers.const_data_ptr(), first) << "what was made of these tables reads them here";
  }
}

TEST(Stage, TellsAnotherLayout) {
  const auto tables = [](int64_t count, at::ScalarType type) { return at::zeros({count}, type); };
  Stage stage;
  at::Tensor a = tables(4, at::kFloat), b = tables(4, at::kInt), c = tables(5, at::kInt), d = tables(5, at::kInt);
  EXPECT_FALSE(stage.move({&a}, at::kCPU));
  EXPECT_FALSE(stage.move({&b}, at::kCPU));
  EXPECT_FALSE(stage.move({&c}, at::kCPU));
  EXPECT_TRUE(stage.move({&d}, at::kCPU));
}

TEST(Stage, ForgetsTheLayoutWhereMemoryFails) {
  Stage stage;
  const auto move = [&](const at::Tensor& table) {
    at::Tensor moved = table;
    return stage.move({&moved}, at::kCPU);
  };
  const at::Tensor small = at::zeros({8}), huge = at::zeros({1}).expand({int64_t(1) << 55});
  EXPECT_FALSE(move(small));
  EXPECT_TRUE(move(small));
  for (int again = 0; again < 2; ++again) EXPECT_ANY_THROW(move(huge));
  EXPECT_FALSE(move(small)) << "its memory is another one";
  EXPECT_TRUE(move(small));
}

}  // namespace
}  // namespace udi
