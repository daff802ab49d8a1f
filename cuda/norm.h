// Residual branch, bias, drop path and LayerNorm in one pass over the rows, and the way back.
#pragma once

#include "kernels.h"

namespace udi::cuda {

// x_out = x + scale (branch + bias); out = LayerNorm(x_out) weight + shift, with statistics in float32.
struct NormForwardArgs {
  int64_t rows;            // R >= 0
  int32_t dim;             // D, 1 to 65536; up to 1024 and a multiple of 4 stays in registers
  int32_t rows_per_image;  // rows that share a factor; read only with scale
  Type branch_type;        // of branch and bias
  Type out_type;           // float32, or branch_type
  float epsilon;           // beside the variance
  const float* x;          // [R, D]
  const void* branch;      // [R, D]; null: no sum, x itself is normalised
  const void* bias;        // [D]
  const float* scale;      // [ceil(R / rows_per_image)]: drop path factors; null: 1
  float* x_out;            // [R, D], may be x; only with branch
  const float* weight;     // [D]; null: the sum alone
  const float* shift;      // [D]
  void* out;               // [R, D]
  float* statistics;       // [R, 2]: mean, 1 / deviation
};
udi_cuda_status launch_norm_forward(const NormForwardArgs& args, Stream stream);

// d_x += gradient of x through LayerNorm; then, where d_rows is given, what enters the branch before it from behind:
// d_rows = scale d_x. Gradients of the weights are added to.
struct NormBackwardArgs {
  int64_t rows;
  int32_t dim;
  int32_t rows_per_image;
  Type d_type;              // of d_out
  Type rows_type;           // of d_rows: d_type, or any where d_type is float32
  const void* d_out;        // [R, D]; null: no norm, d_x as it is goes on to the branch
  const float* x;           // [R, D]: what forward normalised
  const float* statistics;  // [R, 2], of forward
  const float* weight;      // [D]
  float* d_x;               // [R, D], added to
  float* d_weight;          // [D], added to; null: not wanted
  float* d_shift;           // [D], likewise
  const float* scale;       // as forward's
  void* d_rows;             // [R, D]; null: no branch. May be d_x itself where it is float32 and scale is null
  float* d_bias;            // [D], added to: sum over rows of d_rows before rounding; null: not wanted
  float* workspace;         // norm_workspace(rows, dim) floats
};
udi_cuda_status launch_norm_backward(const NormBackwardArgs& args, Stream stream);

constexpr int64_t kNormRowsPerBlock = 64;
constexpr int64_t norm_workspace(int64_t rows, int64_t dim) {
  return (rows + kNormRowsPerBlock - 1) / kNormRowsPerBlock * 3 * dim;
}

}  // namespace udi::cuda
