// Clipping, AdamW, the teacher's average and the 16-bit copies over flat memory of all tensors, without a word to the
// host.
#pragma once

#include "kernels.h"

namespace udi::cuda {

// What changes from step to step (src/train/schedule.h), on the device: a graph that is replayed reads it anew.
struct Schedule {
  double lr, weight_decay, momentum_teacher, teacher_temp;
  int32_t freeze_last_layer;
};

// A tensor of the layout, and a piece of one: at most kSliceElements, a piece a block.
struct TensorInfo {
  int32_t decayed, last_layer, trainable;
};
struct Slice {
  int64_t begin;  // in flat memory, a multiple of 4
  int32_t size;   // 1 to kSliceElements
  int32_t tensor;
};
constexpr int32_t kSliceElements = 1 << 14;

// Set by the first pass for the second.
struct TensorStep {
  float clip, decay, size, root;  // g *= clip; w *= decay; w -= size m / (sqrt(v) / root + epsilon)
  int32_t moves;                  // 0: the teacher's average alone
};

// Gradients are those of weights times gradient_scale. A tensor's gradient is multiplied by min(1, clip / (norm +
// 1e-6)); then torch.optim.AdamW (decay of decayed tensors first, epsilon beside the bias-corrected root); then teacher
// = m teacher + (1 - m) student. Tensors that are frozen or not trainable keep weights, moments and count. If a
// gradient of a trainable tensor is not finite, or *not_finite was set before, *not_finite becomes 1 and nothing else
// changes: weights, moments, counts and copies stay what they were, in this call and in all until the host clears it.
struct UpdateArgs {
  int64_t slices;              // S >= 0, in order of tensors
  int32_t tensors;             // N, 1 to 65536
  Type copy_type;              // of the copies: float16 or bfloat16
  const Slice* slice;          // [S]
  const int32_t* first_slice;  // [N + 1]: of each tensor
  const TensorInfo* info;      // [N]
  const Schedule* schedule;    // the step's
  float clip_grad;             // > 0, or 0: no clipping
  float gradient_scale;        // > 0: what the gradients were multiplied by, 1 without
  double beta1, beta2;         // of AdamW, 0 <= beta < 1
  float epsilon;               // of AdamW
  const float* gradient;       // flat
  float* weight;               // flat: student
  float *first, *second;       // flat: moments
  float* teacher;              // flat
  void *weight16, *teacher16;  // flat copies in copy_type, as they are after the step; null: not wanted
  int64_t* updates;            // [N]: steps that each tensor has taken
  double* norms;               // [2]: largest and sum of the trainable tensors' norms, before clipping
  int32_t* not_finite;         // [1]
  double* workspace;           // [S]
  TensorStep* step;            // [N]: working memory
};
udi_cuda_status launch_update(const UpdateArgs& args, Stream stream);

}  // namespace udi::cuda
