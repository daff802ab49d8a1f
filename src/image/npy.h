// NumPy's .npy arrays of pixels.
#pragma once

#include <cstddef>
#include <cstdint>

#include "image/decode.h"
#include "image/image.h"

namespace udi {

// See decode_image.
Image decode_npy(const uint8_t* data, size_t size, const DecodeLimits& limits, int channels);

}  // namespace udi
