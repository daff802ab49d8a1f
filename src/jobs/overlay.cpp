#include "jobs/overlay.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/error.h"
#include "image/resize.h"

namespace udi {
namespace {

// Dark violet over red and orange to pale yellow: brightness grows evenly, so the map reads in gray, too.
constexpr uint8_t kColors[][3] = {{8, 6, 28},    {48, 16, 88},   {106, 23, 110}, {158, 42, 99},
                                  {208, 72, 66}, {240, 122, 25}, {250, 190, 42}, {252, 252, 190}};

void color_of(double value, double* rgb) {
  constexpr int kLast = int(sizeof kColors / sizeof *kColors) - 1;
  const double place = std::clamp(value, 0.0, 1.0) * kLast;
  const int below = std::min(int(place), kLast - 1);
  for (int c = 0; c < 3; ++c)
    rgb[c] = kColors[below][c] + (place - below) * (kColors[below + 1][c] - kColors[below][c]);
}

}  // namespace

Image overlay(const Image& image, const at::Tensor& map, double opacity) {
  const at::Tensor values = map.to(at::kCPU, at::kFloat).contiguous();
  const int64_t rows = values.size(0), columns = values.size(1);
  const float* cells = values.const_data_ptr<float>();
  const double largest = std::max(1e-12, double(values.max().item<float>()));
  Image out;
  out.height = image.height;
  out.width = image.width;
  out.channels = 3;
  out.bytes.resize(size_t(out.height) * size_t(out.width) * 3);
  const uint8_t* from = image.u8();
  uint8_t* to = out.u8();
  for (int y = 0; y < image.height; ++y) {
    for (int x = 0; x < image.width; ++x, from += image.channels, to += 3) {
      double rgb[3];
      color_of(double(cells[y * rows / image.height * columns + x * columns / image.width]) / largest, rgb);
      for (int c = 0; c < 3; ++c) {
        to[c] = uint8_t(std::lround(opacity * rgb[c] + (1 - opacity) * from[image.channels == 3 ? c : 0]));
      }
    }
  }
  return out;
}

Image side_by_side(const std::vector<Image>& pictures, int gap) {
  Image out;
  out.channels = 3;
  out.height = pictures.at(0).height;
  for (const auto& picture : pictures) out.width += picture.width + (out.width ? gap : 0);
  out.bytes.assign(size_t(out.height) * size_t(out.width) * 3, 255);
  size_t left = 0;
  for (const auto& picture : pictures) {
    const size_t row = size_t(picture.width) * 3;
    for (int y = 0; y < out.height; ++y) {
      std::memcpy(out.u8() + (size_t(y) * size_t(out.width) + left) * 3, picture.u8() + size_t(y) * row, row);
    }
    left += size_t(picture.width + gap);
  }
  return out;
}

Image fit_to_patches(const Image& image, int side, int patch_size) {
  const double scale = double(side) / std::min(image.height, image.width);
  const double height = std::round(image.height * scale), width = std::round(image.width * scale);
  check(height < 65536 && width < 65536, UDI_E_FORMAT, "an image of ", image.height, " x ", image.width,
        " pixels is too long and thin for a shorter side of ", side);
  Image out = resize_bicubic(image, {0, 0, image.height, image.width}, false, int(height), int(width));
  const int rows = out.height / patch_size * patch_size, columns = out.width / patch_size * patch_size;
  check(rows > 0 && columns > 0, UDI_E_INVALID, "image_size ", side, " is smaller than patch_size ", patch_size);
  if (rows == out.height && columns == out.width) return out;
  return resize_bicubic(out, {0, 0, rows, columns}, false, rows, columns);  // equal sizes: a copy
}

at::Tensor as_model_input(const Image& image, const udi_model_config& model) {
  const auto kind = image.dtype == UDI_U8 ? at::kByte : at::kFloat;
  const at::Tensor pixels =
      at::from_blob(const_cast<uint8_t*>(image.bytes.data()), {1, image.height, image.width, image.channels}, kind)
          .permute({0, 3, 1, 2})
          .contiguous();
  if (image.dtype == UDI_U8) return pixels;
  const auto channel = [&](const float* values) {
    return at::from_blob(const_cast<float*>(values), {model.channels, 1, 1}, at::kFloat).clone();
  };
  return (pixels - channel(model.mean)) / channel(model.std);
}

Image as_picture(const Image& image) {
  if (image.dtype == UDI_U8 && (image.channels == 1 || image.channels == 3)) return image;
  Image out;
  out.height = image.height;
  out.width = image.width;
  out.channels = image.channels == 3 ? 3 : 1;
  const size_t pixels = size_t(image.height) * size_t(image.width);
  out.bytes.resize(pixels * size_t(out.channels));
  for (size_t i = 0; i < pixels; ++i) {
    for (int c = 0; c < out.channels; ++c) {
      const size_t from = i * size_t(image.channels) + size_t(c);
      out.bytes[i * size_t(out.channels) + size_t(c)] =
          image.dtype == UDI_U8 ? image.bytes[from]
                                : uint8_t(std::lround(255 * std::clamp(image.f32()[from], 0.f, 1.f)));
    }
  }
  return out;
}

}  // namespace udi
