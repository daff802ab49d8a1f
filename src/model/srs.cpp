#include "model/srs.h"

#include "base/error.h"
#include "model/ops.h"
#include "model/srs_cuda.h"

namespace udi {

Srs::Srs(const udi_model_config& config, const Parameters& weights)
    : config_(config),
      weights_(weights.srs),
      master_(weights.flat.options()),
      activations_(master_.dtype(weights.precision())) {
  check(config.include_patch, UDI_E_INTERNAL, "this model has no SRS module");
}

Heads Srs::heads_of(const at::Tensor& query, const at::Tensor& key_value) const {
  const at::Tensor asking = query.view({images_, -1, config_.embed_dim});
  const at::Tensor packed = key_value.view({images_, count_, -1});
  const int64_t heads = config_.srs_heads;
  return {split_heads(asking, 1, 0, heads), split_heads(packed, 2, 0, heads), split_heads(packed, 2, 1, heads)};
}

at::Tensor Srs::forward(const at::Tensor& tokens, const SrsQueries& queries, bool keep_for_backward,
                        at::Tensor* attention) {
  const int64_t dim = config_.embed_dim, classes = config_.class_tokens, taps = queries.index.size(2);
  kept_ = keep_for_backward;
  images_ = tokens.size(0);
  count_ = tokens.size(1) - classes;
  const int64_t rows = images_ * queries.index.size(1), all = images_ * count_;

  // norm1, for every patch token
  const at::Tensor& patches = patches_.make({all, dim}, master_);
  patches.view({images_, count_, dim}).copy_(tokens.narrow(1, classes, count_));
  const at::Tensor& x = x_.make({all, dim}, activations_);
  norm_forward(patches, weights_.norm1, x, statistics1_.make({all, 2}, master_));

  // map x, map x Wq + (sum of map) bq; k and v of all tokens
  const at::Tensor first = at::arange(images_, queries.index.options()).mul_(count_).view({-1, 1, 1});
  index_ = (queries.index + first).view(-1);
  weight_ = queries.weight.to(activations_.dtype()).reshape({rows, taps});
  weight_sum_ = queries.weight.sum(-1).to(activations_.dtype()).view({rows, 1});
  const at::Tensor& gathered = gathered_.make({rows, dim}, activations_);
  if (kernels::take(patches)) {
    kernels::srs_gather(x, queries, gathered);
    queries_ = queries;
  } else {
    at::Tensor gathered_out = gathered;
    at::sum_out(gathered_out, x.index_select(0, index_).view({rows, taps, dim}) * weight_.unsqueeze(2), {1});
  }
  const LinearWeights query_weights = part(weights_.qkv, 0, dim);
  const at::Tensor& query = query_.make({rows, dim}, activations_);
  linear_without_bias(gathered, query_weights, query);
  query.addcmul_(weight_sum_, query_weights.bias);
  const at::Tensor& key_value = key_value_.make({all, 2 * dim}, activations_);
  linear(x, part(weights_.qkv, dim, 2 * dim), key_value);

  const at::Tensor& mixed = mixed_.make({rows, dim}, activations_);
  const at::Tensor& probabilities =
      probabilities_.make({images_, config_.srs_heads, queries.index.size(1), count_}, activations_);
  attention_forward(heads_of(query, key_value), probabilities, mixed.view({images_, -1, dim}));
  if (attention) *attention = probabilities.clone();
  const at::Tensor& branch = branch_.make({rows, dim}, activations_);
  linear_without_bias(mixed, weights_.proj, branch);

  const at::Tensor& sum = sum_.make({rows, dim}, master_);
  if (!config_.srs_residual) {
    add_branch(sum.zero_(), {branch, weights_.proj.bias, {}}, sum);
    return sum.view({images_, -1, dim});
  }
  sum.copy_(gathered);
  const at::Tensor& output = output_.make({rows, dim}, master_);
  add_branch_norm(sum, {branch, weights_.proj.bias, {}}, sum, weights_.norm, output,
                  statistics_.make({rows, 2}, master_));
  return output.view({images_, -1, dim});
}

void Srs::backward(const at::Tensor& d_output, const SrsWeights& grads, const at::Tensor& d_tokens) {
  check(kept_, UDI_E_INTERNAL, "backward needs a forward pass that kept what it needs");
  kept_ = false;
  const int64_t dim = config_.embed_dim, rows = weight_.size(0), taps = weight_.size(1), all = images_ * count_;
  const LinearWeights query_grads = part(grads.qkv, 0, dim), key_value_grads = part(grads.qkv, dim, 2 * dim);

  // norm, proj
  const at::Tensor& d_sum = d_sum_.make({rows, dim}, master_);
  if (config_.srs_residual) {
    norm_backward(d_output.reshape({rows, dim}), *sum_, *statistics_, weights_.norm, d_sum.zero_(), grads.norm);
  } else {
    d_sum.copy_(d_output.reshape({rows, dim}));
  }
  const at::Tensor& d_rows = d_rows_.make({rows, dim}, activations_);
  branch_backward(d_sum, {{}, d_rows, grads.proj.bias});
  linear_weight_gradient(d_rows, *mixed_, grads.proj.weight);
  const at::Tensor& d_mixed = d_mixed_.make({rows, dim}, activations_);
  linear_input_gradient(d_rows, weights_.proj, d_mixed);

  // attention, queries, keys and values
  const at::Tensor& d_query = d_query_.make({rows, dim}, activations_);
  const at::Tensor& d_key_value = d_key_value_.make({all, 2 * dim}, activations_);
  attention_backward(heads_of(*query_, *key_value_), *probabilities_, d_mixed.view({images_, -1, dim}),
                     heads_of(d_query, d_key_value));
  linear_weight_gradient(d_query, *gathered_, query_grads.weight);
  bias_gradient(d_query * weight_sum_, query_grads.bias);
  linear_weight_gradient(d_key_value, *x_, key_value_grads.weight);
  bias_gradient(d_key_value, key_value_grads.bias);
  const at::Tensor& d_x = d_x_.make({all, dim}, activations_);
  linear_input_gradient(d_key_value, part(weights_.qkv, dim, 2 * dim), d_x);
  const at::Tensor& d_gathered = d_gathered_.make({rows, dim}, activations_);
  linear_input_gradient(d_query, part(weights_.qkv, 0, dim), d_gathered);
  if (config_.srs_residual) d_gathered.add_(d_sum);
  if (kernels::take(d_sum)) {
    kernels::srs_scatter(d_gathered, queries_, d_x);
  } else {
    d_x.index_add_(0, index_, (d_gathered.unsqueeze(1) * weight_.unsqueeze(2)).view({rows * taps, dim}));
  }

  // norm1
  const at::Tensor& d_patches = d_patches_.make({all, dim}, master_).zero_();
  norm_backward(d_x, *patches_, *statistics1_, weights_.norm1, d_patches, grads.norm1);
  d_tokens.narrow(1, config_.class_tokens, count_).add_(d_patches.view({images_, count_, dim}));
}

}  // namespace udi
