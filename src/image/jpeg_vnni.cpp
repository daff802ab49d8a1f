// AVX-512 with VBMI: a block at a time, two of its rows in each vector of 32-bit sums.
#include "image/processor.h"

#if UDI_X86_KERNELS
// GCC 12's own header sets off its warnings (GCC bug 105593).
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#include <immintrin.h>

#include <cstring>

#include "base/simd.h"
#include "image/jpeg_blocks.h"

#pragma GCC push_options
#pragma GCC target("arch=x86-64-v4,avx512vnni,avx512vbmi")

namespace udi {
namespace {

UDI_INLINE __m512i load(const void* at) { return _mm512_load_si512(at); }

// Products of pairs, each with one factor in the vector's first half and with another one in its second.
UDI_INLINE __m512i product_sum(__m512i pairs, int first, int second, int other_first, int other_second) {
  const __m256i half = _mm256_set1_epi32(int(uint32_t(second) << 16 | uint16_t(first)));
  const __m256i other = _mm256_set1_epi32(int(uint32_t(other_second) << 16 | uint16_t(other_first)));
  return _mm512_madd_epi16(pairs, _mm512_inserti64x4(_mm512_castsi256_si512(half), other, 1));
}

// Pairs of rows: (0, 4) twice, (2, 6) twice, (7, 1) and (3, 5), these two again in the other order. Out: rows 0 and 1, 7
// and 6, 3 and 2, 4 and 5.
template <int shift>
UDI_INLINE void transform_rows(__m512i r04, __m512i r26, __m512i r71_35, __m512i r35_71, __m512i* out) {
  // Sum and difference wrap in 16 bits, then get 13 behind the point.
  const __m512i wrapped = _mm512_slli_epi32(product_sum(r04, 1, 1, 1, -1), 16);
  const __m512i start = _mm512_add_epi32(_mm512_srai_epi32(wrapped, 3), _mm512_set1_epi32(1 << (shift - 1)));
  const __m512i even = product_sum(r26, k0_541 + k0_765, k0_541, k0_541, k0_541 - k1_847);
  const __m512i even01 = _mm512_add_epi32(start, even), even32 = _mm512_sub_epi32(start, even);
  const __m512i z = _mm512_add_epi16(r71_35, r35_71);
  const __m512i odd01 = _mm512_add_epi32(product_sum(r71_35, -k0_899, k1_501 - k0_899, k3_072 - k2_562, -k2_562),
                                         product_sum(z, k1_175, k1_175 - k0_390, k1_175 - k1_961, k1_175));
  const __m512i odd32 = _mm512_add_epi32(product_sum(r71_35, k0_298 - k0_899, -k0_899, -k2_562, k2_053 - k2_562),
                                         product_sum(z, k1_175 - k1_961, k1_175, k1_175, k1_175 - k0_390));
  out[0] = _mm512_srai_epi32(_mm512_add_epi32(even01, odd01), shift);
  out[1] = _mm512_srai_epi32(_mm512_sub_epi32(even01, odd01), shift);
  out[2] = _mm512_srai_epi32(_mm512_add_epi32(even32, odd32), shift);
  out[3] = _mm512_srai_epi32(_mm512_sub_epi32(even32, odd32), shift);
}

// What lies where after the first half: pairs of columns of each row; and after the second: bytes of each row.
struct Orders {
  alignas(64) int32_t first[4][16] = {};  // (0, 4) twice, (2, 6) twice, (7, 1) and (3, 5), these the other way round
  alignas(64) int8_t last[64] = {};
  constexpr Orders() {
    constexpr int kRow[8] = {0, 8, 10, 2, 18, 26, 24, 16}, kColumn[8] = {0, 32, 36, 4, 12, 44, 40, 8};
    for (int i = 0; i < 16; ++i) {
      const int row = kRow[i % 8];
      first[0][i] = row;
      first[1][i] = row + 5;
      first[2][i] = row + (i < 8 ? 1 : 4);
      first[3][i] = row + (i < 8 ? 4 : 1);
    }
    for (int i = 0; i < 64; ++i) last[i] = int8_t(kColumn[i % 8] + i / 8 % 4 + i / 32 * 16);
  }
};
constexpr Orders kOrders;

__attribute__((noinline)) void transform(const BlockBytes& block, const int16_t* quant, uint8_t* out, size_t pitch) {
  const __m512i places = load(kZigzag.from);
  const __m512i low = _mm512_permutexvar_epi8(places, load(block.low));
  uint64_t others = _mm512_test_epi8_mask(low, low);
  __m512i c04_26 = _mm512_cvtepi8_epi16(_mm512_castsi512_si256(low));
  __m512i c71_35 = _mm512_cvtepi8_epi16(_mm512_extracti64x4_epi64(low, 1));
  if (block.wide) {
    const __m512i high = _mm512_permutexvar_epi8(places, load(block.high));
    others |= _mm512_test_epi8_mask(high, high);
    const __m512i high04_26 = _mm512_cvtepi8_epi16(_mm512_castsi512_si256(high));
    const __m512i high71_35 = _mm512_cvtepi8_epi16(_mm512_extracti64x4_epi64(high, 1));
    c04_26 = _mm512_add_epi16(c04_26, _mm512_slli_epi16(high04_26, 8));
    c71_35 = _mm512_add_epi16(c71_35, _mm512_slli_epi16(high71_35, 8));
  }
  const __m512i r04_26 = _mm512_mullo_epi16(_mm512_mask_set1_epi16(c04_26, 1, block.first), load(quant));

  __m512i pairs[4], rows[4];
  constexpr uint64_t kFirstRow = 0x5555;
  if ((others & ~kFirstRow) == 0) {
    // All rows are the first one.
    const __m512i row = _mm512_srai_epi32(_mm512_slli_epi32(r04_26, 18), 16);
    const __m512i packed = _mm512_packs_epi32(row, row);
    const __m512i c71 = _mm512_set1_epi32(1), c35 = _mm512_set1_epi32(4);
    pairs[0] = _mm512_permutexvar_epi32(_mm512_setzero_si512(), packed);
    pairs[1] = _mm512_permutexvar_epi32(_mm512_set1_epi32(5), packed);
    pairs[2] = _mm512_permutexvar_epi32(_mm512_mask_blend_epi32(0xff00, c71, c35), packed);
    pairs[3] = _mm512_permutexvar_epi32(_mm512_mask_blend_epi32(0xff00, c35, c71), packed);
  } else {
    const __m512i r71_35 = _mm512_mullo_epi16(c71_35, load(quant + 32));
    transform_rows<11>(_mm512_shuffle_i64x2(r04_26, r04_26, 0x44), _mm512_shuffle_i64x2(r04_26, r04_26, 0xee), r71_35,
                       _mm512_shuffle_i64x2(r71_35, r71_35, 0x4e), rows);
    const __m512i some = _mm512_packs_epi32(rows[0], rows[2]), others = _mm512_packs_epi32(rows[1], rows[3]);
    for (int i = 0; i < 4; ++i) pairs[i] = _mm512_permutex2var_epi32(some, load(kOrders.first[i]), others);
  }
  transform_rows<18>(pairs[0], pairs[1], pairs[2], pairs[3], rows);
  const __m512i samples =
      _mm512_packs_epi16(_mm512_packs_epi32(rows[0], rows[2]), _mm512_packs_epi32(rows[1], rows[3]));
  const __m512i picture =
      _mm512_permutexvar_epi8(load(kOrders.last), _mm512_xor_si512(samples, _mm512_set1_epi8(-128)));
  const auto store_rows = [&](int first, __m128i two) {
    _mm_storel_epi64(reinterpret_cast<__m128i*>(out + size_t(first) * pitch), two);
    _mm_storeh_pd(reinterpret_cast<double*>(out + size_t(first + 1) * pitch), _mm_castsi128_pd(two));
  };
  store_rows(0, _mm512_castsi512_si128(picture));
  store_rows(2, _mm512_extracti32x4_epi32(picture, 1));
  store_rows(4, _mm512_extracti32x4_epi32(picture, 2));
  store_rows(6, _mm512_extracti32x4_epi32(picture, 3));
}

bool decode(JpegPlane* planes, int count, int mcus, BitReader& reader, const uint8_t* end) {
  return decode_blocks(planes, count, mcus, reader, end, transform);
}

UDI_INLINE __m512i words(const uint8_t* at) {
  return _mm512_cvtepu8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(at)));
}

void widen(const uint8_t* near, const uint8_t* far, bool one_row, int width, uint8_t* out) {
  const __m512i three = _mm512_set1_epi16(3);
  const int left_half = widen_half(one_row, 0), right_half = widen_half(one_row, 1);
  for (int i = 0; i < width; i += 32) {
    const auto column = [&](int at) {
      return _mm512_add_epi16(_mm512_mullo_epi16(words(near + at), three), words(far + at));
    };
    const __m512i here = _mm512_mullo_epi16(column(i), three);
    const auto rounded = [&](int at, int half) {
      const __m512i sum = _mm512_add_epi16(_mm512_add_epi16(here, column(at)), _mm512_set1_epi16(int16_t(half)));
      return _mm512_srli_epi16(sum, 4);
    };
    const __m512i lefts = rounded(i - 1, left_half), rights = rounded(i + 1, right_half);
    _mm512_storeu_si512(out + 2 * i, _mm512_or_si512(lefts, _mm512_slli_epi16(rights, 8)));
  }
  // The first and the last one have a neighbour on one side alone: they are their own on the other.
  const int first = 3 * near[0] + far[0], last = 3 * near[width - 1] + far[width - 1];
  out[0] = uint8_t((4 * first + left_half) >> 4);
  out[2 * width - 1] = uint8_t((4 * last + right_half) >> 4);
}

// Where the 192 bytes of 64 pixels come from: red and green in one look-up, blue in another.
struct Spread {
  alignas(64) uint8_t red_green[3][64] = {}, blue[3][64] = {};
  uint64_t is_blue[3] = {};
  constexpr Spread() {
    for (int i = 0; i < 192; ++i) {
      red_green[i / 64][i % 64] = uint8_t(i % 3 == 1 ? 64 + i / 3 : i / 3);
      blue[i / 64][i % 64] = uint8_t(i / 3);
      if (i % 3 == 2) is_blue[i / 64] |= uint64_t(1) << i % 64;
    }
  }
};
constexpr Spread kSpread;

struct Rgb {
  __m512i red, green, blue;
};

// 32 pixels as 16-bit numbers, blue and red without their 128.
UDI_INLINE Rgb rgb32(__m512i y, __m512i cb, __m512i cr) {
  const auto rounded = [&](__m512i pairs) {
    const __m512i sum = product_sum(pairs, -22554, 65536 - 46802, -22554, 65536 - 46802);
    return _mm512_srai_epi32(_mm512_add_epi32(sum, _mm512_set1_epi32(1 << 15)), 16);
  };
  // mulhrs is a product with 15 bits behind the point, rounded; these are exact for all 256 values.
  const __m512i red = _mm512_add_epi16(_mm512_mulhrs_epi16(cr, _mm512_set1_epi16(13173)), cr);
  const __m512i blue = _mm512_add_epi16(_mm512_mulhrs_epi16(cb, _mm512_set1_epi16(-7471)), _mm512_slli_epi16(cb, 1));
  const __m512i green = _mm512_sub_epi16(
      _mm512_packs_epi32(rounded(_mm512_unpacklo_epi16(cb, cr)), rounded(_mm512_unpackhi_epi16(cb, cr))), cr);
  return {_mm512_add_epi16(y, red), _mm512_add_epi16(y, green), _mm512_add_epi16(y, blue)};
}

UDI_INLINE void colours64(const uint8_t* luma, const uint8_t* blue, const uint8_t* red, uint8_t* rgb) {
  const __m512i zero = _mm512_setzero_si512(), middle = _mm512_set1_epi16(128);
  const __m512i y = _mm512_loadu_si512(luma), cb = _mm512_loadu_si512(blue), cr = _mm512_loadu_si512(red);
  const Rgb low = rgb32(_mm512_unpacklo_epi8(y, zero), _mm512_sub_epi16(_mm512_unpacklo_epi8(cb, zero), middle),
                        _mm512_sub_epi16(_mm512_unpacklo_epi8(cr, zero), middle));
  const Rgb high = rgb32(_mm512_unpackhi_epi8(y, zero), _mm512_sub_epi16(_mm512_unpackhi_epi8(cb, zero), middle),
                         _mm512_sub_epi16(_mm512_unpackhi_epi8(cr, zero), middle));
  const __m512i r = _mm512_packus_epi16(low.red, high.red), g = _mm512_packus_epi16(low.green, high.green),
                b = _mm512_packus_epi16(low.blue, high.blue);
#pragma GCC unroll 3
  for (int i = 0; i < 3; ++i) {
    const __m512i red_green = _mm512_permutex2var_epi8(r, load(kSpread.red_green[i]), g);
    const __m512i all = _mm512_mask_permutexvar_epi8(red_green, kSpread.is_blue[i], load(kSpread.blue[i]), b);
    _mm512_storeu_si512(rgb + 64 * i, all);
  }
}

void colours(const uint8_t* luma, const uint8_t* blue, const uint8_t* red, int width, uint8_t* rgb) {
  int x = 0;
  for (; x + 64 <= width; x += 64) colours64(luma + x, blue + x, red + x, rgb + 3 * x);
  if (x < width) {
    uint8_t last[192];
    colours64(luma + x, blue + x, red + x, last);
    std::memcpy(rgb + 3 * x, last, size_t(width - x) * 3);
  }
}

}  // namespace

const JpegKernels kJpegVnni{decode, widen, colours};

}  // namespace udi

#pragma GCC pop_options
#endif
