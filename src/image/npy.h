// NumPy's .npy arrays of pixels.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "image/decode.h"
#include "image/image.h"

namespace udi {

// What an .npy file says of its values.
struct NpyHeader {
  udi_dtype dtype = UDI_U8;  // UDI_U8, UDI_U16 or UDI_F32
  std::vector<int64_t> shape;
  size_t offset = 0;  // where the values start
};

// UDI_E_FORMAT: no .npy header of version 1 to 3, values of another type, or Fortran order. Whether the values are all
// there is the caller's to check.
NpyHeader read_npy_header(const uint8_t* data, size_t size);

// See decode_image.
Image decode_npy(const uint8_t* data, size_t size, const DecodeLimits& limits, int channels);

}  // namespace udi
