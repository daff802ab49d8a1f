#include "check.h"
#include "memory.h"
#include "norm.h"
#include "twins.h"

namespace udi::cuda::test {

namespace {

struct Shape {
  int64_t rows, dim, rows_per_image;
};
// Registers of three and of eight packs, neither; one row, one number, rows beyond a block, widths that no pack fits.
const Shape kShapes[] = {{8, 384, 4},  {1, 192, 1},  {67, 12, 5}, {130, 4, 130},
                         {5, 1024, 2}, {3, 1028, 3}, {6, 7, 2},   {2, 1, 1}};
const Type kTypes[] = {Type::kFloat, Type::kHalf, Type::kBFloat16};

struct Inputs {
  Shape shape;
  double size;  // of x and branch
  Numbers x, branch, bias, scale, weight, shift;

  Inputs(Shape shape_, Type type, uint64_t seed, double size_ = 1) : shape(shape_), size(size_) {
    Draw draw(seed);
    x = rounded(draw.normal(shape.rows * shape.dim, size), Type::kFloat);
    branch = rounded(draw.normal(shape.rows * shape.dim, size), type);
    bias = rounded(draw.normal(shape.dim), type);
    for (int64_t image = 0; image * shape.rows_per_image < shape.rows; ++image)
      scale.push_back(image % 3 == 1 ? 0 : float(1 / 0.9));
    weight = rounded(draw.normal(shape.dim), Type::kFloat);
    shift = rounded(draw.normal(shape.dim), Type::kFloat);
  }
};

Numbers column(const Numbers& pairs, size_t which) {
  Numbers out;
  for (size_t i = which; i < pairs.size(); i += 2) out.push_back(pairs[i]);
  return out;
}

struct Options {
  bool with_branch = true, with_scale = true, in_place = false, shifted = false;
};

void check_forward(const Inputs& in, Type type, Type out_type, Options options = {}) {
  const Shape& s = in.shape;
  const Array x(Type::kFloat, in.x, options.shifted), branch(type, in.branch, options.shifted), bias(type, in.bias);
  const Array scale(Type::kFloat, in.scale), weight(Type::kFloat, in.weight), shift(Type::kFloat, in.shift);
  const Array sum(Type::kFloat, Numbers(in.x.size())), out(out_type, Numbers(in.x.size()));
  const Array statistics(Type::kFloat, Numbers(size_t(2 * s.rows)));
  NormForwardArgs args{};
  args.rows = s.rows;
  args.dim = int32_t(s.dim);
  args.rows_per_image = int32_t(s.rows_per_image);
  args.branch_type = type;
  args.out_type = out_type;
  args.epsilon = 1e-6f;
  args.x = x.at<float>();
  if (options.with_branch) {
    args.branch = branch.at();
    args.bias = bias.at();
    args.x_out = options.in_place ? x.at<float>() : sum.at<float>();
  }
  args.scale = options.with_scale ? scale.at<float>() : nullptr;
  args.weight = weight.at<float>();
  args.shift = shift.at<float>();
  args.out = out.at();
  args.statistics = statistics.at<float>();
  EXPECT_DONE(kernels().norm_forward(args, nullptr));
  const twins::Norm want =
      twins::norm_forward(s.rows, s.dim, in.x, options.with_branch ? in.branch : Numbers(), in.bias,
                          options.with_scale ? in.scale : Numbers(), s.rows_per_image, in.weight, in.shift, 1e-6f);
  if (options.with_branch) EXPECT_CLOSE((options.in_place ? x : sum).get(), want.x_out, 1e-6, 1e-6 * in.size);
  EXPECT_CLOSE(out.get(), want.out, epsilon_of(out_type) * 1.01 + 2e-5, 2e-5);
  EXPECT_CLOSE(column(statistics.get(), 0), want.mean, 1e-6, 1e-6 * in.size);
  EXPECT_CLOSE(column(statistics.get(), 1), want.inverse, 1e-5, 0);
}

void check_backward(const Inputs& in, Type d_type, Type rows_type, bool with_norm, bool with_rows,
                    bool shifted = false) {
  const Shape& s = in.shape;
  Draw draw(99);
  const Numbers d_out = rounded(draw.normal(s.rows * s.dim), d_type);
  const Numbers d_x_before = rounded(draw.normal(s.rows * s.dim), Type::kFloat);
  const Numbers sums_before = rounded(draw.normal(s.dim), Type::kFloat);
  const twins::Norm forward = twins::norm_forward(s.rows, s.dim, in.x, {}, {}, {}, 1, in.weight, in.shift, 1e-6);
  Numbers pairs;
  for (size_t row = 0; row < size_t(s.rows); ++row)
    pairs.insert(pairs.end(), {forward.mean[row], forward.inverse[row]});
  const Array d(d_type, d_out, shifted), x(Type::kFloat, in.x, shifted), statistics(Type::kFloat, pairs);
  const Array weight(Type::kFloat, in.weight), d_x(Type::kFloat, d_x_before, shifted), scale(Type::kFloat, in.scale);
  const Array d_weight(Type::kFloat, sums_before), d_shift(Type::kFloat, sums_before),
      d_bias(Type::kFloat, sums_before);
  const Array d_rows(rows_type, Numbers(in.x.size()), shifted);
  const Array workspace(Type::kFloat, Numbers(size_t(norm_workspace(s.rows, s.dim)), NAN));
  NormBackwardArgs args{};
  args.rows = s.rows;
  args.dim = int32_t(s.dim);
  args.rows_per_image = int32_t(s.rows_per_image);
  args.d_type = d_type;
  args.rows_type = rows_type;
  if (with_norm) {
    args.d_out = d.at();
    args.x = x.at<float>();
    args.statistics = statistics.at<float>();
    args.weight = weight.at<float>();
  }
  args.d_x = d_x.at<float>();
  args.d_weight = d_weight.at<float>();
  args.d_shift = d_shift.at<float>();
  args.scale = scale.at<float>();
  args.d_rows = with_rows ? d_rows.at() : nullptr;
  args.d_bias = d_bias.at<float>();
  args.workspace = workspace.at<float>();
  EXPECT_DONE(kernels().norm_backward(args, nullptr));

  Numbers want_x = d_x_before, want_weight = sums_before, want_shift = sums_before, want_bias = sums_before;
  Numbers want_rows(in.x.size());
  if (with_norm) {
    const twins::NormGradient gradient =
        twins::norm_backward(s.rows, s.dim, d_out, in.x, forward.mean, forward.inverse, in.weight);
    for (size_t i = 0; i < want_x.size(); ++i) want_x[i] += gradient.d_x[i];
    for (size_t i = 0; i < want_weight.size(); ++i) want_weight[i] += gradient.d_weight[i];
    for (size_t i = 0; i < want_shift.size(); ++i) want_shift[i] += gradient.d_shift[i];
  }
  for (size_t i = 0; i < want_x.size() && with_rows; ++i) {
    want_rows[i] = in.scale[i / size_t(s.dim) / size_t(s.rows_per_image)] * want_x[i];
    want_bias[i % size_t(s.dim)] += want_rows[i];
  }
  // A row of one number has no deviation: 1 / sqrt(epsilon) = 1000 multiplies every rounding.
  const double loose = s.dim == 1 ? 1e-2 : 2e-5;
  EXPECT_CLOSE(d_x.get(), want_x, loose, loose);
  EXPECT_CLOSE(d_weight.get(), want_weight, 1e-4, loose * 10);
  EXPECT_CLOSE(d_shift.get(), want_shift, 1e-5, 1e-5);
  EXPECT_CLOSE(d_rows.get(), want_rows, epsilon_of(rows_type) * 1.01 + loose, loose);
  EXPECT_CLOSE(d_bias.get(), want_bias, 1e-4, loose * 10);
}

}  // namespace

CUDA_TEST(norm_forward_of_all_shapes_and_types) {
  uint64_t seed = 0;
  for (const Shape& shape : kShapes)
    for (const Type type : kTypes) {
      check_forward(Inputs(shape, type, ++seed), type, type);
      if (type != Type::kFloat) check_forward(Inputs(shape, type, ++seed), type, Type::kFloat);
    }
}

CUDA_TEST(norm_forward_without_branch_without_scale_in_place_and_unaligned) {
  for (const Shape& shape : {kShapes[0], kShapes[6]}) {
    const Inputs in(shape, Type::kHalf, 7);
    check_forward(in, Type::kHalf, Type::kHalf, {false, true, false, false});
    check_forward(in, Type::kHalf, Type::kHalf, {true, false, false, false});
    check_forward(in, Type::kHalf, Type::kHalf, {true, true, true, false});
    check_forward(in, Type::kHalf, Type::kHalf, {true, true, false, true});
  }
}

CUDA_TEST(norm_forward_of_huge_and_of_equal_numbers) {
  check_forward(Inputs(kShapes[0], Type::kFloat, 8, 1e15), Type::kFloat, Type::kFloat);
  Inputs equal(kShapes[0], Type::kFloat, 9);
  equal.x = Numbers(equal.x.size(), 3);
  check_forward(equal, Type::kFloat, Type::kFloat, {false, false, false, false});
}

CUDA_TEST(norm_sum_alone) {
  const Inputs in({5, 24, 5}, Type::kBFloat16, 10);
  const Array x(Type::kFloat, in.x), branch(Type::kBFloat16, in.branch), bias(Type::kBFloat16, in.bias);
  NormForwardArgs args{};
  args.rows = 5;
  args.dim = 24;
  args.branch_type = Type::kBFloat16;
  args.x = x.at<float>();
  args.branch = branch.at();
  args.bias = bias.at();
  args.x_out = x.at<float>();
  EXPECT_DONE(kernels().norm_forward(args, nullptr));
  EXPECT_CLOSE(x.get(), twins::norm_forward(5, 24, in.x, in.branch, in.bias, {}, 1, Numbers(24), Numbers(24), 1).x_out,
               1e-6, 1e-6);
}

CUDA_TEST(norm_backward_of_all_shapes_and_types) {
  uint64_t seed = 20;
  for (const Shape& shape : kShapes)
    for (const Type type : kTypes) check_backward(Inputs(shape, type, ++seed), type, type, true, true);
}

CUDA_TEST(norm_backward_parts_mixed_types_and_unaligned) {
  for (const Shape& shape : {kShapes[0], kShapes[6]}) {
    const Inputs in(shape, Type::kFloat, 40);
    check_backward(in, Type::kHalf, Type::kHalf, false, true);
    check_backward(in, Type::kBFloat16, Type::kBFloat16, true, false);
    check_backward(in, Type::kFloat, Type::kHalf, true, true);
    check_backward(in, Type::kHalf, Type::kHalf, true, true, true);
  }
}

CUDA_TEST(norm_says_what_is_wrong) {
  NormForwardArgs forward{};
  EXPECT(kernels().norm_forward(forward, nullptr).code == 1);  // dim is 0
  forward.dim = 384;
  EXPECT_DONE(kernels().norm_forward(forward, nullptr));  // no rows, no work
  forward.rows = 1;
  EXPECT(kernels().norm_forward(forward, nullptr).code == 1);
  forward.rows = -1;
  EXPECT(kernels().norm_forward(forward, nullptr).code == 1);
  NormBackwardArgs backward{};
  backward.dim = 384;
  EXPECT_DONE(kernels().norm_backward(backward, nullptr));
  backward.rows = 1;
  EXPECT(kernels().norm_backward(backward, nullptr).code == 1);
}

}  // namespace udi::cuda::test
