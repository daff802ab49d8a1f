// Products on the CPU in float32, by the kernels of gemm.h, of factors that are packed as they are met: those of a
// training step whose weights packed.h does not hold.
#pragma once

#include "model/aten.h"
#include "model/gemm.h"

namespace udi {

namespace gemm {

// A matrix in memory: (row, column) lies at row * row_stride + column * column_stride. One of the strides is 1.
struct Factor {
  const float* data;
  int64_t row_stride, column_stride;
};
inline Factor turned(const Factor& f) { return {f.data, f.column_stride, f.row_stride}; }

// `product`, whose a and b are not set, of these: a [rows, depth], b [depth, columns]. A number's terms are summed in
// their order, kDepthAtOnce at a time, and these sums in theirs. On the calling thread, which keeps what it packs in
// (kept_bytes).
void multiply(const Kernels& kernels, const Product& product, const Factor& a, const Factor& b);
constexpr int64_t kDepthAtOnce = 512;
// At most, on each thread.
int64_t kept_bytes();

}  // namespace gemm

// Whether this tensor is one of those kernels' factors or results.
inline bool takes_dense(const at::Tensor& tensor) { return tensor.is_cpu() && tensor.scalar_type() == at::kFloat; }
// A matrix with a stride of 1, perhaps a transposed one.
gemm::Factor factor_of(const at::Tensor& matrix);
// Over all threads that the caller may use; neither their number nor how they share it changes a bit.
void run_product(const gemm::Kernels& kernels, const gemm::Product& product, const gemm::Factor& a,
                 const gemm::Factor& b);

// out = a b; with add: out += a b. a [m, k], b [k, n], out [m, n], each of them perhaps a transposed matrix, out not.
// By ATen where kernels do not take them: any dtype and device.
void matrix_product(const at::Tensor& a, const at::Tensor& b, const at::Tensor& out, bool add = false);

}  // namespace udi
