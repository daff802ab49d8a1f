// Vectors of floats, once for each kind of processor, for the kernels that are compiled for several (gemm.cpp,
// narrow.cpp). Everything here is inlined into functions of the same target.
//
// Nothing of the standard library may be instantiated by what stands between the pragmas: the linker might take that
// copy for the whole program.
#pragma once

#include <cstdint>

#include "base/simd.h"

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define UDI_GEMM_X86
#include <immintrin.h>
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // of GCC 12's own _mm512_undefined_ps
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif

namespace udi::gemm {

#ifdef UDI_GEMM_X86
#pragma GCC push_options
#pragma GCC target("arch=x86-64-v4")
namespace vectors512 {

using V = __m512;
constexpr int kLanes = 16;
UDI_INLINE V zero() { return _mm512_setzero_ps(); }
UDI_INLINE V load(const float* p) { return _mm512_loadu_ps(p); }
UDI_INLINE void store(float* p, V v) { _mm512_storeu_ps(p, v); }
UDI_INLINE V spread(float x) { return _mm512_set1_ps(x); }
UDI_INLINE V fma(V a, V b, V c) { return _mm512_fmadd_ps(a, b, c); }
UDI_INLINE V maximum(V a, V b) { return _mm512_max_ps(a, b); }
UDI_INLINE V minimum(V a, V b) { return _mm512_min_ps(a, b); }
UDI_INLINE V times_power_of_2(V a, V n) { return _mm512_scalef_ps(a, n); }
// Fourteen bits and a step of Newton's method: within an ulp, at a fifth of a division's time.
UDI_INLINE V reciprocal(V x) {
  const V r = _mm512_rcp14_ps(x);
  return r * _mm512_fnmadd_ps(x, r, _mm512_set1_ps(2.f));
}
UDI_INLINE float sum_of(V v) { return _mm512_reduce_add_ps(v); }
UDI_INLINE float largest_of(V v) { return _mm512_reduce_max_ps(v); }
UDI_INLINE V negative_chooses(V x, V negative, V other) {
  return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(x, zero(), _CMP_LT_OQ), other, negative);
}
#include "model/vector_math.h"

}  // namespace vectors512
#pragma GCC pop_options

#pragma GCC push_options
#pragma GCC target("arch=x86-64-v3")
namespace vectors256 {

using V = __m256;
constexpr int kLanes = 8;
UDI_INLINE V zero() { return _mm256_setzero_ps(); }
UDI_INLINE V load(const float* p) { return _mm256_loadu_ps(p); }
UDI_INLINE void store(float* p, V v) { _mm256_storeu_ps(p, v); }
UDI_INLINE V spread(float x) { return _mm256_set1_ps(x); }
UDI_INLINE V fma(V a, V b, V c) { return _mm256_fmadd_ps(a, b, c); }
UDI_INLINE V maximum(V a, V b) { return _mm256_max_ps(a, b); }
UDI_INLINE V minimum(V a, V b) { return _mm256_min_ps(a, b); }
UDI_INLINE V times_power_of_2(V a, V n) {
  const __m256i exponent = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
  return a * _mm256_castsi256_ps(_mm256_slli_epi32(exponent, 23));
}
UDI_INLINE V reciprocal(V x) { return _mm256_set1_ps(1.f) / x; }
UDI_INLINE float sum_of(V v) {
  __m128 x = _mm256_castps256_ps128(v) + _mm256_extractf128_ps(v, 1);
  x = x + _mm_movehl_ps(x, x);
  return x[0] + x[1];
}
UDI_INLINE float largest_of(V v) {
  __m128 x = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  x = _mm_max_ps(x, _mm_movehl_ps(x, x));
  return x[0] > x[1] ? x[0] : x[1];
}
UDI_INLINE V negative_chooses(V x, V negative, V other) {
  return _mm256_blendv_ps(other, negative, _mm256_cmp_ps(x, zero(), _CMP_LT_OQ));
}
#include "model/vector_math.h"

}  // namespace vectors256
#pragma GCC pop_options
#endif

namespace vectors128 {

using V = float __attribute__((vector_size(16)));
using Ints = int32_t __attribute__((vector_size(16)));
constexpr int kLanes = 4;
UDI_INLINE V zero() { return V{}; }
UDI_INLINE V load(const float* p) {
  V v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}
UDI_INLINE void store(float* p, V v) { __builtin_memcpy(p, &v, sizeof v); }
UDI_INLINE V spread(float x) { return V{x, x, x, x}; }
UDI_INLINE V fma(V a, V b, V c) { return a * b + c; }
UDI_INLINE V maximum(V a, V b) { return a > b ? a : b; }
UDI_INLINE V minimum(V a, V b) { return a < b ? a : b; }
UDI_INLINE V times_power_of_2(V a, V n) { return a * V((__builtin_convertvector(n, Ints) + 127) << 23); }
UDI_INLINE V reciprocal(V x) { return 1.f / x; }
UDI_INLINE float sum_of(V v) { return (v[0] + v[2]) + (v[1] + v[3]); }
UDI_INLINE float largest_of(V v) {
  const float a = v[0] > v[1] ? v[0] : v[1], b = v[2] > v[3] ? v[2] : v[3];
  return a > b ? a : b;
}
UDI_INLINE V negative_chooses(V x, V negative, V other) { return x < 0.f ? negative : other; }
#include "model/vector_math.h"

}  // namespace vectors128

}  // namespace udi::gemm
