#include "image/jpeg.h"

#include <algorithm>
#include <csetjmp>
#include <cstdio>
#include <cstdlib>
#include <memory>
// jpeglib.h needs FILE
#include <jpeglib.h>

#include "base/error.h"
#include "image/jpeg_baseline.h"
#include "image/pixels.h"

namespace udi {
namespace {

// A progressive file may ask for any number of passes over the whole picture; real ones have about ten.
constexpr int kMaxScans = 500;
constexpr int kRowsAtOnce = 16;

// libjpeg reports errors by calling error_exit, which may not return. It jumps back into the method of Reader or Writer
// that called libjpeg. Those methods hold no object with a destructor, and what they made is owned by the struct around
// them.
struct ErrorState : jpeg_error_mgr {
  jmp_buf jump;
  char message[JMSG_LENGTH_MAX] = {};

  static void exit(j_common_ptr info) {
    ErrorState* self = static_cast<ErrorState*>(info->err);
    self->format_message(info, self->message);
    std::longjmp(self->jump, 1);
  }
  static void ignore(j_common_ptr) {}

  jpeg_error_mgr* install() {
    jpeg_std_error(this);
    error_exit = exit;
    output_message = ignore;  // warnings: decoded as far as possible, as Pillow does
    return this;
  }
};

struct ScanLimit : jpeg_progress_mgr {
  bool exceeded = false;

  static void check(j_common_ptr info) {
    ScanLimit* self = static_cast<ScanLimit*>(info->progress);
    if (info->is_decompressor && reinterpret_cast<j_decompress_ptr>(info)->input_scan_number > kMaxScans) {
      self->exceeded = true;
      info->err->error_exit(info);
    }
  }
};

// All bytes are there from the start. At their end libjpeg is told to wait for more, and what it was asked for is not
// done: that is how a truncated file shows.
struct MemorySource : jpeg_source_mgr {
  MemorySource(const uint8_t* data, size_t size) {
    next_input_byte = data;
    bytes_in_buffer = size;
    init_source = nothing;
    term_source = nothing;
    fill_input_buffer = [](j_decompress_ptr) -> boolean { return FALSE; };
    skip_input_data = skip;
    resync_to_restart = jpeg_resync_to_restart;
  }
  static void nothing(j_decompress_ptr) {}
  static void skip(j_decompress_ptr info, long count) {
    if (count <= 0) return;
    jpeg_source_mgr* source = info->src;
    const size_t step = std::min(size_t(count), source->bytes_in_buffer);
    source->next_input_byte += step;
    source->bytes_in_buffer -= step;
  }
};

class Reader {
 public:
  Reader(const uint8_t* data, size_t size) : source_(data, size) { info_.err = errors_.install(); }
  ~Reader() { jpeg_destroy_decompress(&info_); }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  const jpeg_decompress_struct& info() const { return info_; }

  bool read_header() {
    if (setjmp(errors_.jump)) return false;
    jpeg_create_decompress(&info_);
    info_.src = &source_;
    scans_.progress_monitor = ScanLimit::check;
    info_.progress = &scans_;
    return jpeg_read_header(&info_, TRUE) == JPEG_HEADER_OK;
  }

  bool start(J_COLOR_SPACE colours) {
    if (setjmp(errors_.jump)) return false;
    info_.out_color_space = colours;
    info_.dct_method = JDCT_ISLOW;
    return jpeg_start_decompress(&info_);
  }

  // Up to kRowsAtOnce rows; 0: no more to be had.
  int read_rows(uint8_t* out, size_t row_bytes) {
    if (setjmp(errors_.jump)) return 0;
    JSAMPROW rows[kRowsAtOnce];
    const unsigned left = info_.output_height - info_.output_scanline;
    const unsigned wanted = left < kRowsAtOnce ? left : kRowsAtOnce;
    for (unsigned i = 0; i < wanted; ++i) rows[i] = out + i * row_bytes;
    return int(jpeg_read_scanlines(&info_, rows, wanted));
  }

  [[noreturn]] void fail_reading() const {
    check(!scans_.exceeded, UDI_E_FORMAT, "the JPEG has more than ", kMaxScans, " scans");
    check(!errors_.message[0], UDI_E_FORMAT, "the JPEG cannot be decoded: ", errors_.message);
    fail(UDI_E_FORMAT, "the JPEG is truncated");
  }

 private:
  jpeg_decompress_struct info_{};
  ErrorState errors_;
  ScanLimit scans_{};
  MemorySource source_;
};

class Writer {
 public:
  Writer() { info_.err = errors_.install(); }
  ~Writer() {
    jpeg_destroy_compress(&info_);
    std::free(bytes_);
  }
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  bool write(const Image& image, int quality) {
    if (setjmp(errors_.jump)) return false;
    jpeg_create_compress(&info_);
    jpeg_mem_dest(&info_, &bytes_, &size_);
    info_.image_height = JDIMENSION(image.height);
    info_.image_width = JDIMENSION(image.width);
    info_.input_components = image.channels;
    info_.in_color_space = image.channels == 3 ? JCS_RGB : JCS_GRAYSCALE;
    jpeg_set_defaults(&info_);
    jpeg_set_quality(&info_, quality, TRUE);
    jpeg_start_compress(&info_, TRUE);
    const size_t row_bytes = size_t(image.width) * size_t(image.channels);
    while (info_.next_scanline < info_.image_height) {
      JSAMPROW row = const_cast<JSAMPROW>(image.u8() + info_.next_scanline * row_bytes);
      jpeg_write_scanlines(&info_, &row, 1);
    }
    jpeg_finish_compress(&info_);
    return true;
  }

  const char* message() const { return errors_.message; }
  std::vector<uint8_t> bytes() const { return {bytes_, bytes_ + size_}; }

 private:
  jpeg_compress_struct info_{};
  ErrorState errors_;
  unsigned char* bytes_ = nullptr;
  unsigned long size_ = 0;
};

}  // namespace

void decode_jpeg(const uint8_t* data, size_t size, const DecodeLimits& limits, int channels, Image& image,
                 BaselineJpeg* kept) {
  if (BaselineJpeg::wanted()) {
    std::unique_ptr<BaselineJpeg> own;
    if (!kept) kept = (own = std::make_unique<BaselineJpeg>()).get();
    if (kept->decode(data, size, limits, channels, image)) return;
  }
  Reader reader(data, size);
  if (!reader.read_header()) reader.fail_reading();
  const jpeg_decompress_struct& info = reader.info();
  check_pixels(info.image_height, info.image_width, limits);
  const int stored = info.num_components;
  check(stored == 1 || stored == 3 || stored == 4, UDI_E_FORMAT, "the JPEG has ", stored,
        " components: 1, 3 and 4 can be decoded");
  // Gray comes as asked; the gray of a colour picture is made of its RGB, as Pillow does, not taken from its Y.
  const bool direct = stored == 1 || (stored == 3 && channels == 3);
  if (!reader.start(stored == 4 ? JCS_CMYK : (direct && channels == 1 ? JCS_GRAYSCALE : JCS_RGB)))
    reader.fail_reading();

  shape_image(int(info.output_height), int(info.output_width), channels, UDI_U8, image);
  const size_t width = info.output_width, row_bytes = width * size_t(channels),
               read_bytes = width * size_t(info.output_components);
  std::vector<uint8_t> strip(direct ? 0 : kRowsAtOnce * read_bytes);
  while (info.output_scanline < info.output_height) {
    uint8_t* out = image.u8() + info.output_scanline * row_bytes;
    uint8_t* in = direct ? out : strip.data();
    const int rows = reader.read_rows(in, read_bytes);
    if (rows == 0) reader.fail_reading();
    const size_t pixels = size_t(rows) * width;
    if (stored == 4) {
      channels == 3 ? inverted_cmyk_to_rgb(in, pixels, out) : inverted_cmyk_to_gray(in, pixels, out);
    } else if (!direct) {
      rgb_to_gray(in, pixels, out);
    }
  }
}

std::vector<uint8_t> encode_jpeg(const Image& image, int quality) {
  check(image.dtype == UDI_U8 && (image.channels == 1 || image.channels == 3), UDI_E_SHAPE,
        "a JPEG is made of uint8 pixels of 1 or 3 channels, not of ", image.channels);
  check(image.height > 0 && image.width > 0 && image.height <= JPEG_MAX_DIMENSION && image.width <= JPEG_MAX_DIMENSION,
        UDI_E_SHAPE, "an image of ", image.height, " x ", image.width, " cannot become a JPEG: sides are 1 to ",
        JPEG_MAX_DIMENSION);
  check(quality >= 1 && quality <= 100, UDI_E_INVALID, "the quality of a JPEG is 1 to 100, not ", quality);
  Writer writer;
  check(writer.write(image, quality), UDI_E_INTERNAL, "the JPEG cannot be written: ", writer.message());
  return writer.bytes();
}

}  // namespace udi
