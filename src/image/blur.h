// Pillow's GaussianBlur: three box blurs along rows, three along columns, each with a fractional radius.
#pragma once

#include "base/memory.h"
#include "image/image.h"

namespace udi {

// In place, any number of channels. radius: the Gaussian's deviation in pixels, 0 (nothing changes) to 100. uint8 is
// equal to Pillow (24-bit fixed point, rounded after each box); float32 takes the same boxes without rounding. memory:
// what is kept from call to call.
void gaussian_blur(const Planes& planes, float radius, Memory* memory = nullptr);

}  // namespace udi
