// What all kernels share: 16-bit numbers, wide loads, sums over a warp, the launch. Compiled by nvcc, or by the host's
// compiler against tests/cuda/emulate.h, where each CUDA thread is a thread of the process.
#pragma once

#ifdef UDI_CUDA_EMULATE
#include "emulate.h"
#else
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>
#endif

#include "kernels.h"

namespace udi::cuda {

constexpr int kLanes = 32;
constexpr unsigned kAll = 0xffffffffu;  // every lane takes part in every exchange

// ---- Numbers: computed in float, kept in T ----------------------------------------------------------------------

__device__ inline float to_float(float x) { return x; }
__device__ inline float to_float(__half x) { return __half2float(x); }
__device__ inline float to_float(__nv_bfloat16 x) { return __bfloat162float(x); }

template <class T>
__device__ inline T from_float(float x);
template <>
__device__ inline float from_float<float>(float x) {
  return x;
}
template <>
__device__ inline __half from_float<__half>(float x) {
  return __float2half_rn(x);
}
template <>
__device__ inline __nv_bfloat16 from_float<__nv_bfloat16>(float x) {
  return __float2bfloat16_rn(x);
}

// kWidth neighbours, moved by as few accesses as their type allows.
template <class T, int kWidth>
struct alignas(sizeof(T) * kWidth < 16 ? sizeof(T) * kWidth : 16) Pack {
  T at[kWidth];
};

template <int kWidth, class T>
__device__ inline void load(const T* from, float (&to)[kWidth]) {
  const Pack<T, kWidth> pack = *reinterpret_cast<const Pack<T, kWidth>*>(from);
#pragma unroll
  for (int i = 0; i < kWidth; ++i) to[i] = to_float(pack.at[i]);
}

template <int kWidth, class T>
__device__ inline void store(T* to, const float (&from)[kWidth]) {
  Pack<T, kWidth> pack;
#pragma unroll
  for (int i = 0; i < kWidth; ++i) pack.at[i] = from_float<T>(from[i]);
  *reinterpret_cast<Pack<T, kWidth>*>(to) = pack;
}

// ---- Over the lanes of a warp, the result in all of them ----------------------------------------------------------

template <class Number>
__device__ inline Number warp_sum(Number x) {
#pragma unroll
  for (int offset = kLanes / 2; offset > 0; offset /= 2) x += __shfl_xor_sync(kAll, x, offset);
  return x;
}

__device__ inline float warp_most(float x) {
#pragma unroll
  for (int offset = kLanes / 2; offset > 0; offset /= 2) x = fmaxf(x, __shfl_xor_sync(kAll, x, offset));
  return x;
}

// ---- On the host ---------------------------------------------------------------------------------------------------

constexpr udi_cuda_status kDone = {0, "done"};

inline udi_cuda_status bad(const char* what) { return {1, what}; }

#ifndef UDI_CUDA_EMULATE
template <class... Parameters, class... Arguments>
udi_cuda_status launch(void (*kernel)(Parameters...), dim3 blocks, int threads, Stream stream, Arguments... arguments) {
  kernel<<<blocks, unsigned(threads), 0, stream>>>(arguments...);
  const cudaError_t error = cudaGetLastError();
  return error == cudaSuccess ? kDone : udi_cuda_status{2, cudaGetErrorString(error)};
}
#endif

constexpr int64_t kMaxBlocks = 0x7fffffff;  // of the grid's first extent

inline int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

inline bool aligned(const void* pointer) { return reinterpret_cast<uintptr_t>(pointer) % 16 == 0; }
template <class... Pointers>
bool aligned(const void* first, Pointers... rest) {
  return aligned(first) && aligned(rest...);
}

template <class T>
struct Tag {
  using type = T;
};

// run(Tag<T>()) for the type that `type` names.
template <class Run>
udi_cuda_status for_type(Type type, const Run& run) {
  switch (type) {
    case Type::kFloat:
      return run(Tag<float>());
    case Type::kHalf:
      return run(Tag<__half>());
    case Type::kBFloat16:
      return run(Tag<__nv_bfloat16>());
    default:
      return bad("a type is none of float32, float16 and bfloat16");
  }
}

}  // namespace udi::cuda
