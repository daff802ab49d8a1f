#include "image/png.h"

#include <png.h>

#include <csetjmp>
#include <cstring>

#include "base/error.h"
#include "image/pixels.h"

namespace udi {
namespace {

// As in jpeg.cpp: libpng jumps back into the method that called it; those methods hold no object with a destructor.
struct Message {
  char text[256] = {};

  static void keep(png_structp png, png_const_charp text) {
    Message* self = static_cast<Message*>(png_get_error_ptr(png));
    std::strncpy(self->text, text, sizeof self->text - 1);
    png_longjmp(png, 1);
  }
  static void ignore(png_structp, png_const_charp) {}
};

class Reader {
 public:
  Reader(const uint8_t* data, size_t size) : next_(data), left_(size) {
    png_ = png_create_read_struct(PNG_LIBPNG_VER_STRING, &message_, Message::keep, Message::ignore);
    info_ = png_ ? png_create_info_struct(png_) : nullptr;
    if (!info_) {
      png_destroy_read_struct(&png_, &info_, nullptr);
      fail(UDI_E_MEMORY, "out of memory for a PNG reader");
    }
  }
  ~Reader() { png_destroy_read_struct(&png_, &info_, nullptr); }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  int height = 0, width = 0;
  bool palette = false;
  int channels = 0;  // as read_pixels gives them: 1 (gray, or places in the palette) or 3

  bool read_header() {
    if (setjmp(png_jmpbuf(png_))) return false;
    png_set_read_fn(png_, this, take);
    png_set_user_limits(png_, PNG_UINT_31_MAX, PNG_UINT_31_MAX);  // check_pixels says no before anything is allocated
    png_set_chunk_malloc_max(png_, 1 << 20);
    png_set_keep_unknown_chunks(png_, PNG_HANDLE_CHUNK_NEVER, nullptr, -1);  // texts, profiles: nothing of them is used
    png_set_crc_action(png_, PNG_CRC_ERROR_QUIT, PNG_CRC_ERROR_QUIT);
    png_read_info(png_, info_);
    height = int(png_get_image_height(png_, info_));
    width = int(png_get_image_width(png_, info_));
    palette = png_get_color_type(png_, info_) == PNG_COLOR_TYPE_PALETTE;
    channels = palette || !(png_get_color_type(png_, info_) & PNG_COLOR_MASK_COLOR) ? 1 : 3;
    return true;
  }

  // Stops after the last row: what comes after the pixels is not looked at.
  bool read_pixels(uint8_t* out) {
    if (setjmp(png_jmpbuf(png_))) return false;
    png_set_strip_16(png_);
    png_set_strip_alpha(png_);
    palette ? png_set_packing(png_) : png_set_expand_gray_1_2_4_to_8(png_);
    const int passes = png_set_interlace_handling(png_);
    png_read_update_info(png_, info_);
    const size_t row_bytes = png_get_rowbytes(png_, info_);
    if (row_bytes != size_t(width) * size_t(channels)) png_error(png_, "unexpected size of a row");
    for (int pass = 0; pass < passes; ++pass) {
      for (int y = 0; y < height; ++y) png_read_row(png_, out + size_t(y) * row_bytes, nullptr);
    }
    return true;
  }

  // 256 RGB colours, black where the file names none.
  void get_palette(uint8_t (&colours)[256][3]) const {
    png_colorp entries = nullptr;
    int count = 0;
    png_get_PLTE(png_, info_, &entries, &count);
    std::memset(colours, 0, sizeof colours);
    for (int i = 0; i < count && i < 256; ++i) {
      colours[i][0] = entries[i].red;
      colours[i][1] = entries[i].green;
      colours[i][2] = entries[i].blue;
    }
  }

  [[noreturn]] void fail_reading() const {
    check(!truncated_, UDI_E_FORMAT, "the PNG is truncated");
    fail(UDI_E_FORMAT, "the PNG cannot be decoded: ", message_.text);
  }

 private:
  static void take(png_structp png, png_bytep out, png_size_t count) {
    Reader* self = static_cast<Reader*>(png_get_io_ptr(png));
    if (count > self->left_) {
      self->truncated_ = true;
      png_error(png, "no more bytes");
    }
    std::memcpy(out, self->next_, count);
    self->next_ += count;
    self->left_ -= count;
  }

  const uint8_t* next_;
  size_t left_;
  bool truncated_ = false;
  Message message_;
  png_structp png_ = nullptr;
  png_infop info_ = nullptr;
};

class Writer {
 public:
  Writer() {
    png_ = png_create_write_struct(PNG_LIBPNG_VER_STRING, &message_, Message::keep, Message::ignore);
    info_ = png_ ? png_create_info_struct(png_) : nullptr;
    if (!info_) {
      png_destroy_write_struct(&png_, &info_);
      fail(UDI_E_MEMORY, "out of memory for a PNG writer");
    }
  }
  ~Writer() { png_destroy_write_struct(&png_, &info_); }
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  std::vector<uint8_t> bytes;

  bool write(const Image& image) {
    if (setjmp(png_jmpbuf(png_))) return false;
    png_set_write_fn(png_, this, append, nullptr);
    png_set_IHDR(png_, info_, png_uint_32(image.width), png_uint_32(image.height), 8,
                 image.channels == 3 ? PNG_COLOR_TYPE_RGB : PNG_COLOR_TYPE_GRAY, PNG_INTERLACE_NONE,
                 PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_write_info(png_, info_);
    const size_t row_bytes = size_t(image.width) * size_t(image.channels);
    for (int y = 0; y < image.height; ++y) png_write_row(png_, image.u8() + size_t(y) * row_bytes);
    png_write_end(png_, info_);
    return true;
  }

  const char* message() const { return message_.text; }

 private:
  // No exception may pass through libpng: a full memory becomes its error.
  static void append(png_structp png, png_bytep data, png_size_t count) {
    std::vector<uint8_t>& bytes = static_cast<Writer*>(png_get_io_ptr(png))->bytes;
    bool full = false;
    try {
      bytes.insert(bytes.end(), data, data + count);
    } catch (const std::bad_alloc&) {
      full = true;
    }
    if (full) png_error(png, "out of memory");
  }

  Message message_;
  png_structp png_ = nullptr;
  png_infop info_ = nullptr;
};

}  // namespace

Image decode_png(const uint8_t* data, size_t size, const DecodeLimits& limits, int channels) {
  Reader reader(data, size);
  if (!reader.read_header()) reader.fail_reading();
  check_pixels(uint64_t(reader.height), uint64_t(reader.width), limits);
  Image stored = make_image(reader.height, reader.width, reader.channels, UDI_U8);
  if (!reader.read_pixels(stored.u8())) reader.fail_reading();
  if (!reader.palette && channels == stored.channels) return stored;

  Image image = make_image(reader.height, reader.width, channels, UDI_U8);
  const size_t pixels = size_t(stored.height) * size_t(stored.width);
  const uint8_t* in = stored.u8();
  uint8_t* out = image.u8();
  uint8_t colours[256][3];
  if (reader.palette) {
    reader.get_palette(colours);
  } else if (channels == 1) {
    rgb_to_gray(in, pixels, out);
    return image;
  } else {
    for (int i = 0; i < 256; ++i) std::memset(colours[i], i, 3);
  }
  for (size_t i = 0; i < pixels; ++i) {
    const uint8_t* colour = colours[in[i]];
    if (channels == 3) {
      std::memcpy(out + 3 * i, colour, 3);
    } else {
      out[i] = gray_of(colour[0], colour[1], colour[2]);
    }
  }
  return image;
}

std::vector<uint8_t> encode_png(const Image& image) {
  check(image.dtype == UDI_U8 && (image.channels == 1 || image.channels == 3), UDI_E_SHAPE,
        "a PNG is made of uint8 pixels of 1 or 3 channels, not of ", image.channels);
  check(image.height > 0 && image.width > 0, UDI_E_SHAPE, "an image without pixels cannot become a PNG");
  Writer writer;
  check(writer.write(image), UDI_E_INTERNAL, "the PNG cannot be written: ", writer.message());
  return std::move(writer.bytes);
}

}  // namespace udi
