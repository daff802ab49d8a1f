#include "augment.h"
#include "exact.h"

namespace udi::cuda {

namespace {

constexpr int kThreads = 256, kWide = 4;

// ITU-R 601-2 in 16-bit fixed point.
__device__ inline int gray_of(int red, int green, int blue) {
  return (red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16;
}

// from + factor * (to - from), cut to 0..255, fraction dropped: Pillow's blend.
__device__ inline int blend(int from, int to, float factor) {
  const ExactFloat mixed = ExactFloat(float(from)) + ExactFloat(float(to - from)) * factor;
  return int(mixed.value < 0 ? 0 : mixed.value > 255 ? 255 : mixed.value);
}

__device__ inline int smaller(int a, int b) { return a < b ? a : b; }
__device__ inline int larger(int a, int b) { return a > b ? a : b; }

// 0..255 around the circle: an odd corner of the six, plus or minus how far the middle channel is from the largest.
__device__ inline int hue_of(int red, int green, int blue, int value, int least) {
  if (value == least) return 0;
  const int middle = red + green + blue - value - least;
  const ExactFloat way = ExactFloat(float(value - middle)) / float(value - least);
  ExactFloat turn = red == value     ? (blue == least ? 1.f - way : way - 1.f)
                    : green == value ? (blue == least ? 1.f + way : 3.f - way)
                                     : (red == least ? 3.f + way : 5.f - way);
  turn = turn / 6.f;
  return int((turn.value < 0 ? turn + 1.f : turn) * 255.f);
}

// value - depth * share / 255^2, rounded; share is cut to 0..255.
__device__ inline int darkened(int value, ExactFloat depth, int share) {
  const ExactFloat cut = float(share < 0 ? 0 : share > 255 ? 255 : share);
  return value - int(depth * cut * (1.f / 65025.f) + 0.5f);
}

// Pillow's way: RGB -> HSV of 8 bits each, hue + shift modulo 256, HSV -> RGB.
__device__ inline void turn_hue(int& red, int& green, int& blue, int shift) {
  const int value = larger(larger(red, green), blue), least = smaller(smaller(red, green), blue);
  const int hue = hue_of(red, green, blue, value, least);
  const int saturation = int(ExactFloat(float(value - least)) / float(larger(value, 1)) * 255.f);
  const int place = ((hue + shift) & 255) * 6;
  const ExactFloat depth = ExactFloat(float(value)) * float(saturation);
  red = darkened(value, depth, smaller(place - 255, 1275 - place));
  green = darkened(value, depth, larger(255 - place, place - 765));
  blue = darkened(value, depth, larger(765 - place, place - 1275));
}

// Operations [begin, end) of a crop, on one pixel. mean: of contrast.
template <int kPlanes>
__device__ inline void change(int (&pixel)[kPlanes], const AugmentCrop& crop, int begin, int end, int mean) {
  for (int i = begin; i < end; ++i) {
    const ColourOp op = crop.op[i];
    const float amount = crop.amount[i];
    if (op == ColourOp::kBrightness || op == ColourOp::kContrast) {
#pragma unroll
      for (int& value : pixel) value = blend(op == ColourOp::kContrast ? mean : 0, value, amount);
    }
    if constexpr (kPlanes == 3) {
      if (op == ColourOp::kHue) turn_hue(pixel[0], pixel[1], pixel[2], int(amount));
      if (op == ColourOp::kSaturation || op == ColourOp::kGrayscale) {
        const int gray = gray_of(pixel[0], pixel[1], pixel[2]);
#pragma unroll
        for (int& value : pixel) value = op == ColourOp::kGrayscale ? gray : blend(gray, value, amount);
      }
    }
  }
}

// body(pixel) changes each of the crop's pixels; kWidth neighbours are loaded and stored together. kPlanes 1: each
// value is a pixel.
template <int kPlanes, int kWidth, class Body>
__device__ inline void over_pixels(uint8_t* crop, int64_t count, const Body& body) {
  using Bytes = Pack<uint8_t, kWidth>;
  for (int64_t i = int64_t(threadIdx.x) * kWidth; i < count; i += kThreads * kWidth) {
    Bytes in[kPlanes];
#pragma unroll
    for (int c = 0; c < kPlanes; ++c) in[c] = *reinterpret_cast<const Bytes*>(crop + c * count + i);
#pragma unroll
    for (int j = 0; j < kWidth; ++j) {
      int pixel[kPlanes];
#pragma unroll
      for (int c = 0; c < kPlanes; ++c) pixel[c] = in[c].at[j];
      body(pixel);
#pragma unroll
      for (int c = 0; c < kPlanes; ++c) in[c].at[j] = uint8_t(pixel[c]);
    }
#pragma unroll
    for (int c = 0; c < kPlanes; ++c) *reinterpret_cast<Bytes*>(crop + c * count + i) = in[c];
  }
}

// A block a crop: contrast wants the mean of what the operations before it leave.
template <int kPlanes, int kWidth>
__global__ void __launch_bounds__(kThreads) colours(AugmentArgs k) {
  __shared__ int64_t warp_sums[kThreads / kLanes];
  __shared__ AugmentCrop crop;
  if (threadIdx.x == 0) crop = k.crop[blockIdx.x];
  __syncthreads();
  const bool solarize = crop.solarize && crop.blur_whole < 0;  // else after the blur
  if (crop.ops == 0 && !solarize) return;
  const int64_t values = int64_t(k.channels) * k.size * k.size, count = values / kPlanes;
  uint8_t* const pixels = k.out + blockIdx.x * values;

  int contrast = 0;
  while (contrast < crop.ops && crop.op[contrast] != ColourOp::kContrast) ++contrast;
  int done = 0, mean = 0;
  if (contrast < crop.ops) {
    int64_t sum = 0;
    over_pixels<kPlanes, kWidth>(pixels, count, [&](int(&pixel)[kPlanes]) {
      change(pixel, crop, 0, contrast, 0);
      if constexpr (kPlanes == 3) {
        sum += gray_of(pixel[0], pixel[1], pixel[2]);
      } else {
        sum += pixel[0];
      }
    });
    sum = warp_sum(sum);
    if (threadIdx.x % kLanes == 0) warp_sums[threadIdx.x / kLanes] = sum;
    __syncthreads();
    int64_t total = 0;
    for (const int64_t part : warp_sums) total += part;
    mean = int(ExactDouble(double(total)) / double(count) + 0.5);
    done = contrast;
  }
  over_pixels<kPlanes, kWidth>(pixels, count, [&](int(&pixel)[kPlanes]) {
    change(pixel, crop, done, crop.ops, mean);
#pragma unroll
    for (int& value : pixel) value = solarize && value >= 128 ? 255 - value : value;
  });
}

}  // namespace

udi_cuda_status launch_colours(const AugmentArgs& args, Stream stream) {
  const dim3 blocks{unsigned(args.crops)};
  const bool wide = args.size % 2 == 0 && aligned(args.out);
  if (args.channels == 3) return launch(wide ? colours<3, kWide> : colours<3, 1>, blocks, kThreads, stream, args);
  return launch(wide ? colours<1, kWide> : colours<1, 1>, blocks, kThreads, stream, args);
}

}  // namespace udi::cuda
