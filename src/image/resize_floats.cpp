#include "image/resize_floats.h"

#include <algorithm>

#include "base/simd.h"

namespace udi {
namespace {

size_t round_up(size_t n, size_t step) { return (n + step - 1) / step * step; }

// Sums of doubles depend on their order: it is Pillow's, from the first weight to the last, also where that leads
// backwards through the rows.
UDI_INLINE void weighted_sum(const float* rows, size_t pitch, const ResizeTaps& taps, int output,
                             double (&sum)[kFloatsAtOnce]) {
  const double* weights = taps.weights.data() + size_t(output) * taps.stride;
  const int count = taps.count[size_t(output)];
  std::fill(sum, sum + kFloatsAtOnce, 0.0);
  for (int t = 0; t < count; ++t) {
    const float* row = rows + size_t(taps.mirrored ? count - 1 - t : t) * pitch;
    for (int j = 0; j < kFloatsAtOnce; ++j) sum[j] += double(row[j]) * weights[t];
  }
}

UDI_CLONES void first_pass(const float* in, size_t in_pitch, const ResizeTaps& taps, int height, float* out,
                           size_t out_pitch) {
  double sum[kFloatsAtOnce];
  for (int y = 0; y < height; y += kFloatsAtOnce) {
    for (int i = 0; i < taps.outputs; ++i) {
      weighted_sum(in + size_t(taps.first[size_t(i)]) * in_pitch + size_t(y), in_pitch, taps, i, sum);
      for (int j = 0; j < kFloatsAtOnce; ++j) out[size_t(y + j) * out_pitch + size_t(i)] = float(sum[j]);
    }
  }
}

UDI_CLONES void second_pass(const float* in, int begin, size_t in_pitch, const ResizeTaps& taps, int width,
                            float* out) {
  double sum[kFloatsAtOnce];
  for (int i = 0; i < taps.outputs; ++i) {
    const float* rows = in + size_t(taps.first[size_t(i)] - begin) * in_pitch;
    for (int x = 0; x < width; x += kFloatsAtOnce) {
      weighted_sum(rows + x, in_pitch, taps, i, sum);
      for (int j = 0; j < std::min(kFloatsAtOnce, width - x); ++j)
        out[size_t(i) * size_t(width) + size_t(x + j)] = float(sum[j]);
    }
  }
}

void transpose(const float* in, size_t in_pitch, int width, int height, float* out, size_t out_pitch) {
  for (size_t y = 0; y < size_t(height); ++y) {
    for (size_t x = 0; x < size_t(width); ++x) out[x * out_pitch + y] = in[y * in_pitch + x];
  }
}

// The first sums over `in`'s outer axis and leaves its result transposed, the second sums over that one's. Only what
// the second reads is made.
void resize_both(const float* in, size_t pitch, const ResizeTaps& outer, const ResizeTaps& inner, Memory& memory,
                 float* out) {
  // A mirrored axis runs backwards.
  const int begin = std::min(inner.first.front(), inner.first.back());
  const int end = std::max(inner.first.front() + inner.count.front(), inner.first.back() + inner.count.back());
  const size_t between_pitch = round_up(size_t(outer.outputs), kFloatsAtOnce);
  float* between = memory.room_for_floats((size_t(end - begin) + kFloatsAtOnce) * between_pitch);
  first_pass(in + begin, pitch, outer, end - begin, between, between_pitch);
  second_pass(between, begin, between_pitch, inner, outer.outputs, out);
}

}  // namespace

void to_columns(const Image& image, size_t pitch, float* columns) {
  const size_t width = size_t(image.width), channels = size_t(image.channels);
  const float* pixel = image.f32();
  for (size_t y = 0; y < size_t(image.height); ++y) {
    for (size_t x = 0; x < width; ++x) {
      for (size_t c = 0; c < channels; ++c) columns[(c * width + x) * pitch + y] = *pixel++;
    }
  }
}

void resize_floats(const float* columns, size_t pitch, const Box& box, const ResizeTaps& across, const ResizeTaps& down,
                   bool columns_first, Memory& between, Memory& rows, Memory& turned, float* out) {
  if (!columns_first) return resize_both(columns, pitch, across, down, between, out);
  // The same on the transposed picture, and the result transposed back.
  const size_t rows_pitch = round_up(size_t(box.width), kFloatsAtOnce);
  float* upright = rows.room_for_floats(size_t(box.height) * rows_pitch + kFloatsAtOnce);
  transpose(columns, pitch, box.height, box.width, upright, rows_pitch);
  float* lying = turned.room_for_floats(size_t(across.outputs) * size_t(down.outputs));
  resize_both(upright, rows_pitch, down, across, between, lying);
  transpose(lying, size_t(down.outputs), down.outputs, across.outputs, out, size_t(across.outputs));
}

}  // namespace udi
