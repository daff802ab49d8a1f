// Products whose factors are packed as they are used, by each processor's kernels that this machine can run, against
// float64: every way that factors lie, depths and widths beyond what is packed at once, everything that they end with.
#include "model/dense.h"

#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <vector>

namespace udi {
namespace {

using Floats = std::vector<float>;

constexpr float kUntouched = -12345.5f;
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

struct Shape {
  int64_t rows, columns, depth;
};
// The last ones: several depths, several widths, more rows than are packed together.
constexpr Shape kShapes[] = {{1, 1, 1},   {2, 33, 7}, {15, 65, 3},    {38, 64, 38},   {14, 32, 16}, {4, 3, 0},
                             {0, 40, 10}, {9, 0, 10}, {29, 40, 1300}, {3, 4200, 520}, {600, 5, 513}};

enum End { kAdd = 1, kBias = 2, kGelu = 4, kBefore = 8 };
constexpr int kEnds[] = {0, kAdd, kBias, kBias | kGelu, kBias | kGelu | kBefore};

class Dense : public testing::Test {
 protected:
  void TearDown() override { at::set_num_threads(threads_); }
  // A matrix with room between its rows (or columns, where it is turned), which holds no numbers.
  struct Matrix {
    Floats memory;
    gemm::Factor factor;
    double at(int64_t row, int64_t column) const {
      return double(memory[size_t(row * factor.row_stride + column * factor.column_stride)]);
    }
  };
  Matrix matrix(int64_t rows, int64_t columns, bool turned) {
    const int64_t lines = turned ? columns : rows, length = turned ? rows : columns, stride = length + 3;
    Matrix out{Floats(size_t(lines * stride + 1), kNan), {}};
    std::normal_distribution<float> normal;
    for (int64_t line = 0; line < lines; ++line) {
      for (int64_t i = 0; i < length; ++i) out.memory[size_t(line * stride + i)] = normal(random_);
    }
    out.factor = {out.memory.data(), turned ? 1 : stride, turned ? stride : 1};
    return out;
  }
  std::mt19937 random_{5};
  const int threads_ = at::get_num_threads();
};

double exact_gelu(double x) { return x * 0.5 * std::erfc(-x * std::sqrt(0.5)); }

TEST_F(Dense, IsTheProduct) {
  for (auto kernels = gemm::all_kernels(); *kernels; ++kernels) {
    for (const Shape& s : kShapes) {
      for (int way = 0; way < 4; ++way) {
        const Matrix a = matrix(s.rows, s.depth, way & 1), b = matrix(s.depth, s.columns, way & 2);
        const Matrix bias = matrix(1, s.columns, false), given = matrix(s.rows, s.columns, false);
        for (const int end : kEnds) {
          SCOPED_TRACE(std::string((*kernels)->name) + " " + std::to_string(s.rows) + " x " +
                       std::to_string(s.columns) + " x " + std::to_string(s.depth) + ", factors " +
                       std::to_string(way) + ", end " + std::to_string(end));
          Floats out = given.memory, before(out.size(), kUntouched);
          gemm::Product p;
          p.rows = s.rows;
          p.columns = s.columns;
          p.depth = s.depth;
          p.out = out.data();
          p.out_stride = p.add_stride = given.factor.row_stride;
          if (end & kAdd) p.add = out.data();
          if (end & kBias) p.bias = bias.memory.data();
          p.gelu = (end & kGelu) != 0;
          if (end & kBefore) p.before = before.data();
          gemm::multiply(**kernels, p, a.factor, b.factor);

          for (int64_t r = 0; r < s.rows; ++r) {
            for (int64_t c = 0; c < s.columns; ++c) {
              double sum = 0, size = 0;
              for (int64_t d = 0; d < s.depth; ++d) {
                sum += a.at(r, d) * b.at(d, c);
                size += std::abs(a.at(r, d) * b.at(d, c));
              }
              if (end & kAdd) sum += given.at(r, c);
              if (end & kBias) sum += bias.at(0, c);
              const size_t at = size_t(r * p.out_stride + c);
              const double limit = 1e-6 * (2 + size);  // some eight ulps of the terms together
              ASSERT_NEAR(double(out[at]), end & kGelu ? exact_gelu(sum) : sum, limit) << r << ", " << c;
              if (end & kBefore) ASSERT_NEAR(double(before[at]), sum, limit);
            }
            for (int64_t c = s.columns; c < p.out_stride; ++c) {
              ASSERT_TRUE(std::isnan(out[size_t(r * p.out_stride + c)]));
              ASSERT_EQ(before[size_t(r * p.out_stride + c)], kUntouched);
            }
          }
        }
      }
    }
  }
}

TEST_F(Dense, ThreadsChangeNoBit) {
  at::manual_seed(3);
  const at::Tensor x = at::randn({700, 1100}), w = at::randn({90, 1100}), d = at::randn({700, 90});
  std::vector<at::Tensor> first;
  for (const int threads : {1, 2, 5}) {
    at::set_num_threads(threads);
    const at::Tensor y = at::empty({700, 90}), d_x = at::empty({700, 1100}), d_w = at::ones({90, 1100});
    matrix_product(x, w.t(), y);
    matrix_product(d, w, d_x);
    matrix_product(d.t(), x, d_w, true);
    if (first.empty()) first = {y, d_x, d_w};
    EXPECT_TRUE(at::equal(y, first[0]) && at::equal(d_x, first[1]) && at::equal(d_w, first[2])) << threads;
  }
  const auto near = [](const at::Tensor& is, const at::Tensor& must) {
    EXPECT_LE((is.to(at::kDouble) - must).abs().max().item<double>(), 1e-6 * must.abs().max().item<double>());
  };
  const auto wide = [](const at::Tensor& t) { return t.to(at::kDouble); };
  near(first[0], at::mm(wide(x), wide(w).t()));
  near(first[1], at::mm(wide(d), wide(w)));
  near(first[2], at::mm(wide(d).t(), wide(x)) + 1);
}

// Nor does the width of vectors, where they multiply and add with one rounding.
TEST_F(Dense, VectorsChangeNoBit) {
  const Shape s = {77, 70, 1200};
  const Matrix a = matrix(s.rows, s.depth, true), b = matrix(s.depth, s.columns, false);
  std::vector<Floats> results;
  for (auto kernels = gemm::all_kernels(); *kernels; ++kernels) {
    if (std::string((*kernels)->name) == "plain") continue;
    results.emplace_back(size_t(s.rows * s.columns));
    gemm::Product p;
    p.rows = s.rows;
    p.columns = p.out_stride = s.columns;
    p.depth = s.depth;
    p.out = results.back().data();
    gemm::multiply(**kernels, p, a.factor, b.factor);
    EXPECT_EQ(results.back(), results.front()) << (*kernels)->name;
  }
  if (results.size() < 2) GTEST_SKIP() << "this processor has one width of vectors";
}

// What kernels do not take goes to ATen: float64, and factors in 16 bits that add to float32.
TEST_F(Dense, OtherTypesGoToAten) {
  at::manual_seed(4);
  const at::Tensor a = at::randn({20, 30}, at::kDouble), b = at::randn({30, 10}, at::kDouble);
  const at::Tensor out = at::ones({20, 10}, at::kDouble), sum = at::ones({20, 10});
  matrix_product(a, b, out, true);
  EXPECT_TRUE(at::allclose(out, at::mm(a, b) + 1, 1e-12, 1e-12));
  matrix_product(a.to(at::kBFloat16), b.to(at::kBFloat16), sum, true);
  EXPECT_TRUE(at::allclose(sum.to(at::kDouble), out, 0.02, 0.1));
}

}  // namespace
}  // namespace udi
