// AVX-512 with VNNI: groups of four pixels. A weight is split into three signed bytes, and each kind is summed by
// itself: an instruction adds four products of bytes to each of 16 sums.
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
#pragma GCC target("arch=x86-64-v4,avx512vnni,avx512vbmi")

namespace udi {
namespace {

constexpr int kGroup = 4, kInts = 4, kOutputs = 4;  // the fourth int of a group is not used

// With 128 added to each, the three bytes are those of a plain sum.
void pack(const int32_t* weights, int groups, int32_t* packed) {
  const __m128i offset = _mm_set1_epi32(0x808080);
  const __m128i bytes_together = _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  for (int g = 0; g < 4 * groups; g += 4) {
    const __m128i w = _mm_loadu_si128(reinterpret_cast<const __m128i*>(weights + g));
    const __m128i parts = _mm_xor_si128(_mm_add_epi32(w, offset), offset);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(packed + g), _mm_shuffle_epi8(parts, bytes_together));
  }
}

UDI_INLINE __m512i finished(__m512i low, __m512i middle, __m512i high) {
  const __m512i upper = _mm512_add_epi32(middle, _mm512_slli_epi32(high, 8));
  return _mm512_srai_epi32(_mm512_add_epi32(low, _mm512_slli_epi32(upper, 8)), kWeightBits);
}

// 32 neighbouring sums as 16-bit numbers, in this order: 0-3, 16-19, 4-7, 20-23, ...
// known_groups: the number of groups where it is known when this is compiled, else 0.
template <int known_groups>
UDI_INLINE __m512i sums(const uint8_t* at, size_t pitch, const int32_t* weights, int groups) {
  if (known_groups) groups = known_groups;
  const __m512i zero = _mm512_setzero_si512(), half = _mm512_set1_epi32(1 << (kWeightBits - 1));
  __m512i low0 = half, middle0 = zero, high0 = zero, low1 = half, middle1 = zero, high1 = zero;
#pragma GCC unroll 8
  for (int g = 0; g < groups; ++g, at += pitch, weights += kInts) {
    const __m512i first = _mm512_loadu_si512(at), second = _mm512_loadu_si512(at + 64);
    const __m512i low = _mm512_set1_epi32(weights[0]), middle = _mm512_set1_epi32(weights[1]),
                  high = _mm512_set1_epi32(weights[2]);
    low0 = _mm512_dpbusd_epi32(low0, first, low);
    low1 = _mm512_dpbusd_epi32(low1, second, low);
    middle0 = _mm512_dpbusd_epi32(middle0, first, middle);
    middle1 = _mm512_dpbusd_epi32(middle1, second, middle);
    high0 = _mm512_dpbusd_epi32(high0, first, high);
    high1 = _mm512_dpbusd_epi32(high1, second, high);
  }
  return _mm512_packs_epi32(finished(low0, middle0, high0), finished(low1, middle1, high1));
}

// The four parts of 16 bytes go to four rows.
UDI_INLINE void store_rows(uint8_t* to, size_t pitch, __m512i v) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm512_castsi512_si128(v));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to + pitch), _mm512_extracti32x4_epi32(v, 1));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to + 2 * pitch), _mm512_extracti32x4_epi32(v, 2));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to + 3 * pitch), _mm512_extracti32x4_epi32(v, 3));
}

template <int known_groups>
UDI_INLINE void first_pass_of(const uint8_t* in, size_t in_pitch, const GroupTaps& taps, int height, uint8_t* out,
                              size_t out_pitch) {
  const size_t stride = size_t(taps.groups) * kInts;
  for (int i = 0; i < taps.outputs; i += kOutputs) {
    for (int y = 0; y < height; y += 32) {
      __m512i v[kOutputs];
      for (int k = 0; k < kOutputs; ++k) {
        const uint8_t* at = in + size_t(taps.first[i + k]) * in_pitch + size_t(y) * kGroup;
        v[k] = sums<known_groups>(at, in_pitch, taps.weights + size_t(i + k) * stride, taps.groups);
      }
      // Four rows of one output are 32 bits: those of rows 0-3, 16-19 of outputs 0, 1 lie together, and so on.
      const __m512 a = _mm512_castsi512_ps(_mm512_packus_epi16(v[0], v[1]));
      const __m512 b = _mm512_castsi512_ps(_mm512_packus_epi16(v[2], v[3]));
      uint8_t* to = out + size_t(y) / kGroup * out_pitch + size_t(i) * kGroup;
      store_rows(to, out_pitch, _mm512_castps_si512(_mm512_shuffle_ps(a, b, 0x88)));
      store_rows(to + 4 * out_pitch, out_pitch, _mm512_castps_si512(_mm512_shuffle_ps(a, b, 0xdd)));
    }
  }
}

template <int known_groups>
UDI_INLINE void second_pass_of(const uint8_t* in, size_t in_pitch, const GroupTaps& taps, int width, uint8_t* out) {
  const __m512i in_order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 0, 4, 8, 12, 1, 5, 9, 13);
  const size_t stride = size_t(taps.groups) * kInts;
  for (int i = 0; i < taps.outputs; ++i, out += width) {
    const uint8_t* rows = in + size_t(taps.first[i]) * in_pitch;
    const int32_t* weights = taps.weights + size_t(i) * stride;
    for (int x = 0; x < width; x += 32) {
      const __m512i s = sums<known_groups>(rows + x * kGroup, in_pitch, weights, taps.groups);
      const __m256i bytes = _mm512_castsi512_si256(_mm512_permutexvar_epi32(in_order, _mm512_packus_epi16(s, s)));
      if (x + 32 <= width) {
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + x), bytes);
      } else {
        uint8_t last[32];
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(last), bytes);
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

const ResizeKernels kResizeVnni{kGroup, kInts, pack, first_pass, second_pass};

}  // namespace udi

#pragma GCC pop_options
#endif
