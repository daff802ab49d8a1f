// One pass over weights, gradients, moments and the teacher's average: plain float32 memory, no torch. A slice is a
// piece of one tensor, so that threads share the work and sums have one order whatever their number.
#pragma once

#include <cstdint>

namespace udi {

struct UpdateSlice {
  float* weight;
  const float* gradient;
  float* first;   // AdamW: mean of gradients; SGD and LARS: momentum
  float* second;  // AdamW: mean of squares; else unused
  float* teacher;
  int64_t size;
};

struct SliceSums {
  double gradient2, gradient_weight, weight2;  // sums of g g, g w, w w
};
SliceSums slice_sums(const float* gradient, const float* weight, int64_t size);

// teacher = momentum * teacher + (1 - momentum) * weight, alone and after each update below. All gradients are first
// multiplied by `clip`.
void average_slice(const UpdateSlice& slice, double momentum);

// torch.optim.AdamW: decay first, epsilon beside the bias-corrected root.
struct AdamwStep {
  double lr, weight_decay, beta1, beta2, epsilon;
  int64_t step;  // updates of this tensor, this one included
};
void adamw_slice(const UpdateSlice& slice, const AdamwStep& step, double clip, double momentum);

// torch.optim.SGD; with `trust` also the official LARS, whose update, decay included, is multiplied by it.
struct SgdStep {
  double lr, weight_decay, momentum, trust;
};
void sgd_slice(const UpdateSlice& slice, const SgdStep& step, double clip, double momentum);

}  // namespace udi
