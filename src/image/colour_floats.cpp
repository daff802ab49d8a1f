#include "image/colour_floats.h"

#include <algorithm>
#include <cmath>

namespace udi {
namespace {

float cut(float v) { return std::min(std::max(v, 0.0f), 1.0f); }

float gray_of(float red, float green, float blue) { return red * 0.299f + green * 0.587f + blue * 0.114f; }

}  // namespace

void blend_from(float* values, size_t count, float from, float factor) {
  for (size_t i = 0; i < count; ++i) values[i] = cut(from + factor * (values[i] - from));
}

void blend_from_gray(float* r, float* g, float* b, size_t count, float factor) {
  for (size_t i = 0; i < count; ++i) {
    const float gray = gray_of(r[i], g[i], b[i]);
    for (float* channel : {r, g, b}) channel[i] = cut(gray + factor * (channel[i] - gray));
  }
}

double gray_sum_of(const float* r, const float* g, const float* b, size_t count) {
  double sum = 0;
  for (size_t i = 0; i < count; ++i) sum += gray_of(r[i], g[i], b[i]);
  return sum;
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

}  // namespace udi
