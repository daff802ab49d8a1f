// Softmax attention over given queries, keys and values, forward and backward.
#pragma once

#include "model/aten.h"

namespace udi {

// Each [B, heads, rows, d] with d contiguous and any strides else: views of packed projections work without a copy.
struct Heads {
  at::Tensor query, key, value;  // rows: Q of the query, T of key and value
};

// [B, rows, parts * heads * d] -> parts views of [B, heads, rows, d], part p. The official packing: part, head, d.
at::Tensor split_heads(const at::Tensor& packed, int64_t parts, int64_t part, int64_t heads);

// out: [B, Q, heads * d], contiguous. probabilities: [B, heads, Q, T], contiguous: softmax(query key^T / sqrt(d)),
// which the backward pass needs. Undefined: not wanted, and on the CPU in float32 they exist for a few rows at a time.
void attention_forward(const Heads& in, const at::Tensor& probabilities, const at::Tensor& out);

// d_in gets the gradients (written, not added to), each shaped, and possibly strided, like the input it belongs to.
// The memory of the probabilities is used up.
void attention_backward(const Heads& in, const at::Tensor& probabilities, const at::Tensor& d_out, const Heads& d_in);

}  // namespace udi
