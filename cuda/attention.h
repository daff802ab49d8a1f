// Softmax attention over packed crops of different lengths, forward and backward, without a matrix of queries times
// keys in memory. In 16 bits by tensor cores (sums, softmax and gradients in float32 registers; probabilities and their
// gradients are rounded to 16 bits before they enter the second products), in float32 by plain arithmetic.
#pragma once

#include "kernels.h"

namespace udi::cuda {

// Rows of all crops lie one behind the other; a row holds its heads side by side, head h in columns h dim to (h + 1)
// dim. For every crop and head: out = softmax(query key^T / sqrt(dim)) value. A crop's lengths may be anything from 0;
// queries of a crop without keys give 0. Pointers and strides that are multiples of 16 bytes take the fast path.
struct AttentionArgs {
  int64_t queries, keys;       // rows of all crops, 0 to 2,147,483,647 each
  int32_t crops;               // C >= 0
  int32_t heads;               // H, 1 to 65535
  int32_t dim;                 // of a head: a multiple of 8 up to 128; 64 is fastest, others cost what 64 or 128 cost
  Type type;                   // of all matrices
  const int32_t* query_begin;  // [C + 1]: first row of each crop, in order, from 0 to `queries`
  const int32_t* key_begin;    // [C + 1]: likewise, to `keys`
  const void *query, *key, *value;  // [queries, H dim], [keys, H dim], [keys, H dim]: rows may lie further apart
  int64_t query_stride;             // from one row of query to the next, in numbers; at least H dim
  int64_t key_stride;               // of key and of value
  void* out;                        // [queries, H dim], dense
  float* log_sum;                   // [H, queries]: log2 of the sum over keys of exp(query key / sqrt(dim)), for the
                                    // way back; null: not wanted
};
udi_cuda_status launch_attention(const AttentionArgs& args, Stream stream);

// Gradients are written, not added to, and lie in memory of their own. Two passes, one over queries, one over keys,
// each of which makes the probabilities anew: every number is summed by one warp in one order.
struct AttentionBackwardArgs {
  AttentionArgs forward;  // as launch_attention had them; out and log_sum as it left them
  const void* d_out;      // [queries, H dim], dense
  void* d_query;          // strided like query
  void *d_key, *d_value;  // strided like key and value
  float* workspace;       // attention_workspace(heads, queries) floats
};
udi_cuda_status launch_attention_backward(const AttentionBackwardArgs& args, Stream stream);

constexpr int64_t attention_workspace(int64_t heads, int64_t queries) { return heads * queries; }

}  // namespace udi::cuda
