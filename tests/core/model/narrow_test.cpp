// Products in fewer bits, each processor's kernels that this machine can run: exact sums of whole numbers, rows in 8
// bits against a twin in float64, bfloat16 against what it rounds to.
#include "model/narrow.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

namespace udi {
namespace {

using gemm::Bits;
using gemm::Narrow;
using gemm::Range;
using Floats = std::vector<float>;

constexpr float kUntouched = -12345.5f;
constexpr float kNan = std::numeric_limits<float>::quiet_NaN(), kInf = std::numeric_limits<float>::infinity();

std::vector<const Narrow*> all(Bits bits) {
  std::vector<const Narrow*> out;
  for (auto k = gemm::all_narrow(bits); *k; ++k) out.push_back(*k);
  return out;
}

struct Shape {
  int64_t rows, columns, depth;
};
constexpr Shape kShapes[] = {{1, 1, 1},      {1, 384, 64}, {2, 33, 7},     {3, 5, 300},   {13, 31, 5},
                             {14, 32, 16},   {15, 65, 3},  {29, 100, 130}, {198, 48, 66}, {5, 200, 1},
                             {700, 17, 400}, {6, 16, 4},   {12, 8, 1023},  {37, 4, 2},    {0, 40, 10}};

// Whole numbers as the kernels read them: bytes, or 16 bits each.
Floats words_of(const Narrow& k, const std::vector<int>& numbers, int64_t rows, int64_t depth) {
  const int64_t row = gemm::row_words(k, depth);
  Floats out(size_t(rows * row), 0.f);
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t d = 0; d < depth; ++d) {
      const int value = numbers[size_t(r * depth + d)];
      char* const to = reinterpret_cast<char*>(out.data() + r * row);
      const int16_t wide = int16_t(value);
      if (k.numbers == 4) {
        to[d] = char(value);
      } else {
        std::memcpy(to + 2 * d, &wide, 2);
      }
    }
  }
  return out;
}

// Words [columns, depth] as panels.
Floats panels_of(const Narrow& k, const Floats& words, int64_t columns, int64_t depth) {
  const int64_t count = gemm::words(k, depth);
  Floats out(size_t(gemm::packed_size(*k.words, count, columns)), kNan);
  k.words->pack(words.data(), 1, gemm::row_words(k, depth), count, columns, out.data());
  return out;
}

gemm::Product product_of(const Narrow& k, const Shape& s, const Floats& a, const Floats& b, Floats& out,
                         int64_t out_stride) {
  gemm::Product p;
  p.rows = s.rows;
  p.columns = s.columns;
  p.depth = gemm::words(k, s.depth);
  p.a = a.data();
  p.a_stride = gemm::row_words(k, s.depth);
  p.b = b.data();
  p.b_stride = p.depth * k.words->panel;
  p.out = out.data();
  p.out_stride = out_stride;
  return p;
}

class NarrowProduct : public testing::Test {
 protected:
  std::vector<int> whole(int64_t count, int low, int high) {
    std::uniform_int_distribution<int> some(low, high), extreme(0, 3);
    std::vector<int> out(static_cast<size_t>(count));
    for (int& value : out) {  // half of them at the ends of the range
      const int draw = extreme(random_);
      value = draw == 0 ? low : draw == 1 ? high : some(random_);
    }
    return out;
  }
  Floats normal(int64_t count) {
    std::normal_distribution<float> some;
    Floats out(static_cast<size_t>(count));
    for (float& value : out) value = some(random_);
    return out;
  }
  std::mt19937 random_{11};
};

double exact_gelu(double x) { return x * 0.5 * std::erfc(-x * std::sqrt(0.5)); }

// Sums of products of 0..255 and -128..127, with every end that a product has.
TEST_F(NarrowProduct, SumsOfWholeNumbersAreExact) {
  for (const Narrow* k : all(Bits::kInt8)) {
    for (const Shape& s : kShapes) {
      for (const bool ends : {false, true}) {
        SCOPED_TRACE(std::string(k->name) + " " + std::to_string(s.rows) + " x " + std::to_string(s.columns) + " x " +
                     std::to_string(s.depth) + (ends ? ", bias and GELU" : ""));
        const std::vector<int> a = whole(s.rows * s.depth, 0, 255), b = whole(s.columns * s.depth, -128, 127);
        const Floats rows = words_of(*k, a, s.rows, s.depth);
        const Floats panels = panels_of(*k, words_of(*k, b, s.columns, s.depth), s.columns, s.depth);
        const int64_t stride = s.columns + 5, room = gemm::padded(*k->words, s.columns);
        std::vector<Range> ranges(size_t(s.rows), Range{1, 0});
        Floats scales(size_t(room), 1.f), sums(size_t(room), 0.f), out(size_t(s.rows * stride), kUntouched);
        const Floats bias = normal(s.columns);
        if (ends) {
          for (Range& range : ranges) range = {0.01f + std::abs(normal(1)[0]), normal(1)[0]};
          for (float& scale : scales) scale = 1e-4f * std::abs(normal(1)[0]);
          for (int64_t c = 0; c < s.columns; ++c) {
            for (int64_t d = 0; d < s.depth; ++d) sums[size_t(c)] += float(b[size_t(c * s.depth + d)]);
          }
        }
        gemm::Product p = product_of(*k, s, rows, panels, out, stride);
        p.ranges = ranges.data();
        p.column_scale = scales.data();
        p.column_sum = sums.data();
        if (ends) p.bias = bias.data();
        p.gelu = ends;
        k->product(p);
        for (int64_t r = 0; r < s.rows; ++r) {
          for (int64_t c = 0; c < stride; ++c) {
            const float is = out[size_t(r * stride + c)];
            if (c >= s.columns) {
              ASSERT_EQ(is, kUntouched);
              continue;
            }
            int64_t sum = 0;
            for (int64_t d = 0; d < s.depth; ++d) sum += a[size_t(r * s.depth + d)] * b[size_t(c * s.depth + d)];
            if (!ends) {
              ASSERT_EQ(is, float(sum));
              continue;
            }
            const Range& range = ranges[size_t(r)];
            const double first = double(sum) * double(range.scale),
                         second = double(sums[size_t(c)]) * double(range.low);
            const double value = (first + second) * double(scales[size_t(c)]) + double(bias[size_t(c)]);
            const double size = (std::abs(first) + std::abs(second)) * double(scales[size_t(c)]) + 1;
            ASSERT_NEAR(double(is), exact_gelu(value), 1e-6 * size);
          }
        }
      }
    }
  }
}

// The largest sums that 32 bits hold.
TEST_F(NarrowProduct, TheLongestSums) {
  for (const Narrow* k : all(Bits::kInt8)) {
    const Shape s = {1, 2, gemm::kMostBytes};
    std::vector<int> b(size_t(2 * s.depth), -128);
    std::fill(b.begin() + s.depth, b.end(), 127);
    const Floats rows = words_of(*k, std::vector<int>(size_t(s.depth), 255), 1, s.depth);
    const Floats panels = panels_of(*k, words_of(*k, b, 2, s.depth), 2, s.depth);
    const Range range = {1, 0};
    const Floats ones(32, 1.f), zeros(32, 0.f);
    Floats out(2);
    gemm::Product p = product_of(*k, s, rows, panels, out, 2);
    p.ranges = &range;
    p.column_scale = ones.data();
    p.column_sum = zeros.data();
    k->product(p);
    EXPECT_EQ(out[0], float(-255ll * 128 * s.depth)) << k->name;
    EXPECT_EQ(out[1], float(255ll * 127 * s.depth)) << k->name;
  }
}

// A row's 8 bits, told by a product with one column that has a 1 at one place.
std::vector<int> bytes_of(const Narrow& k, const Floats& words, int64_t row, int64_t depth) {
  const char* const from = reinterpret_cast<const char*>(words.data() + row * gemm::row_words(k, depth));
  std::vector<int> out;
  for (int64_t d = 0; d < depth; ++d) {
    int16_t wide;
    std::memcpy(&wide, from + 2 * (k.numbers == 2 ? d : 0), 2);
    out.push_back(k.numbers == 4 ? int(uint8_t(from[d])) : int(wide));
  }
  return out;
}

TEST_F(NarrowProduct, RowsInEightBits) {
  const float tiny = std::numeric_limits<float>::denorm_min();
  for (const int64_t depth : {1, 2, 15, 16, 17, 33, 384, 1000}) {
    std::vector<Floats> rows(9, normal(depth));
    for (float& x : rows[1]) x = 0;
    for (float& x : rows[2]) x = -7.25f;
    for (float& x : rows[3]) x *= 1e37f;
    for (float& x : rows[4]) x *= tiny;
    for (float& x : rows[5]) x = std::abs(x);
    rows[6][size_t(depth / 2)] = 1000;  // one that outweighs the others
    for (float& x : rows[7]) x = 1e6f + x;
    rows[8][size_t(depth - 1)] = -1e-3f;
    const int64_t stride = depth + 3, count = int64_t(rows.size());
    Floats all_rows(size_t(count * stride), kNan);
    for (int64_t r = 0; r < count; ++r)
      std::copy(rows[size_t(r)].begin(), rows[size_t(r)].end(), all_rows.begin() + r * stride);
    for (const Narrow* k : all(Bits::kInt8)) {
      Floats words(size_t(count * gemm::row_words(*k, depth)));
      std::vector<Range> ranges(static_cast<size_t>(count));
      k->rows(all_rows.data(), count, stride, depth, words.data(), ranges.data());
      for (int64_t r = 0; r < count; ++r) {
        SCOPED_TRACE(std::string(k->name) + ", row " + std::to_string(r) + " of " + std::to_string(depth));
        const Floats& row = rows[size_t(r)];
        const auto [low, high] = std::minmax_element(row.begin(), row.end());
        const float width = *high - *low, steps = width > 1e-30f ? 255 / width : 0;
        const Range range = ranges[size_t(r)];
        ASSERT_EQ(range.low, *low);
        ASSERT_EQ(range.scale, width / 255);
        const std::vector<int> bytes = bytes_of(*k, words, r, depth);
        for (int64_t d = 0; d < depth; ++d) {
          ASSERT_EQ(bytes[size_t(d)], int(std::nearbyint((row[size_t(d)] - *low) * steps))) << d;
          const double back = double(range.scale) * bytes[size_t(d)] + double(range.low);
          ASSERT_NEAR(back, double(row[size_t(d)]), 0.5001 * double(range.scale) + 1e-6 * std::abs(back) + 1e-30);
        }
      }
    }
  }
}

// What is not finite, or wider than a float, makes its row NaN, and no other.
TEST_F(NarrowProduct, RowsThatAreNotFinite) {
  constexpr float kLargest = std::numeric_limits<float>::max();
  const Shape s = {9, 20, 50};
  for (const Bits bits : {Bits::kInt8, Bits::kBf16}) {
    for (const Narrow* k : all(bits)) {
      Floats a = normal(s.rows * s.depth);
      const auto at = [&](int64_t row, int64_t d) -> float& { return a[size_t(row * s.depth + d)]; };
      at(1, 0) = kNan;
      at(3, 49) = kNan;
      at(5, 17) = kInf;
      at(7, 4) = -kInf;
      at(7, 5) = kInf;
      if (bits == Bits::kInt8) {
        at(6, 0) = kLargest;
        at(6, 1) = -kLargest;
      }
      const std::vector<int> ones(size_t(s.columns * s.depth), 1);
      Floats words(size_t(s.rows * gemm::row_words(*k, s.depth)));
      std::vector<Range> ranges(static_cast<size_t>(s.rows));
      k->rows(a.data(), s.rows, s.depth, s.depth, words.data(), ranges.data());
      const Floats b(size_t(s.columns * s.depth), 1.f);
      Floats b_words(size_t(s.columns * gemm::row_words(*k, s.depth)));
      if (bits == Bits::kInt8) {
        b_words = words_of(*k, ones, s.columns, s.depth);
      } else {
        k->rows(b.data(), s.columns, s.depth, s.depth, b_words.data(), nullptr);
      }
      const Floats panels = panels_of(*k, b_words, s.columns, s.depth), scales(32, 1.f), sums(32, 50.f);
      Floats out(size_t(s.rows * s.columns));
      gemm::Product p = product_of(*k, s, words, panels, out, s.columns);
      if (bits == Bits::kInt8) {
        p.ranges = ranges.data();
        p.column_scale = scales.data();
        p.column_sum = sums.data();
      }
      k->product(p);
      for (int64_t r = 0; r < s.rows; ++r) {
        const bool infinite = bits == Bits::kBf16 && r == 5;
        const bool odd = r == 1 || r == 3 || r == 7 || (bits == Bits::kInt8 && (r == 5 || r == 6));
        for (int64_t c = 0; c < s.columns; ++c) {
          const float value = out[size_t(r * s.columns + c)];
          EXPECT_EQ(std::isnan(value), odd) << k->name << " " << r;
          EXPECT_EQ(std::isinf(value), infinite) << k->name << " " << r;
        }
      }
    }
  }
}

// The nearest bfloat16, ties to even.
float rounded(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, 4);
  bits = (bits + 0x7FFFu + (bits >> 16 & 1u)) & 0xFFFF0000u;
  std::memcpy(&x, &bits, 4);
  return x;
}

TEST_F(NarrowProduct, Bfloat16) {
  if (all(Bits::kBf16).empty()) GTEST_SKIP() << "this processor has no AVX-512 BF16";
  for (const Narrow* k : all(Bits::kBf16)) {
    for (const Shape& s : kShapes) {
      for (const bool gelu : {false, true}) {
        SCOPED_TRACE(std::to_string(s.rows) + " x " + std::to_string(s.columns) + " x " + std::to_string(s.depth));
        const Floats a = normal(s.rows * s.depth), b = normal(s.columns * s.depth), bias = normal(s.columns);
        Floats rows(size_t(s.rows * gemm::row_words(*k, s.depth))),
            b_rows(size_t(s.columns * gemm::row_words(*k, s.depth)));
        // Of the last word of a weight no number beyond the depth may count.
        Floats wide(size_t(s.columns * (s.depth + s.depth % 2)), 0.f);
        for (int64_t c = 0; c < s.columns; ++c) {
          std::copy_n(b.begin() + c * s.depth, s.depth, wide.begin() + c * (s.depth + s.depth % 2));
        }
        k->rows(a.data(), s.rows, s.depth, s.depth, rows.data(), nullptr);
        k->rows(wide.data(), s.columns, s.depth + s.depth % 2, s.depth + s.depth % 2, b_rows.data(), nullptr);
        const Floats panels = panels_of(*k, b_rows, s.columns, s.depth);
        Floats out(size_t(s.rows * s.columns));
        gemm::Product p = product_of(*k, s, rows, panels, out, s.columns);
        p.bias = bias.data();
        p.gelu = gelu;
        k->product(p);
        for (int64_t r = 0; r < s.rows; ++r) {
          for (int64_t c = 0; c < s.columns; ++c) {
            double sum = double(bias[size_t(c)]), size = 1;
            for (int64_t d = 0; d < s.depth; ++d) {
              const double term =
                  double(rounded(a[size_t(r * s.depth + d)])) * double(rounded(b[size_t(c * s.depth + d)]));
              sum += term;
              size += std::abs(term);
            }
            ASSERT_NEAR(double(out[size_t(r * s.columns + c)]), gelu ? exact_gelu(sum) : sum, 1e-6 * size);
          }
        }
      }
    }
  }
}

TEST_F(NarrowProduct, EveryProcessorHasBytes) {
  EXPECT_FALSE(all(Bits::kInt8).empty());
  EXPECT_EQ(gemm::narrow(Bits::kInt8), all(Bits::kInt8)[0]);
  for (const Narrow* k : all(Bits::kInt8)) {
    gemm::use(*k);
    EXPECT_EQ(gemm::narrow(Bits::kInt8), k);
  }
  gemm::pretend_none(Bits::kBf16);
  EXPECT_EQ(gemm::narrow(Bits::kBf16), nullptr);
  gemm::use_best_narrow();
  EXPECT_EQ(gemm::narrow(Bits::kInt8), all(Bits::kInt8)[0]);
}

}  // namespace
}  // namespace udi
