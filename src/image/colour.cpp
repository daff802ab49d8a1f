#include "image/colour.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/simd.h"
#include "image/colour_floats.h"
#include "image/colour_kernels.h"
#include "image/lanes.h"
#include "image/processor.h"

namespace udi {
namespace {

// ---- uint8, 32 values at a time -------------------------------------------------------------------------------------

// body changes 32 numbers at once; the last ones of a plane go through a copy that is padded with zeros.
template <class Body>
UDI_INLINE void over_values(uint8_t* values, size_t count, const Body& body) {
  size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    Ints v = load_bytes(values + i);
    body(v);
    store_bytes(values + i, v);
  }
  if (i == count) return;
  uint8_t last[kLanes] = {};
  std::memcpy(last, values + i, count - i);
  Ints v = load_bytes(last);
  body(v);
  store_bytes(last, v);
  std::memcpy(values + i, last, count - i);
}

template <class Body>
UDI_INLINE void over_pixels(const Planes& planes, const Body& body) {
  uint8_t *r = planes.u8(0), *g = planes.u8(1), *b = planes.u8(2);
  const size_t count = planes.pixels();
  size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    Ints red = load_bytes(r + i), green = load_bytes(g + i), blue = load_bytes(b + i);
    body(red, green, blue);
    store_bytes(r + i, red);
    store_bytes(g + i, green);
    store_bytes(b + i, blue);
  }
  if (i == count) return;
  uint8_t last[3][kLanes] = {};
  for (int c = 0; c < 3; ++c) std::memcpy(last[c], planes.u8(c) + i, count - i);
  Ints red = load_bytes(last[0]), green = load_bytes(last[1]), blue = load_bytes(last[2]);
  body(red, green, blue);
  store_bytes(last[0], red);
  store_bytes(last[1], green);
  store_bytes(last[2], blue);
  for (int c = 0; c < 3; ++c) std::memcpy(planes.u8(c) + i, last[c], count - i);
}

// ITU-R 601-2 in 16-bit fixed point.
UDI_INLINE Ints gray_of(const Ints& red, const Ints& green, const Ints& blue) {
  return (red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16;
}

// from + factor * (to - from), cut to 0..255, fraction dropped: Pillow's blend.
UDI_INLINE Ints blend(const Ints& from, const Ints& to, float factor) {
  const Floats mixed = to_floats(from) + to_floats(to - from) * factor;
  return truncated(smaller(larger(mixed, all_floats(0.0f)), all_floats(255.0f)));
}

struct BlendFrom {
  int from;
  float factor;
  UDI_INLINE void operator()(Ints& v) const { v = blend(all_ints(from), v, factor); }
};
UDI_CLONES void blend_from(uint8_t* values, size_t count, int from, float factor) {
  over_values(values, count, BlendFrom{from, factor});
}

struct Invert {
  int threshold;
  UDI_INLINE void operator()(Ints& v) const { v = where(v < all_ints(threshold), v, all_ints(255) - v); }
};
UDI_CLONES void invert_from(uint8_t* values, size_t count, int threshold) {
  over_values(values, count, Invert{threshold});
}

struct BlendFromGray {
  float factor;
  UDI_INLINE void operator()(Ints& red, Ints& green, Ints& blue) const {
    const Ints gray = gray_of(red, green, blue);
    red = blend(gray, red, factor);
    green = blend(gray, green, factor);
    blue = blend(gray, blue, factor);
  }
};
UDI_CLONES void blend_from_gray(const Planes& planes, float factor) { over_pixels(planes, BlendFromGray{factor}); }

struct Gray {
  UDI_INLINE void operator()(Ints& red, Ints& green, Ints& blue) const {
    red = green = blue = gray_of(red, green, blue);
  }
};
UDI_CLONES void make_gray(const Planes& planes) { over_pixels(planes, Gray{}); }

// The sum of `count` gray values; at most 2^20, so that no lane overflows.
UDI_CLONES int64_t gray_sum(const uint8_t* r, const uint8_t* g, const uint8_t* b, size_t count) {
  Ints sum = all_ints(0);
  size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) sum = sum + gray_of(load_bytes(r + i), load_bytes(g + i), load_bytes(b + i));
  const IntVector lanes = sum.a + sum.b + sum.c + sum.d;
  int64_t total = 0;
  for (int k = 0; k < 8; ++k) total += lanes[k];
  for (; i < count; ++i) total += (r[i] * 19595 + g[i] * 38470 + b[i] * 7471 + 0x8000) >> 16;
  return total;
}

// Pillow's way: RGB -> HSV of 8 bits each, hue + shift modulo 256, HSV -> RGB. Its formulas are regrouped so that all
// lanes do the same, with the same result for every one of the 2^24 colours.
struct TurnHue {
  int shift;

  UDI_INLINE void operator()(Ints& red, Ints& green, Ints& blue) const {
    const Ints value = larger(larger(red, green), blue), least = smaller(smaller(red, green), blue);
    const Ints range = value - least;
    const Ints hue = hue_of(red, green, blue, value, least);
    const Ints saturation = truncated(to_floats(range) / to_floats(larger(value, all_ints(1))) * 255.0f);
    // Each channel falls below value by a share of saturation that runs along the six sectors, 255 places each.
    const Ints place = ((hue + shift) & 255) * 6;
    const Floats depth = to_floats(value) * to_floats(saturation);
    red = darkened(value, depth, smaller(place - 255, all_ints(1275) - place));
    green = darkened(value, depth, larger(all_ints(255) - place, place - 765));
    blue = darkened(value, depth, larger(all_ints(765) - place, place - 1275));
  }

  // 0..255 around the circle: an odd corner of the six, plus or minus how far the middle channel is from the largest.
  static UDI_INLINE Ints hue_of(const Ints& red, const Ints& green, const Ints& blue, const Ints& value,
                                const Ints& least) {
    const Ints range = value - least, middle = red + green + blue - value - least;
    const Ints red_least = red == least, blue_least = blue == least;
    const Floats way = to_floats(value - middle) / to_floats(larger(range, all_ints(1)));
    const Floats one = all_floats(1), three = all_floats(3), five = all_floats(5);
    const Floats by_red = where(blue_least, one - way, way - one);
    const Floats by_green = where(blue_least, one + way, three - way);
    const Floats by_blue = where(red_least, three + way, five - way);
    const Floats turn = where(red == value, by_red, where(green == value, by_green, by_blue)) / 6.0f;
    const Ints hue = truncated(where(turn < all_floats(0), turn + one, turn) * 255.0f);
    return where(range == all_ints(0), range, hue);
  }

  // value - depth * share / 255^2, rounded; share is cut to 0..255.
  static UDI_INLINE Ints darkened(const Ints& value, const Floats& depth, const Ints& share) {
    return value - truncated(depth * to_floats(clipped(share)) * (1.0f / 65025.0f) + 0.5f);
  }
};
UDI_CLONES void turn_hue(const Planes& planes, int shift) { over_pixels(planes, TurnHue{shift}); }

// ---- uint8, by look-up where the processor has it
// ---------------------------------------------------------------------

#if UDI_X86_KERNELS
bool looks_up() { return processor() == Processor::kVnni; }

// What a byte becomes is worked out once for each of its 256 values.
template <class Change>
void look_up_change(uint8_t* values, size_t count, const Change& change) {
  uint8_t table[256];
  for (int v = 0; v < 256; ++v) table[v] = uint8_t(v);
  change(table);
  look_up_vnni(values, count, table);
}
#endif

void blend_bytes_from(uint8_t* values, size_t count, int from, float factor) {
#if UDI_X86_KERNELS
  if (looks_up()) {
    return look_up_change(values, count, [&](uint8_t* table) { blend_from(table, 256, from, factor); });
  }
#endif
  blend_from(values, count, from, factor);
}

void invert_bytes_from(uint8_t* values, size_t count, int threshold) {
#if UDI_X86_KERNELS
  if (looks_up()) {
    return look_up_change(values, count, [&](uint8_t* table) { invert_from(table, 256, threshold); });
  }
#endif
  invert_from(values, count, threshold);
}

void blend_bytes_from_gray(const Planes& planes, float factor) {
#if UDI_X86_KERNELS
  uint8_t up[256], down[256];
  if (looks_up() && gray_blend_tables(factor, up, down)) {
    return blend_from_gray_vnni(planes.u8(0), planes.u8(1), planes.u8(2), planes.pixels(), up, down);
  }
#endif
  blend_from_gray(planes, factor);
}

void turn_hue_of_bytes(const Planes& planes, int shift) {
#if UDI_X86_KERNELS
  static const HueTables tables;
  if (looks_up()) return turn_hue_vnni(planes.u8(0), planes.u8(1), planes.u8(2), planes.pixels(), shift, tables);
#endif
  turn_hue(planes, shift);
}

void make_bytes_gray(const Planes& planes) {
#if UDI_X86_KERNELS
  if (looks_up()) return make_gray_vnni(planes.u8(0), planes.u8(1), planes.u8(2), planes.pixels());
#endif
  make_gray(planes);
}

int64_t gray_sum_of_bytes(const Planes& planes) {
#if UDI_X86_KERNELS
  if (looks_up()) return gray_sum_vnni(planes.u8(0), planes.u8(1), planes.u8(2), planes.pixels());
#endif
  constexpr size_t kStep = size_t(1) << 20;
  int64_t sum = 0;
  for (size_t i = 0; i < planes.pixels(); i += kStep) {
    sum += gray_sum(planes.u8(0) + i, planes.u8(1) + i, planes.u8(2) + i, std::min(kStep, planes.pixels() - i));
  }
  return sum;
}

// ---- Both -----------------------------------------------------------------------------------------------------------

void check_factor(float factor) {
  check(factor >= 0 && std::isfinite(factor), UDI_E_INVALID, "a colour factor of ", factor,
        " is not a number from 0 on");
}

void check_rgb(const Planes& planes, const char* what) {
  check(planes.channels == 3, UDI_E_SHAPE, what, " needs 3 channels (RGB), not ", planes.channels);
}

size_t values_of(const Planes& planes) { return planes.pixels() * size_t(planes.channels); }

// Of gray where there are 3 channels, else of all values.
double mean_of(const Planes& planes) {
  const bool rgb = planes.channels == 3, floats = planes.dtype == UDI_F32;
  const size_t count = rgb ? planes.pixels() : values_of(planes);
  double sum = 0;
  if (rgb) {
    sum = floats ? gray_sum_of(planes.f32(0), planes.f32(1), planes.f32(2), count) : double(gray_sum_of_bytes(planes));
  } else {
    for (size_t i = 0; i < count; ++i) sum += floats ? planes.f32()[i] : planes.u8()[i];
  }
  return sum / double(count);
}

}  // namespace

void adjust_brightness(const Planes& planes, float factor) {
  check_factor(factor);
  if (planes.dtype == UDI_F32) return blend_from(planes.f32(), values_of(planes), 0.0f, factor);
  blend_bytes_from(planes.u8(), values_of(planes), 0, factor);
}

void adjust_contrast(const Planes& planes, float factor) {
  check_factor(factor);
  const double mean = mean_of(planes);
  if (planes.dtype == UDI_F32) return blend_from(planes.f32(), values_of(planes), float(mean), factor);
  blend_bytes_from(planes.u8(), values_of(planes), int(mean + 0.5), factor);
}

void adjust_saturation(const Planes& planes, float factor) {
  check_factor(factor);
  check_rgb(planes, "saturation");
  if (planes.dtype == UDI_U8) return blend_bytes_from_gray(planes, factor);
  blend_from_gray(planes.f32(0), planes.f32(1), planes.f32(2), planes.pixels(), factor);
}

void to_grayscale(const Planes& planes) {
  check_rgb(planes, "grayscale");
  if (planes.dtype == UDI_U8) return make_bytes_gray(planes);
  blend_from_gray(planes.f32(0), planes.f32(1), planes.f32(2), planes.pixels(), 0.0f);
}

void adjust_hue(const Planes& planes, double shift) {
  check(shift >= -0.5 && shift <= 0.5, UDI_E_INVALID, "a hue shift of ", shift, " is not in -0.5 to 0.5");
  check_rgb(planes, "hue");
  if (planes.dtype == UDI_U8) return turn_hue_of_bytes(planes, int(shift * 255));
  turn_hue(planes.f32(0), planes.f32(1), planes.f32(2), planes.pixels(), float(shift));
}

void solarize(const Planes& planes, int threshold) {
  if (planes.dtype == UDI_U8) return invert_bytes_from(planes.u8(), values_of(planes), threshold);
  const float limit = float(threshold) / 255.0f;
  for (size_t i = 0; i < values_of(planes); ++i) {
    float& v = planes.f32()[i];
    v = v < limit ? v : 1.0f - v;
  }
}

}  // namespace udi
