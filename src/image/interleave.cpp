#include "image/interleave.h"

#include <cstring>

#include "base/simd.h"

namespace udi {
namespace {

#pragma GCC diagnostic ignored "-Wpsabi"  // nothing here crosses a call: all is inlined

typedef uint8_t Bytes16 __attribute__((vector_size(16)));

UDI_INLINE Bytes16 load16(const uint8_t* at) {
  Bytes16 v;
  std::memcpy(&v, at, sizeof v);
  return v;
}
UDI_INLINE void store16(uint8_t* at, Bytes16 v) { std::memcpy(at, &v, sizeof v); }

// 16 RGB pixels lie in three vectors; each plane is gathered from the first two, then completed from the third.
UDI_INLINE void split16(const uint8_t* pixels, uint8_t* out, size_t pitch) {
  const Bytes16 x = load16(pixels), y = load16(pixels + 16), z = load16(pixels + 32);
  const Bytes16 r = __builtin_shufflevector(x, y, 0, 3, 6, 9, 12, 15, 18, 21, 24, 27, 30, 0, 0, 0, 0, 0);
  const Bytes16 g = __builtin_shufflevector(x, y, 1, 4, 7, 10, 13, 16, 19, 22, 25, 28, 31, 0, 0, 0, 0, 0);
  const Bytes16 b = __builtin_shufflevector(x, y, 2, 5, 8, 11, 14, 17, 20, 23, 26, 29, 0, 0, 0, 0, 0, 0);
  store16(out, __builtin_shufflevector(r, z, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 17, 20, 23, 26, 29));
  store16(out + pitch, __builtin_shufflevector(g, z, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 18, 21, 24, 27, 30));
  store16(out + 2 * pitch, __builtin_shufflevector(b, z, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 16, 19, 22, 25, 28, 31));
}

typedef uint16_t Pairs8 __attribute__((vector_size(16)));
typedef uint32_t Quads4 __attribute__((vector_size(16)));

// The first (last) halves of both, element by element in turn.
UDI_INLINE Bytes16 first_halves(Bytes16 a, Bytes16 b) {
  return __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
}
UDI_INLINE Bytes16 last_halves(Bytes16 a, Bytes16 b) {
  return __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
}
UDI_INLINE Pairs8 first_halves(Pairs8 a, Pairs8 b) { return __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11); }
UDI_INLINE Pairs8 last_halves(Pairs8 a, Pairs8 b) { return __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15); }
UDI_INLINE Quads4 first_halves(Quads4 a, Quads4 b) { return __builtin_shufflevector(a, b, 0, 4, 1, 5); }
UDI_INLINE Quads4 last_halves(Quads4 a, Quads4 b) { return __builtin_shufflevector(a, b, 2, 6, 3, 7); }

// As many rows as a vector has elements. Perfect shuffles, the binary logarithm of their number, transpose them.
template <class Vector, int count>
UDI_INLINE void transpose_square(const uint8_t* in, size_t in_pitch, uint8_t* out, size_t out_pitch) {
  Vector v[count], w[count];
#pragma GCC unroll 16
  for (int i = 0; i < count; ++i) std::memcpy(&v[i], in + size_t(i) * in_pitch, 16);
#pragma GCC unroll 4
  for (int shuffled = 1; shuffled < count; shuffled *= 2) {
#pragma GCC unroll 8
    for (int i = 0; i < count / 2; ++i) {
      w[2 * i] = first_halves(v[i], v[i + count / 2]);
      w[2 * i + 1] = last_halves(v[i], v[i + count / 2]);
    }
#pragma GCC unroll 16
    for (int i = 0; i < count; ++i) v[i] = w[i];
  }
#pragma GCC unroll 16
  for (int i = 0; i < count; ++i) std::memcpy(out + size_t(i) * out_pitch, &v[i], 16);
}

template <class Vector, int group>
UDI_INLINE void transpose_all(const uint8_t* in, size_t in_pitch, int width, int height, uint8_t* out,
                              size_t out_pitch) {
  constexpr int kCount = 16 / group;
  for (int x = 0; x < width; x += 16) {
    for (int y = 0; y < height; y += kCount) {
      transpose_square<Vector, kCount>(in + size_t(y) * in_pitch + size_t(x), in_pitch,
                                       out + size_t(x / group) * out_pitch + size_t(y) * group, out_pitch);
    }
  }
}

// A square of group x group pixels.
UDI_INLINE void turn_square(const uint8_t* in, uint8_t* out, Quads4) {
  const Bytes16 v = load16(in);
  store16(out, __builtin_shufflevector(v, v, 0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
}
UDI_INLINE void turn_square(const uint8_t* in, uint8_t* out, Pairs8) {
  uint32_t v;
  std::memcpy(&v, in, 4);
  v = (v & 0xff0000ff) | (v & 0xff00) << 8 | (v >> 8 & 0xff00);
  std::memcpy(out, &v, 4);
}

template <class Vector, int group>
UDI_INLINE void turn_all(const uint8_t* in, size_t in_pitch, int width, int height, uint8_t* out, size_t out_pitch) {
  for (size_t x = 0; x < size_t(width); x += group) {
    for (size_t y = 0; y < size_t(height); y += group) {
      turn_square(in + x / group * in_pitch + y * group, out + y / group * out_pitch + x * group, Vector{});
    }
  }
}

}  // namespace

UDI_CLONES void split_channels(const uint8_t* row, int width, int channels, uint8_t* out, size_t pitch) {
  int x = 0;
  if (channels == 1) {
    std::memcpy(out, row, size_t(width));
    return;
  }
  if (channels == 3) {
    for (; x + 16 <= width; x += 16) split16(row + 3 * size_t(x), out + x, pitch);
  }
  for (; x < width; ++x) {
    for (int c = 0; c < channels; ++c)
      out[size_t(c) * pitch + size_t(x)] = row[size_t(x) * size_t(channels) + size_t(c)];
  }
}

UDI_CLONES void transpose(const uint8_t* in, size_t in_pitch, int width, int height, uint8_t* out, size_t out_pitch) {
  transpose_all<Bytes16, 1>(in, in_pitch, width, height, out, out_pitch);
}

UDI_CLONES void transpose_groups(const uint8_t* in, size_t in_pitch, int width, int height, int group, uint8_t* out,
                                 size_t out_pitch) {
  if (group == 1) transpose_all<Bytes16, 1>(in, in_pitch, width, height, out, out_pitch);
  if (group == 2) transpose_all<Pairs8, 2>(in, in_pitch, width, height, out, out_pitch);
  if (group == 4) transpose_all<Quads4, 4>(in, in_pitch, width, height, out, out_pitch);
}

UDI_CLONES void turn_groups(const uint8_t* in, size_t in_pitch, int width, int height, int group, uint8_t* out,
                            size_t out_pitch) {
  if (group == 1) transpose_all<Bytes16, 1>(in, in_pitch, height, width, out, out_pitch);
  if (group == 2) turn_all<Pairs8, 2>(in, in_pitch, width, height, out, out_pitch);
  if (group == 4) turn_all<Quads4, 4>(in, in_pitch, width, height, out, out_pitch);
}

}  // namespace udi
