// ops.h by the kernels of libudi_cuda.so, where kernels::take(); activations in float32, float16 or bfloat16.
#pragma once

#include "model/ops.h"

namespace udi::kernels {

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

}  // namespace udi::kernels
