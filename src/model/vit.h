// The vision transformer of DINO with any number of class tokens (official: vision_transformer.py), forward and
// backward.
#pragma once

#include <functional>
#include <vector>

#include "model/attention.h"
#include "model/buffer.h"
#include "model/ops.h"
#include "model/parameters.h"

namespace udi {

enum class Pixels {
  kRaw,         // uint8 0..255 or float 0..1: mean and std of the model are applied here
  kNormalized,  // float, normalised already
};

// Of a batch of images of one size.
struct VitOptions {
  // Only class tokens are wanted: the last block computes query, projection and MLP for these alone (the same values).
  bool class_tokens_only = false;
  bool keep_for_backward = false;  // the same for all batches of a pass
  Pixels pixels = Pixels::kRaw;
  // [depth, 2, B], weights' dtype: what the attention (0) and the MLP branch (1) of each block and image is multiplied
  // by: 0 where the path is dropped, else 1 / (1 - rate). Undefined: no stochastic depth.
  at::Tensor drop_path;
  // If not null: gets the tokens after each block, [B, T, D], un-normed (not with class_tokens_only).
  std::vector<at::Tensor>* blocks = nullptr;
  // If not null: gets the softmaxed attention of the last block, [B, heads, Q, T]; Q is T, or class_tokens.
  at::Tensor* attention = nullptr;
};

struct VitBatch {
  at::Tensor images;  // [B, C, H, W], uint8 or the weights' dtype, H and W multiples of patch_size (UDI_E_SHAPE)
  VitOptions options;
};

// Both live in the Vit's buffers: valid until its next forward. As gradients: either may be undefined.
struct VitOutput {
  at::Tensor tokens;  // [B, T, D]: after the last block, not normed; T = class_tokens + patches, or class_tokens alone
  at::Tensor cls;     // [B, class_tokens, D]: after the final norm
};

// Weights and working memory of one pass at a time. The memory is kept from call to call and grows to the largest.
class Vit {
 public:
  // Copies handles: `weights` may be updated in place and go on to be used.
  Vit(const udi_model_config& config, const Parameters& weights);

  // Batches of several sizes in one pass: every linear layer, norm and GELU is one call over the tokens of all of them.
  // An image's tokens depend on the image alone, but for rounding; where all products are those of packed.h, to the
  // bit.
  std::vector<VitOutput> forward(const std::vector<VitBatch>& batches);
  VitOutput forward(const at::Tensor& images, const VitOptions& options) {
    return forward(std::vector<VitBatch>{{images, options}})[0];
  }

  // After a forward with keep_for_backward: adds the gradients of all weights to `grads`, given those of the outputs of
  // each batch. Uses up what forward kept. after_block, if given, is told each block whose gradients, and those of all
  // that is behind it, have been added: the last one first.
  using AfterBlock = std::function<void(size_t block)>;
  void backward(const std::vector<VitOutput>& d_outputs, const VitWeights& grads, const AfterBlock& after_block = {});
  void backward(const at::Tensor& d_tokens, const at::Tensor& d_cls, const VitWeights& grads,
                const AfterBlock& after_block = {}) {
    backward(std::vector<VitOutput>{{d_tokens, d_cls}}, grads, after_block);
  }

 private:
  // One block's working memory; with keep_for_backward each block has its own. R rows: the tokens of all images; Q
  // rows: those that ask, which are fewer in a last block of which some batch wants class tokens alone. x and its like
  // are M, the rest T.
  struct Block {
    Buffer x, statistics1, y1;   // input, after norm1: [R, D]
    Buffer x_asking, y1_asking;  // the same for the rows that ask, where these are not all
    Buffer qkv, query;           // [R, 3 D]; or [R, 2 D] (key, value) and [Q, D]
    AttentionMemory attention;
    at::Tensor mixed;               // [Q, D], what attention gave
    Buffer x_mid, statistics2, y2;  // after the attention's branch, after norm2: [Q, D]
    Buffer hidden;                  // before GELU: [Q, hidden]
    at::Tensor scale1, scale2;      // of drop path: an image's, or of several batches each row's
  };
  struct Grid {
    int64_t rows, columns;  // of patches
  };

  void check_batches(const std::vector<VitBatch>& batches) const;
  void pack(const std::vector<VitBatch>& batches);
  void embed(const std::vector<VitBatch>& batches);
  void embed_backward(const VitWeights& grads);
  int64_t patches_in(size_t batch) const;
  at::Tensor drop_path_of(const std::vector<VitBatch>& batches, const Packing& packing, Buffer& memory) const;

  void block_forward(size_t index, const std::vector<VitBatch>& batches);
  void attend(size_t index, const std::vector<VitBatch>& batches);
  HeadRows heads_of(const at::Tensor& qkv, const at::Tensor& query, bool all_ask) const;
  BranchGradient branch_gradient(const at::Tensor& scale, const at::Tensor& d_bias);
  void block_backward(size_t index, const VitWeights& all_grads);
  void attend_backward(size_t index, const BlockWeights& grads);
  Block& block_of(size_t index) { return blocks_[kept_ ? index : 0]; }
  const Packing& packing_of(size_t index) const { return index + 1 == blocks_.size() ? last_ : all_; }

  udi_model_config config_;
  VitWeights weights_;
  at::TensorOptions master_, activations_;  // M and T
  std::vector<Grid> grids_;                 // of each batch
  Packing all_, last_, classes_;            // all tokens ask; those that ask in the last block; class tokens alone
  at::Tensor factors_, last_factors_;       // of drop path
  bool kept_ = false;
  std::vector<Block> blocks_;
  Buffer patches_, embedded_, branch_, gelu_, output_, cls_rows_, cls_, cls_statistics_;
  Buffer factors_memory_, last_factors_memory_;
  Buffer d_x_, d_x_all_, d_rows_, d_y_, d_hidden_, d_qkv_, d_query_;
};

// The position embedding for a grid of rows x columns patches, [class_tokens + rows * columns, D]: as it is for the
// model's own grid, else through the official bicubic interpolation, whose scale is (rows + 0.1) / own rows.
at::Tensor interpolate_position(const udi_model_config& config, const at::Tensor& pos_embed, int64_t rows,
                                int64_t columns);
// Adds its gradient to d_pos_embed.
void interpolate_position_backward(const udi_model_config& config, const at::Tensor& d_position, int64_t rows,
                                   int64_t columns, const at::Tensor& d_pos_embed);

}  // namespace udi
