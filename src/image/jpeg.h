// JPEG files in memory: the common kind by BaselineJpeg, all others through libjpeg-turbo.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "image/decode.h"
#include "image/image.h"

namespace udi {

// See decode_image; channels 1 or 3.
void decode_jpeg(const uint8_t* data, size_t size, const DecodeLimits& limits, int channels, Image& image,
                 BaselineJpeg* kept = nullptr);

// image: uint8 with 1 or 3 channels (UDI_E_SHAPE otherwise), sides up to 65,500; quality 1 to 100. Colour is stored at
// half the resolution along both sides (4:2:0), as most cameras and programs do.
std::vector<uint8_t> encode_jpeg(const Image& image, int quality);

}  // namespace udi
