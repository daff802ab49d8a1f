#include "model/ops_cuda.h"

#include <algorithm>

#include "../../cuda/gelu.h"
#include "../../cuda/norm.h"
#include "../../cuda/patches.h"
#include "model/kernels.h"

namespace udi::kernels {

namespace {

const float* floats(const at::Tensor& t) { return t.defined() ? t.const_data_ptr<float>() : nullptr; }
float* mutable_floats(const at::Tensor& t) { return t.defined() ? t.mutable_data_ptr<float>() : nullptr; }

int32_t rows_per_image(int64_t rows, const at::Tensor& scale) {
  return int32_t(scale.defined() ? rows / scale.numel() : 1);
}

// Given back to LibTorch's allocator at once, which hands it out again in the order of the stream.
at::Tensor workspace(int64_t size, const at::Tensor& like) {
  return at::empty({size}, like.options().dtype(at::kFloat));
}

void put_branch(const BranchGradient& d, cuda::NormBackwardArgs& args) {
  args.rows_per_image = rows_per_image(args.rows, d.scale);
  args.rows_type = type_of(d.rows);
  args.scale = floats(d.scale);
  args.d_rows = d.rows.mutable_data_ptr();
  args.d_bias = mutable_floats(d.bias);
}

void run_backward(cuda::NormBackwardArgs& args, const at::Tensor& like) {
  const at::Tensor space = workspace(cuda::norm_workspace(args.rows, args.dim), like);
  args.workspace = mutable_floats(space);
  check_queued(table().norm_backward(args, stream_of(like)));
}

}  // namespace

void branch_backward(const at::Tensor& d_x, const BranchGradient& d) {
  cuda::NormBackwardArgs args{};
  args.rows = d_x.size(0);
  args.dim = int32_t(d_x.size(1));
  args.d_x = mutable_floats(d_x);
  put_branch(d, args);
  run_backward(args, d_x);
}

void add_branch_norm(const at::Tensor& x, const Branch* branch, const at::Tensor& x_out, const NormWeights* weights,
                     const at::Tensor& out, const at::Tensor& statistics) {
  cuda::NormForwardArgs args{};
  args.rows = x.size(0);
  args.dim = int32_t(x.size(1));
  args.epsilon = float(kNormEpsilon);
  args.x = floats(x);
  if (branch) {
    args.rows_per_image = rows_per_image(args.rows, branch->scale);
    args.branch_type = type_of(branch->rows);
    args.branch = branch->rows.const_data_ptr();
    args.bias = branch->bias.const_data_ptr();
    args.scale = floats(branch->scale);
    args.x_out = mutable_floats(x_out);
  }
  if (weights) {
    args.out_type = type_of(out);
    args.weight = floats(weights->weight);
    args.shift = floats(weights->bias);
    args.out = out.mutable_data_ptr();
    args.statistics = mutable_floats(statistics);
  }
  check_queued(table().norm_forward(args, stream_of(x)));
}

void norm_backward(const at::Tensor& d_out, const at::Tensor& x, const at::Tensor& statistics,
                   const NormWeights& weights, const at::Tensor& d_x, const NormWeights& grads,
                   const BranchGradient* branch) {
  cuda::NormBackwardArgs args{};
  args.rows = x.size(0);
  args.dim = int32_t(x.size(1));
  args.d_type = type_of(d_out);
  args.d_out = d_out.const_data_ptr();
  args.x = floats(x);
  args.statistics = floats(statistics);
  args.weight = floats(weights.weight);
  args.d_x = mutable_floats(d_x);
  args.d_weight = mutable_floats(grads.weight);
  args.d_shift = mutable_floats(grads.bias);
  if (branch) put_branch(*branch, args);
  run_backward(args, x);
}

void bias_gelu(const at::Tensor& rows, const at::Tensor& bias, const at::Tensor& out) {
  const bool in_place = out.const_data_ptr() == rows.const_data_ptr();
  check_queued(table().gelu_forward({rows.size(0), int32_t(rows.size(1)), type_of(rows), rows.mutable_data_ptr(),
                                     !in_place, bias.const_data_ptr(), out.mutable_data_ptr()},
                                    stream_of(rows)));
}

void gelu_backward(const at::Tensor& rows, const at::Tensor& d_out, const at::Tensor& d_bias) {
  const at::Tensor space = workspace(cuda::gelu_workspace(rows.size(0), rows.size(1)), rows);
  check_queued(table().gelu_backward({rows.size(0), int32_t(rows.size(1)), type_of(rows), rows.mutable_data_ptr(),
                                      d_out.mutable_data_ptr(), mutable_floats(d_bias), mutable_floats(space)},
                                     stream_of(rows)));
}

void unfold_patches(const at::Tensor& images, const udi_model_config& config, bool normalized, const at::Tensor& out) {
  const at::Tensor pixels = images.contiguous();
  cuda::PatchesArgs args{};
  args.images = pixels.size(0);
  args.channels = int32_t(pixels.size(1));
  args.height = int32_t(pixels.size(2));
  args.width = int32_t(pixels.size(3));
  args.patch = config.patch_size;
  args.in_type = type_of(pixels);
  args.out_type = type_of(out);
  args.normalized = normalized;
  args.in = pixels.const_data_ptr();
  std::copy_n(config.mean, args.channels, args.mean);
  std::copy_n(config.std, args.channels, args.std);
  args.out = out.mutable_data_ptr();
  check_queued(table().patches(args, stream_of(pixels)));
}

}  // namespace udi::kernels
