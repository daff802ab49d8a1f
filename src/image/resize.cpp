#include "image/resize.h"

#include <algorithm>

#include "base/error.h"
#include "base/simd.h"
#include "image/interleave.h"
#include "image/lanes.h"
#include "image/resize_taps.h"

namespace udi {
namespace {

constexpr int kStrip = 16;  // rows or columns that are transposed together

size_t round_up(size_t n, size_t step) { return (n + step - 1) / step * step; }

// An odd number of cache lines: neighbouring rows then never compete for the same place in the cache.
size_t spread_pitch(size_t elements) { return (round_up(elements, 64) / 64 | 1) * 64; }

// Pillow 13's choice of the axis that is resized first.
bool takes_columns_first(int height, int width, int out_height, int out_width) {
  return out_height < height && int64_t(height) - out_height > 2 * (int64_t(width) - out_width);
}

// 32 neighbouring sums of `count` rows.
UDI_INLINE Ints weighted_sum(const uint8_t* rows, size_t pitch, const int32_t* weights, int count) {
  Ints sum = all_ints(1 << (kWeightBits - 1));
  for (int t = 0; t < count; ++t) sum = sum + load_bytes(rows + size_t(t) * pitch) * weights[t];
  return clipped(sum >> kWeightBits);
}

// out[y][i] for all taps i, y < height, from in[x][y]; out has room for 31 more rows and 15 more columns.
UDI_CLONES void first_pass(const uint8_t* in, size_t in_pitch, const ResizeTaps& taps, int height, uint8_t* out,
                           size_t out_pitch) {
  uint8_t tile[kStrip * kLanes] = {};
  for (int y = 0; y < height; y += int(kLanes)) {
    for (int i = 0; i < taps.outputs; i += kStrip) {
      for (int k = i; k < std::min(i + kStrip, taps.outputs); ++k) {
        const uint8_t* columns = in + size_t(taps.first[size_t(k)]) * in_pitch + size_t(y);
        const Ints sum =
            weighted_sum(columns, in_pitch, taps.fixed.data() + size_t(k) * taps.stride, taps.count[size_t(k)]);
        store_bytes(tile + size_t(k - i) * kLanes, sum);
      }
      transpose(tile, kLanes, int(kLanes), kStrip, out + size_t(y) * out_pitch + size_t(i), out_pitch);
    }
  }
}

// out[i][x] for all taps i, x < width, from rows y of which in[0] is the one called `begin`; out has no gaps.
UDI_CLONES void second_pass(const uint8_t* in, int begin, size_t in_pitch, const ResizeTaps& taps, int width,
                            uint8_t* out) {
  for (int i = 0; i < taps.outputs; ++i) {
    const uint8_t* rows = in + size_t(taps.first[size_t(i)] - begin) * in_pitch;
    const int32_t* weights = taps.fixed.data() + size_t(i) * taps.stride;
    const int count = taps.count[size_t(i)];
    uint8_t* out_row = out + size_t(i) * size_t(width);
    int x = 0;
    for (; x + int(kLanes) <= width; x += int(kLanes)) {
      store_bytes(out_row + x, weighted_sum(rows + x, in_pitch, weights, count));
    }
    if (x < width) {
      uint8_t last[kLanes];
      store_bytes(last, weighted_sum(rows + x, in_pitch, weights, count));
      std::memcpy(out_row + x, last, size_t(width - x));
    }
  }
}

// The same for float32; here transposing is left to the stores. Sums of doubles depend on their order: it is Pillow's,
// from the first weight to the last, also where that leads backwards through the rows.
UDI_INLINE void weighted_sum(const float* rows, size_t pitch, const ResizeTaps& taps, int output,
                             double (&sum)[kStrip]) {
  const double* weights = taps.weights.data() + size_t(output) * taps.stride;
  const int count = taps.count[size_t(output)];
  std::fill(sum, sum + kStrip, 0.0);
  for (int t = 0; t < count; ++t) {
    const float* row = rows + size_t(taps.mirrored ? count - 1 - t : t) * pitch;
    for (int j = 0; j < kStrip; ++j) sum[j] += double(row[j]) * weights[t];
  }
}

UDI_CLONES void first_pass(const float* in, size_t in_pitch, const ResizeTaps& taps, int height, float* out,
                           size_t out_pitch) {
  double sum[kStrip];
  for (int y = 0; y < height; y += kStrip) {
    for (int i = 0; i < taps.outputs; ++i) {
      weighted_sum(in + size_t(taps.first[size_t(i)]) * in_pitch + size_t(y), in_pitch, taps, i, sum);
      for (int j = 0; j < kStrip; ++j) out[size_t(y + j) * out_pitch + size_t(i)] = float(sum[j]);
    }
  }
}

UDI_CLONES void second_pass(const float* in, int begin, size_t in_pitch, const ResizeTaps& taps, int width,
                            float* out) {
  double sum[kStrip];
  for (int i = 0; i < taps.outputs; ++i) {
    const float* rows = in + size_t(taps.first[size_t(i)] - begin) * in_pitch;
    for (int x = 0; x < width; x += kStrip) {
      weighted_sum(rows + x, in_pitch, taps, i, sum);
      for (int j = 0; j < std::min(kStrip, width - x); ++j)
        out[size_t(i) * size_t(width) + size_t(x + j)] = float(sum[j]);
    }
  }
}

// columns[c][x][y] from pixels [y][x][c], in strips of 16 rows so that both sides stay in the cache.
void to_columns(const Image& image, size_t pitch, std::vector<uint8_t>& strip, uint8_t* columns) {
  const size_t row_bytes = size_t(image.width) * size_t(image.channels);
  const size_t strip_pitch = round_up(size_t(image.width), kStrip);
  strip.resize(kStrip * size_t(image.channels) * strip_pitch);
  for (int y = 0; y < image.height; y += kStrip) {
    for (int j = 0; j < std::min(kStrip, image.height - y); ++j) {
      split_channels(image.u8() + size_t(y + j) * row_bytes, image.width, image.channels,
                     strip.data() + size_t(j) * strip_pitch, kStrip * strip_pitch);
    }
    // A plane's last strip of columns may run into the next plane, which is written after it.
    for (int c = 0; c < image.channels; ++c) {
      transpose(strip.data() + size_t(c) * kStrip * strip_pitch, strip_pitch, image.width, kStrip,
                columns + size_t(c) * size_t(image.width) * pitch + size_t(y), pitch);
    }
  }
}

void to_columns(const Image& image, size_t pitch, float* columns) {
  const size_t width = size_t(image.width), channels = size_t(image.channels);
  const float* pixel = image.f32();
  for (size_t y = 0; y < size_t(image.height); ++y) {
    for (size_t x = 0; x < width; ++x) {
      for (size_t c = 0; c < channels; ++c) columns[(c * width + x) * pitch + y] = *pixel++;
    }
  }
}

void transpose(const float* in, size_t in_pitch, int width, int height, float* out, size_t out_pitch) {
  for (size_t y = 0; y < size_t(height); ++y) {
    for (size_t x = 0; x < size_t(width); ++x) out[x * out_pitch + y] = in[y * in_pitch + x];
  }
}

template <class Value>
Value* room_for(std::vector<uint8_t>& memory, size_t values) {
  if (memory.size() < values * sizeof(Value)) memory.resize(values * sizeof(Value));
  return reinterpret_cast<Value*>(memory.data());
}

}  // namespace

void Resizer::set_image(const Image& image) {
  check(image.height > 0 && image.width > 0 && image.channels > 0, UDI_E_SHAPE, "an image of ", image.height, " x ",
        image.width, " pixels and ", image.channels, " channels cannot be resized");
  check(image.dtype == UDI_U8 || image.dtype == UDI_F32, UDI_E_SHAPE, "images to resize are uint8 or float32");
  height_ = image.height;
  width_ = image.width;
  channels_ = image.channels;
  dtype_ = image.dtype;
  pitch_ = spread_pitch(size_t(height_));
  const size_t elements = (size_t(channels_) * size_t(width_) + kStrip) * pitch_ + kLanes;
  columns_.resize(elements * (dtype_ == UDI_U8 ? 1 : sizeof(float)));
  if (dtype_ == UDI_U8) {
    to_columns(image, pitch_, strip_, columns_.data());
  } else {
    to_columns(image, pitch_, reinterpret_cast<float*>(columns_.data()));
  }
}

void Resizer::crop(const Box& box, bool mirror, const Planes& out) {
  check(box.top >= 0 && box.left >= 0 && box.height > 0 && box.width > 0 && box.height <= height_ - box.top &&
            box.width <= width_ - box.left,
        UDI_E_INVALID, "a crop of ", box.height, " x ", box.width, " pixels at row ", box.top, ", column ", box.left,
        " leaves the image of ", height_, " x ", width_);
  check(out.height > 0 && out.width > 0, UDI_E_SHAPE, "a crop cannot be resized to ", out.height, " x ", out.width);
  make_taps(box.width, out.width, 0, out.width, mirror, across_);
  make_taps(box.height, out.height, 0, out.height, false, down_);
  const bool columns_first = takes_columns_first(box.height, box.width, out.height, out.width);
  dtype_ == UDI_U8 ? run<uint8_t>(box, columns_first, out) : run<float>(box, columns_first, out);
}

void Resizer::resize_window(int height, int width, const Box& window, const Planes& out) {
  check(window.top >= 0 && window.left >= 0 && window.height > 0 && window.width > 0 &&
            window.height <= height - window.top && window.width <= width - window.left &&
            window.height == out.height && window.width == out.width,
        UDI_E_INVALID, "a window of ", window.height, " x ", window.width, " pixels at row ", window.top, ", column ",
        window.left, " leaves the resized image of ", height, " x ", width);
  make_taps(width_, width, window.left, window.width, false, across_);
  make_taps(height_, height, window.top, window.height, false, down_);
  const Box whole{0, 0, height_, width_};
  const bool columns_first = takes_columns_first(height_, width_, height, width);
  dtype_ == UDI_U8 ? run<uint8_t>(whole, columns_first, out) : run<float>(whole, columns_first, out);
}

template <class Value>
void Resizer::run(const Box& box, bool columns_first, const Planes& out) {
  check(out.channels == channels_ && out.dtype == dtype_, UDI_E_SHAPE, "an image of ", channels_,
        " channels cannot be resized into ", out.channels, " channels, or into another dtype");
  const Value* columns = reinterpret_cast<const Value*>(columns_.data());
  for (int c = 0; c < channels_; ++c) {
    const size_t corner = (size_t(c) * size_t(width_) + size_t(box.left)) * pitch_ + size_t(box.top);
    run_plane(columns + corner, box, columns_first, out, static_cast<Value*>(out.data) + size_t(c) * out.pixels());
  }
}

// Both passes. The first sums over `in`'s outer axis and leaves its result transposed, the second sums over that one's.
// Only what the second reads is made.
template <class Value>
void resize_both(const Value* in, size_t pitch, const ResizeTaps& outer, const ResizeTaps& inner,
                 std::vector<uint8_t>& memory, Value* out) {
  // A mirrored axis runs backwards.
  const int begin = std::min(inner.first.front(), inner.first.back());
  const int end = std::max(inner.first.front() + inner.count.front(), inner.first.back() + inner.count.back());
  const size_t between_pitch = round_up(size_t(outer.outputs), kLanes);
  Value* between = room_for<Value>(memory, (size_t(end - begin) + kLanes) * between_pitch);
  first_pass(in + begin, pitch, outer, end - begin, between, between_pitch);
  second_pass(between, begin, between_pitch, inner, outer.outputs, out);
}

template <class Value>
void Resizer::run_plane(const Value* columns, const Box& box, bool columns_first, const Planes& out, Value* plane) {
  if (!columns_first) return resize_both(columns, pitch_, across_, down_, between_, plane);
  // The same on the transposed picture, and the result transposed back.
  const size_t rows_pitch = spread_pitch(size_t(box.width));
  Value* rows = room_for<Value>(rows_, round_up(size_t(box.height), kStrip) * rows_pitch + kLanes);
  transpose(columns, pitch_, box.height, box.width, rows, rows_pitch);
  const size_t turned_size = round_up(size_t(out.width), kStrip) * size_t(out.height) + kStrip;
  const size_t upright_pitch = round_up(size_t(out.width), kStrip);
  Value* turned = room_for<Value>(turned_, turned_size + round_up(size_t(out.height), kStrip) * upright_pitch);
  Value* upright = turned + turned_size;
  resize_both(rows, rows_pitch, down_, across_, between_, turned);
  transpose(turned, size_t(out.height), out.height, out.width, upright, upright_pitch);
  for (int y = 0; y < out.height; ++y) {
    std::copy_n(upright + size_t(y) * upright_pitch, out.width, plane + size_t(y) * size_t(out.width));
  }
}

Image resize_bicubic(const Image& image, const Box& box, bool mirror, int out_height, int out_width) {
  std::vector<uint8_t> pixels;
  Planes out{nullptr, image.channels, out_height, out_width, image.dtype};
  check(out_height > 0 && out_width > 0, UDI_E_SHAPE, "a crop cannot be resized to ", out_height, " x ", out_width);
  pixels.resize(out.bytes());
  out.data = pixels.data();
  Resizer resizer;
  resizer.set_image(image);
  resizer.crop(box, mirror, out);
  return to_image(out);
}

}  // namespace udi
