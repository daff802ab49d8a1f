// The prototypes' weight normalisation: W = g v / |v|, row by row, and the way back.
#pragma once

#include "kernels.h"

namespace udi::cuda {

struct WeightNormArgs {
  int64_t rows;    // K >= 0
  int32_t dim;     // D, 1 to 65536; multiples of 4 move 16 bytes of float32 at a time
  Type out_type;   // of out
  const float* v;  // [K, D]; a row of zeros gives NaN, as the official code does
  const float* g;  // [K]
  void* out;       // [K, D]
};
udi_cuda_status launch_weight_norm(const WeightNormArgs& args, Stream stream);

// d_v and d_g from the gradient of W: d_g = d (v / |v|), d_v = (d - d_g v / |v|) g / |v|.
struct WeightNormBackwardArgs {
  int64_t rows;
  int32_t dim;
  const float *v, *g;  // as forward's
  float* d;            // [K, D]: gradient of W -> of v
  float* d_g;          // [K], added to
};
udi_cuda_status launch_weight_norm_backward(const WeightNormBackwardArgs& args, Stream stream);

}  // namespace udi::cuda
