#include <algorithm>
#include <cmath>

#include "attention.h"
#include "check.h"
#include "memory.h"
#include "twins.h"

namespace udi::cuda::test {

namespace {

using Lengths = std::vector<int32_t>;
const Type kTypes[] = {Type::kFloat, Type::kHalf, Type::kBFloat16};

struct Shape {
  Lengths queries, keys;
  int64_t heads, dim;
  bool one_matrix = true;  // query, key and value are columns of one; else key and value of one, query its own
  int64_t gap = 0;         // between rows
  bool shifted = false;
};
const Lengths kMixed = {1, 38, 17, 0, 65, 16};  // a row, several strips, a key too many for a tile, none

Lengths sums_of(const Lengths& lengths) {
  Lengths begin = {0};
  for (const int32_t length : lengths) begin.push_back(begin.back() + length);
  return begin;
}

// The matrices of a case, on the host and on the device; what lies between rows is NaN.
struct Inputs {
  Shape shape;
  Type type;
  twins::AttentionShape twin;
  int64_t width, key_at, queries, keys;
  Numbers query, key;  // matrices that hold the queries, and keys and values; one_matrix: the latter is not used
  Numbers d_out;

  Inputs(const Shape& shape_, Type type_, double size = 1, uint64_t seed = 3)
      : shape(shape_), type(type_), twin{sums_of(shape.queries), sums_of(shape.keys), shape.heads, shape.dim, 0, 0} {
    width = shape.heads * shape.dim;
    twin.query_stride = (shape.one_matrix ? 3 : 1) * width + shape.gap;
    twin.key_stride = shape.one_matrix ? twin.query_stride : 2 * width + shape.gap;
    key_at = shape.one_matrix ? width : 0;
    queries = twin.query_begin.back();
    keys = twin.key_begin.back();
    Draw draw(seed);
    const auto matrix = [&](int64_t rows, int64_t stride) {
      Numbers all = rounded(draw.normal(rows * stride, size), type);
      for (int64_t i = 0; i < rows * stride; ++i)
        if (i % stride >= stride - shape.gap) all[size_t(i)] = NAN;
      return all;
    };
    query = matrix(queries, twin.query_stride);
    if (!shape.one_matrix) key = matrix(keys, twin.key_stride);
    d_out = rounded(draw.normal(queries * width), type);
  }

  const Numbers& of_keys() const { return shape.one_matrix ? query : key; }
  const double* k() const { return of_keys().data() + key_at; }
  const double* v() const { return k() + width; }
};

struct Results {
  Numbers out, log_sum, d_query, d_key;  // d_key: of the matrix that holds keys and values
};

struct Twin {
  Numbers out, log_sum, d_query, d_key;
};

Results run(const Inputs& in, bool backward = true) {
  const Shape& s = in.shape;
  const Array query(in.type, in.query, s.shifted), key(in.type, in.key, s.shifted);
  const Array d_query(in.type, Numbers(in.query.size(), NAN), s.shifted);
  const Array d_key(in.type, Numbers(in.key.size(), NAN), s.shifted);
  const Array out(in.type, Numbers(in.d_out.size(), NAN), s.shifted), d_out(in.type, in.d_out, s.shifted);
  const Array log_sum(Type::kFloat, Numbers(size_t(s.heads * in.queries), NAN));
  const Array workspace(Type::kFloat, Numbers(size_t(attention_workspace(s.heads, in.queries)), NAN));
  const Items<int32_t> query_begin(in.twin.query_begin), key_begin(in.twin.key_begin);
  const auto part = [&](const Array& matrix, int64_t column) {
    return matrix.at<char>() + size_t(column) * size_of(in.type);
  };
  const Array &of_keys = s.one_matrix ? query : key, &d_of_keys = s.one_matrix ? d_query : d_key;
  AttentionArgs args{};
  args.queries = in.queries;
  args.keys = in.keys;
  args.crops = int32_t(s.queries.size());
  args.heads = int32_t(s.heads);
  args.dim = int32_t(s.dim);
  args.type = in.type;
  args.query_begin = query_begin.at();
  args.key_begin = key_begin.at();
  args.query = query.at();
  args.key = part(of_keys, in.key_at);
  args.value = part(of_keys, in.key_at + in.width);
  args.query_stride = in.twin.query_stride;
  args.key_stride = in.twin.key_stride;
  args.out = out.at();
  args.log_sum = log_sum.at<float>();
  EXPECT_DONE(kernels().attention(args, nullptr));
  if (!backward) return {out.get(), log_sum.get(), {}, {}};
  EXPECT_DONE(kernels().attention_backward({args, d_out.at(), d_query.at(), part(d_of_keys, in.key_at),
                                            part(d_of_keys, in.key_at + in.width), workspace.at<float>()},
                                           nullptr));
  return {out.get(), log_sum.get(), d_query.get(), d_key.get()};
}

Twin twin_of(const Inputs& in) {
  Twin want{Numbers(in.d_out.size()), Numbers(size_t(in.shape.heads * in.queries)), Numbers(in.query.size()),
            Numbers(in.key.size())};
  twins::attention(in.twin, in.query.data(), in.k(), in.v(), want.out, want.log_sum);
  Numbers& d_of_keys = in.shape.one_matrix ? want.d_query : want.d_key;
  twins::attention_backward(in.twin, in.query.data(), in.k(), in.v(), in.d_out.data(), want.d_query.data(),
                            d_of_keys.data() + in.key_at, d_of_keys.data() + in.key_at + in.width);
  // What no row owns was NaN and must still be.
  const auto leave_gaps = [&](Numbers& matrix, int64_t stride) {
    for (size_t i = 0; i < matrix.size(); ++i)
      if (int64_t(i) % stride >= stride - in.shape.gap) matrix[i] = NAN;
  };
  leave_gaps(want.d_query, in.twin.query_stride);
  leave_gaps(want.d_key, in.twin.key_stride);
  return want;
}

double largest(const Numbers& numbers) {
  double most = 0;
  for (const double x : numbers)
    if (std::isfinite(x)) most = std::max(most, std::fabs(x));
  return most;
}

// 16 bits: a probability and its gradient are rounded once, and so is the result; the addends of a sum are no larger
// than its numbers can be.
void check(const Shape& shape, Type type, double size = 1, double loose = 0) {
  const Inputs in(shape, type, size);
  const Results got = run(in);
  const Twin want = twin_of(in);
  const double epsilon = epsilon_of(type) * 1.01, rest = 2e-6 + loose;
  EXPECT_CLOSE(got.log_sum, want.log_sum, 1e-6, rest);
  EXPECT_CLOSE(got.out, want.out, epsilon + rest, (epsilon + rest) * 2 * size);
  EXPECT_CLOSE(got.d_query, want.d_query, epsilon + rest, (2 * epsilon + rest) * largest(want.d_query));
  EXPECT_CLOSE(got.d_key, want.d_key, epsilon + rest, (2 * epsilon + rest) * largest(want.d_key));
}

}  // namespace

CUDA_TEST(attention_of_crops_of_several_lengths) {
  for (const Type type : kTypes) check({kMixed, kMixed, 2, 64}, type);
}

CUDA_TEST(attention_of_the_crops_of_a_step) {
  check({{198, 38, 38}, {198, 38, 38}, 1, 64}, Type::kHalf);
  check({{198}, {198}, 1, 64}, Type::kFloat);
}

CUDA_TEST(attention_of_a_few_queries) {
  for (const Type type : kTypes) {
    check({{2, 2, 1}, {198, 38, 1}, 2, 64, false}, type);
    check({{0, 3, 70, 2}, {5, 0, 2, 40}, 1, 64, false}, type);  // nobody asks; nobody answers
  }
}

CUDA_TEST(attention_of_heads_of_all_dims) {
#ifdef UDI_EMULATE_THREADS  // which takes a hundred times as long
  const std::vector<int64_t> dims = {8, 80};
#else
  const std::vector<int64_t> dims = {8, 24, 32, 48, 80, 96, 128};
#endif
  for (const int64_t dim : dims)
    for (const Type type : kTypes) check({{33, 7}, {33, 7}, 2, dim}, type);
  check({{3, 70}, {130, 9}, 1, 128, false}, Type::kBFloat16);
}

CUDA_TEST(attention_of_rows_apart_and_unaligned) {
  for (const Type type : kTypes) {
    check({{20, 38}, {20, 38}, 2, 64, true, 8}, type);
    check({{20, 38}, {20, 38}, 1, 64, true, 3}, type);
    check({{20, 2}, {20, 38}, 1, 40, false, 0, true}, type);
  }
}

CUDA_TEST(attention_of_many_crops) {
  for (const int count : {31, 33, 1100}) {
    Lengths lengths;
    for (int crop = 0; crop < count; ++crop) lengths.push_back(crop % 3);
    check({lengths, lengths, 1, 8}, Type::kFloat);
  }
}

// Exponents of some thousand: probabilities of 0 and 1, no overflow. An exponent's last bits are lost in float32.
CUDA_TEST(attention_of_huge_numbers) {
  for (const Type type : kTypes) check({{70, 5}, {70, 5}, 1, 64}, type, 40, 3e-3);
}

// What is not a number stays in its crop; a key at -infinity counts for nothing, wherever it stands.
CUDA_TEST(attention_keeps_what_is_not_finite_in_its_crop) {
  for (const Type type : kTypes) {
    const Shape shape = {{38, 70, 20}, {38, 70, 20}, 1, 64};
    Inputs in(shape, type);
    const Results clean = run(in);
    in.query[size_t((38 + 66) * in.twin.key_stride + in.key_at + 5)] = NAN;  // a key of the second crop
    const Results got = run(in);
    for (size_t i = 0; i < got.out.size(); ++i) {
      const bool inside = int64_t(i) / in.width >= 38 && int64_t(i) / in.width < 108;
      EXPECT(inside ? std::isnan(got.out[i]) : got.out[i] == clean.out[i]);
    }
    for (size_t i = 0; i < got.d_query.size(); ++i) {
      const int64_t row = int64_t(i) / in.twin.query_stride;
      if (row < 38 || row >= 108) EXPECT(got.d_query[i] == clean.d_query[i]);
    }
  }
  for (const Type type : kTypes) {
    Inputs in({{3}, {140}, 1, 64, false}, type);
    for (int64_t query = 0; query < 3; ++query) in.query[size_t(query * 64)] = 1;
    for (int64_t key = 0; key < 130; ++key) in.key[size_t(key * 128)] = -INFINITY;  // two whole tiles and more
    const Results got = run(in, false);
    Numbers out(in.d_out.size()), log_sum(3);
    twins::attention(in.twin, in.query.data(), in.k(), in.v(), out, log_sum);
    EXPECT_CLOSE(got.out, out, epsilon_of(type) * 1.01 + 2e-6, epsilon_of(type) * 3 + 2e-6);
    EXPECT_CLOSE(got.log_sum, log_sum, 1e-6, 1e-6);
  }
}

// A crop's bits do not depend on what lies beside it.
CUDA_TEST(attention_of_a_crop_among_others_has_the_same_bits) {
  for (const Type type : kTypes) {
    const Inputs alone({{38}, {38}, 2, 64}, type);
    Inputs among({{198, 38, 5}, {198, 38, 5}, 2, 64}, type);
    std::copy(alone.query.begin(), alone.query.end(), among.query.begin() + 198 * among.twin.query_stride);
    std::copy(alone.d_out.begin(), alone.d_out.end(), among.d_out.begin() + 198 * among.width);
    const Results one = run(alone), many = run(among);
    EXPECT(std::equal(one.out.begin(), one.out.end(), many.out.begin() + 198 * among.width));
    EXPECT(std::equal(one.d_query.begin(), one.d_query.end(), many.d_query.begin() + 198 * among.twin.query_stride));
  }
}

// The gradient of sum(out d_out), by differences of the kernel's own forward pass.
CUDA_TEST(attention_backward_equals_differences) {
  Inputs in({{2, 1}, {3, 2}, 1, 8, false}, Type::kFloat);
  const Results at = run(in);
  const auto loss = [&] {
    const Numbers out = run(in, false).out;
    return twins::dot(out.data(), in.d_out.data(), int64_t(out.size()));
  };
  const auto check_matrix = [&](Numbers& matrix, const Numbers& gradient) {
    Numbers differences;
    for (double& x : matrix) {
      const double before = x;
      x = before + 0x1p-6;
      const double above = loss();
      x = before - 0x1p-6;
      differences.push_back((above - loss()) / 0x1p-5);
      x = before;
    }
    EXPECT_CLOSE(gradient, differences, 1e-3, 1e-3);
  };
  check_matrix(in.query, at.d_query);
  check_matrix(in.key, at.d_key);
}

CUDA_TEST(attention_says_what_is_wrong) {
  AttentionArgs args{};
  EXPECT(kernels().attention(args, nullptr).code == 1);  // no heads
  args.heads = 2;
  args.dim = 64;
  args.query_stride = args.key_stride = 128;
  EXPECT_DONE(kernels().attention(args, nullptr));  // no crops, no work
  EXPECT_DONE(kernels().attention_backward({args, nullptr, nullptr, nullptr, nullptr, nullptr}, nullptr));
  args.crops = 1;
  args.queries = args.keys = 4;
  EXPECT(kernels().attention(args, nullptr).code == 1);  // nulls
  EXPECT(kernels().attention_backward({args, nullptr, nullptr, nullptr, nullptr, nullptr}, nullptr).code == 1);
  for (const int32_t dim : {0, 4, 60, 136}) {
    args.dim = dim;
    EXPECT(kernels().attention(args, nullptr).code == 1);
  }
  args.dim = 64;
  args.key_stride = 120;
  EXPECT(kernels().attention(args, nullptr).code == 1);
}

}  // namespace udi::cuda::test
