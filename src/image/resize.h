// Bicubic resizing as Pillow does it (a = -0.5, widened by the scale when shrinking): for uint8 in 22-bit fixed point,
// first along rows, then along columns, rounded to uint8 between; for float32 with double sums, rounded to float between.
// Equal to Pillow byte for byte, channel by channel.
#pragma once

#include <vector>

#include "image/image.h"

namespace udi {

struct Box {
  int top = 0, left = 0, height = 0, width = 0;
};

// Many crops of one image. Set it up once for an image, then crop; an object kept from image to image keeps its memory.
class Resizer {
 public:
  // Copies what it needs: the image may go. UDI_E_SHAPE: no pixel, or a dtype that is neither UDI_U8 nor UDI_F32.
  void set_image(const Image& image);

  // box of the image is cut out, mirrored left to right if asked, then resized to fill `out`. The filter sees nothing
  // outside the box. out has the image's channels and dtype. UDI_E_INVALID: a box that leaves the image.
  void crop(const Box& box, bool mirror, const Planes& out);

  // The whole image is resized to height x width, of which `window` is computed and fills `out`.
  void resize_window(int height, int width, const Box& window, const Planes& out);

 private:
  struct Taps;  // what each output row or column is summed from
  template <class Value>
  void run(const Box& box, const Taps& columns, const Taps& rows, const Planes& out);

  int height_ = 0, width_ = 0, channels_ = 0;
  udi_dtype dtype_ = UDI_U8;
  size_t pitch_ = 0;              // elements from one column to the next
  std::vector<uint8_t> columns_;  // the image as [channels, width, height], so that both passes add whole vectors
  std::vector<uint8_t> between_;  // one channel after the first pass
};

// One crop, where there is only one.
Image resize_bicubic(const Image& image, const Box& box, bool mirror, int out_height, int out_width);

}  // namespace udi
