// JPEG files for tests: by libjpeg's compressor, and by an encoder without limits, for files that no program writes.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <vector>
// jpeglib.h needs FILE
#include <jpeglib.h>

#include "image/image.h"

namespace udi_test {

struct JpegOptions {
  int quality = 85, across = 1, down = 1, restart = 0;
  bool optimize = false, jfif = true;
};

inline std::vector<uint8_t> made_by_libjpeg(const udi::Image& image, const JpegOptions& options) {
  jpeg_compress_struct info{};
  jpeg_error_mgr errors;
  info.err = jpeg_std_error(&errors);
  jpeg_create_compress(&info);
  unsigned char* bytes = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&info, &bytes, &size);
  info.image_width = JDIMENSION(image.width);
  info.image_height = JDIMENSION(image.height);
  info.input_components = image.channels;
  info.in_color_space = image.channels == 3 ? JCS_RGB : JCS_GRAYSCALE;
  jpeg_set_defaults(&info);
  jpeg_set_quality(&info, options.quality, TRUE);
  info.comp_info[0].h_samp_factor = image.channels == 3 ? options.across : 1;
  info.comp_info[0].v_samp_factor = image.channels == 3 ? options.down : 1;
  info.restart_interval = unsigned(options.restart);
  info.optimize_coding = options.optimize;
  info.write_JFIF_header = options.jfif;
  jpeg_start_compress(&info, TRUE);
  while (info.next_scanline < info.image_height) {
    auto* row = const_cast<JSAMPROW>(image.u8() + size_t(info.next_scanline) * size_t(image.width * image.channels));
    jpeg_write_scanlines(&info, &row, 1);
  }
  jpeg_finish_compress(&info);
  jpeg_destroy_compress(&info);
  const std::vector<uint8_t> out(bytes, bytes + size);
  std::free(bytes);
  return out;
}

// Writes blocks of any coefficients with Huffman tables that have a code for every symbol.
class JpegEncoder {
 public:
  using Block = std::array<int, 64>;  // in zigzag order, -32767 to 32767; the first as a difference

  // Lengths of the 256 codes after the first coefficient: 12 short ones, the others long_codes bits (9 to 16).
  JpegEncoder(int height, int width, int components, int luma, const std::array<int, 64>& quant, int long_codes,
              uint32_t seed) {
    put({0xFF, 0xD8, 0xFF, 0xDB, 0, 2 + 1 + 128, 0x10});
    for (const int value : quant) word(value);
    put({0xFF, 0xC1, 0, uint8_t(8 + 3 * components), 8});
    word(height), word(width), put({uint8_t(components)});
    for (int c = 0; c < components; ++c) put({uint8_t(c + 1), uint8_t(c ? 0x11 : luma), 0});

    put({0xFF, 0xC4, 0, 2 + 17 + 16, 0, 0, 0, 0, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0});
    for (int i = 0; i < 16; ++i) {
      put({uint8_t(i)});
      dc_[size_t(i)] = {i, 5};
    }
    std::array<int, 17> counts{};
    counts[2] = 1, counts[3] = 1, counts[5] = 2, counts[7] = 8;
    counts[size_t(long_codes)] += 244;
    std::vector<uint8_t> symbols(256);
    for (int i = 0; i < 256; ++i) symbols[size_t(i)] = uint8_t(i);
    std::shuffle(symbols.begin(), symbols.end(), std::mt19937(seed));
    put({0xFF, 0xC4}), word(2 + 17 + 256), put({0x10});
    int code = 0;
    size_t place = 0;
    for (int length = 1; length <= 16; ++length, code *= 2) {
      put({uint8_t(counts[size_t(length)])});
      for (int i = 0; i < counts[size_t(length)]; ++i) ac_[symbols[place++]] = {code++, length};
    }
    out_.insert(out_.end(), symbols.begin(), symbols.end());

    put({0xFF, 0xDA, 0, uint8_t(6 + 2 * components), uint8_t(components)});
    for (int c = 0; c < components; ++c) put({uint8_t(c + 1), 0});
    put({0, 63, 0});
  }

  void write(const Block& block) {
    code(dc_[size_t(size_of(block[0]))]), number(block[0]);
    int zeros = 0;
    for (int k = 1; k < 64; ++k, ++zeros) {
      if (block[size_t(k)] == 0) continue;
      for (; zeros > 15; zeros -= 16) code(ac_[0xF0]);
      code(ac_[size_t(zeros << 4 | size_of(block[size_t(k)]))]), number(block[size_t(k)]);
      zeros = -1;
    }
    if (zeros > 0) code(ac_[0]);
  }

  std::vector<uint8_t> finished() {
    while (held_ > 0) bits(1, 1);
    put({0xFF, 0xD9});
    return out_;
  }

 private:
  struct Code {
    int bits, length;
  };

  static int size_of(int value) {
    int size = 0;
    for (int left = std::abs(value); left; left >>= 1) ++size;
    return size;
  }
  void put(std::initializer_list<uint8_t> bytes) { out_.insert(out_.end(), bytes); }
  void word(int value) { put({uint8_t(value >> 8), uint8_t(value)}); }
  void code(const Code& c) { bits(c.bits, c.length); }
  void number(int value) {
    const int size = size_of(value);
    bits(value < 0 ? value + (1 << size) - 1 : value, size);
  }
  void bits(int value, int count) {
    for (int i = count - 1; i >= 0; --i) {
      byte_ = uint8_t(byte_ << 1 | (value >> i & 1));
      if (++held_ < 8) continue;
      put({byte_});
      if (byte_ == 0xFF) put({0});
      held_ = 0;
    }
  }

  std::vector<uint8_t> out_;
  std::array<Code, 16> dc_;
  std::array<Code, 256> ac_;
  uint8_t byte_ = 0;
  int held_ = 0;
};

}  // namespace udi_test
