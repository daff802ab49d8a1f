#include "image/processor.h"

#if UDI_X86_KERNELS
// GCC 12's own header sets off its warning (GCC bug 105593).
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <immintrin.h>

#include "base/simd.h"
#include "image/colour_kernels.h"

#pragma GCC push_options
#pragma GCC target("arch=x86-64-v4,avx512vnni,avx512vbmi")

namespace udi {
namespace {

// The first 64 of `left` bytes.
UDI_INLINE __mmask64 mask_of(size_t left) { return left >= 64 ? ~__mmask64(0) : (__mmask64(1) << left) - 1; }

struct Table {
  __m512i a, b, c, d;
};
UDI_INLINE Table load_table(const uint8_t* at) {
  return {_mm512_loadu_si512(at), _mm512_loadu_si512(at + 64), _mm512_loadu_si512(at + 128),
          _mm512_loadu_si512(at + 192)};
}
UDI_INLINE __m512i look_up(const Table& table, __m512i v) {
  const __m512i low = _mm512_permutex2var_epi8(table.a, v, table.b);
  const __m512i high = _mm512_permutex2var_epi8(table.c, v, table.d);
  return _mm512_mask_blend_epi8(_mm512_movepi8_mask(v), low, high);
}

// red * 19595 + green * 38470 + blue * 7471 of 16 pixels, green in two halves, for products of 16 bits are signed.
UDI_INLINE __m512i gray16(__m512i red_green, __m512i green_blue) {
  const __m512i half = _mm512_set1_epi32(0x8000);
  const __m512i sum = _mm512_dpwssd_epi32(half, red_green, _mm512_set1_epi32(19235 << 16 | 19595));
  return _mm512_srli_epi32(_mm512_dpwssd_epi32(sum, green_blue, _mm512_set1_epi32(7471 << 16 | 19235)), 16);
}

UDI_INLINE __m512i gray_of(__m512i red, __m512i green, __m512i blue) {
  const __m512i zero = _mm512_setzero_si512();
  const __m512i red_green0 = _mm512_unpacklo_epi8(red, green), red_green1 = _mm512_unpackhi_epi8(red, green);
  const __m512i green_blue0 = _mm512_unpacklo_epi8(green, blue), green_blue1 = _mm512_unpackhi_epi8(green, blue);
  const __m512i a = gray16(_mm512_unpacklo_epi8(red_green0, zero), _mm512_unpacklo_epi8(green_blue0, zero));
  const __m512i b = gray16(_mm512_unpackhi_epi8(red_green0, zero), _mm512_unpackhi_epi8(green_blue0, zero));
  const __m512i c = gray16(_mm512_unpacklo_epi8(red_green1, zero), _mm512_unpacklo_epi8(green_blue1, zero));
  const __m512i d = gray16(_mm512_unpackhi_epi8(red_green1, zero), _mm512_unpackhi_epi8(green_blue1, zero));
  return _mm512_packus_epi16(_mm512_packus_epi32(a, b), _mm512_packus_epi32(c, d));
}

// Bytes in two tables as 16-bit numbers, of the first (second) eight in each part of sixteen.
struct Numbers {
  __m512i first, second;
};
UDI_INLINE Numbers look_up_numbers(const uint8_t* low, const uint8_t* high, __m512i v) {
  const __m512i l = look_up(load_table(low), v), h = look_up(load_table(high), v);
  return {_mm512_unpacklo_epi8(l, h), _mm512_unpackhi_epi8(l, h)};
}

// How far the middle channel is from the largest, in units of hue, rounded: (85 * distance + range) / (2 * range); and
// the same with halves rounded down.
struct Steps {
  __m512i up, down;
};
UDI_INLINE Steps steps_of(__m512i distance_range, __m512i inverse) {
  const __m512i sum = _mm512_maddubs_epi16(distance_range, _mm512_set1_epi16(1 << 8 | 85));
  const __m512i twice = _mm512_maddubs_epi16(distance_range, _mm512_set1_epi16(2 << 8));
  const __m512i one = _mm512_set1_epi16(1);
  const __m512i quotient = _mm512_mulhi_epu16(sum, inverse);  // or one less than it should be
  const __m512i rest = _mm512_sub_epi16(sum, _mm512_mullo_epi16(quotient, twice));
  const __m512i up = _mm512_mask_add_epi16(quotient, _mm512_cmpge_epu16_mask(rest, twice), quotient, one);
  const __mmask32 whole = _mm512_testn_epi16_mask(rest, rest) | _mm512_cmpeq_epi16_mask(rest, twice);
  return {up, _mm512_mask_sub_epi16(up, whole, up, one)};
}

UDI_INLINE __m512i hue_of(__m512i red, __m512i green, __m512i blue, __m512i value, __m512i least, __m512i range,
                          const HueTables& tables) {
  const __m512i middle =
      _mm512_max_epu8(_mm512_min_epu8(red, green), _mm512_min_epu8(_mm512_max_epu8(red, green), blue));
  const __m512i distance = _mm512_sub_epi8(value, middle);
  const Numbers inverse = look_up_numbers(tables.by_range_low, tables.by_range_high, range);
  const Steps first = steps_of(_mm512_unpacklo_epi8(distance, range), inverse.first);
  const Steps second = steps_of(_mm512_unpackhi_epi8(distance, range), inverse.second);
  const __m512i up = _mm512_packus_epi16(first.up, second.up), down = _mm512_packus_epi16(first.down, second.down);

  // An odd corner of the six, 42 1/2 units each, plus or minus the distance.
  const __mmask64 by_red = _mm512_cmpeq_epi8_mask(red, value),
                  by_green = ~by_red & _mm512_cmpeq_epi8_mask(green, value);
  const __mmask64 by_blue = ~(by_red | by_green);
  const __mmask64 blue_least = _mm512_cmpeq_epi8_mask(blue, least), red_least = _mm512_cmpeq_epi8_mask(red, least);
  const __mmask64 plus = (by_red & ~blue_least) | (by_green & blue_least) | (by_blue & red_least);
  __m512i hue = _mm512_set1_epi8(char(212));
  hue = _mm512_mask_mov_epi8(hue, (by_green & ~blue_least) | (by_blue & red_least), _mm512_set1_epi8(127));
  hue = _mm512_mask_mov_epi8(hue, (by_red | by_green) & blue_least, _mm512_set1_epi8(42));
  const __m512i corner = hue;
  hue = _mm512_mask_add_epi8(_mm512_sub_epi8(corner, down), plus, corner, up);
  const __mmask64 whole = _mm512_cmpneq_epi8_mask(up, down);
  return _mm512_mask_sub_epi8(hue, whole, hue, look_up(load_table(tables.too_small), hue));
}

// range * 255 / value, rounded down.
UDI_INLINE __m512i saturation_of(__m512i range_upper, __m512i range, __m512i value, __m512i inverse) {
  const __m512i product = _mm512_sub_epi16(range_upper, range);
  const __m512i quotient = _mm512_mulhi_epu16(product, inverse);  // or one less than it should be
  const __m512i rest = _mm512_sub_epi16(product, _mm512_mullo_epi16(quotient, value));
  return _mm512_mask_add_epi16(quotient, _mm512_cmpge_epu16_mask(rest, value), quotient, _mm512_set1_epi16(1));
}

// factor * value / 255^2, rounded, of 32 pixels; in float32 as TurnHue has it (image/colour.cpp).
UDI_INLINE __m512i fall16(__m512i product) {
  const __m512 share = _mm512_mul_ps(_mm512_cvtepi32_ps(product), _mm512_set1_ps(1.0f / 65025.0f));
  return _mm512_cvttps_epi32(_mm512_add_ps(share, _mm512_set1_ps(0.5f)));
}
UDI_INLINE __m512i fall_of(__m512i factor, __m512i value) {
  const __m512i low = _mm512_mullo_epi16(factor, value), high = _mm512_mulhi_epu16(factor, value);
  return _mm512_packs_epi32(fall16(_mm512_unpacklo_epi16(low, high)), fall16(_mm512_unpackhi_epi16(low, high)));
}

}  // namespace

void look_up_vnni(uint8_t* values, size_t count, const uint8_t (&table)[256]) {
  const Table t = load_table(table);
  for (size_t i = 0; i < count; i += 64) {
    const __mmask64 mask = mask_of(count - i);
    _mm512_mask_storeu_epi8(values + i, mask, look_up(t, _mm512_maskz_loadu_epi8(mask, values + i)));
  }
}

void blend_from_gray_vnni(uint8_t* r, uint8_t* g, uint8_t* b, size_t count, const uint8_t (&up)[256],
                          const uint8_t (&down)[256]) {
  const Table ups = load_table(up), downs = load_table(down);
  for (size_t i = 0; i < count; i += 64) {
    const __mmask64 mask = mask_of(count - i);
    const __m512i red = _mm512_maskz_loadu_epi8(mask, r + i), green = _mm512_maskz_loadu_epi8(mask, g + i),
                  blue = _mm512_maskz_loadu_epi8(mask, b + i), gray = gray_of(red, green, blue);
    const auto blended = [&](__m512i v) __attribute__((always_inline)) {
      // One of the differences is 0, for which both tables have 0.
      const __m512i more = look_up(ups, _mm512_subs_epu8(v, gray)), less = look_up(downs, _mm512_subs_epu8(gray, v));
      return _mm512_subs_epu8(_mm512_adds_epu8(gray, more), less);
    };
    _mm512_mask_storeu_epi8(r + i, mask, blended(red));
    _mm512_mask_storeu_epi8(g + i, mask, blended(green));
    _mm512_mask_storeu_epi8(b + i, mask, blended(blue));
  }
}

void make_gray_vnni(uint8_t* r, uint8_t* g, uint8_t* b, size_t count) {
  for (size_t i = 0; i < count; i += 64) {
    const __mmask64 mask = mask_of(count - i);
    const __m512i gray = gray_of(_mm512_maskz_loadu_epi8(mask, r + i), _mm512_maskz_loadu_epi8(mask, g + i),
                                 _mm512_maskz_loadu_epi8(mask, b + i));
    _mm512_mask_storeu_epi8(r + i, mask, gray);
    _mm512_mask_storeu_epi8(g + i, mask, gray);
    _mm512_mask_storeu_epi8(b + i, mask, gray);
  }
}

void turn_hue_vnni(uint8_t* r, uint8_t* g, uint8_t* b, size_t count, int shift, const HueTables& tables) {
  const __m512i zero = _mm512_setzero_si512(), one = _mm512_set1_epi8(1);
  const int turn = shift & 255;
  for (size_t i = 0; i < count; i += 64) {
    const __mmask64 mask = mask_of(count - i);
    const __m512i red = _mm512_maskz_loadu_epi8(mask, r + i), green = _mm512_maskz_loadu_epi8(mask, g + i),
                  blue = _mm512_maskz_loadu_epi8(mask, b + i);
    const __m512i value = _mm512_max_epu8(_mm512_max_epu8(red, green), blue);
    const __m512i least = _mm512_min_epu8(_mm512_min_epu8(red, green), blue);
    const __m512i range = _mm512_sub_epi8(value, least), divisor = _mm512_max_epu8(value, one);
    const __m512i hue = hue_of(red, green, blue, value, least, _mm512_max_epu8(range, one), tables);

    const Numbers inverse = look_up_numbers(tables.by_value_low, tables.by_value_high, divisor);
    const __m512i saturation0 = saturation_of(_mm512_unpacklo_epi8(zero, range), _mm512_unpacklo_epi8(range, zero),
                                              _mm512_unpacklo_epi8(divisor, zero), inverse.first);
    const __m512i saturation1 = saturation_of(_mm512_unpackhi_epi8(zero, range), _mm512_unpackhi_epi8(range, zero),
                                              _mm512_unpackhi_epi8(divisor, zero), inverse.second);
    const __m512i value0 = _mm512_unpacklo_epi8(value, zero), value1 = _mm512_unpackhi_epi8(value, zero);
    const auto darkened = [&](const uint8_t* shares) __attribute__((always_inline)) {
      const __m512i share = look_up(load_table(shares + turn), hue);
      const __m512i fall0 = fall_of(_mm512_mullo_epi16(saturation0, _mm512_unpacklo_epi8(share, zero)), value0);
      const __m512i fall1 = fall_of(_mm512_mullo_epi16(saturation1, _mm512_unpackhi_epi8(share, zero)), value1);
      return _mm512_sub_epi8(value, _mm512_packus_epi16(fall0, fall1));
    };
    _mm512_mask_storeu_epi8(r + i, mask, darkened(tables.red));
    _mm512_mask_storeu_epi8(g + i, mask, darkened(tables.green));
    _mm512_mask_storeu_epi8(b + i, mask, darkened(tables.blue));
  }
}

int64_t gray_sum_vnni(const uint8_t* r, const uint8_t* g, const uint8_t* b, size_t count) {
  const __m512i zero = _mm512_setzero_si512();
  __m512i sum = zero;
  for (size_t i = 0; i < count; i += 64) {
    const __mmask64 mask = mask_of(count - i);  // black has gray 0
    const __m512i gray = gray_of(_mm512_maskz_loadu_epi8(mask, r + i), _mm512_maskz_loadu_epi8(mask, g + i),
                                 _mm512_maskz_loadu_epi8(mask, b + i));
    sum = _mm512_add_epi64(sum, _mm512_sad_epu8(gray, zero));
  }
  int64_t parts[8], total = 0;
  _mm512_storeu_si512(parts, sum);
  for (const int64_t part : parts) total += part;
  return total;
}

}  // namespace udi

#pragma GCC pop_options
#endif
