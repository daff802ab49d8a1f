#include "device.h"
#include "patches.h"

namespace udi::cuda {

namespace {

constexpr int kThreads = 256, kWide = 8;

// Written in order of out: a thread makes kWidth neighbours, which lie side by side in one row of pixels, too.
template <class In, class T, int kWidth>
__global__ void __launch_bounds__(kThreads) unfold(PatchesArgs k, int64_t packs) {
  // uint8: all values that a pixel can become, so that two divisions a pixel are spared.
  __shared__ float table[sizeof(In) == 1 ? 16 * 256 : 1];
  if (sizeof(In) == 1) {
    for (int i = threadIdx.x; i < k.channels * 256; i += kThreads)
      table[i] = (float(i % 256) / 255.0f - k.mean[i / 256]) / k.std[i / 256];
    __syncthreads();
  }
  const int strips = k.patch / kWidth;  // of a row of a patch
  const int columns = k.width / k.patch, patch_rows = k.height / k.patch;
  for (int64_t pack = int64_t(blockIdx.x) * kThreads + threadIdx.x; pack < packs;
       pack += int64_t(gridDim.x) * kThreads) {
    const int x = int(pack % strips) * kWidth;
    int64_t rest = pack / strips;
    const int y = int(rest % k.patch);
    rest /= k.patch;
    const int channel = int(rest % k.channels);
    rest /= k.channels;
    const int column = int(rest % columns);
    rest /= columns;
    const int row = int(rest % patch_rows);
    const int64_t image = rest / patch_rows;
    const int64_t from =
        ((image * k.channels + channel) * k.height + row * k.patch + y) * k.width + column * k.patch + x;
    const Pack<In, kWidth> in = *reinterpret_cast<const Pack<In, kWidth>*>(static_cast<const In*>(k.in) + from);
    float value[kWidth];
#pragma unroll
    for (int i = 0; i < kWidth; ++i) {
      if constexpr (sizeof(In) == 1) {
        value[i] = table[channel * 256 + in.at[i]];
      } else {
        value[i] = (in.at[i] - k.mean[channel]) / k.std[channel];
      }
    }
    store<kWidth>(static_cast<T*>(k.out) + pack * kWidth, value);
  }
}

template <class In, class T, int kWidth>
udi_cuda_status run(const PatchesArgs& args, int64_t values, Stream stream) {
  const int64_t packs = values / kWidth, blocks = ceil_div(packs, kThreads);
  // Enough for any GPU, few enough that the table costs little: some 16 packs a thread.
  const int64_t most = sizeof(In) == 1 ? (blocks + 15) / 16 : blocks;
  return launch(unfold<In, T, kWidth>, dim3(unsigned(most < kMaxBlocks ? most : kMaxBlocks)), kThreads, stream, args,
                packs);
}

}  // namespace

udi_cuda_status launch_patches(const PatchesArgs& given, Stream stream) {
  if (given.images < 0 || given.images > 1 << 24) return bad("patches: images must be from 0 to 16,777,216");
  if (given.channels < 1 || given.channels > 16) return bad("patches: channels must be from 1 to 16");
  if (given.patch < 1 || given.patch > 1024) return bad("patches: patch must be from 1 to 1024");
  if (given.height < given.patch || given.width < given.patch || given.height > 65536 || given.width > 65536 ||
      given.height % given.patch != 0 || given.width % given.patch != 0)
    return bad("patches: height and width must be multiples of patch, at least patch and at most 65536");
  if (given.in_type != Type::kByte && given.in_type != Type::kFloat)
    return bad("patches: in_type must be uint8 or float32");
  if (given.images == 0) return kDone;
  if (!given.in || !given.out) return bad("patches: in and out must not be null");
  PatchesArgs args = given;
  for (int channel = 0; channel < 16 && args.normalized; ++channel) {
    args.mean[channel] = 0;
    args.std[channel] = 1;
  }
  const int64_t values = args.images * args.channels * args.height * args.width;
  const bool wide = args.patch % kWide == 0 && aligned(args.in, args.out);
  return for_type(args.out_type, [&](auto tag) {
    using T = typename decltype(tag)::type;
    if (args.in_type == Type::kByte)
      return wide ? run<uint8_t, T, kWide>(args, values, stream) : run<uint8_t, T, 1>(args, values, stream);
    return wide ? run<float, T, kWide>(args, values, stream) : run<float, T, 1>(args, values, stream);
  });
}

}  // namespace udi::cuda
