// Bicubic resizing as Pillow does it (a = -0.5, widened by the scale when shrinking): for uint8 in 22-bit fixed point,
// one axis after the other, rounded to uint8 between; for float32 with double sums, rounded to float between. Equal to
// Pillow 13 byte for byte, channel by channel: rows first, or columns first where it does so. (Pillow up to 12 always
// takes rows first, so that some of its bytes differ.)
#pragma once

#include <cstdint>
#include <vector>

#include "base/memory.h"
#include "image/image.h"

namespace udi {

struct Box {
  int top = 0, left = 0, height = 0, width = 0;
};

// Which inputs each output along one axis is summed from, and how much of each.
struct ResizeTaps {
  int outputs = 0;
  size_t stride = 0;              // weights of one output, of which `count` are used
  bool mirrored = false;          // weights belong to the inputs from the last to the first, fixed as they lie
  std::vector<int> first, count;  // of each output
  std::vector<double> weights;    // [outputs, stride]
  std::vector<int32_t> fixed;     // the same, times 2^22 and rounded
};

// The same for bytes, in the form that a kernel wants (see resize_kernels.h).
struct PackedTaps {
  int outputs = 0, groups = 0;
  std::vector<int32_t> first, weights, one_output;
};

struct ResizeKernels;

// Many crops of one image. Set it up once for an image, then crop; an object kept from image to image keeps its memory.
class Resizer {
 public:
  // Copies what it needs: the image may go. UDI_E_SHAPE: no pixel, or a dtype that is neither UDI_U8 nor UDI_F32.
  void set_image(const Image& image);

  // box of the image is cut out, mirrored left to right if asked, then resized to fill `out`. The filter sees nothing
  // outside the box. UDI_E_INVALID: a box that leaves the image; UDI_E_SHAPE: out has not its channels and dtype.
  void crop(const Box& box, bool mirror, const Planes& out);

  // The whole image is resized to height x width, of which `window` is computed and fills `out`.
  void resize_window(int height, int width, const Box& window, const Planes& out);

 private:
  void run(const Box& box, bool columns_first, const Planes& out);
  void run_bytes(const Box& box, bool columns_first, const Planes& out);
  void run_floats(const Box& box, bool columns_first, const Planes& out);

  int height_ = 0, width_ = 0, channels_ = 0;
  udi_dtype dtype_ = UDI_U8;
  const ResizeKernels* kernels_ = nullptr;
  size_t pitch_ = 0;  // elements from one column (of bytes: group of columns) to the next
  Memory columns_;    // the image as [channels, width, height]: both passes then add whole vectors
  ResizeTaps across_, down_;
  PackedTaps outer_, inner_;
  Memory strip_, between_, rows_, turned_;  // see the functions that fill them
};

// One crop, where there is only one.
Image resize_bicubic(const Image& image, const Box& box, bool mirror, int out_height, int out_width);

}  // namespace udi
