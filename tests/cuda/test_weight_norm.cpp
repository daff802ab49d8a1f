#include "check.h"
#include "memory.h"
#include "twins.h"
#include "weight_norm.h"

namespace udi::cuda::test {

namespace {

void check_both(int64_t rows, int64_t dim, Type type, bool shifted) {
  Draw draw(uint64_t(rows + dim));
  const Numbers v = rounded(draw.normal(rows * dim), Type::kFloat), g = rounded(draw.normal(rows), Type::kFloat);
  const Array v_at(Type::kFloat, v, shifted), g_at(Type::kFloat, g), out(type, Numbers(v.size()), shifted);
  EXPECT_DONE(kernels().weight_norm({rows, int32_t(dim), type, v_at.at<float>(), g_at.at<float>(), out.at()}, nullptr));
  EXPECT_CLOSE(out.get(), twins::weight_norm(rows, dim, v, g), epsilon_of(type) * 1.01 + 1e-6, 1e-7);

  Numbers d = rounded(draw.normal(rows * dim), Type::kFloat), d_g = rounded(draw.normal(rows), Type::kFloat);
  const Array d_at(Type::kFloat, d, shifted), d_g_at(Type::kFloat, d_g);
  EXPECT_DONE(kernels().weight_norm_backward(
      {rows, int32_t(dim), v_at.at<float>(), g_at.at<float>(), d_at.at<float>(), d_g_at.at<float>()}, nullptr));
  twins::weight_norm_backward(rows, dim, v, g, d, d_g);
  EXPECT_CLOSE(d_at.get(), d, 1e-5, dim == 1 ? 1e-4 : 1e-6);  // one number: the gradient is 0 but for rounding
  EXPECT_CLOSE(d_g_at.get(), d_g, 1e-5, 1e-6);
}

}  // namespace

CUDA_TEST(weight_norm_of_all_shapes_and_types) {
  for (const Type type : {Type::kFloat, Type::kHalf, Type::kBFloat16}) {
    check_both(33, 256, type, false);
    check_both(1, 5, type, false);
    check_both(9, 130, type, false);
    check_both(8, 64, type, true);
    check_both(2, 1, type, false);
  }
}

CUDA_TEST(weight_norm_of_zeros_is_nan) {
  const Array v(Type::kFloat, Numbers(8)), g(Type::kFloat, {1}), out(Type::kFloat, Numbers(8));
  EXPECT_DONE(kernels().weight_norm({1, 8, Type::kFloat, v.at<float>(), g.at<float>(), out.at()}, nullptr));
  EXPECT_CLOSE(out.get(), Numbers(8, NAN), 0, 0);
}

CUDA_TEST(weight_norm_says_what_is_wrong) {
  WeightNormArgs forward{};
  EXPECT(kernels().weight_norm(forward, nullptr).code == 1);
  forward.dim = 4;
  EXPECT_DONE(kernels().weight_norm(forward, nullptr));
  WeightNormBackwardArgs backward{};
  backward.dim = 4;
  backward.rows = 1;
  EXPECT(kernels().weight_norm_backward(backward, nullptr).code == 1);
}

}  // namespace udi::cuda::test
