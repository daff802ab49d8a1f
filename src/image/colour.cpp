#include "image/colour.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/simd.h"
#include "image/lanes.h"

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

// ---- float32, 0..1 --------------------------------------------------------------------------------------------------

float cut(float v) { return std::min(std::max(v, 0.0f), 1.0f); }
float gray_of(float red, float green, float blue) { return red * 0.299f + green * 0.587f + blue * 0.114f; }

void blend_from(float* values, size_t count, float from, float factor) {
  for (size_t i = 0; i < count; ++i) values[i] = cut(from + factor * (values[i] - from));
}

void blend_from_gray(float* r, float* g, float* b, size_t count, float factor) {
  for (size_t i = 0; i < count; ++i) {
    const float gray = gray_of(r[i], g[i], b[i]);
    for (float* channel : {r, g, b}) channel[i] = cut(gray + factor * (channel[i] - gray));
  }
}

void turn_hue(float* r, float* g, float* b, size_t count, float shift) {
  for (size_t i = 0; i < count; ++i) {
    const float value = std::max({r[i], g[i], b[i]}), least = std::min({r[i], g[i], b[i]}), range = value - least;
    if (range <= 0) continue;
    const float sector = r[i] == value   ? (g[i] - b[i]) / range
                         : g[i] == value ? 2 + (b[i] - r[i]) / range
                                         : 4 + (r[i] - g[i]) / range;
    const float turn = sector / 6 + shift, place = (turn - std::floor(turn)) * 6;
    r[i] = value - range * cut(std::min(place - 1, 5 - place));
    g[i] = value - range * cut(std::max(1 - place, place - 3));
    b[i] = value - range * cut(std::max(3 - place, place - 5));
  }
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
  const bool rgb = planes.channels == 3;
  const size_t count = rgb ? planes.pixels() : values_of(planes);
  double sum = 0;
  if (planes.dtype == UDI_F32) {
    const float* v = planes.f32();
    for (size_t i = 0; i < count; ++i) sum += rgb ? gray_of(v[i], v[i + count], v[i + 2 * count]) : v[i];
  } else if (rgb) {
    constexpr size_t kStep = size_t(1) << 20;
    for (size_t i = 0; i < count; i += kStep) {
      sum += double(gray_sum(planes.u8(0) + i, planes.u8(1) + i, planes.u8(2) + i, std::min(kStep, count - i)));
    }
  } else {
    for (size_t i = 0; i < count; ++i) sum += planes.u8()[i];
  }
  return sum / double(count);
}

}  // namespace

void adjust_brightness(const Planes& planes, float factor) {
  check_factor(factor);
  if (planes.dtype == UDI_F32) return blend_from(planes.f32(), values_of(planes), 0.0f, factor);
  blend_from(planes.u8(), values_of(planes), 0, factor);
}

void adjust_contrast(const Planes& planes, float factor) {
  check_factor(factor);
  const double mean = mean_of(planes);
  if (planes.dtype == UDI_F32) return blend_from(planes.f32(), values_of(planes), float(mean), factor);
  blend_from(planes.u8(), values_of(planes), int(mean + 0.5), factor);
}

void adjust_saturation(const Planes& planes, float factor) {
  check_factor(factor);
  check_rgb(planes, "saturation");
  if (planes.dtype == UDI_U8) return blend_from_gray(planes, factor);
  blend_from_gray(planes.f32(0), planes.f32(1), planes.f32(2), planes.pixels(), factor);
}

void to_grayscale(const Planes& planes) {
  check_rgb(planes, "grayscale");
  if (planes.dtype == UDI_U8) return make_gray(planes);
  blend_from_gray(planes.f32(0), planes.f32(1), planes.f32(2), planes.pixels(), 0.0f);
}

void adjust_hue(const Planes& planes, double shift) {
  check(shift >= -0.5 && shift <= 0.5, UDI_E_INVALID, "a hue shift of ", shift, " is not in -0.5 to 0.5");
  check_rgb(planes, "hue");
  if (planes.dtype == UDI_U8) return turn_hue(planes, int(shift * 255));
  turn_hue(planes.f32(0), planes.f32(1), planes.f32(2), planes.pixels(), float(shift));
}

void solarize(const Planes& planes, int threshold) {
  if (planes.dtype == UDI_U8) return invert_from(planes.u8(), values_of(planes), threshold);
  const float limit = float(threshold) / 255.0f;
  for (size_t i = 0; i < values_of(planes); ++i) {
    float& v = planes.f32()[i];
    v = v < limit ? v : 1.0f - v;
  }
}

}  // namespace udi
