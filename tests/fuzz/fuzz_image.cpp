// Decoding any bytes, within small limits. PNG chunks get their right checksums first: a fuzzer would not find them.
#include <zlib.h>

#include <cstdlib>
#include <cstring>
#include <vector>

#include "base/error.h"
#include "image/decode.h"

namespace {

uint32_t big_endian(const uint8_t* bytes) {
  return uint32_t(bytes[0]) << 24 | uint32_t(bytes[1]) << 16 | uint32_t(bytes[2]) << 8 | bytes[3];
}

// Chunks: length, type, data, checksum of type and data.
void sign_png(std::vector<uint8_t>& file) {
  if (file.size() < 8 || std::memcmp(file.data(), "\x89PNG\r\n\x1a\n", 8) != 0) return;
  size_t at = 8;
  while (file.size() - at >= 12) {
    const size_t length = big_endian(file.data() + at);
    if (length > file.size() - at - 12) return;
    const uLong sum = crc32(0, file.data() + at + 4, uInt(length + 4));
    for (int i = 0; i < 4; ++i) file[at + 8 + length + size_t(i)] = uint8_t(sum >> (24 - 8 * i));
    at += 12 + length;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::vector<uint8_t> file(data, data + size);
  sign_png(file);
  udi::DecodeLimits limits;
  limits.max_pixels = 1 << 14;
  limits.max_file_bytes = 1 << 16;
  for (const int channels : {3, 1}) {
    try {
      const udi::Image image = udi::decode_image(file.data(), file.size(), limits, channels, channels == 3);
      if (image.height < 1 || image.width < 1 || int64_t(image.height) * image.width > 1 << 14) std::abort();
    } catch (const udi::Error&) {
    }
  }
  return 0;
}
