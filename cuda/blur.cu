#include "augment.h"
#include "device.h"

namespace udi::cuda {

namespace {

constexpr int kThreads = 256, kBoxes = 3;

// All boxes along rows, or along columns, in place: a block takes some whole lines into shared memory, kBytes of them.
// Lines lie there so that threads side by side touch neighbours, in shared memory and outside.
template <bool kColumns, int kBytes>
__global__ void __launch_bounds__(kThreads) blur(AugmentArgs k, int lines, int strips) {
  __shared__ uint8_t lines_a[kBytes], lines_b[kBytes];
  const int64_t plane = blockIdx.x / strips;
  const AugmentCrop& crop = k.crop[plane / k.channels];
  if (crop.blur_whole < 0) return;
  const int size = k.size, first = int(blockIdx.x % strips) * lines;
  const int here = size - first < lines ? size - first : lines, count = here * size;
  const int step = kColumns ? here : 1;  // to the next pixel of a line
  uint8_t* const from = k.out + plane * size * size + (kColumns ? first : int64_t(first) * size);
  const auto outside = [&](int i) { return kColumns ? int64_t(i / here) * size + i % here : i; };

  uint8_t *in = lines_a, *out = lines_b;
  for (int i = threadIdx.x; i < count; i += kThreads) in[i] = from[outside(i)];
  __syncthreads();
  const int whole = crop.blur_whole;
  for (int box = 0; box < kBoxes; ++box) {
    for (int i = threadIdx.x; i < count; i += kThreads) {
      const int place = kColumns ? i / here : i % size;
      const uint8_t* const line = in + (i - place * step);
      // Outside the crop lie copies of its first and last pixel.
      const auto value = [&](int at) { return uint32_t(line[(at < 0 ? 0 : at >= size ? size - 1 : at) * step]); };
      uint32_t covered = 0;
      for (int at = place - whole; at <= place + whole; ++at) covered += value(at);
      const uint32_t next = value(place - whole - 1) + value(place + whole + 1);
      out[i] = uint8_t((covered * crop.blur_inner + next * crop.blur_outer + (1u << 23)) >> 24);
    }
    __syncthreads();
    uint8_t* const last = in;
    in = out;
    out = last;
  }
  for (int i = threadIdx.x; i < count; i += kThreads)
    from[outside(i)] = kColumns && crop.solarize && in[i] >= 128 ? uint8_t(255 - in[i]) : in[i];
}

template <int kBytes>
udi_cuda_status run(const AugmentArgs& args, Stream stream) {
  const int lines = kBytes / args.size < kLanes ? kBytes / args.size : kLanes;
  const int strips = int(ceil_div(args.size, lines));
  const dim3 blocks(unsigned(args.crops * args.channels * strips));
  const udi_cuda_status rows = launch(blur<false, kBytes>, blocks, kThreads, stream, args, lines, strips);
  return rows.code != 0 ? rows : launch(blur<true, kBytes>, blocks, kThreads, stream, args, lines, strips);
}

}  // namespace

udi_cuda_status launch_blur(const AugmentArgs& args, Stream stream) {
  return args.size <= 256 ? run<8192>(args, stream) : run<16384>(args, stream);
}

}  // namespace udi::cuda
