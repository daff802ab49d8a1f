// Colour operations on bytes by look-up, for processors that look up 64 bytes at once. `count` values a plane, any
// number.
#pragma once

#include <cstddef>
#include <cstdint>

namespace udi {

void look_up_vnni(uint8_t* values, size_t count, const uint8_t (&table)[256]);

// c becomes gray + up[c - gray] where c is above gray, gray - down[gray - c] where below, cut to 0..255.
void blend_from_gray_vnni(uint8_t* r, uint8_t* g, uint8_t* b, size_t count, const uint8_t (&up)[256],
                          const uint8_t (&down)[256]);
// The tables for blend(gray, c, factor), by distance; false: this factor has none.
bool gray_blend_tables(float factor, uint8_t (&up)[256], uint8_t (&down)[256]);

void make_gray_vnni(uint8_t* r, uint8_t* g, uint8_t* b, size_t count);

// Hue by whole numbers. Pillow's float32 gives the exact quotients, rounded down, but for some whole ones, which come
// out one too small.
struct HueTables {
  HueTables();
  uint8_t by_range_low[256], by_range_high[256];  // bytes of 2^16 / (2 range), rounded down
  uint8_t by_value_low[256], by_value_high[256];  // bytes of 2^16 / value
  uint8_t too_small[256];                         // 1 for a whole hue that comes out as the one before
  uint8_t red[512], green[512], blue[512];        // of a hue: how far the channel falls below value; twice
};
void turn_hue_vnni(uint8_t* r, uint8_t* g, uint8_t* b, size_t count, int shift, const HueTables& tables);

int64_t gray_sum_vnni(const uint8_t* r, const uint8_t* g, const uint8_t* b, size_t count);

}  // namespace udi
