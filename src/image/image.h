// Pictures in memory: Image holds pixels as files give them, Planes points at them as models read them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "udi.h"

namespace udi {

// Pixels [height, width, channels], contiguous.
struct Image {
  int height = 0, width = 0, channels = 0;
  udi_dtype dtype = UDI_U8;    // UDI_U8 (0..255), or UDI_F32 (0..1; what 16-bit and float sources become)
  std::vector<uint8_t> bytes;  // height * width * channels elements of dtype

  const uint8_t* u8() const { return bytes.data(); }
  uint8_t* u8() { return bytes.data(); }
  const float* f32() const { return reinterpret_cast<const float*>(bytes.data()); }
  float* f32() { return reinterpret_cast<float*>(bytes.data()); }
};

// Planes [channels, height, width], contiguous, in memory that someone else owns (a batch of crops, say): what the
// augmentation works on. Copying it copies the pointer.
struct Planes {
  void* data = nullptr;
  int channels = 0, height = 0, width = 0;
  udi_dtype dtype = UDI_U8;  // UDI_U8 or UDI_F32, as in Image

  size_t pixels() const { return size_t(height) * size_t(width); }  // of one plane
  size_t bytes() const { return pixels() * size_t(channels) * (dtype == UDI_U8 ? 1 : sizeof(float)); }
  uint8_t* u8(int channel = 0) const { return static_cast<uint8_t*>(data) + size_t(channel) * pixels(); }
  float* f32(int channel = 0) const { return static_cast<float*>(data) + size_t(channel) * pixels(); }
};

// The same pixels in the other order. `out` has the image's size, channels and dtype (UDI_E_SHAPE otherwise).
void to_planes(const Image& image, const Planes& out);
Image to_image(const Planes& planes);

}  // namespace udi
