#include "train/update.h"

#include <cmath>

#include "base/simd.h"

namespace udi {

UDI_CLONES SliceSums slice_sums(const float* __restrict gradient, const float* __restrict weight, int64_t size) {
  constexpr int kLanes = 8;  // a fixed order of additions, whatever the processor
  double gg[kLanes] = {}, gw[kLanes] = {}, ww[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= size; i += kLanes) {
    for (int lane = 0; lane < kLanes; ++lane) {
      const double g = gradient[i + lane], w = weight[i + lane];
      gg[lane] += g * g;
      gw[lane] += g * w;
      ww[lane] += w * w;
    }
  }
  for (; i < size; ++i) {
    const double g = gradient[i], w = weight[i];
    gg[0] += g * g;
    gw[0] += g * w;
    ww[0] += w * w;
  }
  SliceSums sums{};
  for (int lane = 0; lane < kLanes; ++lane) {
    sums.gradient2 += gg[lane];
    sums.gradient_weight += gw[lane];
    sums.weight2 += ww[lane];
  }
  return sums;
}

UDI_CLONES void average_slice(const UpdateSlice& slice, double momentum) {
  const float* const __restrict w = slice.weight;
  float* const __restrict teacher = slice.teacher;
  const float keep = float(momentum), take = float(1 - momentum);
  for (int64_t i = 0; i < slice.size; ++i) teacher[i] = keep * teacher[i] + take * w[i];
}

UDI_CLONES void adamw_slice(const UpdateSlice& slice, const AdamwStep& step, double clip, double momentum) {
  float* const __restrict w = slice.weight;
  float* const __restrict first = slice.first;
  float* const __restrict second = slice.second;
  float* const __restrict teacher = slice.teacher;
  const float* const __restrict gradient = slice.gradient;
  const double correction1 = 1 - std::pow(step.beta1, double(step.step));
  const double correction2 = 1 - std::pow(step.beta2, double(step.step));
  const float scale = float(clip), decay = float(1 - step.lr * step.weight_decay), size = float(step.lr / correction1);
  const float move = float(1 - step.beta1), beta2 = float(step.beta2), add = float(1 - step.beta2);
  const float root = float(std::sqrt(correction2)), epsilon = float(step.epsilon);
  const float keep = float(momentum), take = float(1 - momentum);
  for (int64_t i = 0; i < slice.size; ++i) {
    const float g = gradient[i] * scale;
    const float m = first[i] + (g - first[i]) * move;
    const float v = second[i] * beta2 + g * g * add;
    const float next = w[i] * decay - size * (m / (std::sqrt(v) / root + epsilon));
    first[i] = m;
    second[i] = v;
    w[i] = next;
    teacher[i] = keep * teacher[i] + take * next;
  }
}

UDI_CLONES void sgd_slice(const UpdateSlice& slice, const SgdStep& step, double clip, double momentum) {
  float* const __restrict w = slice.weight;
  float* const __restrict first = slice.first;
  float* const __restrict teacher = slice.teacher;
  const float* const __restrict gradient = slice.gradient;
  const float scale = float(clip), decay = float(step.weight_decay), trust = float(step.trust);
  const float inertia = float(step.momentum), lr = float(step.lr);
  const float keep = float(momentum), take = float(1 - momentum);
  for (int64_t i = 0; i < slice.size; ++i) {
    const float m = inertia * first[i] + (gradient[i] * scale + decay * w[i]) * trust;
    const float next = w[i] - lr * m;
    first[i] = m;
    w[i] = next;
    teacher[i] = keep * teacher[i] + take * next;
  }
}

}  // namespace udi
