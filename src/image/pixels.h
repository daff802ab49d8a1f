// What the decoders share: the size check and Pillow's conversions between kinds of pixels.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/error.h"
#include "image/decode.h"
#include "image/image.h"

namespace udi {

// UDI_E_MEMORY over the limit, UDI_E_FORMAT for no pixel at all.
inline void check_pixels(uint64_t height, uint64_t width, const DecodeLimits& limits) {
  check(height > 0 && width > 0, UDI_E_FORMAT, "the image has ", height, " x ", width, " pixels");
  check(height <= INT32_MAX && width <= INT32_MAX && height <= limits.max_pixels / width, UDI_E_MEMORY,
        "the image has ", height, " x ", width, " pixels: more than the limit of ", limits.max_pixels,
        " (max_pixels)");
}

inline void shape_image(int height, int width, int channels, udi_dtype dtype, Image& image) {
  image.height = height;
  image.width = width;
  image.channels = channels;
  image.dtype = dtype;
  image.bytes.resize(size_t(height) * size_t(width) * size_t(channels) * (dtype == UDI_U8 ? 1 : sizeof(float)));
}

inline Image make_image(int height, int width, int channels, udi_dtype dtype) {
  Image image;
  shape_image(height, width, channels, dtype, image);
  return image;
}

// ITU-R 601-2 in 16-bit fixed point.
inline uint8_t gray_of(int red, int green, int blue) {
  return uint8_t((red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16);
}

inline void rgb_to_gray(const uint8_t* in, size_t pixels, uint8_t* out) {
  for (size_t i = 0; i < pixels; ++i, in += 3) out[i] = gray_of(in[0], in[1], in[2]);
}

// JPEG files hold CMYK inverted: 255 is no ink. So `key` is the light that black ink leaves.
inline uint8_t light_of(int inverted_ink, int key) {
  const int product = (255 - inverted_ink) * key + 128;
  return uint8_t(key - (((product >> 8) + product) >> 8));
}

inline void inverted_cmyk_to_rgb(const uint8_t* in, size_t pixels, uint8_t* out) {
  for (size_t i = 0; i < pixels; ++i, in += 4, out += 3) {
    for (int c = 0; c < 3; ++c) out[c] = light_of(in[c], in[3]);
  }
}

inline void inverted_cmyk_to_gray(const uint8_t* in, size_t pixels, uint8_t* out) {
  for (size_t i = 0; i < pixels; ++i, in += 4) {
    out[i] = gray_of(light_of(in[0], in[3]), light_of(in[1], in[3]), light_of(in[2], in[3]));
  }
}

}  // namespace udi
