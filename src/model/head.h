// The projection head, shared by all levels (official: DINOHead): three linear layers with GELU between, then L2
// normalisation. Its last layer, the weight-normed prototypes, is linear without bias and belongs to the loss
// (src/objective), which does what it can before it: see docs/method.md.
#pragma once

#include "model/buffer.h"
#include "model/parameters.h"

namespace udi {

class Head {
 public:
  // Copies handles: `weights` may be updated in place and go on to be used.
  Head(const udi_model_config& config, const Parameters& weights);

  // rows: [R, D]. Returns z [R, bottleneck], rows of length 1, in the weights' dtype; valid until the next forward.
  at::Tensor forward(const at::Tensor& rows, bool keep_for_backward);

  // After a forward with keep_for_backward: adds to the weights' gradients and returns that of the rows, [R, D].
  at::Tensor backward(const at::Tensor& d_z, const HeadWeights& grads);

 private:
  HeadWeights weights_;
  at::TensorOptions master_, activations_;
  bool kept_ = false;
  Buffer rows_, hidden_[2], active_[2], bottleneck_, norm_, z_;  // hidden: before GELU, [R, hidden]
  Buffer d_bottleneck_, d_hidden_[2], d_rows_;
};

// The prototypes W = g v / ||v||, a row each, into out [K, bottleneck].
void prototype_weights(const HeadWeights& weights, const at::Tensor& out);

// In place, to save the memory of a second matrix: grads.weight_v holds dL/dW and becomes dL/dv; dL/dg is added to
// grads.weight_g. Call it once a step, when dL/dW is complete.
void prototype_backward(const HeadWeights& weights, const HeadWeights& grads);

}  // namespace udi
