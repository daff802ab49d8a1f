// The sample maps of the SRS module: a query is a weighted sum of a few patch tokens of its image.
#pragma once

#include "kernels.h"

namespace udi::cuda {

// out[b, q] = sum over k of weight[b, q, k] x[b, index[b, q, k]]; a token outside 0 to N - 1 counts as none.
struct SrsGatherArgs {
  int64_t images;        // B >= 0
  int32_t tokens;        // N >= 1
  int32_t queries;       // Q >= 0
  int32_t taps;          // K >= 1: 4 for bilinear maps, 1 where a query is a token
  int32_t dim;           // D, 1 to 65536; multiples of 8 move 16 bytes at a time
  Type type;             // of x and out
  const void* x;         // [B, N, D]
  const int64_t* index;  // [B, Q, K]
  const float* weight;   // [B, Q, K]
  void* out;             // [B, Q, D]
  float*
      weight_sum;  // [B, Q]: sum over k of weight, which the bias of the projection is multiplied by; null: not wanted
};
udi_cuda_status launch_srs_gather(const SrsGatherArgs& args, Stream stream);

// d_x[b, n] += sum over all (q, k) with index[b, q, k] = n of weight[b, q, k] d_out[b, q], in order of (q, k): a warp
// goes through the list for each token, so that nothing is added atomically. Lists are short (Q K of some hundreds).
struct SrsScatterArgs {
  int64_t images;
  int32_t tokens, queries, taps, dim;
  Type type;             // of d_out and d_x
  const void* d_out;     // [B, Q, D]
  const int64_t* index;  // [B, Q, K]
  const float* weight;   // [B, Q, K]
  void* d_x;             // [B, N, D], added to
};
udi_cuda_status launch_srs_scatter(const SrsScatterArgs& args, Stream stream);

}  // namespace udi::cuda
