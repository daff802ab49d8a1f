#include "model/ops.h"

#include "model/dense.h"
#include "model/kernels.h"
#include "model/ops_cpu.h"
#include "model/ops_cuda.h"

namespace udi {

namespace {

at::Tensor per_image(const at::Tensor& rows, const at::Tensor& scale) {
  return rows.view({scale.numel(), -1, rows.size(1)}) * scale.view({-1, 1, 1});
}

at::Tensor column(const at::Tensor& values, int64_t channels) {
  return values.narrow(0, 0, channels).view({1, -1, 1, 1});
}

// Whether kernels of gemm.h or narrow.h take it, and then it is done. before_gelu, where given, gets what goes into
// GELU.
bool kernel_linear(const at::Tensor& x, const LinearWeights& weights, bool bias, const at::Tensor& before_gelu,
                   const at::Tensor& out) {
  if (weights.packed && weights.packed->narrow) {
    const bool gelu = before_gelu.defined();
    TORCH_INTERNAL_ASSERT(!gelu || before_gelu.is_same(out));  // no backward pass follows
    weights.packed->narrow->forward(x, weights.first, bias ? weights.bias : at::Tensor(), gelu, out);
    return true;
  }
  if (!takes_dense(x) || !takes_dense(weights.weight)) return false;
  gemm::Product product;
  product.rows = x.size(0);
  product.columns = weights.weight.size(0);
  product.depth = x.size(1);
  product.out = out.mutable_data_ptr<float>();
  product.out_stride = out.stride(0);
  if (bias) product.bias = weights.bias.const_data_ptr<float>();
  product.gelu = before_gelu.defined();
  if (product.gelu && !before_gelu.is_same(out)) product.before = before_gelu.mutable_data_ptr<float>();
  const float* const panels = weights.packed ? weights.packed->from(weights.first) : nullptr;
  if (!panels) {
    run_product(gemm::kernels(), product, factor_of(x), turned(factor_of(weights.weight)));
    return true;
  }
  const gemm::Kernels& chosen = *weights.packed->kernels;
  product.a = x.const_data_ptr<float>();
  product.a_stride = x.stride(0);
  product.b = panels;
  product.b_stride = product.depth * chosen.panel;
  run_product(chosen, product);
  return true;
}

}  // namespace

void linear(const at::Tensor& x, const LinearWeights& weights, const at::Tensor& out) {
  if (kernel_linear(x, weights, true, {}, out)) return;
  at::Tensor result = out;
  at::addmm_out(result, weights.bias, x, weights.weight.t());
}

void linear_without_bias(const at::Tensor& x, const LinearWeights& weights, const at::Tensor& out) {
  if (kernel_linear(x, weights, false, {}, out)) return;
  at::Tensor result = out;
  at::mm_out(result, x, weights.weight.t());
}

void linear_gelu(const at::Tensor& x, const LinearWeights& weights, const at::Tensor& rows, const at::Tensor& out) {
  if (kernel_linear(x, weights, true, rows, out)) return;
  linear_without_bias(x, weights, rows);
  bias_gelu(rows, weights.bias, out);
}

void linear_input_gradient(const at::Tensor& d_out, const LinearWeights& weights, const at::Tensor& d_x) {
  matrix_product(d_out, weights.weight, d_x);
}

void linear_weight_gradient(const at::Tensor& d_out, const at::Tensor& x, const at::Tensor& d_weight) {
  matrix_product(d_out.t(), x, d_weight, true);
}

void bias_gradient(const at::Tensor& d_out, const at::Tensor& d_bias) {
  if (loops::take(d_bias)) return loops::bias_gradient(d_out, d_bias);
  d_bias.add_(d_out.sum(0, false, d_bias.scalar_type()));
}

void add_branch(const at::Tensor& x, const Branch& branch, const at::Tensor& x_out) {
  if (kernels::take(x)) return kernels::add_branch_norm(x, &branch, x_out, nullptr, {}, {});
  if (loops::take(x)) return loops::add_branch_norm(x, &branch, x_out, nullptr, {}, {});
  at::Tensor sum = (branch.rows + branch.bias).to(x.scalar_type());
  if (branch.scale.defined()) sum = per_image(sum, branch.scale).view_as(x);
  at::Tensor result = x_out;
  at::add_out(result, x, sum);
}

void branch_backward(const at::Tensor& d_x, const BranchGradient& d) {
  if (kernels::take(d_x)) return kernels::branch_backward(d_x, d);
  if (loops::take(d_x)) return loops::branch_backward(d_x, d);
  if (!d.rows.is_same(d_x)) d.rows.copy_(d.scale.defined() ? per_image(d_x, d.scale).view_as(d_x) : d_x);
  bias_gradient(d.rows, d.bias);
}

void norm_forward(const at::Tensor& x, const NormWeights& weights, const at::Tensor& out,
                  const at::Tensor& statistics) {
  if (kernels::take(x)) return kernels::add_branch_norm(x, nullptr, {}, &weights, out, statistics);
  if (loops::take(x)) return loops::add_branch_norm(x, nullptr, {}, &weights, out, statistics);
  const auto [y, mean, inverse] = at::native_layer_norm(x, {x.size(1)}, weights.weight, weights.bias, kNormEpsilon);
  out.copy_(y);
  statistics.select(1, 0).copy_(mean.view(-1));
  statistics.select(1, 1).copy_(inverse.view(-1));
}

void add_branch_norm(const at::Tensor& x, const Branch& branch, const at::Tensor& x_out, const NormWeights& weights,
                     const at::Tensor& out, const at::Tensor& statistics) {
  if (kernels::take(x)) return kernels::add_branch_norm(x, &branch, x_out, &weights, out, statistics);
  if (loops::take(x)) return loops::add_branch_norm(x, &branch, x_out, &weights, out, statistics);
  add_branch(x, branch, x_out);
  norm_forward(x_out, weights, out, statistics);
}

void norm_backward(const at::Tensor& d_out, const at::Tensor& x, const at::Tensor& statistics,
                   const NormWeights& weights, const at::Tensor& d_x, const NormWeights& grads) {
  if (kernels::take(x)) return kernels::norm_backward(d_out, x, statistics, weights, d_x, grads, nullptr);
  if (loops::take(x)) return loops::norm_backward(d_out, x, statistics, weights, d_x, grads, nullptr);
  const auto [dx, d_weight, d_bias] = at::native_layer_norm_backward(
      d_out.to(x.scalar_type()), x, {x.size(1)}, statistics.narrow(1, 0, 1).contiguous(),
      statistics.narrow(1, 1, 1).contiguous(), weights.weight, weights.bias, {true, true, true});
  d_x.add_(dx);
  grads.weight.add_(d_weight);
  grads.bias.add_(d_bias);
}

void norm_branch_backward(const at::Tensor& d_out, const at::Tensor& x, const at::Tensor& statistics,
                          const NormWeights& weights, const at::Tensor& d_x, const NormWeights& grads,
                          const BranchGradient& branch) {
  if (kernels::take(x)) return kernels::norm_backward(d_out, x, statistics, weights, d_x, grads, &branch);
  if (loops::take(x)) return loops::norm_backward(d_out, x, statistics, weights, d_x, grads, &branch);
  norm_backward(d_out, x, statistics, weights, d_x, grads);
  branch_backward(d_x, branch);
}

void bias_gelu(const at::Tensor& rows, const at::Tensor& bias, const at::Tensor& out) {
  if (kernels::take_activations(rows)) return kernels::bias_gelu(rows, bias, out);
  if (rows.is_cpu() && rows.scalar_type() != at::kDouble) return loops::bias_gelu(rows, bias, out);
  rows.add_(bias);
  out.copy_(at::gelu(rows));
}

void gelu_backward(const at::Tensor& rows, const at::Tensor& d_out, const at::Tensor& d_bias) {
  if (kernels::take(d_bias)) return kernels::gelu_backward(rows, d_out, d_bias);
  if (loops::take(d_bias)) return loops::gelu_backward(rows, d_out, d_bias);
  d_out.copy_(at::gelu_backward(d_out, rows));
  rows.copy_(at::gelu(rows));
  bias_gradient(d_out, d_bias);
}

void unfold_patches(const at::Tensor& images, const udi_model_config& config, bool normalized, const at::Tensor& out) {
  const bool known_input = images.scalar_type() == at::kByte || images.scalar_type() == at::kFloat;
  if (kernels::take_activations(out) && known_input) return kernels::unfold_patches(images, config, normalized, out);
  const bool loops_type = out.scalar_type() == at::kFloat || out.scalar_type() == at::kBFloat16;
  if (out.is_cpu() && loops_type && known_input) {
    return loops::unfold_patches(images.contiguous(), config, normalized, out);
  }
  const int64_t channels = images.size(1), patch = config.patch_size;
  const int64_t rows = images.size(2) / patch, columns = images.size(3) / patch;
  const at::ScalarType type = out.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  at::Tensor pixels = images.to(type);
  if (images.scalar_type() == at::kByte) pixels = pixels / 255;
  if (!normalized) {
    const auto options = at::TensorOptions().dtype(at::kFloat);
    const at::Tensor mean = at::from_blob(const_cast<float*>(config.mean), {16}, options).to(pixels.device(), type);
    const at::Tensor std = at::from_blob(const_cast<float*>(config.std), {16}, options).to(pixels.device(), type);
    pixels = (pixels - column(mean, channels)) / column(std, channels);
  }
  out.view({images.size(0), rows, columns, channels, patch, patch})
      .copy_(pixels.view({images.size(0), channels, rows, patch, columns, patch}).permute({0, 2, 4, 1, 3, 5}));
}

}  // namespace udi
