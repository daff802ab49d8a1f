// Decoded images to finished crops: cut out, mirrored, resized, coloured, blurred, solarized. Every bit is Pillow 13's,
// as torchvision calls it, and thereby that of src/image.
#pragma once

#include "kernels.h"

namespace udi::cuda {

enum class ColourOp : int32_t { kBrightness = 0, kContrast = 1, kSaturation = 2, kHue = 3, kGrayscale = 4 };
constexpr int kMaxColourOps = 5;

// One crop. Who fills it in vouches for it: it lies on the device, where nobody looks at it before the kernels do.
struct AugmentCrop {
  int64_t image;        // its image's first byte in AugmentArgs::images: [rows, columns, channels]
  int32_t image_width;  // pixels of a row of the image
  // The box, at least 1 x 1 and inside the image; mirrored: left to right, after it is cut out.
  int32_t top, left, height, width, mirrored;
  int64_t taps[2];  // where the workspace of its width and of its height begins
  // Colours, 0 to kMaxColourOps operations in their order, kContrast at most once. amount: a finite factor from 0 on;
  // kHue: a shift in 255ths of the circle, whole, -255 to 255. Without 3 channels only the first two kinds do
  // something.
  int32_t ops;
  ColourOp op[kMaxColourOps];
  float amount[kMaxColourOps];
  // Gaussian blur, by three boxes an axis: pixels that a box covers on either side, 0 to 127, or -1 for no blur;
  // weights of one of them and of the next pixel, in units of 2^-24.
  int32_t blur_whole;
  uint32_t blur_inner, blur_outer;
  int32_t solarize;  // at the end, values from 128 on are inverted
};

// 4-byte numbers of the workspace that one side of a box needs, `side` pixels long, of a crop with `size` pixels a
// side.
inline int64_t augment_workspace(int64_t side, int64_t size) {
  const int64_t most_inputs = (side > size ? (2 * side + size - 1) / size : 2) * 2 + 1;  // of an output
  return size * (2 + most_inputs);
}

struct AugmentArgs {
  int64_t crops;     // 0 on
  int32_t channels;  // 1 to 16
  int32_t size;      // pixels a side of a crop, 1 to 16384
  const uint8_t* images;
  const AugmentCrop* crop;  // [crops]
  int32_t* workspace;
  uint8_t* out;  // [crops, channels, size, size]
};
udi_cuda_status launch_augment(const AugmentArgs& args, Stream stream);

// Its parts, each a pass over all crops, in this order; arguments have been checked.
udi_cuda_status launch_resize(const AugmentArgs& args, Stream stream);
udi_cuda_status launch_colours(const AugmentArgs& args, Stream stream);
udi_cuda_status launch_blur(const AugmentArgs& args, Stream stream);

}  // namespace udi::cuda
