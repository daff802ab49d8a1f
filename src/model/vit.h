// The vision transformer of DINO with any number of class tokens (official: vision_transformer.py), forward and backward.
#pragma once

#include <vector>

#include "model/attention.h"
#include "model/buffer.h"
#include "model/parameters.h"

namespace udi {

enum class Pixels {
  kRaw,         // uint8 0..255 or float 0..1: mean and std of the model are applied here
  kNormalized,  // float, normalised already
};

struct VitOptions {
  // Only class tokens are wanted: the last block computes query, projection and MLP for these alone (the same values).
  bool class_tokens_only = false;
  bool keep_for_backward = false;
  Pixels pixels = Pixels::kRaw;
  // [depth, 2, B], weights' dtype: what the attention (0) and the MLP branch (1) of each block and image is multiplied by:
  // 0 where the path is dropped, else 1 / (1 - rate). Undefined: no stochastic depth.
  at::Tensor drop_path;
  // If not null: gets the tokens after each block, [B, T, D], un-normed (not with class_tokens_only).
  std::vector<at::Tensor>* blocks = nullptr;
  // If not null: gets the softmaxed attention of the last block, [B, heads, Q, T]; Q is T, or class_tokens.
  at::Tensor* attention = nullptr;
};

// Both live in the Vit's buffers: valid until its next forward.
struct VitOutput {
  at::Tensor tokens;  // [B, T, D]: after the last block, not normed; T = class_tokens + patches, or class_tokens alone
  at::Tensor cls;     // [B, class_tokens, D]: after the final norm
};

// Weights and working memory of one pass at a time. The memory is kept from call to call and grows to the largest.
class Vit {
 public:
  // Copies handles: `weights` may be updated in place and go on to be used.
  Vit(const udi_model_config& config, const Parameters& weights);

  // images: [B, C, H, W], uint8 or the weights' dtype, H and W multiples of patch_size (UDI_E_SHAPE).
  VitOutput forward(const at::Tensor& images, const VitOptions& options);

  // After a forward with keep_for_backward: adds the gradients of all weights to `grads`, given those of the outputs
  // (either may be undefined). Uses up what forward kept.
  void backward(const at::Tensor& d_tokens, const at::Tensor& d_cls, const VitWeights& grads);

 private:
  struct Block;  // what one block keeps for backward

  at::Tensor embed(const at::Tensor& images, Pixels pixels);
  void embed_backward(const at::Tensor& dx, const VitWeights& grads);

  udi_model_config config_;
  VitWeights weights_;
};

// The position embedding for a grid of rows x cols patches, [class_tokens + rows * cols, D]: as it is for the model's own
// grid, else through the official bicubic interpolation, whose scale is (rows + 0.1) / own rows.
at::Tensor interpolate_position(const udi_model_config& config, const at::Tensor& pos_embed, int64_t rows, int64_t cols);
// Adds the gradient of the above to d_pos_embed, given d [class_tokens + rows * cols, D].
void interpolate_position_backward(const udi_model_config& config, const at::Tensor& d, int64_t rows, int64_t cols,
                                   const at::Tensor& d_pos_embed);

}  // namespace udi
