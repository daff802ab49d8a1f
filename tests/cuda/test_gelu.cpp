#include "check.h"
#include "gelu.h"
#include "memory.h"
#include "twins.h"

namespace udi::cuda::test {

namespace {

struct Shape {
  int64_t rows, dim;
};
const Shape kShapes[] = {{70, 264}, {1, 1536}, {64, 8}, {129, 5}, {3, 33}, {1, 1}};
const Type kTypes[] = {Type::kFloat, Type::kHalf, Type::kBFloat16};

void check_forward(Shape shape, Type type, bool keep, bool in_place, bool shifted, double size = 1) {
  Draw draw(uint64_t(shape.rows * shape.dim));
  const Numbers before = rounded(draw.normal(shape.rows * shape.dim, size), type);
  const Numbers bias = rounded(draw.normal(shape.dim), type);
  const Array in(type, before, shifted), b(type, bias, shifted), out(type, Numbers(before.size()), shifted);
  const GeluForwardArgs args{shape.rows, int32_t(shape.dim),           type, in.at(), keep,
                             b.at(),     in_place ? in.at() : out.at()};
  EXPECT_DONE(kernels().gelu_forward(args, nullptr));
  Numbers want_in = before, want_out;
  for (size_t i = 0; i < before.size(); ++i) {
    const double x = double(float(float(before[i]) + float(bias[i % size_t(shape.dim)])));
    if (keep) want_in[i] = x;
    want_out.push_back(twins::gelu(x));
  }
  const double close = epsilon_of(type) * 1.01 + 2e-6;
  EXPECT_CLOSE((in_place ? in : out).get(), want_out, close, 1e-6);
  if (!in_place) EXPECT_CLOSE(in.get(), want_in, close, 1e-7);
}

void check_backward(Shape shape, Type type, bool shifted) {
  Draw draw(uint64_t(shape.rows + shape.dim));
  const Numbers x = rounded(draw.normal(shape.rows * shape.dim, 2), type);
  const Numbers d_out = rounded(draw.normal(shape.rows * shape.dim), type);
  const Numbers before = rounded(draw.normal(shape.dim), Type::kFloat);
  const Array in(type, x, shifted), d(type, d_out, shifted), d_bias(Type::kFloat, before);
  const Array workspace(Type::kFloat, Numbers(size_t(gelu_workspace(shape.rows, shape.dim)), NAN));
  const GeluBackwardArgs args{shape.rows,         int32_t(shape.dim),   type, in.at(), d.at(),
                              d_bias.at<float>(), workspace.at<float>()};
  EXPECT_DONE(kernels().gelu_backward(args, nullptr));
  Numbers want_in, want_d, want_bias = before;
  for (size_t i = 0; i < x.size(); ++i) {
    want_in.push_back(twins::gelu(x[i]));
    want_d.push_back(d_out[i] * twins::gelu_slope(x[i]));
    want_bias[i % size_t(shape.dim)] += want_d.back();
  }
  const double close = epsilon_of(type) * 1.01 + 2e-6;
  EXPECT_CLOSE(in.get(), want_in, close, 1e-6);
  EXPECT_CLOSE(d.get(), want_d, close, 1e-6);
  EXPECT_CLOSE(d_bias.get(), want_bias, 1e-5, 1e-5);
}

}  // namespace

CUDA_TEST(gelu_forward_of_all_shapes_and_types) {
  for (const Shape& shape : kShapes)
    for (const Type type : kTypes) check_forward(shape, type, true, false, false);
}

CUDA_TEST(gelu_forward_in_place_unkept_unaligned_and_huge) {
  for (const Type type : kTypes) {
    check_forward(kShapes[0], type, false, true, false);
    check_forward(kShapes[0], type, false, false, false);
    check_forward(kShapes[0], type, true, false, true);
    check_forward(kShapes[0], type, true, false, false, type == Type::kHalf ? 1e4 : 1e30);
  }
}

CUDA_TEST(gelu_backward_of_all_shapes_and_types) {
  for (const Shape& shape : kShapes)
    for (const Type type : kTypes) check_backward(shape, type, false);
  check_backward(kShapes[0], Type::kHalf, true);
}

CUDA_TEST(gelu_says_what_is_wrong) {
  GeluForwardArgs forward{};
  EXPECT(kernels().gelu_forward(forward, nullptr).code == 1);  // dim is 0
  forward.dim = 8;
  EXPECT_DONE(kernels().gelu_forward(forward, nullptr));  // no rows, no work
  forward.rows = 1;
  EXPECT(kernels().gelu_forward(forward, nullptr).code == 1);
  GeluBackwardArgs backward{};
  backward.dim = 8;
  EXPECT_DONE(kernels().gelu_backward(backward, nullptr));
  backward.rows = -1;
  EXPECT(kernels().gelu_backward(backward, nullptr).code == 1);
}

}  // namespace udi::cuda::test
