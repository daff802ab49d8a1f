// Baseline JPEG, decoded by ourselves: the common kind of file, faster than by libjpeg-turbo and with its bits
// (docs/design.md says why). What is not common or not entirely clean is left to libjpeg-turbo.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/memory.h"
#include "image/decode.h"
#include "image/image.h"
#include "image/jpeg_header.h"
#include "image/jpeg_kernels.h"

namespace udi {

// Keeps tables and memory from image to image. One thread at a time.
class BaselineJpeg {
 public:
  // Built (on x86-64 alone: elsewhere libjpeg-turbo's vectors treat values that no picture has in other ways; without
  // UDI_NO_BASELINE_JPEG), and to be used on this processor.
  static bool wanted();

  // False: another kind of file (see read_jpeg_header), gray wanted of colours, over a limit, or damaged, truncated or
  // with stray bytes anywhere up to the end-of-image marker; `image` then holds anything. True: it holds what
  // libjpeg-turbo makes of the file, bit by bit. channels: 1 or 3.
  bool decode(const uint8_t* data, size_t size, const DecodeLimits& limits, int channels, Image& image);

 private:
  bool collect_scan(const uint8_t* data, size_t size, size_t intervals);
  bool prepare_planes();
  bool interval_is_over() const;
  void begin_interval();
  bool decode_mcus(int row);
  void write_rows(int begin, int end, Image& image);
  const uint8_t* sample_row(int component, int y) const;
  const uint8_t* chroma_row(int component, int y, uint8_t* wide) const;

  JpegHeader header_;
  const JpegKernels* kernels_ = nullptr;
  int mcus_across_ = 0, mcus_down_ = 0;
  std::array<JpegPlane, 3> planes_;
  std::array<uint8_t*, 3> rows_;  // of each: two rows of MCUs, in turn
  std::array<DcTable, 4> dc_;
  std::array<AcTable, 4> ac_;

  Memory stream_;             // entropy-coded bytes, without stuffing and markers
  std::vector<size_t> ends_;  // of each restart interval in stream_
  size_t interval_ = 0;       // that is read
  int64_t mcus_left_ = 0;     // in it
  BitReader reader_;
  Memory samples_, wide_;
};

// For tests, which compare both decoders. Not while other threads work on images.
enum class BaselineUse {
  kNever,
  kWhereFaster,  // than libjpeg-turbo: with the vectors that Processor names
  kAlways,
};
void use_baseline_jpeg(BaselineUse use);

}  // namespace udi
