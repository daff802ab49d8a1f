// An image in memory: pixels [height, width, channels], contiguous.
#pragma once

#include <cstdint>
#include <vector>

#include "udi.h"

namespace udi {

struct Image {
  int height = 0, width = 0, channels = 0;
  udi_dtype dtype = UDI_U8;    // UDI_U8 (0..255), or UDI_F32 (0..1; what 16-bit and float sources become)
  std::vector<uint8_t> bytes;  // height * width * channels elements of dtype

  const uint8_t* u8() const { return bytes.data(); }
  uint8_t* u8() { return bytes.data(); }
  const float* f32() const { return reinterpret_cast<const float*>(bytes.data()); }
  float* f32() { return reinterpret_cast<float*>(bytes.data()); }
};

}  // namespace udi
