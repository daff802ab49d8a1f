// The bytes that bench/cuda divides by, against sums made by hand from what a kernel reads and writes.
#include "../../bench/cuda/work.h"
#include "check.h"

namespace udi::cuda::test {

CUDA_TEST(work_of_norm) {
  // 128 rows of 4: x and x_out 4 bytes, branch and out 2; two statistics a row
  EXPECT(bench::norm_forward(128, 4, 2, true).bytes == 512 * 4 + 512 * 2 + 512 * 4 + 512 * 2 + 128 * 8);
  EXPECT(bench::norm_forward(128, 4, 2, false).bytes == 512 * 4 + 512 * 2 + 128 * 8);
  // d_out, x, d_x in and out, d_rows; statistics; two blocks of three sums of 4, written and read
  EXPECT(bench::norm_backward(128, 4, 2, true).bytes == 512 * (2 + 4 + 4 + 4 + 2) + 1024 + 2 * 2 * 3 * 4 * 4);
  EXPECT(bench::norm_backward(129, 4, 2, false).bytes == 516 * (2 + 4 + 4 + 4) + 1032 + 2 * 3 * 3 * 4 * 4);
}

CUDA_TEST(work_of_gelu_and_patches) {
  EXPECT(bench::gelu_forward(10, 8, 2, true).bytes == 160 * 3);
  EXPECT(bench::gelu_forward(10, 8, 4, false).bytes == 320 * 2);
  EXPECT(bench::gelu_backward(65, 8, 2).bytes == 65 * 8 * 2 * 4 + 2 * 2 * 8 * 4);
  EXPECT(bench::patches(100, 1, 2).bytes == 300);
}

CUDA_TEST(work_of_prototypes) {
  // one student row of 1 MB in, 1 MB out, its target 1 MB
  EXPECT(bench::cross_entropy(1, 1, 1 << 19, 2, 2).bytes == 3 << 20);
  EXPECT(bench::targets(3, 1 << 19, 2).bytes == 3 << 20);
}

CUDA_TEST(work_of_update_and_weight_norm) {
  EXPECT(bench::update(1).bytes == 4 + (4 + 4 + 4 + 4 + 4) + (4 + 4 + 4 + 4) + (2 + 2));
  EXPECT(bench::weight_norm(2, 256, 2).bytes == 512 * 4 + 512 * 2 + 2 * 4);
  EXPECT(bench::weight_norm_backward(2, 256).bytes == 512 * (4 + 4 + 4) + 2 * (4 + 4 + 4));
}

CUDA_TEST(work_of_srs) {
  // 5 queries of 4 taps ask for all of 9 tokens; indices of 8 bytes, weights of 4, sums of 4
  EXPECT(bench::srs_gather(2, 9, 5, 4, 8, 2).bytes == 2 * (9 * 16 + 5 * 16 + 20 * 12 + 5 * 4));
  // 3 queries of 1 tap change 3 tokens
  EXPECT(bench::srs_scatter(1, 9, 3, 1, 8, 2).bytes == 3 * 16 + 2 * 3 * 16 + 3 * 12);
}

CUDA_TEST(work_of_attention) {
  // crops of 2 queries and 3 keys, and of 1 and 1: 7 pairs; heads of 8 in 2 bytes; four matrices, a sum a query and
  // head
  EXPECT(bench::attention(3, 4, 7, 2, 8, 2).bytes == (3 + 4 + 4 + 3) * 2 * 8 * 2 + 3 * 2 * 4);
  EXPECT(bench::attention(3, 4, 7, 2, 8, 2).operations == 7 * 2 * (2 * 8 + 2 * 8 + 4));
  // query, out, d_out, d_query of queries; key, value and their gradients of keys; a sum read, one written and read
  EXPECT(bench::attention_backward(3, 4, 7, 2, 8, 2).bytes == (4 * 3 + 4 * 4) * 2 * 8 * 2 + 3 * 2 * 4 * 3);
  EXPECT(bench::attention_backward(3, 4, 7, 2, 8, 2).operations == 7 * 2 * (5 * 2 * 8 + 5));
}

CUDA_TEST(work_of_augment) {
  // 3 crops of 8 x 8 out of 10 x 16, one channel: in, out; half of them coloured, a quarter blurred along two axes.
  // Rows first: 10 rows of 8 outputs of 4 * 16 / 8 inputs, then 8 columns of 8 outputs of 4 * 10 / 8.
  const auto work = bench::augment(3, 1, 8, 10, 16, 0.5, 0.25);
  EXPECT(work.bytes == 3 * (160 + 64) + 192 + 192);
  EXPECT(work.operations == 3 * 2 * (10 * 8 * 8 + 8 * 8 * 5));
}

}  // namespace udi::cuda::test
