// Linear layers on the CPU in fewer bits, by the kernels of narrow.h: sisters of packed.h. Inputs and outputs are
// float32 rows; the inputs are brought to fewer bits row by row, so that a row's bits do not depend on the rows beside
// it.
#pragma once

#include "model/aten.h"
#include "model/narrow.h"

namespace udi {

struct NarrowLinear {
  // weight: [out, in], float32, contiguous. In 8 bits each output has a scale of its own, its largest weight / 127;
  // UDI_E_UNSUPPORTED: more than gemm::kMostBytes inputs.
  NarrowLinear(const at::Tensor& weight, const gemm::Narrow& kernels);

  // out = x W^T + bias, for outputs [first, first + out.size(1)); then GELU. x: [R, in], bias: [out.size(1)] or
  // undefined.
  void forward(const at::Tensor& x, int64_t first, const at::Tensor& bias, bool gelu, const at::Tensor& out) const;

  // The memory of one with so many inputs and outputs.
  static int64_t bytes(const gemm::Narrow& kernels, int64_t in, int64_t out);

  const gemm::Narrow* kernels;
  int64_t depth;       // inputs
  at::Tensor memory;   // packed panels of words
  at::Tensor columns;  // of bytes: [2, outputs up to whole panels], scale and sum of each output's whole numbers
};

}  // namespace udi
