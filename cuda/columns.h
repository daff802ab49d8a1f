// Sums over rows with one order on every GPU: each block of a kernel leaves its part, [blocks, columns]; this adds
// them.
#pragma once

#include "device.h"

namespace udi::cuda {

// Up to three sums that lie side by side in a row of parts; a null one is left out.
struct ColumnSums {
  const float* parts;  // [blocks, count * width]
  int64_t blocks;
  int32_t count, width;
  float* out[3];  // [width] each: added to
};

constexpr int kColumnGroups = 8;  // warps of a block, each with every eighth part

static __global__ void __launch_bounds__(kLanes* kColumnGroups) add_columns(ColumnSums k) {
  __shared__ float group_sums[kColumnGroups][kLanes];
  const int lane = threadIdx.x % kLanes, group = threadIdx.x / kLanes;
  const int64_t columns = int64_t(k.count) * k.width, column = int64_t(blockIdx.x) * kLanes + lane;
  float sum = 0;
  if (column < columns) {
#pragma unroll 8
    for (int64_t block = group; block < k.blocks; block += kColumnGroups) sum += k.parts[block * columns + column];
  }
  group_sums[group][lane] = sum;
  __syncthreads();
  if (group != 0 || column >= columns) return;
  float total = 0;
  for (int g = 0; g < kColumnGroups; ++g) total += group_sums[g][lane];
  float* const out = k.out[column / k.width];
  if (out) out[column % k.width] += total;
}

inline udi_cuda_status launch_add_columns(const ColumnSums& sums, Stream stream) {
  const int64_t columns = int64_t(sums.count) * sums.width;
  return launch(add_columns, dim3(unsigned(ceil_div(columns, kLanes))), kLanes * kColumnGroups, stream, sums);
}

}  // namespace udi::cuda
