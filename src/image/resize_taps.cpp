#include "image/resize_taps.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/simd.h"

namespace udi {
namespace {

#pragma GCC diagnostic ignored "-Wpsabi"  // nothing here crosses a call: all is inlined

typedef double Double4 __attribute__((vector_size(32)));
typedef int32_t Int4 __attribute__((vector_size(16)));

// Keys' cubic with a = -0.5, in Pillow's order of operations, in place of the distances x.
UDI_INLINE void bicubic(Double4& x) {
  x = x < 0 ? -x : x;
  const Double4 inner = (1.5 * x - 2.5) * x * x + 1.0;
  const Double4 outer = (((x - 5.0) * x + 8.0) * x - 4.0) * -0.5;
  x = x < 1 ? inner : (x < 2 ? outer : Double4{});
}

UDI_CLONES void weigh(int first, double centre, double shrink, int count, size_t stride, double* weights,
                      int32_t* fixed) {
  for (size_t t = 0; t < stride; t += 4) {
    const Double4 tap = double(t) + Double4{0, 1, 2, 3};
    Double4 w = (tap + double(first) - centre + 0.5) * shrink;
    bicubic(w);
    w = tap < double(count) ? w : Double4{};
    std::memcpy(weights + t, &w, sizeof w);
  }
  double total = 0;
  for (int t = 0; t < count; ++t) total += weights[t];
  for (size_t t = 0; t < stride; t += 4) {
    Double4 w;
    std::memcpy(&w, weights + t, sizeof w);
    w /= total;
    std::memcpy(weights + t, &w, sizeof w);
    const Double4 scaled = w * double(1 << kWeightBits);
    const Int4 rounded = __builtin_convertvector(scaled + (w < 0 ? Double4{} - 0.5 : Double4{} + 0.5), Int4);
    std::memcpy(fixed + t, &rounded, sizeof rounded);
  }
}

}  // namespace

void make_taps(int in_size, int out_size, int first_out, int outputs, bool mirror, ResizeTaps& taps) {
  const double scale = double(in_size) / out_size;
  const double widened = std::max(scale, 1.0);
  const double support = 2.0 * widened;
  taps.outputs = outputs;
  taps.mirrored = mirror;
  taps.stride = (size_t(std::ceil(support)) * 2 + 1 + 3) / 4 * 4;
  taps.first.resize(size_t(outputs));
  taps.count.resize(size_t(outputs));
  taps.weights.resize(size_t(outputs) * taps.stride);
  taps.fixed.resize(size_t(outputs) * taps.stride);
  for (int i = 0; i < outputs; ++i) {
    const double centre = (first_out + i + 0.5) * scale;
    const int first = std::max(int(centre - support + 0.5), 0);
    const int count = std::min(int(centre + support + 0.5), in_size) - first;
    double* weights = taps.weights.data() + size_t(i) * taps.stride;
    int32_t* fixed = taps.fixed.data() + size_t(i) * taps.stride;
    weigh(first, centre, 1.0 / widened, count, taps.stride, weights, fixed);
    taps.first[size_t(i)] = mirror ? in_size - first - count : first;
    taps.count[size_t(i)] = count;
    if (mirror) std::reverse(fixed, fixed + count);
  }
}

}  // namespace udi
