#include "image/npy.h"

#include <cmath>
#include <cstring>
#include <string>

#include "base/error.h"
#include "image/pixels.h"

namespace udi {
namespace {

constexpr uint64_t kMaxHeader = 1 << 20;  // bytes; NumPy writes some hundred

struct Words {
  std::string descr;
  bool fortran_order = true;
  std::vector<int64_t> shape;
};

// The header is a Python dictionary of three keys in any order: {'descr': '<u2', 'fortran_order': False, 'shape': (3,
// 4)}
class HeaderParser {
 public:
  explicit HeaderParser(std::string text) : text_(std::move(text)) {}

  Words parse() {
    Words header;
    bool descr = false, order = false, shape = false;
    expect('{');
    while (!accept('}')) {
      const std::string key = quoted();
      expect(':');
      if (key == "descr" && !descr) {
        header.descr = quoted();
        descr = true;
      } else if (key == "fortran_order" && !order) {
        header.fortran_order = boolean();
        order = true;
      } else if (key == "shape" && !shape) {
        header.shape = numbers();
        shape = true;
      } else {
        broken();
      }
      if (!accept(',')) {
        expect('}');
        break;
      }
    }
    if (!descr || !order || !shape) broken();
    return header;
  }

 private:
  [[noreturn]] static void broken() { fail(UDI_E_FORMAT, "the header of the .npy file cannot be read"); }

  bool accept(char wanted) {
    while (at_ < text_.size() && text_[at_] == ' ') ++at_;
    if (at_ >= text_.size() || text_[at_] != wanted) return false;
    ++at_;
    return true;
  }
  void expect(char wanted) {
    if (!accept(wanted)) broken();
  }
  std::string quoted() {
    const char quote = accept('\'') ? '\'' : '"';
    if (quote == '"') expect('"');
    const size_t end = text_.find(quote, at_);
    if (end == std::string::npos) broken();
    const std::string value = text_.substr(at_, end - at_);
    at_ = end + 1;
    return value;
  }
  bool boolean() {
    accept(' ');
    for (const char* word : {"True", "False"}) {
      if (text_.compare(at_, std::strlen(word), word) == 0) {
        at_ += std::strlen(word);
        return *word == 'T';
      }
    }
    broken();
  }
  std::vector<int64_t> numbers() {
    std::vector<int64_t> values;
    expect('(');
    while (!accept(')')) {
      int64_t value = 0;
      size_t digits = 0;
      for (accept(' '); at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9'; ++at_, ++digits) {
        if (digits < 18) value = value * 10 + (text_[at_] - '0');
      }
      if (digits == 0 || digits > 18 || values.size() == 32) broken();
      values.push_back(value);
      if (!accept(',')) {
        expect(')');
        break;
      }
    }
    return values;
  }

  std::string text_;
  size_t at_ = 0;
};

template <class Value, class Result, class F>
void convert(const uint8_t* data, size_t pixels, int stored, int channels, Result* out, F f) {
  for (size_t i = 0; i < pixels; ++i) {
    for (int c = 0; c < channels; ++c) {
      Value value;
      std::memcpy(&value, data + (i * size_t(stored) + size_t(stored == channels ? c : 0)) * sizeof value,
                  sizeof value);
      *out++ = f(value);
    }
  }
}

}  // namespace

NpyHeader read_npy_header(const uint8_t* data, size_t size) {
  check(file_kind(data, size) == FileKind::kNpy, UDI_E_FORMAT, "no .npy file (by its first bytes)");
  check(size >= 12, UDI_E_FORMAT, "the .npy file is truncated");
  const int version = data[6];
  check(version >= 1 && version <= 3, UDI_E_FORMAT, "the .npy file has version ", version, ": 1 to 3 can be read");
  uint64_t length = uint64_t(data[8]) | uint64_t(data[9]) << 8;
  if (version > 1) length |= uint64_t(data[10]) << 16 | uint64_t(data[11]) << 24;
  const size_t start = version > 1 ? 12 : 10;
  check(length <= size - start, UDI_E_FORMAT, "the .npy file is truncated: its header of ", length,
        " bytes is not all there");
  check(length <= kMaxHeader, UDI_E_FORMAT, "the .npy file has a header of ", length, " bytes: more than the limit of ",
        kMaxHeader);
  Words words = HeaderParser(std::string(reinterpret_cast<const char*>(data) + start, size_t(length))).parse();
  const bool u8 = words.descr == "|u1", u16 = words.descr == "<u2", f32 = words.descr == "<f4";
  check(u8 || u16 || f32, UDI_E_FORMAT, "the .npy file holds '", words.descr.substr(0, 16),
        "': |u1 (uint8), <u2 (uint16) and <f4 (float32) can be read");
  check(!words.fortran_order, UDI_E_FORMAT, "the .npy file is in Fortran order: save it with numpy.ascontiguousarray");
  return {u8 ? UDI_U8 : u16 ? UDI_U16 : UDI_F32, std::move(words.shape), start + size_t(length)};
}

Image decode_npy(const uint8_t* data, size_t size, const DecodeLimits& limits, int channels) {
  const NpyHeader header = read_npy_header(data, size);
  const bool u8 = header.dtype == UDI_U8, u16 = header.dtype == UDI_U16;
  check(header.shape.size() == 2 || header.shape.size() == 3, UDI_E_FORMAT, "the .npy file has ", header.shape.size(),
        " dimensions: an image is [H, W] or [H, W, C]");
  const uint64_t stored = header.shape.size() == 3 ? uint64_t(header.shape[2]) : 1;
  check(stored >= 1 && stored <= 16, UDI_E_FORMAT, "the .npy file has ", stored,
        " channels (its last dimension): 1 to 16 are possible");
  if (channels == 0) channels = int(stored);
  check(stored == uint64_t(channels) || (stored == 1 && channels == 3), UDI_E_FORMAT, "the .npy file has ", stored,
        " channels, ", channels, " are wanted");
  check_pixels(uint64_t(header.shape[0]), uint64_t(header.shape[1]), limits);
  const size_t pixels = size_t(header.shape[0]) * size_t(header.shape[1]);
  const uint64_t bytes = uint64_t(pixels) * stored * (u8 ? 1 : u16 ? 2 : 4);
  check(bytes == size - header.offset, UDI_E_FORMAT, "the .npy file says that it holds ", bytes,
        " bytes of pixels, but has ", size - header.offset);

  Image image = make_image(int(header.shape[0]), int(header.shape[1]), channels, u8 ? UDI_U8 : UDI_F32);
  const uint8_t* values = data + header.offset;
  if (u8) {
    convert<uint8_t>(values, pixels, int(stored), channels, image.u8(), [](uint8_t v) { return v; });
  } else if (u16) {
    convert<uint16_t>(values, pixels, int(stored), channels, image.f32(),
                      [](uint16_t v) { return float(v) / 65535.0f; });
  } else {
    convert<float>(values, pixels, int(stored), channels, image.f32(), [](float v) {
      check(std::isfinite(v), UDI_E_FORMAT, "the .npy file holds a value that is not finite: ", v);
      return v;
    });
  }
  return image;
}

}  // namespace udi
