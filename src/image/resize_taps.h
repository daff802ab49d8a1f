// The weights of Pillow's bicubic filter along one axis.
#pragma once

#include "image/resize.h"

namespace udi {

constexpr int kWeightBits = 22;  // of a fixed-point weight: 8 for the pixel and 2 for overshoot fill up 32

// in_size pixels become out_size, of which the outputs first_out ... first_out + outputs - 1 are wanted. mirror: the
// input is mirrored first; the taps then name places in the input as it lies.
void make_taps(int in_size, int out_size, int first_out, int outputs, bool mirror, ResizeTaps& taps);

}  // namespace udi
