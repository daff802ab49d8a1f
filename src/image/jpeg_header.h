// What stands before the pixels of a baseline JPEG (ITU-T T.81, annex B), of the common kind alone.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace udi {

// A Huffman table as the file gives it.
struct JpegCodes {
  bool defined = false;
  std::array<uint8_t, 16> counts{};    // of codes with 1, 2, ..., 16 bits
  std::array<uint8_t, 256> symbols{};  // in the order of their codes, then zeros

  bool operator==(const JpegCodes& other) const {
    return defined == other.defined && counts == other.counts && symbols == other.symbols;
  }
};

struct JpegComponent {
  uint8_t id, across, down, quant, dc, ac;  // blocks of an MCU across and down; numbers of its tables
};

struct JpegHeader {
  int height = 0, width = 0, components = 0;
  std::array<JpegComponent, 3> component{};
  std::array<std::array<uint16_t, 64>, 4> quant{};  // in zigzag order
  std::array<bool, 4> has_quant{};
  std::array<JpegCodes, 4> dc{}, ac{};
  int restart_interval = 0;  // MCUs, 0: none
  size_t scan = 0;           // where the entropy-coded bytes begin
};

// True: a sequential Huffman JPEG of 8 bits in one scan; gray, or YCbCr (as libjpeg decides it) with chroma stored
// whole (4:4:4), at half the width (4:2:2) or at half of both (4:2:0); every table that the scan names is there, and
// libjpeg would read as far without a warning. False: anything else.
bool read_jpeg_header(const uint8_t* data, size_t size, JpegHeader& header);

}  // namespace udi
