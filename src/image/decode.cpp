#include "image/decode.h"

#include <cstring>

#include "base/error.h"
#include "image/exif.h"
#include "image/jpeg.h"
#include "image/npy.h"
#include "image/png.h"

namespace udi {

FileKind file_kind(const uint8_t* data, size_t size) {
  const auto begins = [&](const char* magic, size_t length) {
    return size >= length && std::memcmp(data, magic, length) == 0;
  };
  if (begins("\xFF\xD8\xFF", 3)) return FileKind::kJpeg;
  if (begins("\x89PNG\r\n\x1A\n", 8)) return FileKind::kPng;
  if (begins("\x93NUMPY", 6)) return FileKind::kNpy;
  return FileKind::kOther;
}

void decode_image(const uint8_t* data, size_t size, const DecodeLimits& limits, int channels, bool exif_turn,
                  Image& image, BaselineJpeg* kept) {
  check(size > 0, UDI_E_FORMAT, "the file is empty");
  check(size <= limits.max_file_bytes, UDI_E_MEMORY, "the file has ", size, " bytes: more than the limit of ",
        limits.max_file_bytes, " (max_file_bytes)");
  const FileKind kind = file_kind(data, size);
  check(kind != FileKind::kOther, UDI_E_FORMAT, "the file is no JPEG, PNG or .npy (by its first bytes)");
  if (kind == FileKind::kNpy) {
    image = decode_npy(data, size, limits, channels);
    return;
  }

  if (channels == 0) channels = 3;
  check(channels == 1 || channels == 3, UDI_E_FORMAT, "a JPEG or PNG gives 1 or 3 channels, ", channels, " are wanted");
  if (kind == FileKind::kJpeg) {
    decode_jpeg(data, size, limits, channels, image, kept);
  } else {
    image = decode_png(data, size, limits, channels);
  }
  if (exif_turn) image = turn_upright(std::move(image), exif_orientation(data, size));
}

Image decode_image(const uint8_t* data, size_t size, const DecodeLimits& limits, int channels, bool exif_turn) {
  Image image;
  decode_image(data, size, limits, channels, exif_turn, image);
  return image;
}

}  // namespace udi
