#include "model/dense.h"

#include <algorithm>

#include "base/memory.h"
#include "model/packed.h"

namespace udi {

namespace gemm {

namespace {

constexpr int64_t kPackedAtOnce = 1 << 21;  // floats of b: 8 MB, for the third cache

float* packed_columns(int64_t floats) {
  thread_local Memory memory;
  return memory.room_for_floats(size_t(floats));
}
float* packed_rows(int64_t floats) {
  thread_local Memory memory;
  return memory.room_for_floats(size_t(floats));
}

// Of a, packed together: they stay in the second cache.
int64_t rows_at_once(const Kernels& k, int64_t depth) {
  return std::max(k.tile_rows, block_words() / std::max<int64_t>(1, depth) / k.tile_rows * k.tile_rows);
}

// With b packed; a is, too, some of it at a time, where its rows do not lie in one piece.
void multiply_packed(const Kernels& k, Product p, const Factor& a) {
  if (a.column_stride == 1) {
    p.a = a.data;
    p.a_stride = a.row_stride;
    return k.product(p);
  }
  const int64_t at_once = rows_at_once(k, p.depth), rows = p.rows;
  float* const packed = packed_rows(std::min(at_once, rows) * p.depth);
  p.a = packed;
  p.a_stride = p.depth;
  p.a_packed = true;
  for (int64_t row = 0; row < rows; row += at_once) {
    p.rows = std::min(at_once, rows - row);
    k.pack_rows(a.data + row, a.column_stride, p.depth, p.rows, packed);
    k.product(p);
    p.out += at_once * p.out_stride;
    if (p.add) p.add += at_once * p.add_stride;
    if (p.before) p.before += at_once * p.out_stride;
  }
}

}  // namespace

int64_t kept_bytes() {
  const Kernels& k = kernels();
  return int64_t(sizeof(float)) * (kPackedAtOnce + rows_at_once(k, kDepthAtOnce) * kDepthAtOnce);
}

void multiply(const Kernels& k, const Product& whole, const Factor& a, const Factor& b) {
  const int64_t deepest = std::min(whole.depth, kDepthAtOnce);
  const int64_t widest = std::max(k.panel, kPackedAtOnce / std::max<int64_t>(1, deepest) / k.panel * k.panel);
  float* const packed = packed_columns(packed_size(k, deepest, std::min(widest, whole.columns)));
  for (int64_t column = 0; column < whole.columns; column += widest) {
    int64_t depth = 0;
    do {
      Product part = whole;
      part.columns = std::min(widest, whole.columns - column);
      part.depth = std::min(kDepthAtOnce, whole.depth - depth);
      const bool first = depth == 0, last = depth + part.depth == whole.depth;
      part.b = packed;
      part.b_stride = part.depth * k.panel;
      part.out += column;
      if (part.bias) part.bias = last ? part.bias + column : nullptr;
      if (part.before) part.before += column;
      part.gelu = part.gelu && last;
      if (!first) {  // what the depth before has left
        part.add = part.before ? part.before : part.out;
        part.add_stride = part.out_stride;
      } else if (part.add) {
        part.add += column;
      }
      k.pack(b.data + depth * b.row_stride + column * b.column_stride, b.row_stride, b.column_stride, part.depth,
             part.columns, packed);
      multiply_packed(k, part, {a.data + depth * a.column_stride, a.row_stride, a.column_stride});
      depth += part.depth;
    } while (depth < whole.depth);
  }
}

}  // namespace gemm

gemm::Factor factor_of(const at::Tensor& matrix) {
  TORCH_INTERNAL_ASSERT(matrix.stride(0) == 1 || matrix.stride(1) == 1 || matrix.numel() == 0);
  return {matrix.const_data_ptr<float>(), matrix.stride(0), matrix.stride(1)};
}

void run_product(const gemm::Kernels& kernels, const gemm::Product& product, const gemm::Factor& a,
                 const gemm::Factor& b) {
  over_threads(kernels, product, [&](const gemm::Product& part, int64_t row, int64_t column) {
    multiply(kernels, part, {a.data + row * a.row_stride, a.row_stride, a.column_stride},
             {b.data + column * b.column_stride, b.row_stride, b.column_stride});
  });
}

void matrix_product(const at::Tensor& a, const at::Tensor& b, const at::Tensor& out, bool add) {
  at::Tensor result = out;
  if (!takes_dense(a) || !takes_dense(b) || !takes_dense(out)) {
    if (!add) {
      at::mm_out(result, a, b);
    } else if (a.scalar_type() == out.scalar_type()) {
      result.addmm_(a, b);
    } else {
      result.add_(at::mm(a, b));
    }
    return;
  }
  gemm::Product product;
  product.rows = out.size(0);
  product.columns = out.size(1);
  product.depth = a.size(1);
  product.out = result.mutable_data_ptr<float>();
  product.out_stride = out.stride(0);
  if (add) {
    product.add = product.out;
    product.add_stride = product.out_stride;
  }
  run_product(gemm::kernels(), product, factor_of(a), factor_of(b));
}

}  // namespace udi
