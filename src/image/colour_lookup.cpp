// The tables of the kernels that look up.
#include <algorithm>

#include "base/simd.h"
#include "image/colour_kernels.h"
#include "image/lanes.h"

namespace udi {
namespace {

// 255 times a share of the colour circle, as Pillow's float32 has it: (corner + sign * distance / range) / 6.
int float_hue(int corner, int sign, int distance, int range) {
  const float way = float(distance) / float(range);
  const float turn = (sign > 0 ? float(corner) + way : float(corner) - way) / 6.0f;
  return int((turn < 0 ? turn + 1.0f : turn) * 255.0f);
}

}  // namespace

HueTables::HueTables() {
  const auto split = [](int number, uint8_t& low, uint8_t& high) {
    low = uint8_t(number);
    high = uint8_t(number >> 8);
  };
  for (int v = 0; v < 256; ++v) {
    const int divisor = std::max(v, 1);
    split(65536 / (2 * divisor), by_range_low[v], by_range_high[v]);
    split(std::min(65536 / divisor, 65535), by_value_low[v], by_value_high[v]);
    too_small[v] = 0;
    const int place = v * 6;
    const auto share = [](int of) { return uint8_t(std::clamp(of, 0, 255)); };
    red[v] = red[v + 256] = share(std::min(place - 255, 1275 - place));
    green[v] = green[v + 256] = share(std::max(255 - place, place - 765));
    blue[v] = blue[v + 256] = share(std::max(765 - place, place - 1275));
  }
  // 255 / 6 * (corner + sign * distance / range) is whole for odd multiples of 1/85.
  for (int distance = 1; distance <= 85; distance += 2) {
    for (const int sign : {1, -1}) {
      for (const int corner : {-1, 1, 3, 5}) {
        if ((corner == -1 && sign < 0) || (corner == 5 && sign > 0) || (corner == -1 && distance == 85)) continue;
        const int whole = (85 * corner + sign * distance) / 2 + (corner < 0 ? 255 : 0);
        if (float_hue(corner, sign, distance, 85) < whole) too_small[whole] = 1;
      }
    }
  }
}

// gray is whole, so dropping the fraction of factor * d first is the same as dropping that of the sum, unless factor *
// d is so near a whole number that the sum is rounded to it.
UDI_CLONES bool gray_blend_tables(float factor, uint8_t (&up)[256], uint8_t (&down)[256]) {
  constexpr float kNear = 1.0f / (1 << 16);
  Ints near = all_ints(0);
  for (size_t d = 0; d < 256; d += kLanes) {
    for (size_t i = d; i < d + kLanes; ++i) up[i] = uint8_t(i);
    const Floats move = smaller(to_floats(load_bytes(up + d)) * factor, all_floats(1000.0f));
    const Ints whole = truncated(move);
    const Floats part = move - to_floats(whole);
    const Ints some = part > all_floats(0.0f);
    near = near | (part > all_floats(1.0f - kNear)) | (some & (part < all_floats(kNear)));
    store_bytes(up + d, smaller(whole, all_ints(255)));
    store_bytes(down + d, smaller(where(some, whole + 1, whole), all_ints(255)));
  }
  const IntVector any = near.a | near.b | near.c | near.d;
  int found = 0;
  for (int k = 0; k < 8; ++k) found |= any[k];
  return found == 0;
}

}  // namespace udi
