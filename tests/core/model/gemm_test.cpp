// Each processor's kernels that this machine can run, against float64: sizes that fill no tile, rows with room between
// them that is neither read nor written, everything that a product can end with.
#include "model/gemm.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <vector>

namespace udi {
namespace {

using gemm::Kernels;
using Floats = std::vector<float>;

constexpr float kUntouched = -12345.5f;
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

std::vector<const Kernels*> all() {
  std::vector<const Kernels*> out;
  for (auto k = gemm::all_kernels(); *k; ++k) out.push_back(*k);
  return out;
}

struct Shape {
  int64_t rows, columns, depth;
};
constexpr Shape kShapes[] = {{1, 1, 1},     {1, 384, 64},   {2, 33, 7},    {3, 5, 300}, {13, 31, 5},    {14, 32, 16},
                             {15, 65, 3},   {29, 100, 130}, {198, 48, 66}, {5, 200, 1}, {700, 17, 400}, {6, 16, 4},
                             {12, 8, 1023}, {37, 4, 2},     {4, 3, 0},     {0, 40, 10}, {9, 0, 10}};

enum End { kBias = 1, kAdd = 2, kGelu = 4, kBefore = 8, kInPlace = 16 };
constexpr int kEnds[] = {0, kBias, kAdd, kBias | kAdd, kAdd | kInPlace, kBias | kGelu, kBias | kGelu | kBefore};

class Gemm : public testing::Test {
 protected:
  // Rows of `columns` numbers, `stride` apart, with `between` in the room between them.
  Floats rows(int64_t count, int64_t columns, int64_t stride, float between) {
    Floats out(size_t(count * stride), between);
    std::normal_distribution<float> normal;
    for (int64_t r = 0; r < count; ++r) {
      for (int64_t c = 0; c < columns; ++c) out[size_t(r * stride + c)] = normal(random_);
    }
    return out;
  }
  std::mt19937 random_{3};
};

double exact_gelu(double x) { return x * 0.5 * std::erfc(-x * std::sqrt(0.5)); }

// b is [columns, depth], as weights are.
Floats packed(const Kernels& k, const Floats& b, const Shape& shape) {
  Floats out(size_t(gemm::packed_size(k, shape.depth, shape.columns)), kNan);
  k.pack(b.data(), 1, shape.depth, shape.depth, shape.columns, out.data());
  return out;
}

TEST_F(Gemm, IsTheProduct) {
  for (const Kernels* k : all()) {
    for (const Shape& s : kShapes) {
      for (const int end : kEnds) {
        SCOPED_TRACE(std::string(k->name) + " " + std::to_string(s.rows) + " x " + std::to_string(s.columns) + " x " +
                     std::to_string(s.depth) + ", end " + std::to_string(end));
        const int64_t a_stride = s.depth + 3, out_stride = s.columns + 5;
        const Floats a = rows(s.rows, s.depth, a_stride, kNan), b = rows(s.columns, s.depth, s.depth, 0);
        const Floats bias = rows(1, s.columns, s.columns, 0), add = rows(s.rows, s.columns, out_stride, kUntouched);
        const Floats panels = packed(*k, b, s);
        Floats out(size_t(s.rows * out_stride), kUntouched), before = out;
        if (end & kInPlace) out = add;
        gemm::Product p;
        p.rows = s.rows;
        p.columns = s.columns;
        p.depth = s.depth;
        p.a = a.data();
        p.a_stride = a_stride;
        p.b = panels.data();
        p.b_stride = s.depth * k->panel;
        p.out = out.data();
        p.out_stride = p.add_stride = out_stride;
        if (end & kBias) p.bias = bias.data();
        if (end & kAdd) p.add = end & kInPlace ? out.data() : add.data();
        p.gelu = (end & kGelu) != 0;
        if (end & kBefore) p.before = before.data();
        k->product(p);

        for (int64_t r = 0; r < s.rows; ++r) {
          for (int64_t c = 0; c < out_stride; ++c) {
            const size_t at = size_t(r * out_stride + c);
            if (c >= s.columns) {
              ASSERT_EQ(out[at], kUntouched);
              ASSERT_EQ(before[at], kUntouched);
              continue;
            }
            double sum = 0, size = 0;
            for (int64_t d = 0; d < s.depth; ++d) {
              const double term = double(a[size_t(r * a_stride + d)]) * double(b[size_t(c * s.depth + d)]);
              sum += term;
              size += std::abs(term);
            }
            if (end & kBias) sum += double(bias[size_t(c)]);
            if (end & kAdd) sum += double(add[at]);
            const double limit = 1e-6 * (2 + size);  // some eight ulps of the terms together
            ASSERT_NEAR(double(out[at]), end & kGelu ? exact_gelu(sum) : sum, limit);
            if (end & kBefore) {
              ASSERT_NEAR(double(before[at]), sum, limit);
            } else {
              ASSERT_EQ(before[at], kUntouched);
            }
          }
        }
      }
    }
  }
}

TEST_F(Gemm, ARowHasTheSameBitsWhateverIsBesideIt) {
  for (const Kernels* k : all()) {
    const Shape s = {53, 70, 91};
    const Floats a = rows(s.rows, s.depth, s.depth, 0), b = rows(s.columns, s.depth, s.depth, 0);
    const Floats bias = rows(1, s.columns, s.columns, 0), panels = packed(*k, b, s);
    Floats whole(size_t(s.rows * s.columns));
    gemm::Product p;
    p.columns = s.columns;
    p.depth = p.a_stride = s.depth;
    p.a = a.data();
    p.b = panels.data();
    p.b_stride = s.depth * k->panel;
    p.out = whole.data();
    p.out_stride = s.columns;
    p.bias = bias.data();
    p.gelu = true;
    p.rows = s.rows;
    k->product(p);
    for (int64_t count = 1; count <= 20; ++count) {
      for (int64_t row = 0; row + count <= s.rows; row += count) {
        Floats part(size_t(count * s.columns));
        p.a = a.data() + row * s.depth;
        p.out = part.data();
        p.rows = count;
        k->product(p);
        ASSERT_EQ(part, Floats(whole.begin() + row * s.columns, whole.begin() + (row + count) * s.columns))
            << k->name << ", " << count << " rows from " << row;
      }
    }
  }
}

TEST_F(Gemm, PacksEitherWayRound) {
  for (const Kernels* k : all()) {
    const Shape s = {0, 45, 37};
    const Floats b = rows(s.columns, s.depth, s.depth, 0);
    Floats turned(b.size());
    for (int64_t n = 0; n < s.columns; ++n) {
      for (int64_t d = 0; d < s.depth; ++d) turned[size_t(d * s.columns + n)] = b[size_t(n * s.depth + d)];
    }
    Floats out(size_t(gemm::packed_size(*k, s.depth, s.columns)), kNan);
    k->pack(turned.data(), s.columns, 1, s.depth, s.columns, out.data());
    EXPECT_EQ(out, packed(*k, b, s)) << k->name;
    for (int64_t d = 0; d < s.depth; ++d) {
      for (int64_t n = 0; n < gemm::padded(*k, s.columns); ++n) {
        ASSERT_EQ(out[size_t((n / k->panel * s.depth + d) * k->panel + n % k->panel)],
                  n < s.columns ? b[size_t(n * s.depth + d)] : 0.f);
      }
    }
  }
}

// With room up to whole panels, as scores of attention have it: what is beyond the columns is anything.
TEST_F(Gemm, PaddedRows) {
  for (const Kernels* k : all()) {
    for (const int64_t columns : {1, 16, 17, 32, 70}) {
      const Shape s = {17, columns, 20};
      const int64_t stride = gemm::padded(*k, columns);
      const Floats a = rows(s.rows, s.depth, s.depth, 0), b = rows(s.columns, s.depth, s.depth, 0);
      const Floats panels = packed(*k, b, s);
      Floats out(size_t(s.rows * stride)), plain(size_t(s.rows * columns));
      gemm::Product p;
      p.rows = s.rows;
      p.columns = columns;
      p.depth = p.a_stride = s.depth;
      p.a = a.data();
      p.b = panels.data();
      p.b_stride = s.depth * k->panel;
      p.out = plain.data();
      p.out_stride = columns;
      k->product(p);
      p.out = out.data();
      p.out_stride = stride;
      p.padded = true;
      k->product(p);
      for (int64_t r = 0; r < s.rows; ++r) {
        for (int64_t c = 0; c < columns; ++c) {
          ASSERT_EQ(out[size_t(r * stride + c)], plain[size_t(r * columns + c)]) << k->name;
        }
      }
    }
  }
}

TEST_F(Gemm, Softmax) {
  for (const Kernels* k : all()) {
    for (const int64_t n : {1, 2, 15, 16, 17, 33, 198, 500}) {
      for (const float scale : {0.125f, 30.f}) {
        const int64_t stride = gemm::padded(*k, n), count = 5;
        Floats scores = rows(count, n, stride, 1e30f);
        scores[0] = -1e6f;
        const Floats given = scores;
        k->softmax(scores.data(), count, stride, n, scale);
        for (int64_t r = 0; r < count; ++r) {
          double top = -INFINITY, sum = 0;
          for (int64_t i = 0; i < n; ++i) top = std::max(top, double(given[size_t(r * stride + i)]));
          for (int64_t i = 0; i < n; ++i)
            sum += std::exp((double(given[size_t(r * stride + i)]) - top) * double(scale));
          for (int64_t i = 0; i < n; ++i) {
            const double exact = std::exp((double(given[size_t(r * stride + i)]) - top) * double(scale)) / sum;
            ASSERT_NEAR(double(scores[size_t(r * stride + i)]), exact, 1e-6 * exact + 1e-7) << k->name << " " << n;
          }
        }
      }
    }
  }
}

// What is no number does not get lost, and stays in its row.
TEST_F(Gemm, NanPasses) {
  for (const Kernels* k : all()) {
    const int64_t n = 40, stride = gemm::padded(*k, n);
    for (const int64_t at : {0, 3, 16, 39}) {
      Floats scores = rows(3, n, stride, 0);
      scores[size_t(stride + at)] = kNan;
      k->softmax(scores.data(), 3, stride, n, 1);
      for (int64_t i = 0; i < n; ++i) {
        EXPECT_TRUE(std::isnan(scores[size_t(stride + i)])) << k->name;
        EXPECT_TRUE(std::isfinite(scores[size_t(i)]) && std::isfinite(scores[size_t(2 * stride + i)])) << k->name;
      }
    }
    const Shape s = {3, 20, 10};
    Floats a = rows(s.rows, s.depth, s.depth, 0);
    a[size_t(s.depth + 4)] = kNan;
    const Floats panels = packed(*k, rows(s.columns, s.depth, s.depth, 0), s);
    Floats out(size_t(s.rows * s.columns));
    gemm::Product p;
    p.rows = s.rows;
    p.columns = p.out_stride = s.columns;
    p.depth = p.a_stride = s.depth;
    p.a = a.data();
    p.b = panels.data();
    p.b_stride = s.depth * k->panel;
    p.out = out.data();
    p.gelu = true;
    k->product(p);
    for (int64_t r = 0; r < s.rows; ++r) {
      for (int64_t c = 0; c < s.columns; ++c) EXPECT_EQ(std::isnan(out[size_t(r * s.columns + c)]), r == 1) << k->name;
    }
  }
}

}  // namespace
}  // namespace udi
