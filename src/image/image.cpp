#include "image/image.h"

#include "base/error.h"
#include "image/interleave.h"

namespace udi {
namespace {

template <class Value>
void copy_transposed(const Value* in, size_t rows, size_t columns, Value* out) {
  for (size_t r = 0; r < rows; ++r) {
    for (size_t c = 0; c < columns; ++c) out[c * rows + r] = in[r * columns + c];
  }
}

}  // namespace

void to_planes(const Image& image, const Planes& out) {
  check(out.height == image.height && out.width == image.width && out.channels == image.channels &&
            out.dtype == image.dtype,
        UDI_E_SHAPE, "an image of ", image.height, " x ", image.width, " x ", image.channels,
        " does not fit planes of ", out.channels, " x ", out.height, " x ", out.width, " or has another dtype");
  if (image.dtype == UDI_F32) return copy_transposed(image.f32(), out.pixels(), size_t(image.channels), out.f32());
  const size_t row = size_t(image.width) * size_t(image.channels);
  for (int y = 0; y < image.height; ++y) {
    split_channels(image.u8() + size_t(y) * row, image.width, image.channels,
                   out.u8() + size_t(y) * size_t(image.width), out.pixels());
  }
}

Image to_image(const Planes& planes) {
  Image image;
  image.height = planes.height;
  image.width = planes.width;
  image.channels = planes.channels;
  image.dtype = planes.dtype;
  image.bytes.resize(planes.bytes());
  if (planes.dtype == UDI_F32) {
    copy_transposed(planes.f32(), size_t(planes.channels), planes.pixels(), image.f32());
  } else {
    copy_transposed(planes.u8(), size_t(planes.channels), planes.pixels(), image.u8());
  }
  return image;
}

}  // namespace udi
