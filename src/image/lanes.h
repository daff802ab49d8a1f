// Thirty-two bytes at a time as numbers. The bytes are taken as eight 32-bit words, and each of the four bytes of a
// word is worked on in a vector of its own: only shifts and masks lead there and back, no lane changes its place, so
// every processor's vectors can do it (GCC's and clang's vector extension, inside functions marked UDI_CLONES).
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "base/simd.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpsabi"  // nothing here crosses a call: all is inlined

namespace udi {

typedef int32_t IntVector __attribute__((vector_size(32)));
typedef uint32_t WordVector __attribute__((vector_size(32)));
typedef float FloatVector __attribute__((vector_size(32)));

constexpr size_t kLanes = 32;

// 32 numbers; which byte a number came from is known to load_bytes and store_bytes alone.
template <class Vector>
struct Lanes {
  Vector a, b, c, d;
};
using Ints = Lanes<IntVector>;
using Words = Lanes<WordVector>;
using Floats = Lanes<FloatVector>;

#define UDI_LANES_OPERATOR(op)                                            \
  template <class V>                                                      \
  UDI_INLINE Lanes<V> operator op(const Lanes<V>& x, const Lanes<V>& y) { \
    return {x.a op y.a, x.b op y.b, x.c op y.c, x.d op y.d};              \
  }                                                                       \
  template <class V, class Scalar>                                        \
  UDI_INLINE Lanes<V> operator op(const Lanes<V>& x, Scalar y) {          \
    return {x.a op y, x.b op y, x.c op y, x.d op y};                      \
  }
UDI_LANES_OPERATOR(+)
UDI_LANES_OPERATOR(-)
UDI_LANES_OPERATOR(*)
UDI_LANES_OPERATOR(/)
UDI_LANES_OPERATOR(&)
UDI_LANES_OPERATOR(|)
UDI_LANES_OPERATOR(>>)
#undef UDI_LANES_OPERATOR

// Comparisons give all ones where true, else zero.
#define UDI_LANES_COMPARISON(op)                                      \
  template <class V>                                                  \
  UDI_INLINE Ints operator op(const Lanes<V>& x, const Lanes<V>& y) { \
    return {x.a op y.a, x.b op y.b, x.c op y.c, x.d op y.d};          \
  }                                                                   \
  template <class V, class Scalar>                                    \
  UDI_INLINE Ints operator op(const Lanes<V>& x, Scalar y) {          \
    return {x.a op y, x.b op y, x.c op y, x.d op y};                  \
  }
UDI_LANES_COMPARISON(<)
UDI_LANES_COMPARISON(>)
UDI_LANES_COMPARISON(==)
#undef UDI_LANES_COMPARISON

template <class V>
UDI_INLINE Lanes<V> where(const Ints& mask, const Lanes<V>& x, const Lanes<V>& y) {
  return {mask.a ? x.a : y.a, mask.b ? x.b : y.b, mask.c ? x.c : y.c, mask.d ? x.d : y.d};
}
template <class V>
UDI_INLINE Lanes<V> smaller(const Lanes<V>& x, const Lanes<V>& y) {
  return {x.a > y.a ? y.a : x.a, x.b > y.b ? y.b : x.b, x.c > y.c ? y.c : x.c, x.d > y.d ? y.d : x.d};
}
template <class V>
UDI_INLINE Lanes<V> larger(const Lanes<V>& x, const Lanes<V>& y) {
  return {x.a < y.a ? y.a : x.a, x.b < y.b ? y.b : x.b, x.c < y.c ? y.c : x.c, x.d < y.d ? y.d : x.d};
}

UDI_INLINE Ints all_ints(int32_t value) {
  const IntVector v = IntVector{} + value;
  return {v, v, v, v};
}
UDI_INLINE Floats all_floats(float value) {
  const FloatVector v = FloatVector{} + value;
  return {v, v, v, v};
}
UDI_INLINE Floats to_floats(const Ints& x) {
  return {__builtin_convertvector(x.a, FloatVector), __builtin_convertvector(x.b, FloatVector),
          __builtin_convertvector(x.c, FloatVector), __builtin_convertvector(x.d, FloatVector)};
}
UDI_INLINE Ints truncated(const Floats& x) {
  return {__builtin_convertvector(x.a, IntVector), __builtin_convertvector(x.b, IntVector),
          __builtin_convertvector(x.c, IntVector), __builtin_convertvector(x.d, IntVector)};
}
UDI_INLINE Ints to_ints(const Words& x) { return {IntVector(x.a), IntVector(x.b), IntVector(x.c), IntVector(x.d)}; }
UDI_INLINE Ints clipped(const Ints& x) { return smaller(larger(x, all_ints(0)), all_ints(255)); }

UDI_INLINE Ints load_bytes(const uint8_t* at) {
  WordVector w;
  std::memcpy(&w, at, sizeof w);
  return {IntVector(w & 255), IntVector(w >> 8 & 255), IntVector(w >> 16 & 255), IntVector(w >> 24)};
}
UDI_INLINE void store_bytes(uint8_t* at, const Ints& x) {  // each of them 0..255
  const IntVector w = x.a | x.b << 8 | x.c << 16 | x.d << 24;
  std::memcpy(at, &w, sizeof w);
}

}  // namespace udi

#pragma GCC diagnostic pop
