// What an image goes through before a trained model sees it (torchvision: Resize, bicubic, then CenterCrop).
#pragma once

#include "image/image.h"
#include "image/resize.h"

namespace udi {

// The shorter side becomes resize_size, the longer one int(resize_size * long / short); then the centre of out's size
// is cut out, with torchvision's rounding, and with black around it where the resized image is smaller. Only pixels
// that are kept are computed. `resizer` lends its memory. out: the image's channels and dtype.
void evaluation_transform(Resizer& resizer, const Image& image, int resize_size, const Planes& out);

}  // namespace udi
