// The boxes of blur.h's filter, and what a kernel for one kind of processor offers.
#pragma once

#include <cstddef>
#include <cstdint>

namespace udi {

constexpr int kBoxes = 3;

// A box that covers `whole` pixels on either side of the middle one, and a part of the next.
struct BoxFilter {
  int whole;
  uint32_t inner, outer;           // weight of a covered pixel and of the next one, in units of 2^-24
  float inner_share, outer_share;  // the same, exact

  int reach() const { return whole + 1; }
};

// For 32 values at a time, and what that asks for: `count` is rounded up to it, and both sides have room.
constexpr ptrdiff_t kBlurValues = 32;

// One box over values of 0 to 255 in 16 bits; `step` leads to the next pixel along the blurred axis. whole: up to
// kMaxWhole16, so that sums stay below 2^15.
constexpr int kMaxWhole16 = 63;
void blur_values_avx2(const uint16_t* centre, ptrdiff_t step, ptrdiff_t count, const BoxFilter& box, uint16_t* out);

// Bytes to 16 bits and back.
void widen_avx2(const uint8_t* in, ptrdiff_t count, uint16_t* out);
void narrow_avx2(const uint16_t* in, ptrdiff_t count, uint8_t* out);

}  // namespace udi
