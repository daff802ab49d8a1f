#include "image/jpeg_baseline.h"

#include <algorithm>
#include <atomic>
#include <cstring>

#include "image/jpeg_blocks.h"
#include "image/pixels.h"
#include "image/processor.h"

namespace udi {
namespace {

std::atomic<BaselineUse> allowed_use{BaselineUse::kWhereFaster};

size_t round_up(size_t n, size_t step) { return (n + step - 1) / step * step; }

}  // namespace

void use_baseline_jpeg(BaselineUse use) { allowed_use = use; }

bool BaselineJpeg::wanted() {
#if !defined(UDI_NO_BASELINE_JPEG) && defined(__x86_64__)
  const BaselineUse use = allowed_use.load(std::memory_order_relaxed);
  return use == BaselineUse::kAlways || (use == BaselineUse::kWhereFaster && processor() != Processor::kAny);
#else
  return false;
#endif
}

bool BaselineJpeg::decode(const uint8_t* data, size_t size, const DecodeLimits& limits, int channels, Image& image) {
  if (!read_jpeg_header(data, size, header_)) return false;
  if (uint64_t(header_.height) * uint64_t(header_.width) > limits.max_pixels) return false;
  if (channels < header_.components) return false;

  mcus_across_ = (header_.width - 1) / (8 * header_.component[0].across) + 1;
  mcus_down_ = (header_.height - 1) / (8 * header_.component[0].down) + 1;
  const size_t mcus = size_t(mcus_across_) * size_t(mcus_down_), interval = size_t(header_.restart_interval);
  if (!collect_scan(data + header_.scan, size - header_.scan, interval ? (mcus - 1) / interval + 1 : 1)) return false;
  if (!prepare_planes()) return false;
  shape_image(header_.height, header_.width, channels, UDI_U8, image);
  kernels_ = &jpeg_kernels();

  // The last row of pixels of an MCU row waits for the chroma below it.
  const int mcu_height = 8 * header_.component[0].down, waiting = header_.component[0].down - 1;
  int written = 0;
  for (int row = 0; row < mcus_down_; ++row) {
    if (!decode_mcus(row)) return false;
    const int end = row + 1 == mcus_down_ ? header_.height : (row + 1) * mcu_height - waiting;
    write_rows(written, end, image);
    written = end;
  }
  return interval_is_over();
}

// Copies the entropy-coded bytes without the zeros after each 255. False: they do not end where the end-of-image marker
// stands, or there is any other marker than those of `intervals` restart intervals, in turn.
bool BaselineJpeg::collect_scan(const uint8_t* data, size_t size, size_t intervals) {
  uint8_t* const begin = stream_.room_for(size + kMostBytesOfABlock + 64);
  uint8_t* to = begin;
  const uint8_t* const end = data + size;
  ends_.clear();
  for (;;) {
    const auto* found = static_cast<const uint8_t*>(std::memchr(data, 0xFF, size_t(end - data)));
    if (!found || end - found < 2) return false;
    const size_t count = size_t(found - data);
    std::memcpy(to, data, count + 1);
    to += count;
    data = found + 2;
    const int marker = found[1];
    if (marker == 0) {
      ++to;
      continue;
    }
    ends_.push_back(size_t(to - begin));
    if (marker == 0xD9) break;
    if (ends_.size() >= intervals || marker != 0xD0 + int((ends_.size() - 1) % 8)) return false;
  }
  std::memset(to, 0, kMostBytesOfABlock + 64);
  interval_ = 0;
  mcus_left_ = 0;
  return ends_.size() == intervals;
}

bool BaselineJpeg::prepare_planes() {
  size_t bytes = kPixelsAtOnce;
  for (int c = 0; c < header_.components; ++c) {
    const JpegComponent& component = header_.component[size_t(c)];
    if (!dc_[component.dc].build(header_.dc[component.dc]) || !ac_[component.ac].build(header_.ac[component.ac]))
      return false;
    JpegPlane& plane = planes_[size_t(c)];
    plane.across = component.across;
    plane.down = component.down;
    plane.dc = &dc_[component.dc];
    plane.ac = &ac_[component.ac];
    for (int i = 0; i < kBlockSize; ++i)
      plane.quant[kZigzag.place[i]] = int16_t(header_.quant[component.quant][size_t(i)]);
    plane.pitch = round_up(size_t(mcus_across_ * plane.across) * 8, kPixelsAtOnce) + kPixelsAtOnce;
    bytes += plane.pitch * size_t(16 * plane.down);
  }
  uint8_t* rows = samples_.room_for(bytes) + kPixelsAtOnce;  // a sample before the first one may be read
  for (int c = 0; c < header_.components; ++c) {
    rows_[size_t(c)] = rows;
    rows += planes_[size_t(c)].pitch * size_t(16 * planes_[size_t(c)].down);
  }
  wide_.room_for(2 * (round_up(size_t(header_.width) + 1, kPixelsAtOnce) + 2 * kPixelsAtOnce));
  return true;
}

// All of the interval's bits have been taken, but for those that fill up its last byte.
bool BaselineJpeg::interval_is_over() const {
  return (reader_.taken(stream_.data()) + 7) / 8 == int64_t(ends_[interval_ - 1]);
}

void BaselineJpeg::begin_interval() {
  reader_ = BitReader();
  reader_.at = stream_.data() + (interval_ ? ends_[interval_ - 1] : 0);
  for (int c = 0; c < header_.components; ++c) planes_[size_t(c)].previous = 0;
  mcus_left_ = header_.restart_interval ? header_.restart_interval : int64_t(mcus_across_) * mcus_down_;
  ++interval_;
}

bool BaselineJpeg::decode_mcus(int row) {
  for (int c = 0; c < header_.components; ++c) {
    JpegPlane& plane = planes_[size_t(c)];
    plane.samples = rows_[size_t(c)] + size_t(row % 2 * 8 * plane.down) * plane.pitch;
  }
  for (int64_t left = mcus_across_; left > 0;) {
    if (mcus_left_ == 0) {
      if (interval_ > 0 && !interval_is_over()) return false;
      begin_interval();
    }
    const int64_t run = std::min(left, mcus_left_);
    const uint8_t* end = stream_.data() + ends_[interval_ - 1];
    if (!kernels_->decode(planes_.data(), header_.components, int(run), reader_, end)) return false;
    left -= run;
    mcus_left_ -= run;
  }
  return true;
}

// Of the two rows of MCUs that are kept.
const uint8_t* BaselineJpeg::sample_row(int component, int y) const {
  const JpegPlane& plane = planes_[size_t(component)];
  return rows_[size_t(component)] + size_t(y % (16 * plane.down)) * plane.pitch;
}

// A chroma plane's samples for the row of pixels y: `wide` where they were not stored whole.
const uint8_t* BaselineJpeg::chroma_row(int component, int y, uint8_t* wide) const {
  const int across = planes_[0].across, down = planes_[0].down;
  if (across == 1) return sample_row(component, y);
  const int width = (header_.width - 1) / across + 1, height = (header_.height - 1) / down + 1, here = y / down;
  const uint8_t* near = sample_row(component, here);
  if (width <= 2) {
    for (int x = 0; x < header_.width; ++x) wide[x] = near[x / 2];
    return wide;
  }
  const int other = down == 1 ? here : std::min(std::max(y % 2 ? here + 1 : here - 1, 0), height - 1);
  kernels_->widen(near, sample_row(component, other), down == 1, width, wide);
  return wide;
}

void BaselineJpeg::write_rows(int begin, int end, Image& image) {
  const size_t width = size_t(header_.width), row_bytes = width * size_t(image.channels);
  uint8_t *blue = wide_.data() + kPixelsAtOnce, *red = blue + round_up(width + 1, kPixelsAtOnce) + kPixelsAtOnce;
  for (int y = begin; y < end; ++y) {
    uint8_t* out = image.u8() + size_t(y) * row_bytes;
    const uint8_t* luma = sample_row(0, y);
    if (image.channels == 1) {
      std::memcpy(out, luma, width);
    } else if (header_.components == 1) {
      for (size_t x = 0; x < width; ++x) out[3 * x] = out[3 * x + 1] = out[3 * x + 2] = luma[x];
    } else {
      kernels_->colours(luma, chroma_row(1, y, blue), chroma_row(2, y, red), header_.width, out);
    }
  }
}

}  // namespace udi
