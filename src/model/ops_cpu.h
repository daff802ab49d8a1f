// The fused loops behind ops.h, for the CPU and float32 weights; activations in float32 or bfloat16.
#pragma once

#include "model/ops.h"

namespace udi::loops {

// Whether they take a model whose weights are like this tensor.
inline bool take(const at::Tensor& weights) { return weights.is_cpu() && weights.scalar_type() == at::kFloat; }

void bias_gradient(const at::Tensor& d_out, const at::Tensor& d_bias);
void branch_backward(const at::Tensor& d_x, const BranchGradient& d);
// branch null: norm of x alone; weights null: the sum alone.
void add_branch_norm(const at::Tensor& x, const Branch* branch, const at::Tensor& x_out, const NormWeights* weights,
                     const at::Tensor& out, const at::Tensor& statistics);
// branch null: none.
void norm_backward(const at::Tensor& d_out, const at::Tensor& x, const at::Tensor& statistics,
                   const NormWeights& weights, const at::Tensor& d_x, const NormWeights& grads,
                   const BranchGradient* branch);
void bias_gelu(const at::Tensor& rows, const at::Tensor& bias, const at::Tensor& out);
void gelu_backward(const at::Tensor& rows, const at::Tensor& d_out, const at::Tensor& d_bias);
void unfold_patches(const at::Tensor& images, const udi_model_config& config, bool normalized, const at::Tensor& out);

// For the attention, a row of n numbers at a time: the gradient that passes through row = softmax(scale ...), row = row
// (d_row - sum(row d_row)) scale.
void softmax_row_backward(float* row, const float* d_row, int64_t n, float scale);

}  // namespace udi::loops
