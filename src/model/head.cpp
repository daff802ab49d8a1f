#include "model/head.h"

#include "../../cuda/weight_norm.h"
#include "base/error.h"
#include "model/kernels.h"
#include "model/ops.h"

namespace udi {

namespace {

constexpr double kLengthEpsilon = 1e-12;     // official: nn.functional.normalize
constexpr int64_t kPrototypesAtOnce = 4096;  // rows, so that temporaries stay small

}  // namespace

Head::Head(const udi_model_config&, const Parameters& weights)
    : weights_(weights.head), master_(weights.flat.options()), activations_(master_.dtype(weights.precision())) {}

at::Tensor Head::forward(const at::Tensor& rows, bool keep_for_backward) {
  kept_ = keep_for_backward;
  const int64_t count = rows.size(0);
  at::Tensor x = rows_.make(rows.sizes(), activations_).copy_(rows);
  for (int layer = 0; layer < 2; ++layer) {
    const LinearWeights& weights = weights_.mlp[layer];
    const at::Tensor& hidden = hidden_[layer].make({count, weights.weight.size(0)}, activations_);
    const at::Tensor& active = kept_ ? active_[layer].make(hidden.sizes(), activations_) : hidden;
    linear_gelu(x, weights, hidden, active);
    x = active;
  }
  const at::Tensor& bottleneck = bottleneck_.make({count, weights_.mlp[2].weight.size(0)}, activations_);
  linear(x, weights_.mlp[2], bottleneck);

  const at::Tensor& z = z_.make(bottleneck.sizes(), master_).copy_(bottleneck);
  const at::Tensor& length = norm_.make({count, 1}, master_);
  length.copy_(at::linalg_vector_norm(z, 2, at::IntArrayRef{1}, true).clamp_min_(kLengthEpsilon));
  return z.div_(length);
}

at::Tensor Head::backward(const at::Tensor& d_z, const HeadWeights& grads) {
  check(kept_, UDI_E_INTERNAL, "backward needs a forward pass that kept what it needs");
  kept_ = false;
  const at::Tensor& z = *z_;
  const at::Tensor along = (z * d_z).sum(1, true);
  at::Tensor d = d_bottleneck_.make(z.sizes(), activations_).copy_((d_z - z * along).div_(*norm_));
  bias_gradient(d, grads.mlp[2].bias);
  for (int layer = 2; layer > 0; --layer) {
    const at::Tensor& hidden = *hidden_[layer - 1];
    const at::Tensor& d_hidden = d_hidden_[layer - 1].make(hidden.sizes(), activations_);
    linear_input_gradient(d, weights_.mlp[layer], d_hidden);
    gelu_backward(hidden, d_hidden, grads.mlp[layer - 1].bias);  // hidden holds GELU's output from here on
    linear_weight_gradient(d, hidden, grads.mlp[layer].weight);
    d = d_hidden;
  }
  linear_weight_gradient(d, *rows_, grads.mlp[0].weight);
  const at::Tensor& d_rows = d_rows_.make((*rows_).sizes(), activations_);
  linear_input_gradient(d, weights_.mlp[0], d_rows);
  return d_rows.to(master_.dtype().toScalarType());
}

void prototype_weights(const HeadWeights& weights, const at::Tensor& out) {
  const int64_t count = out.size(0);
  if (kernels::take(weights.weight_v)) {
    return kernels::check_queued(kernels::table().weight_norm(
        {count, int32_t(out.size(1)), kernels::type_of(out), weights.weight_v.const_data_ptr<float>(),
         weights.weight_g.const_data_ptr<float>(), out.mutable_data_ptr()},
        kernels::stream_of(out)));
  }
  for (int64_t first = 0; first < count; first += kPrototypesAtOnce) {
    const int64_t rows = std::min(kPrototypesAtOnce, count - first);
    const at::Tensor v = weights.weight_v.narrow(0, first, rows);
    const at::Tensor length = at::linalg_vector_norm(v, 2, at::IntArrayRef{1}, true);
    at::Tensor w = out.narrow(0, first, rows);
    at::mul_out(w, v, weights.weight_g.narrow(0, first, rows) / length);
  }
}

void prototype_backward(const HeadWeights& weights, const HeadWeights& grads) {
  const int64_t count = weights.weight_v.size(0);
  if (kernels::take(weights.weight_v)) {
    return kernels::check_queued(kernels::table().weight_norm_backward(
        {count, int32_t(weights.weight_v.size(1)), weights.weight_v.const_data_ptr<float>(),
         weights.weight_g.const_data_ptr<float>(), grads.weight_v.mutable_data_ptr<float>(),
         grads.weight_g.mutable_data_ptr<float>()},
        kernels::stream_of(weights.weight_v)));
  }
  for (int64_t first = 0; first < count; first += kPrototypesAtOnce) {
    const int64_t rows = std::min(kPrototypesAtOnce, count - first);
    const at::Tensor v = weights.weight_v.narrow(0, first, rows), g = weights.weight_g.narrow(0, first, rows);
    const at::Tensor d = grads.weight_v.narrow(0, first, rows);  // dL/dW on entry, dL/dv on return
    const at::Tensor length = at::linalg_vector_norm(v, 2, at::IntArrayRef{1}, true);
    const at::Tensor d_g = (d * v).sum(1, true).div_(length);
    grads.weight_g.narrow(0, first, rows).add_(d_g);
    const at::Tensor scale = g / length;
    d.mul_(scale).addcmul_(v, d_g * scale / length, -1);
  }
}

}  // namespace udi
