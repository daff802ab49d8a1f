#include "model/vit.h"

#include "base/error.h"
#include "model/config.h"
#include "model/ops.h"

namespace udi {

namespace {

void add_linear_gradients(const at::Tensor& d_out, const at::Tensor& x, const LinearWeights& grads) {
  linear_weight_gradient(d_out, x, grads.weight);
  bias_gradient(d_out, grads.bias);
}

// The first `count` tokens of each image.
at::Tensor first_tokens(const at::Tensor& rows, int64_t images, int64_t count) {
  return rows.view({images, -1, rows.size(1)}).narrow(1, 0, count);
}

}  // namespace

Vit::Vit(const udi_model_config& config, const Parameters& weights)
    : config_(config),
      weights_(weights.vit),
      master_(weights.flat.options()),
      activations_(master_.dtype(weights.precision())),
      blocks_(size_t(config.depth)) {}

// ---- Forward -----------------------------------------------------------------------------------------------------

VitOutput Vit::forward(const at::Tensor& images, const VitOptions& options) {
  check(!options.blocks || !options.class_tokens_only, UDI_E_INTERNAL, "blocks hold all tokens");
  const int64_t classes = config_.class_tokens, dim = config_.embed_dim;
  kept_ = options.keep_for_backward;
  embed(images, options.pixels);
  const at::Tensor& x = *blocks_[0].x;
  norm_forward(x, weights_.blocks[0].norm1, blocks_[0].y1.make(x.sizes(), activations_),
               blocks_[0].statistics1.make({x.size(0), 2}, master_));
  for (size_t i = 0; i < blocks_.size(); ++i) block_forward(i, options);

  const at::Tensor output = (*output_).view({shape_.images, -1, dim});
  const at::Tensor& cls_rows = cls_rows_.make({shape_.images * classes, dim}, master_);
  cls_rows.view({shape_.images, classes, dim}).copy_(output.narrow(1, 0, classes));
  const at::Tensor& cls = cls_.make({shape_.images * classes, dim}, master_);
  norm_forward(cls_rows, weights_.norm, cls, cls_statistics_.make({cls.size(0), 2}, master_));
  return {output, cls.view({shape_.images, classes, dim})};
}

// Patches, class tokens and positions into the first block's x.
void Vit::embed(const at::Tensor& images, Pixels pixels) {
  check(images.dim() == 4, UDI_E_SHAPE, "images have ", images.dim(), " dimensions, must have 4: [B, C, H, W]");
  check(images.size(0) >= 1, UDI_E_SHAPE, "there are no images");
  check(images.size(1) == config_.channels, UDI_E_SHAPE, "images have ", images.size(1), " channels, the model has ",
        config_.channels);
  const int64_t patch = config_.patch_size, classes = config_.class_tokens, dim = config_.embed_dim;
  for (int axis = 2; axis < 4; ++axis) {
    check(images.size(axis) >= patch && images.size(axis) % patch == 0, UDI_E_SHAPE, "images are ", images.size(2),
          " x ", images.size(3), " pixels; height and width must be multiples of patch_size, ", patch);
  }
  const int64_t rows = images.size(2) / patch, columns = images.size(3) / patch, count = rows * columns;
  shape_ = {images.size(0), rows, columns, classes + count};

  const at::Tensor& patches = patches_.make({shape_.images * count, weights_.patch_embed.weight.size(1)}, activations_);
  unfold_patches(images, config_, pixels == Pixels::kNormalized && images.scalar_type() != at::kByte, patches);
  const at::Tensor& embedded = embedded_.make({shape_.images * count, dim}, activations_);
  linear_without_bias(patches, weights_.patch_embed, embedded);

  const at::Tensor position = interpolate_position(config_, weights_.pos_embed, rows, columns);
  const at::Tensor x = blocks_[0].x.make({shape_.images * shape_.tokens, dim}, master_);
  const at::Tensor tokens = x.view({shape_.images, shape_.tokens, dim});
  tokens.narrow(1, 0, classes).copy_(weights_.cls_token + position.narrow(0, 0, classes));
  at::Tensor patch_tokens = tokens.narrow(1, classes, count);
  at::add_out(patch_tokens, embedded.view({shape_.images, count, dim}),
              position.narrow(0, classes, count) + weights_.patch_embed.bias);
}

// From x and y1 to the next block's x and y1, or to output_.
void Vit::block_forward(size_t index, const VitOptions& options) {
  const bool last = index + 1 == blocks_.size();
  const BlockWeights& weights = weights_.blocks[index];
  Block& block = block_of(index);
  block.class_tokens_only = last && options.class_tokens_only;
  block.scale1 = block.scale2 = at::Tensor();
  if (options.drop_path.defined()) {
    block.scale1 = options.drop_path.select(0, int64_t(index)).select(0, 0);
    block.scale2 = options.drop_path.select(0, int64_t(index)).select(0, 1);
  }
  attend(weights, block, kept_ || (last && options.attention));
  if (last && options.attention) *options.attention = (*block.probabilities).clone();

  const at::Tensor x = block.class_tokens_only ? *block.x_asking : *block.x;
  const at::Tensor& branch = branch_.make(x.sizes(), activations_);
  linear_without_bias(*block.mixed, weights.proj, branch);
  add_branch_norm(x, {branch, weights.proj.bias, block.scale1}, block.x_mid.make(x.sizes(), master_), weights.norm2,
                  block.y2.make(x.sizes(), activations_), block.statistics2.make({x.size(0), 2}, master_));

  const at::Tensor& hidden = block.hidden.make({x.size(0), weights.fc1.weight.size(0)}, activations_);
  const at::Tensor active = kept_ ? gelu_.make(hidden.sizes(), activations_) : hidden;
  linear_gelu(*block.y2, weights.fc1, hidden, active);
  linear_without_bias(active, weights.fc2, branch);
  const Branch mlp = {branch, weights.fc2.bias, block.scale2};
  if (last) {
    add_branch(*block.x_mid, mlp, output_.make(x.sizes(), master_));
  } else {
    Block& next = block_of(index + 1);
    add_branch_norm(*block.x_mid, mlp, next.x.make(x.sizes(), master_), weights_.blocks[index + 1].norm1,
                    next.y1.make(x.sizes(), activations_), next.statistics1.make({x.size(0), 2}, master_));
  }
  if (options.blocks) {
    const at::Tensor& after = last ? *output_ : *block_of(index + 1).x;
    options.blocks->push_back(after.view({shape_.images, shape_.tokens, -1}).clone());
  }
}

// From y1 to mixed, the heads' outputs side by side.
void Vit::attend(const BlockWeights& weights, Block& block, bool keep_probabilities) {
  const int64_t dim = config_.embed_dim, images = shape_.images, all = images * shape_.tokens;
  const int64_t asking = block.class_tokens_only ? config_.class_tokens : shape_.tokens;
  if (block.class_tokens_only) {
    block.x_asking.make({images * asking, dim}, master_)
        .view({images, asking, dim})
        .copy_(first_tokens(*block.x, images, asking));
    block.y1_asking.make({images * asking, dim}, activations_)
        .view({images, asking, dim})
        .copy_(first_tokens(*block.y1, images, asking));
    linear(*block.y1_asking, part(weights.qkv, 0, dim), block.query.make({images * asking, dim}, activations_));
    linear(*block.y1, part(weights.qkv, dim, 2 * dim), block.qkv.make({all, 2 * dim}, activations_));
  } else {
    linear(*block.y1, weights.qkv, block.qkv.make({all, 3 * dim}, activations_));
  }
  at::Tensor probabilities;
  if (keep_probabilities) {
    probabilities = block.probabilities.make({images, config_.heads, asking, shape_.tokens}, activations_);
  }
  attention_forward(heads_of(*block.qkv, *block.query, block.class_tokens_only), probabilities,
                    block.mixed.make({images * asking, dim}, activations_).view({images, asking, dim}));
}

Heads Vit::heads_of(const at::Tensor& qkv, const at::Tensor& query, bool class_tokens_only) const {
  const at::Tensor packed = qkv.view({shape_.images, shape_.tokens, -1});
  const int64_t heads = config_.heads;
  if (!class_tokens_only) {
    return {split_heads(packed, 3, 0, heads), split_heads(packed, 3, 1, heads), split_heads(packed, 3, 2, heads)};
  }
  const at::Tensor asking = query.view({shape_.images, config_.class_tokens, -1});
  return {split_heads(asking, 1, 0, heads), split_heads(packed, 2, 0, heads), split_heads(packed, 2, 1, heads)};
}

// ---- Backward ----------------------------------------------------------------------------------------------------

void Vit::backward(const at::Tensor& d_tokens, const at::Tensor& d_cls, const VitWeights& grads,
                   const AfterBlock& after_block) {
  check(kept_, UDI_E_INTERNAL, "backward needs a forward pass that kept what it needs");
  kept_ = false;
  const at::Tensor& d_x = d_x_.make((*output_).sizes(), master_);
  if (d_tokens.defined()) {
    d_x.view_as(d_tokens).copy_(d_tokens);
  } else {
    d_x.zero_();
  }
  if (d_cls.defined()) {
    const at::Tensor d_cls_rows = at::zeros_like(*cls_rows_);
    norm_backward(d_cls.reshape(d_cls_rows.sizes()), *cls_rows_, *cls_statistics_, weights_.norm, d_cls_rows,
                  grads.norm);
    first_tokens(d_x, shape_.images, config_.class_tokens).add_(d_cls_rows.view(d_cls.sizes()));
  }
  for (size_t i = blocks_.size(); i-- > 0;) {
    block_backward(i, grads.blocks[i]);
    if (after_block) after_block(i);
  }
  embed_backward(grads);
}

// d_x_ goes from the block's output to its input.
void Vit::block_backward(size_t index, const BlockWeights& grads) {
  const BlockWeights& weights = weights_.blocks[index];
  Block& block = blocks_[index];
  const at::Tensor d_x = *d_x_;
  // What enters a branch from behind: d_x itself where nothing scales or rounds it.
  const auto branch_gradient = [&](const at::Tensor& scale) {
    const bool same = !scale.defined() && activations_.dtype() == master_.dtype();
    return same ? d_x : d_rows_.make(d_x.sizes(), activations_);
  };

  at::Tensor d_rows = branch_gradient(block.scale2);
  branch_backward(d_x, block.scale2, d_rows, grads.fc2.bias);
  const at::Tensor& d_hidden = d_hidden_.make((*block.hidden).sizes(), activations_);
  linear_input_gradient(d_rows, weights.fc2, d_hidden);
  gelu_backward(*block.hidden, d_hidden, grads.fc1.bias);  // hidden holds GELU's output from here on
  linear_weight_gradient(d_rows, *block.hidden, grads.fc2.weight);
  linear_weight_gradient(d_hidden, *block.y2, grads.fc1.weight);
  const at::Tensor& d_y2 = d_y_.make(d_x.sizes(), activations_);
  linear_input_gradient(d_hidden, weights.fc1, d_y2);
  norm_backward(d_y2, *block.x_mid, *block.statistics2, weights.norm2, d_x, grads.norm2);

  d_rows = branch_gradient(block.scale1);
  branch_backward(d_x, block.scale1, d_rows, grads.proj.bias);
  linear_weight_gradient(d_rows, *block.mixed, grads.proj.weight);
  linear_input_gradient(d_rows, weights.proj, d_y_.make(d_x.sizes(), activations_));
  attend_backward(weights, block, grads);
  norm_backward(*d_y_, *block.x, *block.statistics1, weights.norm1, *d_x_, grads.norm1);
}

// d_y_ goes from mixed to y1; d_x_ grows to all tokens.
void Vit::attend_backward(const BlockWeights& weights, Block& block, const BlockWeights& grads) {
  const int64_t dim = config_.embed_dim, images = shape_.images;
  const at::Tensor& d_qkv = d_qkv_.make((*block.qkv).sizes(), activations_);
  const at::Tensor d_query =
      block.class_tokens_only ? d_query_.make((*block.query).sizes(), activations_) : at::Tensor();
  attention_backward(heads_of(*block.qkv, *block.query, block.class_tokens_only), *block.probabilities,
                     (*d_y_).view({images, -1, dim}), heads_of(d_qkv, d_query, block.class_tokens_only));
  if (!block.class_tokens_only) {
    add_linear_gradients(d_qkv, *block.y1, grads.qkv);
    linear_input_gradient(d_qkv, weights.qkv, d_y_.make((*block.y1).sizes(), activations_));
    return;
  }
  add_linear_gradients(d_query, *block.y1_asking, part(grads.qkv, 0, dim));
  add_linear_gradients(d_qkv, *block.y1, part(grads.qkv, dim, 2 * dim));
  const at::Tensor& d_y1 = d_y_.make((*block.y1).sizes(), activations_);
  linear_input_gradient(d_qkv, part(weights.qkv, dim, 2 * dim), d_y1);
  first_tokens(d_y1, images, config_.class_tokens)
      .add_(at::mm(d_query, weights.qkv.weight.narrow(0, 0, dim)).view({images, -1, dim}));

  const at::Tensor& d_x_all = d_x_all_.make((*block.x).sizes(), master_).zero_();
  first_tokens(d_x_all, images, config_.class_tokens).copy_((*d_x_).view({images, -1, dim}));
  std::swap(d_x_, d_x_all_);
}

void Vit::embed_backward(const VitWeights& grads) {
  const int64_t classes = config_.class_tokens, dim = config_.embed_dim, count = shape_.tokens - classes;
  const at::Tensor d_tokens = (*d_x_).view({shape_.images, shape_.tokens, dim});
  const at::Tensor sum = d_tokens.sum(0);
  interpolate_position_backward(config_, sum, shape_.rows, shape_.columns, grads.pos_embed);
  grads.cls_token.add_(sum.narrow(0, 0, classes));
  grads.patch_embed.bias.add_(sum.narrow(0, classes, count).sum(0));
  (*embedded_).view({shape_.images, count, dim}).copy_(d_tokens.narrow(1, classes, count));
  linear_weight_gradient(*embedded_, *patches_, grads.patch_embed.weight);
}

// ---- Position embedding ------------------------------------------------------------------------------------------

namespace {

// Official: interpolate_pos_encoding. It adds 0.1 against rounding, and PyTorch samples with the scale it was passed.
double position_scale(int64_t extent, int64_t own) { return (double(extent) + 0.1) / double(own); }

}  // namespace

at::Tensor interpolate_position(const udi_model_config& config, const at::Tensor& pos_embed, int64_t rows,
                                int64_t columns) {
  const int64_t own = grid_size(config), classes = config.class_tokens, dim = config.embed_dim;
  const at::Tensor table = pos_embed.view({-1, dim});
  if (rows == own && columns == own) return table;
  const at::Tensor grid = table.narrow(0, classes, own * own).view({1, own, own, dim}).permute({0, 3, 1, 2});
  const at::Tensor scaled =
      at::upsample_bicubic2d(grid, {rows, columns}, false, position_scale(rows, own), position_scale(columns, own));
  return at::cat({table.narrow(0, 0, classes), scaled.permute({0, 2, 3, 1}).reshape({rows * columns, dim})});
}

void interpolate_position_backward(const udi_model_config& config, const at::Tensor& d_position, int64_t rows,
                                   int64_t columns, const at::Tensor& d_pos_embed) {
  const int64_t own = grid_size(config), classes = config.class_tokens, dim = config.embed_dim;
  const at::Tensor d_table = d_pos_embed.view({-1, dim});
  if (rows == own && columns == own) {
    d_table.add_(d_position);
    return;
  }
  d_table.narrow(0, 0, classes).add_(d_position.narrow(0, 0, classes));
  const at::Tensor d_scaled =
      d_position.narrow(0, classes, rows * columns).view({1, rows, columns, dim}).permute({0, 3, 1, 2}).contiguous();
  const at::Tensor d_grid = at::upsample_bicubic2d_backward(d_scaled, {rows, columns}, {1, dim, own, own}, false,
                                                            position_scale(rows, own), position_scale(columns, own));
  d_table.narrow(0, classes, own * own).add_(d_grid.permute({0, 2, 3, 1}).reshape({own * own, dim}));
}

}  // namespace udi
