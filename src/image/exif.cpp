#include "image/exif.h"

#include <cstring>

#include "base/error.h"
#include "image/decode.h"
#include "image/pixels.h"

namespace udi {
namespace {

struct Bytes {
  const uint8_t* data = nullptr;
  size_t size = 0;

  // The part from `offset`; empty where there is none.
  Bytes from(uint64_t offset) const { return offset <= size ? Bytes{data + offset, size - size_t(offset)} : Bytes{}; }
  Bytes first(uint64_t count) const { return {data, count < size ? size_t(count) : size}; }
  bool begins(const char* magic, size_t length) const {
    return size >= length && std::memcmp(data, magic, length) == 0;
  }

  // Whole numbers at `offset`; 0 past the end.
  uint32_t number(uint64_t offset, int length, bool big_endian) const {
    if (offset + uint64_t(length) > size) return 0;
    uint32_t value = 0;
    for (int i = 0; i < length; ++i) {
      value |= uint32_t(data[offset + uint64_t(i)]) << (8 * (big_endian ? length - 1 - i : i));
    }
    return value;
  }
};

// The TIFF structure inside a JPEG: segments FF xx, length (with itself), content; EXIF is an APP1 before the picture.
Bytes find_in_jpeg(Bytes file) {
  uint64_t at = 2;
  while (file.number(at, 1, true) == 0xFF) {
    const uint32_t marker = file.number(at + 1, 1, true);
    if (marker == 0xFF) {  // a fill byte
      ++at;
      continue;
    }
    if (marker == 0xDA || marker == 0xD9) break;
    const uint32_t length = file.number(at + 2, 2, true);
    if (length < 2) break;
    const Bytes content = file.from(at + 4).first(length - 2);
    if (marker == 0xE1 && content.begins("Exif\0\0", 6)) return content.from(6);
    at += 2 + length;
  }
  return {};
}

// Inside a PNG: chunks of length, name, content, checksum.
Bytes find_in_png(Bytes file) {
  uint64_t at = 8;
  while (at + 8 <= file.size) {
    const uint32_t length = file.number(at, 4, true);
    const Bytes name = file.from(at + 4).first(4);
    if (name.begins("eXIf", 4)) return file.from(at + 8).first(length);
    if (name.begins("IEND", 4)) break;
    at += 12 + uint64_t(length);
  }
  return {};
}

}  // namespace

int exif_orientation(const uint8_t* data, size_t size) {
  constexpr uint32_t kOrientation = 0x0112, kShort = 3, kLong = 4;
  const FileKind kind = file_kind(data, size);
  const Bytes file{data, size};
  const Bytes tiff = kind == FileKind::kJpeg  ? find_in_jpeg(file)
                     : kind == FileKind::kPng ? find_in_png(file)
                                              : Bytes{};
  const bool big_endian = tiff.begins("MM\0*", 4);
  if (!big_endian && !tiff.begins("II*\0", 4)) return 1;
  const uint64_t directory = tiff.number(4, 4, big_endian);
  const uint32_t entries = tiff.number(directory, 2, big_endian);
  for (uint32_t i = 0; i < entries; ++i) {
    const uint64_t entry = directory + 2 + 12 * uint64_t(i);  // tag, type, count, value
    if (tiff.number(entry, 2, big_endian) != kOrientation) continue;
    const uint32_t type = tiff.number(entry + 2, 2, big_endian);
    if (type != kShort && type != kLong) return 1;
    const uint32_t value = tiff.number(entry + 8, type == kShort ? 2 : 4, big_endian);
    return value >= 1 && value <= 8 ? int(value) : 1;
  }
  return 1;
}

Image turn_upright(Image image, int orientation) {
  check(orientation >= 1 && orientation <= 8, UDI_E_INVALID, "an EXIF orientation is 1 to 8, not ", orientation);
  if (orientation == 1) return image;
  // Orientations from 5 on lie on their side; then the axes change places before anything is mirrored.
  const bool sideways = orientation >= 5;
  const bool from_right = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
  const bool from_below = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
  Image out = make_image(sideways ? image.width : image.height, sideways ? image.height : image.width, image.channels,
                         image.dtype);
  const size_t pixel = size_t(image.channels) * (image.dtype == UDI_U8 ? 1 : sizeof(float));
  uint8_t* to = out.bytes.data();
  for (int y = 0; y < out.height; ++y) {
    for (int x = 0; x < out.width; ++x, to += pixel) {
      const int row = sideways ? x : y, column = sideways ? y : x;
      const size_t in_row = size_t(from_below ? image.height - 1 - row : row);
      const size_t in_column = size_t(from_right ? image.width - 1 - column : column);
      std::memcpy(to, image.bytes.data() + (in_row * size_t(image.width) + in_column) * pixel, pixel);
    }
  }
  return out;
}

}  // namespace udi
