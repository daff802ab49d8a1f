// Softmax of the teacher, log-softmax of the student, cross-entropy and its gradient, over rows of logits that a matrix
// product left and that never leave their 16 bits: everything between is float32 in registers.
#pragma once

#include "kernels.h"

namespace udi::cuda {

// A target row as the student's kernel wants it: p[k] = 2^((logits[k] - center[level, k]) log2(e) / temp - offset).
struct Target {
  float offset;
  int32_t level;
};

// One pass over the teacher's logits, which stay as they are.
struct TargetsArgs {
  int64_t rows;          // T >= 0
  int32_t prototypes;    // K, 1 to 16,777,216; multiples of 8 move 16 bytes at a time
  Type type;             // of logits; float16 rather than bfloat16: logits are cosines, and bfloat16 moves peaks by 5 %
  const void* logits;    // [T, K]: teacher's, before center and temperature
  const float* centers;  // [levels, K]
  const int32_t* level;  // [T]: row of the centers
  const float* temp;     // the teacher's temperature, on the device; > 0
  Target* target;        // [T]: written
  float* entropy;        // [T]: in nats; null: not wanted
};
udi_cuda_status launch_targets(const TargetsArgs& args, Stream stream);

// A part of a student row's target: `share` times target row `row`.
struct TargetShare {
  int32_t row;
  float share;
};

// loss[r] = -sum_k t[k] log_softmax(logits / student_temp)[k], where t = sum of shares times their targets, i from
// begin[r] to begin[r + 1]; the logits become the gradient of weight[r] loss[r]. With 16-bit logits choose the scale of
// `weight` so that gradients lie in the type's range, and divide it out after the products: they are at most weight /
// student_temp times the sum of the shares, and at least as small as 1 / K of that.
struct CrossEntropyArgs {
  int64_t rows;               // R >= 0
  int32_t prototypes;         // K, as TargetsArgs
  Type type;                  // of both kinds of logits
  void* logits;               // [R, K]: student's -> gradient
  const int32_t* begin;       // [R + 1]
  const TargetShare* shares;  // [begin[R]]
  const Target* target;       // [T], of launch_targets
  const void* target_logits;  // [T, K], as launch_targets had them
  const float* centers;       // [levels, K]
  const float* teacher_temp;  // on the device
  float student_temp;         // > 0
  const float* weight;        // [R]
  float* loss;                // [R], not weighted
  int32_t* not_finite;        // becomes 1 if a loss is not finite, else stays; null: not wanted
};
udi_cuda_status launch_cross_entropy(const CrossEntropyArgs& args, Stream stream);

}  // namespace udi::cuda
