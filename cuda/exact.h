// Numbers whose every operation is rounded by itself, as -ffp-contract=off has it on the host: nvcc would fuse products
// into sums, which changes the last bit.
#pragma once

#include "device.h"

namespace udi::cuda {

struct ExactFloat {
  float value;
  __device__ ExactFloat(float v) : value(v) {}
  __device__ explicit operator int() const { return int(value); }  // the fraction is dropped
};
__device__ inline ExactFloat operator+(ExactFloat a, ExactFloat b) { return __fadd_rn(a.value, b.value); }
__device__ inline ExactFloat operator-(ExactFloat a, ExactFloat b) { return __fsub_rn(a.value, b.value); }
__device__ inline ExactFloat operator*(ExactFloat a, ExactFloat b) { return __fmul_rn(a.value, b.value); }
__device__ inline ExactFloat operator/(ExactFloat a, ExactFloat b) { return __fdiv_rn(a.value, b.value); }

struct ExactDouble {
  double value;
  __device__ ExactDouble(double v) : value(v) {}
  __device__ explicit operator int() const { return int(value); }
};
__device__ inline ExactDouble operator+(ExactDouble a, ExactDouble b) { return __dadd_rn(a.value, b.value); }
__device__ inline ExactDouble operator-(ExactDouble a, ExactDouble b) { return __dsub_rn(a.value, b.value); }
__device__ inline ExactDouble operator*(ExactDouble a, ExactDouble b) { return __dmul_rn(a.value, b.value); }
__device__ inline ExactDouble operator/(ExactDouble a, ExactDouble b) { return __ddiv_rn(a.value, b.value); }

}  // namespace udi::cuda
