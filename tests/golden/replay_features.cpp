#include "replay_features.h"

namespace udi {
namespace {

at::Tensor normed(const Model& model, const at::Tensor& tokens) {
  const NormWeights& norm = model.weights.vit.norm;
  return at::layer_norm(tokens, {model.config.embed_dim}, norm.weight, norm.bias, kNormEpsilon);
}

at::Tensor normed_tokens(const Model& model, const at::Tensor& images) {
  return normed(model, Vit(model.config, model.weights).forward(images.contiguous(), {}).tokens);
}

at::Tensor first_crop(const std::vector<uint8_t>& crops, const Views& views, int64_t size) {
  return at::from_blob(const_cast<uint8_t*>(crops.data()), {views.batch, views.channels, size, size}, at::kByte)
      .clone();
}

// The official maps of direction 0, asked of crop 0 itself.
void add_srs(const Model& model, const SampleMaps& maps, const at::Tensor& tokens,
             std::map<std::string, at::Tensor>& out) {
  const std::vector<int64_t> index(maps.global_index.begin(), maps.global_index.end());
  const std::vector<int64_t> shape = {2, maps.batch, maps.samples_global, 4};
  const at::Tensor weight = at::tensor(maps.global_weight, at::kFloat).view(shape)[0];
  at::Tensor attention;
  Srs srs(model.config, model.weights);
  out["srs_tokens"] =
      srs.forward(tokens, {at::tensor(index, at::kLong).view(shape)[0], weight}, false, &attention).clone();
  out["srs_attention"] = attention * (weight.sum(-1) > 0).to(at::kFloat).unsqueeze(1).unsqueeze(3);
}

}  // namespace

std::map<std::string, at::Tensor> replay_features(const GoldenRun& run) {
  const Model& model = run.model;
  const Views& views = run.batches.at(0);
  const int64_t size = views.global_size, patch = views.patch_size;
  const at::Tensor images = first_crop(views.global, views, size);

  std::map<std::string, at::Tensor> out;
  std::vector<at::Tensor> blocks;
  VitOptions options;
  options.blocks = &blocks;
  options.attention = &out["attention_last"];
  Vit vit(model.config, model.weights);
  const VitOutput seen = vit.forward(images, options);
  out["tokens_last"] = normed(model, seen.tokens);
  for (size_t i = 0; i < blocks.size(); ++i) out["tokens_layer" + std::to_string(i)] = normed(model, blocks[i]);
  out["tokens_rect"] = normed_tokens(model, images.narrow(2, 0, size - 4 * patch).narrow(3, 0, size - 2 * patch));
  if (views.local_crops > 0)
    out["tokens_localcrop"] = normed_tokens(model, first_crop(views.local, views, views.local_size));
  if (model.config.include_patch) add_srs(model, views.maps, seen.tokens, out);

  const at::Tensor z = Head(model.config, model.weights).forward(seen.cls.select(1, 0), false);
  const at::Tensor prototypes = at::empty_like(model.weights.head.weight_v);
  prototype_weights(model.weights.head, prototypes);
  out["head_cls"] = at::mm(z, prototypes.t());
  for (auto& [name, tensor] : out) tensor = tensor.contiguous();
  return out;
}

}  // namespace udi
