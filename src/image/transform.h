// What an image goes through before a trained model sees it (torchvision: Resize, bicubic, then CenterCrop).
#pragma once

#include "image/image.h"
#include "image/resize.h"

namespace udi {

// The shorter side becomes resize_size, the longer one int(resize_size * long / short); then the centre of out's size
// is cut out, with torchvision's rounding, and with black around it where the resized image is smaller. Only pixels
// that are kept are computed. `resizer` lends its memory. out: the image's channels and dtype.
void evaluation_transform(Resizer& resizer, const Image& image, int resize_size, const Planes& out);

// Sides of an image that is kept whole: the shorter one becomes resize_size, the longer one in proportion; where that
// is more than max_pixels, both shrink in proportion; then both are rounded down to multiples of `multiple`, one at
// least. An image too slim for that within max_pixels loses of its length. UDI_E_INVALID: max_pixels below multiple^2.
struct Sides {
  int height = 0, width = 0;
};
Sides whole_sides(const Image& image, int resize_size, int multiple, int64_t max_pixels);
// All of the image fills `out`, of these sides and of the image's channels and dtype.
void whole_transform(Resizer& resizer, const Image& image, const Planes& out);

}  // namespace udi
