// Instructions of tensor cores and of copies into shared memory (PTX ISA, sm_80), a function each. All lanes of a warp
// take part. tests/cuda/emulate_mma.h has the same for the host, by the ISA's tables of which lane holds what.
#pragma once

#include "device.h"

#ifdef UDI_CUDA_EMULATE
#include "emulate_mma.h"
#else

namespace udi::cuda {

__device__ inline uint32_t shared_address(const void* at) { return uint32_t(__cvta_generic_to_shared(at)); }

// Four matrices of 8 x 8 16-bit numbers. Lane l gives the address of row l % 8 of matrix l / 8 in shared memory, a
// multiple of 16 bytes, and gets of each matrix row l / 4, columns 2 (l % 4) and the next: to[matrix], low half first.
__device__ inline void load_matrices(uint32_t (&to)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
               : "r"(shared_address(row))
               : "memory");
}

// The same of the matrices' transposes.
__device__ inline void load_transposed(uint32_t (&to)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
               : "r"(shared_address(row))
               : "memory");
}

// sums [16, 8] += a [16, 16] b [16, 8]. With g = lane / 4 and t = lane % 4: a holds rows g, g + 8, g, g + 8 at columns
// 2 t, 2 t, 2 t + 8, 2 t + 8 (and the next column); b holds column g at rows 2 t, 2 t + 8 (and the next row); sums hold
// row g at columns 2 t, 2 t + 1, then row g + 8.
template <class T>
__device__ inline void multiply_add(float (&sums)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1);
template <>
__device__ inline void multiply_add<__half>(float (&sums)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, "
      "%3};"
      : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
template <>
__device__ inline void multiply_add<__nv_bfloat16>(float (&sums)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, "
      "%3};"
      : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// Two numbers in 16 bits each, the first in the low half.
template <class T>
__device__ inline uint32_t pair_of(float low, float high);
template <>
__device__ inline uint32_t pair_of<__half>(float low, float high) {
  uint32_t pair;
  asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
  return pair;
}
template <>
__device__ inline uint32_t pair_of<__nv_bfloat16>(float low, float high) {
  uint32_t pair;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
  return pair;
}

// 2^x to 22 bits; 0 where it would be subnormal.
__device__ inline float quick_exp2(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

// `bytes` (0 to 16) bytes from device to shared memory, zeros up to 16; both addresses are multiples of 16 and `from`
// is not read where there are none. There for the thread itself after wait_for_copies(), for others after a barrier.
__device__ inline void copy_16(void* to, const void* from, int bytes) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to)),
               "l"(__cvta_generic_to_global(from)), "r"(bytes)
               : "memory");
}

// All copies of this thread so far.
__device__ inline void wait_for_copies() { asm volatile("cp.async.wait_all;" ::: "memory"); }

}  // namespace udi::cuda

#endif
