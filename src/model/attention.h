// Softmax attention over given queries, keys and values, forward and backward.
#pragma once

#include "model/aten.h"
#include "model/buffer.h"

namespace udi {

// All of shape [B, heads, rows, d] with d contiguous, any strides else: views of packed projections work without a copy.
struct AttentionInput {
  at::Tensor query, key, value;
};

// out: [B, Q, heads * d], contiguous. probabilities: [B, heads, Q, T], contiguous: softmax(query key^T / sqrt(d)), which
// the backward pass needs.
void attention_forward(const AttentionInput& in, const at::Tensor& probabilities, const at::Tensor& out);

// d_in gets the gradients (written, not added to), each shaped and possibly strided like the input it belongs to.
// probabilities are used up: their memory is written over.
void attention_backward(const AttentionInput& in, const at::Tensor& probabilities, const at::Tensor& out,
                        const at::Tensor& d_out, const AttentionInput& d_in);

}  // namespace udi
