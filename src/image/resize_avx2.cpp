// AVX2: groups of two pixels. A weight is split as high * 2^16 + low, both signed. Low parts are multiplied in pairs of
// 16 bits, high parts in pairs of 8. Sums are wanted modulo 2^32, in which they fit, so that the sum of the high parts
// is wanted modulo 2^16 alone: it stays in 16 bits. Two high parts are together below 128 in magnitude (weights sum to
// 1 and overshoot by less than a half), so their products with bytes do not saturate.
#include "image/processor.h"

#if UDI_X86_KERNELS
// GCC 12's own header sets off its warning (GCC bug 105593).
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <immintrin.h>

#include <cstring>

#include "base/simd.h"
#include "image/resize_kernels.h"
#include "image/resize_taps.h"

#pragma GCC push_options
#pragma GCC target("arch=x86-64-v3")

namespace udi {
namespace {

constexpr int kGroup = 2, kInts = 2, kOutputs = 8;

void pack(const int32_t* weights, int groups, int32_t* packed) {
  for (int g = 0; g < groups; ++g) {
    const int32_t w0 = weights[2 * g], w1 = weights[2 * g + 1];
    const int32_t high0 = (w0 - int16_t(w0)) >> 16, high1 = (w1 - int16_t(w1)) >> 16;
    packed[2 * g] = int32_t(uint32_t(uint16_t(w0)) | uint32_t(uint16_t(w1)) << 16);
    packed[2 * g + 1] = int32_t((uint32_t(uint8_t(high0)) | uint32_t(uint8_t(high1)) << 8) * 0x10001u);
  }
}

// 32 neighbouring sums as bytes, in this order: 0-7, 16-23, 8-15, 24-31.
// known_groups: the number of groups where it is known when this is compiled, else 0.
template <int known_groups>
UDI_INLINE __m256i sums(const uint8_t* at, size_t pitch, const int32_t* weights, int groups) {
  if (known_groups) groups = known_groups;
  const __m256i zero = _mm256_setzero_si256(), half = _mm256_set1_epi32(1 << (kWeightBits - 1));
  __m256i a = half, b = half, c = half, d = half, high_ab = zero, high_cd = zero;
#pragma GCC unroll 8
  for (int g = 0; g < groups; ++g, at += pitch, weights += kInts) {
    const __m256i low = _mm256_set1_epi32(weights[0]), high = _mm256_set1_epi32(weights[1]);
    const __m256i ab = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at));
    const __m256i cd = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at + 32));
    a = _mm256_add_epi32(a, _mm256_madd_epi16(_mm256_unpacklo_epi8(ab, zero), low));
    b = _mm256_add_epi32(b, _mm256_madd_epi16(_mm256_unpackhi_epi8(ab, zero), low));
    c = _mm256_add_epi32(c, _mm256_madd_epi16(_mm256_unpacklo_epi8(cd, zero), low));
    d = _mm256_add_epi32(d, _mm256_madd_epi16(_mm256_unpackhi_epi8(cd, zero), low));
    high_ab = _mm256_add_epi16(high_ab, _mm256_maddubs_epi16(ab, high));
    high_cd = _mm256_add_epi16(high_cd, _mm256_maddubs_epi16(cd, high));
  }
  a = _mm256_srai_epi32(_mm256_add_epi32(a, _mm256_unpacklo_epi16(zero, high_ab)), kWeightBits);
  b = _mm256_srai_epi32(_mm256_add_epi32(b, _mm256_unpackhi_epi16(zero, high_ab)), kWeightBits);
  c = _mm256_srai_epi32(_mm256_add_epi32(c, _mm256_unpacklo_epi16(zero, high_cd)), kWeightBits);
  d = _mm256_srai_epi32(_mm256_add_epi32(d, _mm256_unpackhi_epi16(zero, high_cd)), kWeightBits);
  return _mm256_packus_epi16(_mm256_packs_epi32(a, b), _mm256_packs_epi32(c, d));
}

// In each half: eight rows of eight 16-bit numbers become columns.
UDI_INLINE void transpose8(__m256i (&v)[8]) {
  __m256i w[8];
  for (int k = 0; k < 4; ++k) {
    w[2 * k] = _mm256_unpacklo_epi16(v[2 * k], v[2 * k + 1]);
    w[2 * k + 1] = _mm256_unpackhi_epi16(v[2 * k], v[2 * k + 1]);
  }
  for (int k = 0; k < 8; k += 4) {
    v[k] = _mm256_unpacklo_epi32(w[k], w[k + 2]);
    v[k + 1] = _mm256_unpackhi_epi32(w[k], w[k + 2]);
    v[k + 2] = _mm256_unpacklo_epi32(w[k + 1], w[k + 3]);
    v[k + 3] = _mm256_unpackhi_epi32(w[k + 1], w[k + 3]);
  }
  for (int k = 0; k < 4; ++k) {
    w[2 * k] = _mm256_unpacklo_epi64(v[k], v[k + 4]);
    w[2 * k + 1] = _mm256_unpackhi_epi64(v[k], v[k + 4]);
  }
  for (int k = 0; k < 8; ++k) v[k] = w[k];
}

template <int known_groups>
UDI_INLINE void first_pass_of(const uint8_t* in, size_t in_pitch, const GroupTaps& taps, int height, uint8_t* out,
                              size_t out_pitch) {
  const size_t stride = size_t(taps.groups) * kInts;
  for (int i = 0; i < taps.outputs; i += kOutputs) {
    for (int y = 0; y < height; y += 32) {
      __m256i v[kOutputs];
      for (int k = 0; k < kOutputs; ++k) {
        const uint8_t* at = in + size_t(taps.first[i + k]) * in_pitch + size_t(y) * kGroup;
        v[k] = sums<known_groups>(at, in_pitch, taps.weights + size_t(i + k) * stride, taps.groups);
      }
      transpose8(v);
      uint8_t* to = out + size_t(y) / kGroup * out_pitch + size_t(i) * kGroup;
      for (int k = 0; k < 8; ++k) {  // rows 2k and 2k + 1 of the order in which sums come
        uint8_t* low = to + size_t(k < 4 ? k : k + 4) * out_pitch;
        _mm_storeu_si128(reinterpret_cast<__m128i*>(low), _mm256_castsi256_si128(v[k]));
        _mm_storeu_si128(reinterpret_cast<__m128i*>(low + 4 * out_pitch), _mm256_extracti128_si256(v[k], 1));
      }
    }
  }
}

template <int known_groups>
UDI_INLINE void second_pass_of(const uint8_t* in, size_t in_pitch, const GroupTaps& taps, int width, uint8_t* out) {
  const size_t stride = size_t(taps.groups) * kInts;
  for (int i = 0; i < taps.outputs; ++i, out += width) {
    const uint8_t* rows = in + size_t(taps.first[i]) * in_pitch;
    const int32_t* weights = taps.weights + size_t(i) * stride;
    for (int x = 0; x < width; x += 32) {
      const __m256i s =
          _mm256_permute4x64_epi64(sums<known_groups>(rows + x * kGroup, in_pitch, weights, taps.groups), 0xd8);
      if (x + 32 <= width) {
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + x), s);
      } else {
        uint8_t last[32];
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(last), s);
        std::memcpy(out + x, last, size_t(width - x));
      }
    }
  }
}

void first_pass(const uint8_t* in, size_t in_pitch, const GroupTaps& taps, int height, uint8_t* out, size_t out_pitch) {
  if (taps.groups == 2) return first_pass_of<2>(in, in_pitch, taps, height, out, out_pitch);
  if (taps.groups == 3) return first_pass_of<3>(in, in_pitch, taps, height, out, out_pitch);
  if (taps.groups == 4) return first_pass_of<4>(in, in_pitch, taps, height, out, out_pitch);
  first_pass_of<0>(in, in_pitch, taps, height, out, out_pitch);
}

void second_pass(const uint8_t* in, size_t in_pitch, const GroupTaps& taps, int width, uint8_t* out) {
  if (taps.groups == 2) return second_pass_of<2>(in, in_pitch, taps, width, out);
  if (taps.groups == 3) return second_pass_of<3>(in, in_pitch, taps, width, out);
  if (taps.groups == 4) return second_pass_of<4>(in, in_pitch, taps, width, out);
  second_pass_of<0>(in, in_pitch, taps, width, out);
}

}  // namespace

const ResizeKernels kResizeAvx2{kGroup, kInts, pack, first_pass, second_pass};

}  // namespace udi

#pragma GCC pop_options
#endif
