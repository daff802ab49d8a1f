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

// The boxes that, applied kBoxes times, have the variance of a Gaussian of this deviation, above 0.
BoxFilter box_filter(float deviation);

// Of values of 0 to 255 in 16 bits, 32 at a time: `count` is rounded up to that, and both sides have room.
struct BlurKernels {
  // One box; `step` leads to the next pixel along the blurred axis. whole: up to kMaxWhole16.
  void (*blur_values)(const uint16_t* centre, ptrdiff_t step, ptrdiff_t count, const BoxFilter& box, uint16_t* out);
  // Bytes to 16 bits and back.
  void (*widen)(const uint8_t* in, ptrdiff_t count, uint16_t* out);
  void (*narrow)(const uint16_t* in, ptrdiff_t count, uint8_t* out);
};

constexpr ptrdiff_t kBlurValues = 32;
constexpr int kMaxWhole16 = 63;  // sums stay below 2^15

extern const BlurKernels kBlurAvx2, kBlurVnni;

}  // namespace udi
