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

// Four perfect shuffles of sixteen vectors transpose them.
UDI_INLINE void transpose16(const uint8_t* in, size_t in_pitch, uint8_t* out, size_t out_pitch) {
  Bytes16 v[16], w[16];
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i) v[i] = load16(in + size_t(i) * in_pitch);
#pragma GCC unroll 4
  for (int round = 0; round < 4; ++round) {
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) {
      w[2 * i] = __builtin_shufflevector(v[i], v[i + 8], 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
      w[2 * i + 1] =
          __builtin_shufflevector(v[i], v[i + 8], 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
    }
#pragma GCC unroll 16
    for (int i = 0; i < 16; ++i) v[i] = w[i];
  }
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i) store16(out + size_t(i) * out_pitch, v[i]);
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
  for (int x = 0; x < width; x += 16) {
    for (int y = 0; y < height; y += 16) {
      transpose16(in + size_t(y) * in_pitch + size_t(x), in_pitch, out + size_t(x) * out_pitch + size_t(y), out_pitch);
    }
  }
}

}  // namespace udi
