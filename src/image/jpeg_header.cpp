#include "image/jpeg_header.h"

#include <algorithm>
#include <cstring>

namespace udi {
namespace {

constexpr int kLongestSide = 65500;  // libjpeg's JPEG_MAX_DIMENSION

// What one marker brings. Reading past its end is remembered and gives zeros.
class Segment {
 public:
  Segment(const uint8_t* data, size_t size) : at_(data), left_(size) {}
  size_t left() const { return left_; }
  bool complete() const { return !overrun_ && left_ == 0; }
  int byte() {
    if (left_ == 0) {
      overrun_ = true;
      return 0;
    }
    --left_;
    return *at_++;
  }
  int word() {
    const int high = byte();
    return high << 8 | byte();
  }
  bool begins(const char* text, size_t length) const { return left_ >= length && std::memcmp(at_, text, length) == 0; }
  int peek(size_t i) const { return at_[i]; }

 private:
  const uint8_t* at_;
  size_t left_;
  bool overrun_ = false;
};

bool read_quant(Segment segment, JpegHeader& header) {
  while (segment.left() > 0) {
    const int kind = segment.byte(), number = kind & 15;
    if (number > 3) return false;
    for (uint16_t& value : header.quant[size_t(number)]) value = uint16_t(kind >> 4 ? segment.word() : segment.byte());
    header.has_quant[size_t(number)] = true;
  }
  return segment.complete();
}

bool read_codes(Segment segment, JpegHeader& header) {
  while (segment.left() > 0) {
    const int kind = segment.byte();
    if (kind & ~0x13) return false;
    JpegCodes& codes = (kind & 0x10 ? header.ac : header.dc)[size_t(kind & 3)];
    codes = JpegCodes();
    codes.defined = true;
    size_t count = 0;
    for (uint8_t& of_length : codes.counts) count += of_length = uint8_t(segment.byte());
    if (count > 256) return false;
    for (size_t i = 0; i < count; ++i) codes.symbols[i] = uint8_t(segment.byte());
  }
  return segment.complete();
}

bool read_frame(Segment segment, JpegHeader& header) {
  if (header.components || segment.byte() != 8) return false;
  header.height = segment.word();
  header.width = segment.word();
  header.components = segment.byte();
  const int longest = std::max(header.height, header.width), least = std::min(header.height, header.width);
  if (least < 1 || longest > kLongestSide || (header.components != 1 && header.components != 3)) return false;
  for (int i = 0; i < header.components; ++i) {
    JpegComponent& component = header.component[size_t(i)];
    component.id = uint8_t(segment.byte());
    const int factors = segment.byte();
    component.across = uint8_t(factors >> 4);
    component.down = uint8_t(factors & 15);
    component.quant = uint8_t(segment.byte());
  }
  const auto& [first, second, third] = header.component;
  if (header.components == 1) return segment.complete() && first.across == 1 && first.down == 1;
  const int luma = first.across << 4 | first.down;
  const bool chroma_once = second.across == 1 && second.down == 1 && third.across == 1 && third.down == 1;
  const bool apart = first.id != second.id && first.id != third.id && second.id != third.id;
  return segment.complete() && (luma == 0x11 || luma == 0x21 || luma == 0x22) && chroma_once && apart;
}

bool read_scan(Segment segment, JpegHeader& header) {
  if (header.components == 0 || segment.byte() != header.components) return false;
  for (int i = 0; i < header.components; ++i) {
    JpegComponent& component = header.component[size_t(i)];
    if (segment.byte() != component.id) return false;
    const int tables = segment.byte();
    component.dc = uint8_t(tables >> 4);
    component.ac = uint8_t(tables & 15);
    if (component.quant > 3 || !header.has_quant[component.quant] || component.dc > 3 || component.ac > 3 ||
        !header.dc[component.dc].defined || !header.ac[component.ac].defined)
      return false;
  }
  const bool whole_blocks = segment.byte() == 0 && segment.byte() == 63 && segment.byte() == 0;
  return whole_blocks && segment.complete();
}

}  // namespace

bool read_jpeg_header(const uint8_t* data, size_t size, JpegHeader& header) {
  header = JpegHeader();
  bool jfif = false, adobe = false;
  int adobe_transform = 0;
  if (size < 2 || data[0] != 0xFF || data[1] != 0xD8) return false;
  for (size_t at = 2;;) {
    if (size - at < 4 || data[at] != 0xFF) return false;
    const int marker = data[at + 1];
    const size_t length = size_t(data[at + 2]) << 8 | data[at + 3];
    at += 2;
    if (length < 2 || length > size - at) return false;
    Segment segment(data + at + 2, length - 2);
    at += length;
    bool good = true;
    if (marker == 0xC0 || marker == 0xC1) {
      good = read_frame(segment, header);
    } else if (marker == 0xC4) {
      good = read_codes(segment, header);
    } else if (marker == 0xDB) {
      good = read_quant(segment, header);
    } else if (marker == 0xDD) {
      header.restart_interval = segment.word();
      good = segment.complete();
    } else if (marker == 0xE0) {
      jfif = jfif || (segment.left() >= 14 && segment.begins("JFIF", 5));
    } else if (marker == 0xEE && segment.left() >= 12 && segment.begins("Adobe", 5)) {
      adobe = true;
      adobe_transform = segment.peek(11);
    } else if (marker == 0xDA) {
      if (!read_scan(segment, header)) return false;
      header.scan = at;
      break;
    } else {
      good = (marker >= 0xE1 && marker <= 0xEF) || marker == 0xFE;  // other programs' notes and comments
    }
    if (!good) return false;
  }
  if (header.components == 1 || jfif) return true;
  if (adobe) return adobe_transform == 1;
  const auto& [first, second, third] = header.component;
  return !(first.id == 'R' && second.id == 'G' && third.id == 'B');
}

}  // namespace udi
