// AVX2: a block at a time, each of its eight rows a vector of 32-bit sums.
#include "image/processor.h"

#if UDI_X86_KERNELS
#include <immintrin.h>

#include <cstring>

#include "base/simd.h"
#include "image/jpeg_blocks.h"

#pragma GCC push_options
#pragma GCC target("arch=x86-64-v3")

namespace udi {
namespace {

UDI_INLINE __m256i pairs(int first, int second) {
  return _mm256_set1_epi32(int(uint32_t(second) << 16 | uint16_t(first)));
}
UDI_INLINE __m256i product_sum(__m256i pair, int first, int second) {
  return _mm256_madd_epi16(pair, pairs(first, second));
}
UDI_INLINE __m256i load(const void* at) { return _mm256_load_si256(static_cast<const __m256i*>(at)); }
UDI_INLINE __m256i load_any(const void* at) { return _mm256_loadu_si256(static_cast<const __m256i*>(at)); }

// Pairs of rows (0, 4), (2, 6), (7, 1), (3, 5) become eight rows.
template <int shift>
UDI_INLINE void transform_rows(__m256i r04, __m256i r26, __m256i r71, __m256i r35, __m256i* out) {
  const __m256i half = _mm256_set1_epi32(1 << (shift - 1));
  // The sums wrap in 16 bits, then get 13 behind the point.
  const __m256i sum = _mm256_srai_epi32(_mm256_slli_epi32(product_sum(r04, 1, 1), 16), 3);
  const __m256i difference = _mm256_srai_epi32(_mm256_slli_epi32(product_sum(r04, 1, -1), 16), 3);
  const __m256i sum_half = _mm256_add_epi32(sum, half), difference_half = _mm256_add_epi32(difference, half);
  const __m256i even2 = product_sum(r26, k0_541, k0_541 - k1_847), even3 = product_sum(r26, k0_541 + k0_765, k0_541);
  const __m256i z = _mm256_add_epi16(r71, r35);
  const __m256i z3 = product_sum(z, k1_175 - k1_961, k1_175), z4 = product_sum(z, k1_175, k1_175 - k0_390);
  const __m256i even[4] = {_mm256_add_epi32(sum_half, even3), _mm256_add_epi32(difference_half, even2),
                           _mm256_sub_epi32(difference_half, even2), _mm256_sub_epi32(sum_half, even3)};
  const __m256i odd[4] = {_mm256_add_epi32(product_sum(r71, -k0_899, k1_501 - k0_899), z4),
                          _mm256_add_epi32(product_sum(r35, k3_072 - k2_562, -k2_562), z3),
                          _mm256_add_epi32(product_sum(r35, -k2_562, k2_053 - k2_562), z4),
                          _mm256_add_epi32(product_sum(r71, k0_298 - k0_899, -k0_899), z3)};
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    out[i] = _mm256_srai_epi32(_mm256_add_epi32(even[i], odd[i]), shift);
    out[7 - i] = _mm256_srai_epi32(_mm256_sub_epi32(even[i], odd[i]), shift);
  }
}

template <int choice>
UDI_INLINE __m256i chosen(__m256i a, __m256i b) {
  return _mm256_castps_si256(_mm256_shuffle_ps(_mm256_castsi256_ps(a), _mm256_castsi256_ps(b), choice));
}

// Which of 16 zigzag coefficients go to the places of a pair of rows: [source][pairs][byte], -1: from another source.
struct Gathering {
  alignas(32) int8_t from[4][2][32] = {};
  constexpr Gathering() {
    for (int place = 0; place < kBlockSize; ++place) {
      for (int source = 0; source < 4; ++source) {
        const int k = kZigzag.from[place] - 16 * source;
        from[source][place / 32][place % 32] = int8_t(k >= 0 && k < 16 ? k : -1);
      }
    }
  }
};
constexpr Gathering kGathering;

// 64 bytes become 16-bit numbers, a pair of rows in each vector.
UDI_INLINE void gather(const int8_t* bytes, __m256i* pairs) {
  __m256i half[2] = {};
#pragma GCC unroll 4
  for (int source = 0; source < 4; ++source) {
    const __m256i part =
        _mm256_broadcastsi128_si256(_mm_load_si128(reinterpret_cast<const __m128i*>(bytes + 16 * source)));
#pragma GCC unroll 2
    for (int i = 0; i < 2; ++i) {
      half[i] = _mm256_or_si256(half[i], _mm256_shuffle_epi8(part, load(kGathering.from[source][i])));
    }
  }
#pragma GCC unroll 2
  for (int i = 0; i < 2; ++i) {
    pairs[2 * i] = _mm256_cvtepi8_epi16(_mm256_castsi256_si128(half[i]));
    pairs[2 * i + 1] = _mm256_cvtepi8_epi16(_mm256_extracti128_si256(half[i], 1));
  }
}

__attribute__((noinline)) void transform(const BlockBytes& block, const int16_t* quant, uint8_t* out, size_t pitch) {
  __m256i c[4];
  gather(block.low, c);
  if (block.wide) {
    __m256i high[4];
    gather(block.high, high);
    for (int i = 0; i < 4; ++i) c[i] = _mm256_add_epi16(c[i], _mm256_slli_epi16(high[i], 8));
  }
  const __m256i c04 = _mm256_insert_epi16(c[0], block.first, 0), c26 = c[1], c71 = c[2], c35 = c[3];
  __m256i pair[4];
  const __m256i other_rows =
      _mm256_or_si256(_mm256_or_si256(_mm256_srli_epi32(c04, 16), c71), _mm256_or_si256(c35, c26));
  if (_mm256_testz_si256(other_rows, other_rows)) {
    // All rows are the first one.
    const __m256i row = _mm256_srai_epi32(_mm256_slli_epi32(_mm256_mullo_epi16(c04, load(quant)), 18), 16);
    const __m256i packed = _mm256_packs_epi32(row, row);
    pair[0] = _mm256_permutevar8x32_epi32(packed, _mm256_setzero_si256());
    pair[1] = _mm256_permutevar8x32_epi32(packed, _mm256_set1_epi32(1));
    pair[2] = _mm256_permutevar8x32_epi32(packed, _mm256_set1_epi32(4));
    pair[3] = _mm256_permutevar8x32_epi32(packed, _mm256_set1_epi32(5));
  } else {
    __m256i row[8];
    transform_rows<11>(_mm256_mullo_epi16(c04, load(quant)), _mm256_mullo_epi16(c26, load(quant + 16)),
                       _mm256_mullo_epi16(c71, load(quant + 32)), _mm256_mullo_epi16(c35, load(quant + 48)), row);
    // Columns (0, 4), (7, 1) of two rows, | (3, 5), (2, 6) of them.
    const __m256i rows01 = _mm256_packs_epi32(row[0], row[1]), rows23 = _mm256_packs_epi32(row[2], row[3]);
    const __m256i rows45 = _mm256_packs_epi32(row[4], row[5]), rows67 = _mm256_packs_epi32(row[6], row[7]);
    const __m256i first03 = chosen<0x88>(rows01, rows23), first47 = chosen<0x88>(rows45, rows67);
    const __m256i second03 = chosen<0xdd>(rows01, rows23), second47 = chosen<0xdd>(rows45, rows67);
    pair[0] = _mm256_permute2x128_si256(first03, first47, 0x20);
    pair[1] = _mm256_permute2x128_si256(second03, second47, 0x20);
    pair[2] = _mm256_permute2x128_si256(first03, first47, 0x31);
    pair[3] = _mm256_permute2x128_si256(second03, second47, 0x31);
  }
  __m256i column[8];
  transform_rows<18>(pair[0], pair[3], pair[1], pair[2], column);
  // Four columns of rows 0-3 | 4-7; then the columns of a row together; then whole rows.
  const __m256i columns03 =
      _mm256_packs_epi16(_mm256_packs_epi32(column[0], column[1]), _mm256_packs_epi32(column[2], column[3]));
  const __m256i columns47 =
      _mm256_packs_epi16(_mm256_packs_epi32(column[4], column[5]), _mm256_packs_epi32(column[6], column[7]));
  const __m256i by_row =
      _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
  const __m256i center = _mm256_set1_epi8(-128);
  const __m256i left = _mm256_shuffle_epi8(_mm256_xor_si256(columns03, center), by_row);
  const __m256i right = _mm256_shuffle_epi8(_mm256_xor_si256(columns47, center), by_row);
  const __m256i rows0145 = _mm256_unpacklo_epi32(left, right), rows2367 = _mm256_unpackhi_epi32(left, right);
  const auto store_rows = [&](int first, __m128i rows) {
    _mm_storel_epi64(reinterpret_cast<__m128i*>(out + size_t(first) * pitch), rows);
    _mm_storeh_pd(reinterpret_cast<double*>(out + size_t(first + 1) * pitch), _mm_castsi128_pd(rows));
  };
  store_rows(0, _mm256_castsi256_si128(rows0145));
  store_rows(2, _mm256_castsi256_si128(rows2367));
  store_rows(4, _mm256_extracti128_si256(rows0145, 1));
  store_rows(6, _mm256_extracti128_si256(rows2367, 1));
}

bool decode(JpegPlane* planes, int count, int mcus, BitReader& reader, const uint8_t* end) {
  return decode_blocks(planes, count, mcus, reader, end, transform);
}

UDI_INLINE __m256i words(const uint8_t* at) {
  return _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(at)));
}

// 16 samples, whose neighbours to the left and right are `left` and `right` away.
UDI_INLINE void widen16(const uint8_t* near, const uint8_t* far, const __m256i* halves, int left, int right,
                        uint8_t* out) {
  const __m256i three = _mm256_set1_epi16(3);
  const auto column = [&](int i) {
    return _mm256_add_epi16(_mm256_mullo_epi16(words(near + i), three), words(far + i));
  };
  const __m256i here = _mm256_mullo_epi16(column(0), three);
  const __m256i lefts = _mm256_srli_epi16(_mm256_add_epi16(_mm256_add_epi16(here, column(-left)), halves[0]), 4);
  const __m256i rights = _mm256_srli_epi16(_mm256_add_epi16(_mm256_add_epi16(here, column(right)), halves[1]), 4);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(out), _mm256_or_si256(lefts, _mm256_slli_epi16(rights, 8)));
}

void widen(const uint8_t* near, const uint8_t* far, bool one_row, int width, uint8_t* out) {
  const __m256i halves[2] = {_mm256_set1_epi16(int16_t(widen_half(one_row, 0))),
                             _mm256_set1_epi16(int16_t(widen_half(one_row, 1)))};
  for (int i = 0; i < width; i += 16) widen16(near + i, far + i, halves, 1, 1, out + 2 * i);
  // The first and the last one have a neighbour on one side alone: they are their own on the other.
  const int left_half = widen_half(one_row, 0), right_half = widen_half(one_row, 1);
  const int first = 3 * near[0] + far[0], last = 3 * near[width - 1] + far[width - 1];
  out[0] = uint8_t((4 * first + left_half) >> 4);
  out[2 * width - 1] = uint8_t((4 * last + right_half) >> 4);
}

// Where the bytes of 16 pixels' three vectors go: [third of the pixels][colour][byte], -1: comes from another colour.
struct Spread {
  alignas(16) int8_t from[3][3][16] = {};
  constexpr Spread() {
    for (int i = 0; i < 48; ++i) {
      for (int colour = 0; colour < 3; ++colour) from[i / 16][colour][i % 16] = int8_t(i % 3 == colour ? i / 3 : -1);
    }
  }
};
constexpr Spread kSpread;

UDI_INLINE __m256i spread(__m256i bytes, int third, int colour) {
  const __m128i from = _mm_load_si128(reinterpret_cast<const __m128i*>(kSpread.from[third][colour]));
  return _mm256_shuffle_epi8(bytes, _mm256_broadcastsi128_si256(from));
}

struct Rgb {
  __m256i red, green, blue;
};

// 16 pixels as 16-bit numbers, blue and red without their 128.
UDI_INLINE Rgb rgb16(__m256i y, __m256i cb, __m256i cr) {
  const __m256i half = _mm256_set1_epi32(1 << 15);
  const auto rounded = [&](__m256i pair) {
    return _mm256_srai_epi32(_mm256_add_epi32(product_sum(pair, -22554, 65536 - 46802), half), 16);
  };
  // mulhrs is a product with 15 bits behind the point, rounded; these are exact for all 256 values.
  const __m256i red = _mm256_add_epi16(_mm256_mulhrs_epi16(cr, _mm256_set1_epi16(13173)), cr);
  const __m256i blue = _mm256_add_epi16(_mm256_mulhrs_epi16(cb, _mm256_set1_epi16(-7471)), _mm256_slli_epi16(cb, 1));
  const __m256i green = _mm256_sub_epi16(
      _mm256_packs_epi32(rounded(_mm256_unpacklo_epi16(cb, cr)), rounded(_mm256_unpackhi_epi16(cb, cr))), cr);
  return {_mm256_add_epi16(y, red), _mm256_add_epi16(y, green), _mm256_add_epi16(y, blue)};
}

UDI_INLINE void colours32(const uint8_t* luma, const uint8_t* blue, const uint8_t* red, uint8_t* rgb) {
  const __m256i zero = _mm256_setzero_si256(), middle = _mm256_set1_epi16(128);
  const __m256i y = load_any(luma), cb = load_any(blue), cr = load_any(red);
  const Rgb low = rgb16(_mm256_unpacklo_epi8(y, zero), _mm256_sub_epi16(_mm256_unpacklo_epi8(cb, zero), middle),
                        _mm256_sub_epi16(_mm256_unpacklo_epi8(cr, zero), middle));
  const Rgb high = rgb16(_mm256_unpackhi_epi8(y, zero), _mm256_sub_epi16(_mm256_unpackhi_epi8(cb, zero), middle),
                         _mm256_sub_epi16(_mm256_unpackhi_epi8(cr, zero), middle));
  const __m256i r = _mm256_packus_epi16(low.red, high.red), g = _mm256_packus_epi16(low.green, high.green),
                b = _mm256_packus_epi16(low.blue, high.blue);
  __m256i third[3];
#pragma GCC unroll 3
  for (int i = 0; i < 3; ++i) {
    third[i] = _mm256_or_si256(_mm256_or_si256(spread(r, i, 0), spread(g, i, 1)), spread(b, i, 2));
  }
  const auto store = [&](int i, __m256i v) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(rgb + 32 * i), v); };
  store(0, _mm256_permute2x128_si256(third[0], third[1], 0x20));
  store(1, _mm256_permute2x128_si256(third[2], third[0], 0x30));
  store(2, _mm256_permute2x128_si256(third[1], third[2], 0x31));
}

void colours(const uint8_t* luma, const uint8_t* blue, const uint8_t* red, int width, uint8_t* rgb) {
  int x = 0;
  for (; x + 32 <= width; x += 32) colours32(luma + x, blue + x, red + x, rgb + 3 * x);
  if (x < width) {
    uint8_t last[96];
    colours32(luma + x, blue + x, red + x, last);
    std::memcpy(rgb + 3 * x, last, size_t(width - x) * 3);
  }
}

}  // namespace

const JpegKernels kJpegAvx2{decode, widen, colours};

}  // namespace udi

#pragma GCC pop_options
#endif
