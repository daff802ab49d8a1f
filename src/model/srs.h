// The SRS module ("MaskedAttention" of the official udi.py): patch tokens of one crop, asked at the places that another
// crop shows. A query is a bilinear mix of at most four tokens, so the official dense maps are four indices and
// weights: map (x Wq + b) = (map x) Wq + (sum of the map's row) b, and only the queries are projected.
#pragma once

#include "model/attention.h"
#include "model/buffer.h"
#include "model/parameters.h"

namespace udi {

// Q queries an image, each a weighted sum of K patch tokens. Rows beyond an image's own number carry weight 0 and any
// index in range: their outputs are finite and mean nothing; give them zero gradients.
struct SrsQueries {
  at::Tensor index;   // int64 [B, Q, K]: patch tokens, 0 the first after the class tokens
  at::Tensor weight;  // weights' dtype [B, Q, K]
};

class Srs {
 public:
  // Copies handles: `weights` may be updated in place and go on to be used.
  Srs(const udi_model_config& config, const Parameters& weights);

  // tokens: [B, T, D] as Vit gives them, class tokens first, un-normed. Returns [B, Q, D], valid until the next
  // forward. attention, if not null, gets the softmaxed attention [B, srs_heads, Q, N] of the N patch tokens.
  at::Tensor forward(const at::Tensor& tokens, const SrsQueries& queries, bool keep_for_backward,
                     at::Tensor* attention = nullptr);

  // After a forward with keep_for_backward: adds to the weights' gradients, and to d_tokens [B, T, D] the gradient of
  // the tokens (the class tokens' rows are left as they are).
  void backward(const at::Tensor& d_output, const SrsWeights& grads, const at::Tensor& d_tokens);

 private:
  Heads heads_of(const at::Tensor& query, const at::Tensor& key_value) const;

  udi_model_config config_;
  SrsWeights weights_;
  at::TensorOptions master_, activations_;
  at::Tensor index_, weight_, weight_sum_;  // of the queries: [B Q K], [B Q, K] in T, [B Q, 1] in T
  SrsQueries queries_;                      // for kernels
  int64_t images_ = 0, count_ = 0;          // N patch tokens an image
  bool kept_ = false;
  Buffer patches_, statistics1_, x_;       // [B N, D] before and after norm1
  Buffer gathered_, query_, key_value_;    // [B Q, D], [B Q, D], [B N, 2 D]
  Buffer probabilities_, mixed_, branch_;  // [B, heads, Q, N], [B Q, D]
  Buffer sum_, statistics_, output_;       // before and after the norm: [B Q, D]
  Buffer d_sum_, d_rows_, d_mixed_, d_query_, d_key_value_, d_gathered_, d_x_, d_patches_;
};

}  // namespace udi
