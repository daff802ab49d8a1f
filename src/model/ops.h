// The passes between the matrix products. Each stands twice: over ATen's operators, for any dtype and device (ops.cpp),
// and for float32 weights on the CPU as one fused loop (ops_cpu.cpp). "Rows" are contiguous [R, D]. Activations are in
// the precision of the products (T), the residual stream, statistics and gradients of weights in the weights' dtype
// (M).
#pragma once

#include "model/aten.h"
#include "model/parameters.h"

namespace udi {

constexpr double kNormEpsilon = 1e-6;

// out = x W^T (+ b). x: T [R, in], out: T [R, out].
void linear(const at::Tensor& x, const LinearWeights& weights, const at::Tensor& out);
void linear_without_bias(const at::Tensor& x, const LinearWeights& weights, const at::Tensor& out);
// rows = x W^T + b; out = GELU(rows), exact (erf). out may be rows, where no backward pass follows.
void linear_gelu(const at::Tensor& x, const LinearWeights& weights, const at::Tensor& rows, const at::Tensor& out);
// d_x = d_out W. d_out: T [R, out], d_x: T [R, in].
void linear_input_gradient(const at::Tensor& d_out, const LinearWeights& weights, const at::Tensor& d_x);
// d_weight += d_out^T x.
void linear_weight_gradient(const at::Tensor& d_out, const at::Tensor& x, const at::Tensor& d_weight);
// d_bias += sum over the rows of d_out.
void bias_gradient(const at::Tensor& d_out, const at::Tensor& d_bias);

// A residual branch before its sum: what a linear layer without its bias gave, that bias, and the drop path factors.
struct Branch {
  at::Tensor rows;   // T [R, D]
  at::Tensor bias;   // T [D]
  at::Tensor scale;  // M [images], rows R / images each; undefined: 1
};
// x_out = x + scale (rows + bias). x and x_out may be the same.
void add_branch(const at::Tensor& x, const Branch& branch, const at::Tensor& x_out);
// Its gradient. Without scale, and where T is M, rows may be the gradient of the sum itself.
struct BranchGradient {
  at::Tensor scale;  // as Branch's
  at::Tensor rows;   // T [R, D]: written
  at::Tensor bias;   // M [D]: added to
};
// d.rows = scale d_x, d.bias += its sum over rows.
void branch_backward(const at::Tensor& d_x, const BranchGradient& d);

// out = LayerNorm(x), in T or M; statistics: M [R, 2], mean and 1 / deviation, for the backward pass.
void norm_forward(const at::Tensor& x, const NormWeights& weights, const at::Tensor& out, const at::Tensor& statistics);
// Both in one pass over the rows.
void add_branch_norm(const at::Tensor& x, const Branch& branch, const at::Tensor& x_out, const NormWeights& weights,
                     const at::Tensor& out, const at::Tensor& statistics);
// d_x += gradient of x; adds to the weights' gradients. d_out: T or M.
void norm_backward(const at::Tensor& d_out, const at::Tensor& x, const at::Tensor& statistics,
                   const NormWeights& weights, const at::Tensor& d_x, const NormWeights& grads);
// Then branch_backward of the branch that x came out of, in the same pass over the rows. d_out: T.
void norm_branch_backward(const at::Tensor& d_out, const at::Tensor& x, const at::Tensor& statistics,
                          const NormWeights& weights, const at::Tensor& d_x, const NormWeights& grads,
                          const BranchGradient& branch);

// rows += bias; out = GELU(rows), exact (erf). out may be rows, where no backward pass follows.
void bias_gelu(const at::Tensor& rows, const at::Tensor& bias, const at::Tensor& out);
// rows, as bias_gelu left them, become GELU(rows) once more; d_out becomes the gradient of the rows; d_bias += its sum.
void gelu_backward(const at::Tensor& rows, const at::Tensor& d_out, const at::Tensor& d_bias);

// Pixels as rows of patches: images [B, C, H, W] -> out T [B * rows * cols, C * patch * patch], each value
// (v / 255 - mean) / std for uint8, (v - mean) / std for floats, unchanged with normalized.
void unfold_patches(const at::Tensor& images, const udi_model_config& config, bool normalized, const at::Tensor& out);

}  // namespace udi
