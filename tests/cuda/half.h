// 16-bit numbers on the host, independent of any compiler's own: bits in, float out, and back to nearest, ties to even.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

namespace udi::cuda {

inline uint32_t bits_of(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  return bits;
}

inline float float_of(uint32_t bits) {
  float x;
  std::memcpy(&x, &bits, sizeof x);
  return x;
}

inline float bfloat16_to_float(uint16_t bits) { return float_of(uint32_t(bits) << 16); }

inline uint16_t float_to_bfloat16(float x) {
  if (std::isnan(x)) return 0x7fff;
  const uint32_t bits = bits_of(x);
  return uint16_t((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

inline float half_to_float(uint16_t bits) {
  const float sign = bits & 0x8000 ? -1.0f : 1.0f;
  const int exponent = bits >> 10 & 31, fraction = bits & 1023;
  if (exponent == 31) return fraction ? NAN : sign * INFINITY;
  if (exponent == 0) return sign * std::ldexp(float(fraction), -24);
  return sign * std::ldexp(float(1024 + fraction), exponent - 25);
}

inline uint16_t float_to_half(float x) {
  const uint16_t sign = uint16_t(bits_of(x) >> 16 & 0x8000);
  const float size = std::fabs(x);
  if (std::isnan(x)) return 0x7fff;
  if (size == 0) return sign;
  if (size >= 65520) return sign | 0x7c00;
  int exponent = 0;
  std::frexp(size, &exponent);  // size = f 2^exponent, f in [0.5, 1)
  const int unit = exponent < -13 ? -24 : exponent - 11;
  const long steps = std::lrint(std::ldexp(size, -unit));  // exact but for this rounding, to even in the default mode
  return uint16_t(sign | (unit == -24 ? steps : ((exponent + 14) << 10) + (steps - 1024)));
}

}  // namespace udi::cuda
