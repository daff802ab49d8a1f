#include "image/transform.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/error.h"

namespace udi {
namespace {

// Where `wanted` of `size` pixels are cut out; torchvision rounds halves to the even neighbour.
int centre_start(int size, int wanted) { return int(std::nearbyint((size - wanted) / 2.0)); }

// Copies into the middle of black planes; an odd rest stands right and below.
void frame(const Planes& in, const Planes& out) {
  const size_t value = in.dtype == UDI_U8 ? 1 : sizeof(float);
  const int top = (out.height - in.height) / 2, left = (out.width - in.width) / 2;
  std::memset(out.data, 0, out.bytes());
  for (int c = 0; c < in.channels; ++c) {
    for (int y = 0; y < in.height; ++y) {
      const size_t from = size_t(c) * in.pixels() + size_t(y) * size_t(in.width);
      const size_t to = size_t(c) * out.pixels() + size_t(top + y) * size_t(out.width) + size_t(left);
      std::memcpy(static_cast<uint8_t*>(out.data) + to * value, static_cast<const uint8_t*>(in.data) + from * value,
                  size_t(in.width) * value);
    }
  }
}

}  // namespace

void evaluation_transform(Resizer& resizer, const Image& image, int resize_size, const Planes& out) {
  check(resize_size > 0, UDI_E_INVALID, "resize_size is ", resize_size, ": it must be at least 1");
  check(image.height > 0 && image.width > 0, UDI_E_SHAPE, "an image without pixels cannot be resized");
  const int shorter = std::min(image.height, image.width), longer = std::max(image.height, image.width);
  const double grown = std::floor(double(int64_t(resize_size) * longer) / shorter);
  check(grown <= 1 << 30, UDI_E_INVALID, "an image of ", image.height, " x ", image.width,
        " is too slim to be resized to a shorter side of ", resize_size);
  const int height = image.height <= image.width ? resize_size : int(grown);
  const int width = image.height <= image.width ? int(grown) : resize_size;

  const int kept_height = std::min(height, out.height), kept_width = std::min(width, out.width);
  const Box window{centre_start(height, kept_height), centre_start(width, kept_width), kept_height, kept_width};
  resizer.set_image(image);
  if (kept_height == out.height && kept_width == out.width) return resizer.resize_window(height, width, window, out);

  Planes kept{nullptr, out.channels, kept_height, kept_width, out.dtype};
  std::vector<uint8_t> pixels(kept.bytes());
  kept.data = pixels.data();
  resizer.resize_window(height, width, window, kept);
  frame(kept, out);
}

Sides whole_sides(const Image& image, int resize_size, int multiple, int64_t max_pixels) {
  check(resize_size > 0, UDI_E_INVALID, "resize_size is ", resize_size, ": it must be at least 1");
  check(multiple > 0 && int64_t(multiple) * multiple <= max_pixels, UDI_E_INVALID, "an image of at most ", max_pixels,
        " pixels has no room for a patch of ", multiple, " x ", multiple);
  check(image.height > 0 && image.width > 0, UDI_E_SHAPE, "an image without pixels cannot be resized");
  const int shorter = std::min(image.height, image.width), longer = std::max(image.height, image.width);
  double shorter_side = resize_size, longer_side = std::floor(double(int64_t(resize_size) * longer) / shorter);
  const double shrink = std::sqrt(double(max_pixels) / (shorter_side * longer_side));
  if (shrink < 1) {
    shorter_side *= shrink;
    longer_side *= shrink;
  }
  const auto rounded = [&](double side) { return std::max<int64_t>(1, int64_t(side) / multiple) * multiple; };
  const int64_t least = rounded(shorter_side);
  const int64_t most = std::min(rounded(longer_side), max_pixels / least / multiple * multiple);
  return image.height <= image.width ? Sides{int(least), int(most)} : Sides{int(most), int(least)};
}

void whole_transform(Resizer& resizer, const Image& image, const Planes& out) {
  resizer.set_image(image);
  resizer.resize_window(out.height, out.width, {0, 0, out.height, out.width}, out);
}

}  // namespace udi
