// Softmax attention over given queries, keys and values, forward and backward: of images of one size as [B, heads,
// rows, d] (attention.cpp), and of images of several sizes as rows of one matrix (attention_packed.cpp).
#pragma once

#include "model/aten.h"
#include "model/buffer.h"
#include "model/segments.h"

namespace udi {

// Each [B, heads, rows, d] with d contiguous and any strides else: views of packed projections work without a copy.
struct Heads {
  at::Tensor query, key, value;  // rows: Q of the query, T of key and value
  // On the CPU in float32: both products in bfloat16 where the processor has it (narrow.h), if no probabilities are
  // wanted.
  bool fewer_bits = false;
};

// [B, rows, parts * heads * d] -> parts views of [B, heads, rows, d], part p. The official packing: part, head, d.
at::Tensor split_heads(const at::Tensor& packed, int64_t parts, int64_t part, int64_t heads);

// out: [B, Q, heads * d], contiguous. probabilities: [B, heads, Q, T], contiguous: softmax(query key^T / sqrt(d)),
// which the backward pass needs. Undefined: not wanted, and on the CPU in float32 they exist for a few rows at a time.
void attention_forward(const Heads& in, const at::Tensor& probabilities, const at::Tensor& out);

// d_in gets the gradients (written, not added to), each shaped, and possibly strided, like the input it belongs to.
// The memory of the probabilities is used up.
void attention_backward(const Heads& in, const at::Tensor& probabilities, const at::Tensor& d_out, const Heads& d_in);

// Rows of a Packing, [rows, heads * d], with stride 1 of columns and any of rows: column ranges of projections work
// without a copy. Of the query those that ask alone.
struct HeadRows {
  at::Tensor query, key, value;
  int64_t heads;
  bool fewer_bits = false;  // as Heads'
};

// What a forward pass leaves behind: for the backward pass either probabilities or logarithms of their sums.
enum class AttentionKeeps { kNothing, kForBackward, kProbabilities };

// What all segments of a pass are attended with.
enum class AttentionWay {
  kSegments,  // one segment after the other: loops on the CPU, else products over [B, heads, Q, T]
  kKernels,   // those of libudi_cuda.so, where they are switched on: nothing of size Q T in memory
  kFlash,     // LibTorch's flash attention over sequences of several lengths: likewise
};

// A pass's result and what it keeps. The memory is used again by the next pass.
struct AttentionMemory {
  Buffer out;  // [asking rows, heads * d]
  AttentionWay way = AttentionWay::kSegments;
  Buffer probabilities;       // of each segment, one behind the other, [images, heads, asking, tokens]
  Buffer log_sum, workspace;  // of kernels
  at::Tensor flash_out, log_sum_exp, random_state, unused;  // LibTorch's flash attention's own

  // Of one segment, after a forward pass that kept them.
  at::Tensor probabilities_of(const Packing& packing, size_t segment, int64_t heads) const;
};

// Returns [asking rows, heads * d], contiguous, in `memory`.
at::Tensor attention_forward(const Packing& packing, const HeadRows& in, AttentionKeeps keeps, AttentionMemory& memory);

// After a forward pass that kept what is needed. d_in gets the gradients (written, not added to). Uses up what was
// kept.
void attention_backward(const Packing& packing, const HeadRows& in, AttentionMemory& memory, const at::Tensor& d_out,
                        const HeadRows& d_in);

}  // namespace udi
