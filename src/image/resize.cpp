#include "image/resize.h"

#include <algorithm>

#include "base/error.h"
#include "image/interleave.h"
#include "image/resize_floats.h"
#include "image/resize_kernels.h"
#include "image/resize_taps.h"

namespace udi {
namespace {

constexpr int kStrip = 16;  // rows that are transposed together

size_t round_up(size_t n, size_t step) { return (n + step - 1) / step * step; }

// An odd number of cache lines: neighbouring rows then never compete for the same place in the cache.
size_t spread_pitch(size_t bytes) { return (round_up(bytes, 64) / 64 | 1) * 64; }

// Pillow 13's choice of the axis that is resized first.
bool takes_columns_first(int height, int width, int out_height, int out_width) {
  return out_height < height && int64_t(height) - out_height > 2 * (int64_t(width) - out_width);
}

// columns[c][x / group][y][group] from pixels [y][x][c], in strips of 16 rows so that both sides stay in the cache.
void to_columns(const Image& image, size_t pitch, int group, Memory& strips, uint8_t* columns) {
  const size_t row_bytes = size_t(image.width) * size_t(image.channels);
  const size_t strip_pitch = round_up(size_t(image.width), kStrip);
  const size_t groups = round_up(size_t(image.width), size_t(group)) / size_t(group);
  uint8_t* strip = strips.room_for(kStrip * size_t(image.channels) * strip_pitch);
  for (int y = 0; y < image.height; y += kStrip) {
    for (int j = 0; j < std::min(kStrip, image.height - y); ++j) {
      split_channels(image.u8() + size_t(y + j) * row_bytes, image.width, image.channels,
                     strip + size_t(j) * strip_pitch, kStrip * strip_pitch);
    }
    // A plane's last columns may run into the next plane, which is written after it.
    for (int c = 0; c < image.channels; ++c) {
      transpose_groups(strip + size_t(c) * kStrip * strip_pitch, strip_pitch, image.width, kStrip, group,
                       columns + size_t(c) * groups * pitch + size_t(y) * size_t(group), pitch);
    }
  }
}

// The taps' first input is pixel `offset` of `size` pixels in groups.
GroupTaps pack_taps(const ResizeTaps& taps, int offset, int size, const ResizeKernels& kernels, PackedTaps& packed) {
  const int group = kernels.group, all_groups = (size + group - 1) / group;
  packed.outputs = taps.outputs;
  packed.groups = 1;
  for (int i = 0; i < taps.outputs; ++i) {
    const int end = (offset + taps.first[size_t(i)]) % group + taps.count[size_t(i)];
    packed.groups = std::max(packed.groups, (end + group - 1) / group);
  }
  packed.groups = std::min(packed.groups, all_groups);
  const size_t stride = size_t(packed.groups) * size_t(kernels.ints_a_group);
  const size_t room = round_up(size_t(taps.outputs), kOutputsAtOnce);
  packed.first.resize(room);
  packed.weights.resize(room * stride);
  packed.one_output.resize(size_t(packed.groups * group));
  for (int i = 0; i < taps.outputs; ++i) {
    const int begin = offset + taps.first[size_t(i)];
    const int first = std::min(begin / group, all_groups - packed.groups);
    std::fill(packed.one_output.begin(), packed.one_output.end(), 0);
    std::copy_n(taps.fixed.data() + size_t(i) * taps.stride, taps.count[size_t(i)],
                packed.one_output.data() + (begin - first * group));
    kernels.pack(packed.one_output.data(), packed.groups, packed.weights.data() + size_t(i) * stride);
    packed.first[size_t(i)] = first;
  }
  std::fill(packed.first.begin() + taps.outputs, packed.first.end(), 0);
  return {packed.outputs, packed.groups, packed.first.data(), packed.weights.data()};
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
  kernels_ = &resize_kernels();
  if (dtype_ == UDI_F32) {
    pitch_ = spread_pitch(size_t(height_));
    const size_t values = size_t(channels_) * size_t(width_) * pitch_ + kFloatsAtOnce;
    return to_columns(image, pitch_, columns_.room_for_floats(values));
  }
  const size_t group = size_t(kernels_->group), groups = round_up(size_t(width_), group) / group;
  pitch_ = spread_pitch(size_t(height_) * group);
  const size_t bytes = (size_t(channels_) * groups + kStrip / group) * pitch_ + kRowsAtOnce * group;
  to_columns(image, pitch_, kernels_->group, strip_, columns_.room_for(bytes));
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
  run(box, columns_first, out);
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
  run(whole, columns_first, out);
}

void Resizer::run(const Box& box, bool columns_first, const Planes& out) {
  check(out.channels == channels_ && out.dtype == dtype_, UDI_E_SHAPE, "an image of ", channels_,
        " channels cannot be resized into ", out.channels, " channels, or into another dtype");
  dtype_ == UDI_U8 ? run_bytes(box, columns_first, out) : run_floats(box, columns_first, out);
}

// Both passes. The first sums over the source's groups and leaves its result in groups along the other axis, over which
// the second sums. Only what the second reads is made.
void Resizer::run_bytes(const Box& box, bool columns_first, const Planes& out) {
  const ResizeTaps &outer = columns_first ? down_ : across_, &inner = columns_first ? across_ : down_;
  // A mirrored axis runs backwards.
  const int first = std::min(inner.first.front(), inner.first.back());
  const int end = std::max(inner.first.front() + inner.count.front(), inner.first.back() + inner.count.back());
  const int group = kernels_->group;
  const size_t g = size_t(group);
  const int left = box.left / group * group, top = box.top / group * group;  // groups begin here
  const int outer_corner = columns_first ? top : left, inner_corner = columns_first ? left : 0;
  const int outer_begin = columns_first ? box.top : box.left, inner_begin = columns_first ? box.left : box.top;
  const int outer_end = outer_begin + (columns_first ? box.height : box.width);
  // A few pixels more, so that cache lines are read whole.
  const int line = int(Memory::kAlignment) / group;
  const int begin = (inner_begin + first - inner_corner) / line * line;  // from inner_corner on
  const int count = inner_begin + end - inner_corner - begin;
  const GroupTaps outer_taps =
      pack_taps(outer, outer_begin - outer_corner, outer_end - outer_corner, *kernels_, outer_);
  const GroupTaps inner_taps = pack_taps(inner, inner_begin - inner_corner - begin, count, *kernels_, inner_);

  const size_t between_pitch = spread_pitch(round_up(size_t(outer.outputs), kRowsAtOnce) * g);
  uint8_t* between = between_.room_for((round_up(size_t(count), kRowsAtOnce) / g + 1) * between_pitch);
  const size_t groups = round_up(size_t(width_), g) / g;
  for (int c = 0; c < channels_; ++c) {
    const uint8_t* in = columns_.data() + (size_t(c) * groups + size_t(left) / g) * pitch_;
    if (!columns_first) {
      kernels_->first_pass(in + size_t(begin) * g, pitch_, outer_taps, count, between, between_pitch);
      kernels_->second_pass(between, between_pitch, inner_taps, outer.outputs, out.u8(c));
      continue;
    }
    // The same on the transposed picture, and the result transposed back.
    const int width = box.left + box.width - left, height = box.top + box.height - top;
    const size_t rows_pitch = spread_pitch(round_up(size_t(width), kStrip) * g);
    uint8_t* rows = rows_.room_for(round_up(size_t(height), kStrip) / g * rows_pitch + kRowsAtOnce * g);
    turn_groups(in + size_t(top) * g, pitch_, width, height, group, rows, rows_pitch);
    kernels_->first_pass(rows + size_t(begin) * g, rows_pitch, outer_taps, count, between, between_pitch);

    const size_t upright_pitch = round_up(size_t(out.width), kStrip);
    const size_t turned_size = upright_pitch * size_t(out.height) + kStrip;
    uint8_t* turned = turned_.room_for(turned_size + round_up(size_t(out.height), kStrip) * upright_pitch);
    uint8_t* upright = turned + turned_size;
    kernels_->second_pass(between, between_pitch, inner_taps, outer.outputs, turned);
    transpose(turned, size_t(out.height), out.height, out.width, upright, upright_pitch);
    for (int y = 0; y < out.height; ++y) {
      std::copy_n(upright + size_t(y) * upright_pitch, out.width, out.u8(c) + size_t(y) * size_t(out.width));
    }
  }
}

void Resizer::run_floats(const Box& box, bool columns_first, const Planes& out) {
  const float* columns = reinterpret_cast<const float*>(columns_.data());
  for (int c = 0; c < channels_; ++c) {
    const size_t corner = (size_t(c) * size_t(width_) + size_t(box.left)) * pitch_ + size_t(box.top);
    resize_floats(columns + corner, pitch_, box, across_, down_, columns_first, between_, rows_, turned_, out.f32(c));
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
