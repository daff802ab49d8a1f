// Sixteen float32 lanes at a time, for the loops that are compiled for several processors (base/simd.h). The number of
// lanes, and with it the order of every sum, is the same on each, so results do not depend on the processor.
#pragma once

#include <cstdint>
#include <cstring>

#include "base/simd.h"
#include "model/aten.h"

#pragma GCC diagnostic ignored "-Wpsabi"  // vectors cross no boundary of functions that are not inlined

namespace udi::lanes {

constexpr int kLanes = 16;
using Floats = float __attribute__((vector_size(64)));
using Ints = int32_t __attribute__((vector_size(64)));
using Words = uint32_t __attribute__((vector_size(64)));
using Shorts = uint16_t __attribute__((vector_size(32)));

// n: how many lanes are read or written; the others read 0.
UDI_INLINE Floats load(const float* p, int n = kLanes) {
  Floats v{};
  std::memcpy(&v, p, n == kLanes ? sizeof v : size_t(n) * sizeof *p);
  return v;
}
UDI_INLINE void store(float* p, Floats v, int n = kLanes) {
  std::memcpy(p, &v, n == kLanes ? sizeof v : size_t(n) * sizeof *p);
}
UDI_INLINE Floats load(const c10::BFloat16* p, int n = kLanes) {
  Shorts s{};
  std::memcpy(&s, p, n == kLanes ? sizeof s : size_t(n) * sizeof *p);
  return Floats(__builtin_convertvector(s, Words) << 16);
}
UDI_INLINE void store(c10::BFloat16* p, Floats v, int n = kLanes) {
  const Words bits = Words(v);
  const Words rounded = (bits + 0x7FFFu + (bits >> 16 & 1u)) >> 16;  // to nearest, ties to even
  const Words nan = (bits >> 16) | 0x40u;                            // rounding must not carry a NaN to infinity
  const Shorts s = __builtin_convertvector(Words(v == v) != 0u ? rounded : nan, Shorts);
  std::memcpy(p, &s, n == kLanes ? sizeof s : size_t(n) * sizeof *p);
}

// The first n lanes of v, then `rest`.
UDI_INLINE Floats first(Floats v, int n, float rest = 0) {
  for (int i = n; i < kLanes; ++i) v[i] = rest;
  return v;
}

UDI_INLINE float sum(Floats v) {
  float half[8];
  for (int i = 0; i < 8; ++i) half[i] = v[i] + v[i + 8];
  return ((half[0] + half[4]) + (half[2] + half[6])) + ((half[1] + half[5]) + (half[3] + half[7]));
}
UDI_INLINE float max(Floats v) {
  float out = v[0];
  for (int i = 1; i < kLanes; ++i) out = v[i] > out ? v[i] : out;
  return out;
}

// body(i, n) for i = 0, 16, ...; n is 16, or what is left at the end.
template <class Body>
UDI_INLINE void each(int64_t count, Body body) {
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) body(i, kLanes);
  if (i < count) body(i, int(count - i));
}

// exp for x up to 88, within 2e-7 of itself; what would be less than 2^-126 is about that.
UDI_INLINE Floats exp(Floats x) {
  const Floats low = Floats{} - 87.3f;
  x = x < low ? low : x;
  constexpr float kRound = 12582912.f;  // 1.5 * 2^23: adding it rounds to a whole number
  const Floats n = (x * 1.44269504f + kRound) - kRound;
  const Floats f = ((x - n * 0.693359375f) + n * 2.12194440e-4f) * 1.44269504f;  // x / ln 2 - n, ln 2 in two parts
  // 2^f on [-1/2, 1/2], fitted for least relative error, 2e-9.
  Floats y = f * 0.0001534578771449404f + 0.0013399936662723774f;
  y = y * f + 0.009618489081729346f;
  y = y * f + 0.05550328764371379f;
  y = y * f + 0.24022646889222207f;
  y = y * f + 0.6931472057425303f;
  y = y * f + 1.f;
  return y * Floats((__builtin_convertvector(n, Ints) + 127) << 23);
}

// The standard normal distribution's function and density at x, each within 3e-7: GELU(x) = x times the first, and its
// derivative the first plus x times the second.
UDI_INLINE void normal(Floats x, Floats& distribution, Floats& density) {
  const Floats t = (x < 0 ? -x : x) * 0.70710678f;
  const Floats gauss = lanes::exp(-(t * t));
  const Floats k = 1.f / (t * 0.3f + 1.f);
  // erfc(t) exp(t^2) as a polynomial of k, fitted for least relative error on [0, 10], 2e-8.
  Floats y = k * -0.1295213062846006f + 0.4855554685783776f;
  y = y * k - 0.5122619982050267f;
  y = y * k + 0.5477012968520255f;
  y = y * k - 0.09463737826862718f;
  y = y * k + 0.21492010361350314f;
  y = y * k + 0.1483407924236457f;
  y = y * k + 0.17071498064460017f;
  y = y * k + 0.1691880211475461f;
  const Floats tail = 0.5f * (y * k) * gauss;
  distribution = x < 0 ? tail : 1.f - tail;
  density = gauss * 0.39894228f;
}

}  // namespace udi::lanes
