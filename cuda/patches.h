// Pixels as rows of patches, normalised: what the first product reads.
#pragma once

#include "kernels.h"

namespace udi::cuda {

// out[(image, row, column), (channel, y, x)] = (value - mean[channel]) / std[channel], where value is v / 255 for uint8
// and v for float32: the official order of operations, each rounded as IEEE 754 says, so that float32 equals the CPU's
// bits.
struct PatchesArgs {
  int64_t images;           // B >= 0
  int32_t channels;         // C, 1 to 16
  int32_t height, width;    // multiples of patch, at least one
  int32_t patch;            // 1 to 1024; multiples of 8 move 16 bytes at a time
  Type in_type;             // uint8 or float32
  Type out_type;            // float32, float16 or bfloat16
  bool normalized;          // values are taken as they are (uint8 still divided by 255)
  const void* in;           // [B, C, height, width]
  float mean[16], std[16];  // of each channel, on the host
  void* out;                // [B (height / patch) (width / patch), C patch patch]
};
udi_cuda_status launch_patches(const PatchesArgs& args, Stream stream);

}  // namespace udi::cuda
