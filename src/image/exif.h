// The EXIF orientation of a photograph: how the camera was held.
#pragma once

#include <cstddef>
#include <cstdint>

#include "image/image.h"

namespace udi {

// 1 to 8 as TIFF 6.0 numbers them; 1 (upright) where the JPEG or PNG has no orientation or a damaged one.
int exif_orientation(const uint8_t* data, size_t size);

// The picture set upright: 2 mirrored, 3 by 180 degrees, 4 upside down, 5 transposed, 6 clockwise by 90 degrees,
// 7 transposed over the other diagonal, 8 counter-clockwise by 90 degrees. 1 gives the image back.
Image turn_upright(Image image, int orientation);

}  // namespace udi
