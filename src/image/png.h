// PNG files in memory, through libpng.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "image/decode.h"
#include "image/image.h"

namespace udi {

// See decode_image; channels 1 or 3.
Image decode_png(const uint8_t* data, size_t size, const DecodeLimits& limits, int channels);

// image: uint8 with 1 or 3 channels (UDI_E_SHAPE otherwise).
std::vector<uint8_t> encode_png(const Image& image);

}  // namespace udi
