// Bias and exact GELU over rows, forward and backward.
#pragma once

#include "kernels.h"

namespace udi::cuda {

// rows += bias; out = rows Phi(rows), of the sum before it is rounded.
struct GeluForwardArgs {
  int64_t rows;      // R >= 0
  int32_t dim;       // D, 1 to 1,048,576; multiples of 8 move 16 bytes at a time
  Type type;         // of rows, bias and out
  void* in;          // [R, D]; gets in + bias, which the backward pass wants, unless keep is false
  bool keep;         // false: in is only read (or is out)
  const void* bias;  // [D]
  void* out;         // [R, D], may be in where keep is false
};
udi_cuda_status launch_gelu_forward(const GeluForwardArgs& args, Stream stream);

// in, as forward left it, becomes GELU(in) once more, which the gradient of the next weights wants; d becomes the
// gradient of in.
struct GeluBackwardArgs {
  int64_t rows;
  int32_t dim;
  Type type;         // of in and d
  void* in;          // [R, D]: in + bias -> GELU of it
  void* d;           // [R, D]: gradient of out -> of in
  float* d_bias;     // [D], added to: sum over rows of d before rounding
  float* workspace;  // gelu_workspace(rows, dim) floats
};
udi_cuda_status launch_gelu_backward(const GeluBackwardArgs& args, Stream stream);

constexpr int64_t kGeluRowsPerBlock = 64;
constexpr int64_t gelu_workspace(int64_t rows, int64_t dim) {
  return (rows + kGeluRowsPerBlock - 1) / kGeluRowsPerBlock * dim;
}

}  // namespace udi::cuda
