#include "model/vit.h"

#include "base/error.h"
#include "model/ops.h"

namespace udi {

namespace {

void add_linear_gradients(const at::Tensor& d_out, const at::Tensor& x, const LinearWeights& grads) {
  linear_weight_gradient(d_out, x, grads.weight);
  bias_gradient(d_out, grads.bias);
}

}  // namespace

Vit::Vit(const udi_model_config& config, const Parameters& weights)
    : config_(config),
      weights_(weights.vit),
      master_(weights.flat.options()),
      activations_(master_.dtype(weights.precision())),
      blocks_(size_t(config.depth)) {}

// ---- Forward -----------------------------------------------------------------------------------------------------

std::vector<VitOutput> Vit::forward(const std::vector<VitBatch>& batches) {
  check_batches(batches);
  kept_ = batches[0].options.keep_for_backward;
  pack(batches);
  embed(batches);
  factors_ = drop_path_of(batches, all_, factors_memory_);
  last_factors_ = last_.all_ask() ? factors_ : drop_path_of(batches, last_, last_factors_memory_);
  const at::Tensor& x = *blocks_[0].x;
  norm_forward(x, weights_.blocks[0].norm1, blocks_[0].y1.make(x.sizes(), activations_),
               blocks_[0].statistics1.make({x.size(0), 2}, master_));
  for (size_t i = 0; i < blocks_.size(); ++i) block_forward(i, batches);

  const at::Tensor& cls_rows = cls_rows_.make({classes_.rows(), config_.embed_dim}, master_);
  const at::Tensor& cls = cls_.make(cls_rows.sizes(), master_);
  std::vector<VitOutput> outputs;
  for (size_t i = 0; i < batches.size(); ++i) {
    outputs.push_back({last_.asking_of(i, *output_), classes_.tokens_of(i, cls)});
    classes_.tokens_of(i, cls_rows).copy_(outputs[i].tokens.narrow(1, 0, config_.class_tokens));
  }
  norm_forward(cls_rows, weights_.norm, cls, cls_statistics_.make({cls.size(0), 2}, master_));
  return outputs;
}

// From x and y1 to the next block's x and y1, or to output_.
void Vit::block_forward(size_t index, const std::vector<VitBatch>& batches) {
  const bool last = index + 1 == blocks_.size();
  const BlockWeights& weights = weights_.blocks[index];
  Block& block = block_of(index);
  const at::Tensor& factors = last ? last_factors_ : factors_;
  block.scale1 = factors.defined() ? factors[int64_t(index)][0] : at::Tensor();
  block.scale2 = factors.defined() ? factors[int64_t(index)][1] : at::Tensor();
  attend(index, batches);

  const at::Tensor x = packing_of(index).all_ask() ? *block.x : *block.x_asking;
  const at::Tensor& branch = branch_.make(x.sizes(), activations_);
  linear_without_bias(block.mixed, weights.proj, branch);
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
  for (size_t i = 0; i < batches.size(); ++i) {
    if (!batches[i].options.blocks) continue;
    const at::Tensor& after = last ? *output_ : *block_of(index + 1).x;
    batches[i].options.blocks->push_back(packing_of(index).asking_of(i, after).clone());
  }
}

// From y1 to mixed, the heads' outputs side by side.
void Vit::attend(size_t index, const std::vector<VitBatch>& batches) {
  const int64_t dim = config_.embed_dim;
  const Packing& packing = packing_of(index);
  const BlockWeights& weights = weights_.blocks[index];
  Block& block = block_of(index);
  if (packing.all_ask()) {
    linear(*block.y1, weights.qkv, block.qkv.make({packing.rows(), 3 * dim}, activations_));
  } else {
    packing.copy_asking(*block.x, block.x_asking.make({packing.asking(), dim}, master_));
    packing.copy_asking(*block.y1, block.y1_asking.make({packing.asking(), dim}, activations_));
    linear(*block.y1_asking, part(weights.qkv, 0, dim), block.query.make({packing.asking(), dim}, activations_));
    linear(*block.y1, part(weights.qkv, dim, 2 * dim), block.qkv.make({packing.rows(), 2 * dim}, activations_));
  }
  std::vector<at::Tensor*> wanted(batches.size());
  AttentionKeeps keeps = kept_ ? AttentionKeeps::kForBackward : AttentionKeeps::kNothing;
  for (size_t i = 0; i < batches.size() && index + 1 == blocks_.size(); ++i) {
    wanted[i] = batches[i].options.attention;
    if (wanted[i]) keeps = AttentionKeeps::kProbabilities;
  }
  HeadRows heads = heads_of(*block.qkv, *block.query, packing.all_ask());
  heads.fewer_bits = weights.qkv.packed && weights.qkv.packed->narrow;
  block.mixed = attention_forward(packing, heads, keeps, block.attention);
  for (size_t i = 0; i < batches.size(); ++i) {
    if (wanted[i]) *wanted[i] = block.attention.probabilities_of(packing, i, config_.heads).clone();
  }
}

HeadRows Vit::heads_of(const at::Tensor& qkv, const at::Tensor& query, bool all_ask) const {
  const int64_t dim = config_.embed_dim, key = all_ask ? dim : 0;
  return {all_ask ? qkv.narrow(1, 0, dim) : query, qkv.narrow(1, key, dim), qkv.narrow(1, key + dim, dim),
          config_.heads};
}

// ---- Backward ----------------------------------------------------------------------------------------------------

void Vit::backward(const std::vector<VitOutput>& d_outputs, const VitWeights& grads, const AfterBlock& after_block) {
  check(kept_, UDI_E_INTERNAL, "backward needs a forward pass that kept what it needs");
  check(d_outputs.size() == grids_.size(), UDI_E_INTERNAL, "gradients of ", d_outputs.size(), " batches of ",
        grids_.size());
  kept_ = false;
  const at::Tensor& d_x = d_x_.make((*output_).sizes(), master_);
  const at::Tensor d_cls = at::zeros_like(*cls_rows_), d_cls_rows = at::zeros_like(*cls_rows_);
  for (size_t i = 0; i < d_outputs.size(); ++i) {
    const at::Tensor d_tokens = last_.asking_of(i, d_x);
    if (d_outputs[i].tokens.defined()) {
      d_tokens.copy_(d_outputs[i].tokens);
    } else {
      d_tokens.zero_();
    }
    if (d_outputs[i].cls.defined()) classes_.tokens_of(i, d_cls).copy_(d_outputs[i].cls);
  }
  norm_backward(d_cls, *cls_rows_, *cls_statistics_, weights_.norm, d_cls_rows, grads.norm);
  for (size_t i = 0; i < d_outputs.size(); ++i) {
    last_.asking_of(i, d_x).narrow(1, 0, config_.class_tokens).add_(classes_.tokens_of(i, d_cls_rows));
  }
  branch_backward(d_x, branch_gradient(blocks_.back().scale2, grads.blocks.back().fc2.bias));
  for (size_t i = blocks_.size(); i-- > 0;) {
    block_backward(i, grads);
    if (after_block) after_block(i);
  }
  embed_backward(grads);
}

// What enters a branch from behind: d_x_ itself where nothing scales or rounds it.
BranchGradient Vit::branch_gradient(const at::Tensor& scale, const at::Tensor& d_bias) {
  const bool same = !scale.defined() && activations_.dtype() == master_.dtype();
  return {scale, same ? *d_x_ : d_rows_.make((*d_x_).sizes(), activations_), d_bias};
}

// d_x_ goes from the block's output to its input. What enters its MLP from behind is there already, and is left for the
// block before it: each norm's pass goes on to the branch before the norm.
void Vit::block_backward(size_t index, const VitWeights& all_grads) {
  const BlockWeights &weights = weights_.blocks[index], &grads = all_grads.blocks[index];
  Block& block = blocks_[index];
  const at::Tensor d_x = *d_x_;

  at::Tensor d_rows = branch_gradient(block.scale2, grads.fc2.bias).rows;
  const at::Tensor& d_hidden = d_hidden_.make((*block.hidden).sizes(), activations_);
  linear_input_gradient(d_rows, weights.fc2, d_hidden);
  gelu_backward(*block.hidden, d_hidden, grads.fc1.bias);  // hidden holds GELU's output from here on
  linear_weight_gradient(d_rows, *block.hidden, grads.fc2.weight);
  linear_weight_gradient(d_hidden, *block.y2, grads.fc1.weight);
  const at::Tensor& d_y2 = d_y_.make(d_x.sizes(), activations_);
  linear_input_gradient(d_hidden, weights.fc1, d_y2);
  const BranchGradient attention = branch_gradient(block.scale1, grads.proj.bias);
  norm_branch_backward(d_y2, *block.x_mid, *block.statistics2, weights.norm2, d_x, grads.norm2, attention);

  d_rows = attention.rows;
  linear_weight_gradient(d_rows, block.mixed, grads.proj.weight);
  linear_input_gradient(d_rows, weights.proj, d_y_.make(d_x.sizes(), activations_));
  attend_backward(index, grads);
  if (index == 0) return norm_backward(*d_y_, *block.x, *block.statistics1, weights.norm1, *d_x_, grads.norm1);
  const BranchGradient before = branch_gradient(blocks_[index - 1].scale2, all_grads.blocks[index - 1].fc2.bias);
  norm_branch_backward(*d_y_, *block.x, *block.statistics1, weights.norm1, *d_x_, grads.norm1, before);
}

// d_y_ goes from mixed to y1; d_x_ grows to all tokens.
void Vit::attend_backward(size_t index, const BlockWeights& grads) {
  const int64_t dim = config_.embed_dim;
  const Packing& packing = packing_of(index);
  const BlockWeights& weights = weights_.blocks[index];
  Block& block = blocks_[index];
  const at::Tensor& d_qkv = d_qkv_.make((*block.qkv).sizes(), activations_);
  const at::Tensor d_query = packing.all_ask() ? at::Tensor() : d_query_.make((*block.query).sizes(), activations_);
  attention_backward(packing, heads_of(*block.qkv, *block.query, packing.all_ask()), block.attention, *d_y_,
                     heads_of(d_qkv, d_query, packing.all_ask()));
  if (packing.all_ask()) {
    add_linear_gradients(d_qkv, *block.y1, grads.qkv);
    linear_input_gradient(d_qkv, weights.qkv, d_y_.make((*block.y1).sizes(), activations_));
    return;
  }
  add_linear_gradients(d_query, *block.y1_asking, part(grads.qkv, 0, dim));
  add_linear_gradients(d_qkv, *block.y1, part(grads.qkv, dim, 2 * dim));
  const at::Tensor& d_y1 = d_y_.make((*block.y1).sizes(), activations_);
  linear_input_gradient(d_qkv, part(weights.qkv, dim, 2 * dim), d_y1);
  const at::Tensor d_y1_asking = at::empty_like(d_query);
  linear_input_gradient(d_query, part(weights.qkv, 0, dim), d_y1_asking);
  const at::Tensor& d_x_all = d_x_all_.make((*block.x).sizes(), master_).zero_();
  for (size_t i = 0; i < grids_.size(); ++i) {
    packing.asking_tokens_of(i, d_y1).add_(packing.asking_of(i, d_y1_asking));
    packing.asking_tokens_of(i, d_x_all).copy_(packing.asking_of(i, *d_x_));
  }
  std::swap(d_x_, d_x_all_);
}

}  // namespace udi
