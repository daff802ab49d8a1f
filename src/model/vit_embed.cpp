// The way into the first block and back: batches of images as rows of tokens, positions, drop path.
#include "base/error.h"
#include "model/config.h"
#include "model/ops.h"
#include "model/vit.h"

namespace udi {

void Vit::check_batches(const std::vector<VitBatch>& batches) const {
  check(!batches.empty(), UDI_E_SHAPE, "there are no images");
  const int64_t patch = config_.patch_size;
  for (const VitBatch& batch : batches) {
    const at::Tensor& images = batch.images;
    const VitOptions& options = batch.options;
    check(!options.blocks || !options.class_tokens_only, UDI_E_INTERNAL, "blocks hold all tokens");
    check(options.keep_for_backward == batches[0].options.keep_for_backward, UDI_E_INTERNAL,
          "a pass is kept for all its batches or for none");
    check(images.dim() == 4, UDI_E_SHAPE, "images have ", images.dim(), " dimensions, must have 4: [B, C, H, W]");
    check(images.size(0) >= 1, UDI_E_SHAPE, "there are no images");
    check(images.size(1) == config_.channels, UDI_E_SHAPE, "images have ", images.size(1), " channels, the model has ",
          config_.channels);
    for (int axis = 2; axis < 4; ++axis) {
      check(images.size(axis) >= patch && images.size(axis) % patch == 0, UDI_E_SHAPE, "images are ", images.size(2),
            " x ", images.size(3), " pixels; height and width must be multiples of patch_size, ", patch);
    }
  }
}

void Vit::pack(const std::vector<VitBatch>& batches) {
  const int64_t patch = config_.patch_size, classes = config_.class_tokens;
  std::vector<Segment> all, last, class_tokens;
  grids_.clear();
  for (const VitBatch& batch : batches) {
    const int64_t images = batch.images.size(0), rows = batch.images.size(2) / patch;
    const int64_t columns = batch.images.size(3) / patch, tokens = classes + rows * columns;
    grids_.push_back({rows, columns});
    all.push_back({images, tokens, tokens});
    last.push_back({images, tokens, batch.options.class_tokens_only ? classes : tokens});
    class_tokens.push_back({images, classes, classes});
  }
  all_.make(all, master_.device());
  last_.make(last, master_.device());
  classes_.make(class_tokens, master_.device());
}

// Patches, class tokens and positions into the first block's x.
void Vit::embed(const std::vector<VitBatch>& batches) {
  const int64_t classes = config_.class_tokens, dim = config_.embed_dim;
  int64_t all_patches = 0;
  for (size_t i = 0; i < batches.size(); ++i) all_patches += patches_in(i);
  const at::Tensor& patches = patches_.make({all_patches, weights_.patch_embed.weight.size(1)}, activations_);
  int64_t first = 0;
  for (size_t i = 0; i < batches.size(); ++i) {
    const at::Tensor& images = batches[i].images;
    const bool normalized = batches[i].options.pixels == Pixels::kNormalized && images.scalar_type() != at::kByte;
    unfold_patches(images, config_, normalized, patches.narrow(0, first, patches_in(i)));
    first += patches_in(i);
  }
  const at::Tensor& embedded = embedded_.make({all_patches, dim}, activations_);
  linear_without_bias(patches, weights_.patch_embed, embedded);

  const at::Tensor& x = blocks_[0].x.make({all_.rows(), dim}, master_);
  first = 0;
  for (size_t i = 0; i < batches.size(); ++i) {
    const at::Tensor tokens = all_.tokens_of(i, x);
    const int64_t count = tokens.size(1) - classes;
    const at::Tensor position = interpolate_position(config_, weights_.pos_embed, grids_[i].rows, grids_[i].columns);
    tokens.narrow(1, 0, classes).copy_(weights_.cls_token + position.narrow(0, 0, classes));
    at::Tensor patch_tokens = tokens.narrow(1, classes, count);
    at::add_out(patch_tokens, embedded.narrow(0, first, patches_in(i)).view({tokens.size(0), count, dim}),
                position.narrow(0, classes, count) + weights_.patch_embed.bias);
    first += patches_in(i);
  }
}

void Vit::embed_backward(const VitWeights& grads) {
  const int64_t classes = config_.class_tokens, dim = config_.embed_dim;
  int64_t first = 0;
  for (size_t i = 0; i < grids_.size(); ++i) {
    const at::Tensor d_tokens = all_.tokens_of(i, *d_x_);
    const int64_t count = d_tokens.size(1) - classes;
    const at::Tensor sum = d_tokens.sum(0);
    interpolate_position_backward(config_, sum, grids_[i].rows, grids_[i].columns, grads.pos_embed);
    grads.cls_token.add_(sum.narrow(0, 0, classes));
    grads.patch_embed.bias.add_(sum.narrow(0, classes, count).sum(0));
    (*embedded_)
        .narrow(0, first, patches_in(i))
        .view({d_tokens.size(0), count, dim})
        .copy_(d_tokens.narrow(1, classes, count));
    first += patches_in(i);
  }
  linear_weight_gradient(*embedded_, *patches_, grads.patch_embed.weight);
}

int64_t Vit::patches_in(size_t batch) const {
  return all_.segments()[batch].images * grids_[batch].rows * grids_[batch].columns;
}

// [depth, 2, B] of the only batch; of several each row's own, [depth, 2, asking], as images have not the same number.
at::Tensor Vit::drop_path_of(const std::vector<VitBatch>& batches, const Packing& packing, Buffer& memory) const {
  bool any = false;
  for (const VitBatch& batch : batches) any = any || batch.options.drop_path.defined();
  if (!any || batches.size() == 1) return batches[0].options.drop_path;
  const int64_t depth = config_.depth;
  const at::Tensor factors = memory.make({depth, 2, packing.asking()}, master_);
  for (size_t i = 0; i < batches.size(); ++i) {
    const at::Tensor of_batch = packing.asking_of(i, factors.permute({2, 0, 1}));  // [B, asking, depth, 2]
    const at::Tensor& given = batches[i].options.drop_path;
    if (given.defined()) {
      of_batch.copy_(given.permute({2, 0, 1}).unsqueeze(1));
    } else {
      of_batch.fill_(1);
    }
  }
  return factors;
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
  const int64_t own = grid_size(config), classes = config.class_tokens;
  const at::Tensor d_table = d_pos_embed.view({-1, config.embed_dim});
  if (rows == own && columns == own) {
    d_table.add_(d_position);
    return;
  }
  d_table.narrow(0, 0, classes).add_(d_position.narrow(0, 0, classes));
  // [own * own, rows * columns], what each place of the grid weighs in each that was made of it, and one product: PyTorch's
  // own gradient adds up by atomics on CUDA, in any order.
  const at::Tensor ones = at::eye(own * own, d_position.options()).view({1, own * own, own, own});
  const at::Tensor weights =
      at::upsample_bicubic2d(ones, {rows, columns}, false, position_scale(rows, own), position_scale(columns, own))
          .view({own * own, rows * columns});
  d_table.narrow(0, classes, own * own).addmm_(weights, d_position.narrow(0, classes, rows * columns));
}

}  // namespace udi
