// Image files in memory become pixels: JPEG, PNG and NumPy's .npy, told apart by their first bytes, never by a name.
//
// JPEG and PNG give, byte for byte, what Pillow's Image.open(...).convert('RGB') gives (or convert('L') for one
// channel): palettes are looked up, alpha is dropped and not blended, CMYK goes through Pillow's formula, 16-bit
// samples keep their high byte. The one difference is meant: 16-bit gray keeps its high byte too, where Pillow clips at
// 255.
#pragma once

#include <cstddef>
#include <cstdint>

#include "image/image.h"

namespace udi {

struct DecodeLimits {
  uint64_t max_pixels = 178956970;         // height * width; Pillow's own limit
  uint64_t max_file_bytes = 256ull << 20;  // of the encoded file
};

enum class FileKind { kOther, kJpeg, kPng, kNpy };
FileKind file_kind(const uint8_t* data, size_t size);

// channels: 3 or 1 for JPEG and PNG; for .npy those of the array, 1 to 16, where one channel also serves when 3 are
// wanted; 0: 3 of a JPEG or PNG, the array's own of an .npy. .npy: [H, W] or [H, W, C], C order, little endian; uint8
// stays, uint16 becomes float32 / 65535, float32 stays as it is (0..1 by contract; NaN and infinity are refused).
// exif_turn: the picture is turned as its EXIF orientation says (JPEG and PNG), like Pillow's ImageOps.exif_transpose.
// UDI_E_FORMAT: not such a file, truncated or damaged; UDI_E_MEMORY: over a limit. The message says which.
Image decode_image(const uint8_t* data, size_t size, const DecodeLimits& limits, int channels, bool exif_turn = false);

class BaselineJpeg;

// The same into `image`, whose memory is used again. It holds anything after an error. kept: the decoder of common JPEG
// files with its tables and memory, for the next image; made anew if there is none.
void decode_image(const uint8_t* data, size_t size, const DecodeLimits& limits, int channels, bool exif_turn,
                  Image& image, BaselineJpeg* kept = nullptr);

}  // namespace udi
