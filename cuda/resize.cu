#include "augment.h"
#include "exact.h"

namespace udi::cuda {

namespace {

constexpr int kWeightBits = 22, kThreads = 256;

// ---- Weights -------------------------------------------------------------------------------------------------------

// Of one axis of a crop: output i is the sum over t < count[i] of input[first[i] + t] * weight[t * size + i].
template <class Int>
struct Taps {
  Int *first, *count, *weight;
};

template <class Int>
__device__ Taps<Int> taps_of(Int* workspace, const AugmentCrop& crop, int size, bool down) {
  Int* const first = workspace + crop.taps[down];
  return {first, first + size, first + 2 * size};
}

// Keys' cubic with a = -0.5, in Pillow's order of operations.
__device__ ExactDouble bicubic(ExactDouble x) {
  if (x.value < 0) x = -x.value;
  if (x.value < 1) return (1.5 * x - 2.5) * x * x + 1.0;
  return x.value < 2 ? (((x - 5.0) * x + 8.0) * x - 4.0) * -0.5 : ExactDouble(0);
}

// A thread an output of an axis. Computed here rather than on the host: a box is all that is sent, and double
// arithmetic without fusing is the same everywhere.
__global__ void __launch_bounds__(kThreads) make_taps(AugmentArgs k) {
  const int64_t at = int64_t(blockIdx.x) * kThreads + threadIdx.x;
  if (at >= 2 * k.size * k.crops) return;
  const int i = int(at % k.size);
  const bool down = at / k.size % 2;
  const AugmentCrop& crop = k.crop[at / k.size / 2];
  const Taps<int32_t> taps = taps_of(k.workspace, crop, k.size, down);
  const int in_size = down ? crop.height : crop.width;

  const ExactDouble scale = ExactDouble(in_size) / k.size;
  const ExactDouble widened = scale.value > 1 ? scale : ExactDouble(1), support = 2.0 * widened;
  const ExactDouble centre = (i + ExactDouble(0.5)) * scale, shrink = 1.0 / widened;
  const int low = int(centre - support + 0.5), high = int(centre + support + 0.5);
  const int first = low > 0 ? low : 0, count = (high < in_size ? high : in_size) - first;
  const auto weigh = [&](int t) { return bicubic((double(t) + ExactDouble(first) - centre + 0.5) * shrink); };
  ExactDouble total = 0;
  for (int t = 0; t < count; ++t) total = total + weigh(t);
  const bool mirrored = crop.mirrored && !down;
  for (int t = 0; t < count; ++t) {
    const ExactDouble weight = weigh(t) / total;
    const int fixed = int(weight * double(1 << kWeightBits) + (weight.value < 0 ? -0.5 : 0.5));
    taps.weight[int64_t(mirrored ? count - 1 - t : t) * k.size + i] = fixed;
  }
  taps.first[i] = mirrored ? in_size - first - count : first;
  taps.count[i] = count;
}

// ---- Both passes ---------------------------------------------------------------------------------------------------

constexpr int kTile = 32, kWarps = kThreads / kLanes, kEach = kTile / kWarps;
constexpr int kRound = 1 << (kWeightBits - 1);

__device__ inline uint8_t clipped(int sum) {
  const int value = sum >> kWeightBits;
  return uint8_t(value < 0 ? 0 : value > 255 ? 255 : value);
}

// A block makes kTile x kTile outputs of kGroup channels. Pillow resizes one axis after the other and rounds to bytes
// between, columns first where that leaves much less to do. `outer` is the axis that goes first, `inner` the other:
// kTile inputs along inner at a time, the first pass leaves its bytes in shared memory and the second adds them to sums
// in registers. What lies between tiles is resized along outer twice, and nothing waits in device memory.
template <int kGroup>
__global__ void __launch_bounds__(kThreads) resize(AugmentArgs k, int tiles) {
  __shared__ uint8_t between[kGroup][kTile][kTile + 4];  // [inner][outer], padded against bank conflicts
  const int lane = threadIdx.x % kLanes, warp = threadIdx.x / kLanes, size = k.size, groups = k.channels / kGroup;
  int64_t at = blockIdx.x;
  const int left = int(at % tiles) * kTile;
  at /= tiles;
  const int top = int(at % tiles) * kTile;
  at /= tiles;
  const int channel = int(at % groups) * kGroup;
  const int64_t index = at / groups;
  const AugmentCrop& crop = k.crop[index];

  const bool columns_first = size < crop.height && int64_t(crop.height) - size > 2 * (int64_t(crop.width) - size);
  const int32_t* const workspace = k.workspace;
  const Taps<const int32_t> outer = taps_of(workspace, crop, size, columns_first);
  const Taps<const int32_t> inner = taps_of(workspace, crop, size, !columns_first);
  const int outer_begin = columns_first ? top : left, inner_begin = columns_first ? left : top;
  const int64_t pitch = int64_t(crop.image_width) * k.channels;
  const int64_t outer_step = columns_first ? pitch : k.channels, inner_step = columns_first ? k.channels : pitch;
  const uint8_t* const box = k.images + crop.image + crop.top * pitch + int64_t(crop.left) * k.channels + channel;

  // The tile's inputs along inner; a mirrored axis runs backwards.
  const int a = inner_begin, b = (inner_begin + kTile < size ? inner_begin + kTile : size) - 1;
  const int begin = inner.first[a] < inner.first[b] ? inner.first[a] : inner.first[b];
  const int end_a = inner.first[a] + inner.count[a], end_b = inner.first[b] + inner.count[b];
  const int end = end_a > end_b ? end_a : end_b;

  int sum[kEach][kGroup];
#pragma unroll
  for (int e = 0; e < kEach; ++e)
#pragma unroll
    for (int c = 0; c < kGroup; ++c) sum[e][c] = kRound;

  for (int part = begin; part < end; part += kTile) {
    const int inputs = end - part < kTile ? end - part : kTile;
    // Lanes go along the rows of the image in every access to it, and to the crop.
    for (int j = warp; j < kTile; j += kWarps) {
      const int o = columns_first ? j : lane, n = columns_first ? lane : j;
      if (outer_begin + o >= size || n >= inputs) continue;
      const int first = outer.first[outer_begin + o], count = outer.count[outer_begin + o];
      const uint8_t* from = box + (part + n) * inner_step + first * outer_step;
      const int32_t* weight = outer.weight + outer_begin + o;
      int total[kGroup];
#pragma unroll
      for (int c = 0; c < kGroup; ++c) total[c] = kRound;
      for (int t = 0; t < count; ++t, from += outer_step, weight += size) {
#pragma unroll
        for (int c = 0; c < kGroup; ++c) total[c] += from[c] * *weight;
      }
#pragma unroll
      for (int c = 0; c < kGroup; ++c) between[c][n][o] = clipped(total[c]);
    }
    __syncthreads();
#pragma unroll
    for (int e = 0; e < kEach; ++e) {
      const int j = warp + e * kWarps, o = columns_first ? j : lane, n = inner_begin + (columns_first ? lane : j);
      if (outer_begin + o >= size || n >= size) continue;
      const int first = inner.first[n], last = first + inner.count[n];
      const int low = first > part ? first : part, high = last < part + inputs ? last : part + inputs;
      for (int i = low; i < high; ++i) {
        const int weight = inner.weight[int64_t(i - first) * size + n];
#pragma unroll
        for (int c = 0; c < kGroup; ++c) sum[e][c] += between[c][i - part][o] * weight;
      }
    }
    __syncthreads();
  }

#pragma unroll
  for (int e = 0; e < kEach; ++e) {
    const int x = left + lane, y = top + warp + e * kWarps;
    if (x >= size || y >= size) continue;
#pragma unroll
    for (int c = 0; c < kGroup; ++c)
      k.out[((index * k.channels + channel + c) * size + y) * size + x] = clipped(sum[e][c]);
  }
}

}  // namespace

udi_cuda_status launch_resize(const AugmentArgs& args, Stream stream) {
  const int64_t tiles = ceil_div(args.size, kTile), blocks = args.crops * tiles * tiles;
  if (blocks > kMaxBlocks / args.channels) return bad("augment: too many crops of this size at once");
  const dim3 tap_blocks(unsigned(ceil_div(2 * args.size * args.crops, kThreads)));
  const udi_cuda_status made = launch(make_taps, tap_blocks, kThreads, stream, args);
  if (made.code != 0) return made;
  if (args.channels == 3) return launch(resize<3>, dim3(unsigned(blocks)), kThreads, stream, args, int(tiles));
  return launch(resize<1>, dim3(unsigned(blocks * args.channels)), kThreads, stream, args, int(tiles));
}

}  // namespace udi::cuda
