// The model once more, written for clarity over ATen's differentiable operators in float64: the tests' independent
// twin. Weights are looked up by their official names; autograd gives the gradients.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <string>

#include "model/config.h"
#include "model/parameters.h"

namespace udi::twin {

using Weights = std::map<std::string, at::Tensor>;

// Leaves that require gradients, with the values of `parameters`.
inline Weights leaves(const Parameters& parameters) {
  Weights out;
  for (size_t i = 0; i < parameters.entries().size(); ++i) {
    out[parameters.entries()[i].name] = parameters[i].to(at::kDouble, false, true).set_requires_grad(true);
  }
  return out;
}

inline at::Tensor linear(const at::Tensor& x, const Weights& w, const std::string& name) {
  return at::matmul(x, w.at(name + ".weight").t()) + w.at(name + ".bias");
}

inline at::Tensor norm(const at::Tensor& x, const Weights& w, const std::string& name) {
  const at::Tensor centered = x - x.mean(-1, true);
  const at::Tensor variance = (centered * centered).mean(-1, true);
  return centered / at::sqrt(variance + 1e-6) * w.at(name + ".weight") + w.at(name + ".bias");
}

inline at::Tensor exact_gelu(const at::Tensor& x) { return x * 0.5 * (1 + at::erf(x / std::sqrt(2.0))); }

// [B, rows, D] -> [B, heads, rows, D / heads]
inline at::Tensor by_head(const at::Tensor& x, int64_t heads) {
  return x.reshape({x.size(0), x.size(1), heads, -1}).permute({0, 2, 1, 3});
}
inline at::Tensor join(const at::Tensor& x) { return x.permute({0, 2, 1, 3}).flatten(2); }

inline at::Tensor position(const udi_model_config& c, const at::Tensor& pos_embed, int64_t rows, int64_t columns) {
  const int64_t own = grid_size(c), classes = c.class_tokens;
  if (rows == own && columns == own) return pos_embed;
  const at::Tensor grid =
      pos_embed.narrow(1, classes, own * own).reshape({1, own, own, c.embed_dim}).permute({0, 3, 1, 2});
  const at::Tensor scaled = at::upsample_bicubic2d(grid, {rows, columns}, false, (double(rows) + 0.1) / double(own),
                                                   (double(columns) + 0.1) / double(own));
  const at::Tensor flat = scaled.permute({0, 2, 3, 1}).reshape({1, rows * columns, c.embed_dim});
  return at::cat({pos_embed.narrow(1, 0, classes), flat}, 1);
}

// images: normalised float64. Tokens after each block, [B, T, D]; drop_path [depth, 2, B] or undefined.
inline std::vector<at::Tensor> vit(const udi_model_config& c, const Weights& w, const at::Tensor& images,
                                   const at::Tensor& drop_path, at::Tensor* attention = nullptr) {
  const std::string vit = "backbone.backbone.";
  const at::Tensor patches = at::conv2d(images, w.at(vit + "patch_embed.proj.weight"),
                                        w.at(vit + "patch_embed.proj.bias"), {c.patch_size, c.patch_size});
  const at::Tensor classes = w.at(vit + "cls_token").expand({images.size(0), -1, -1});
  at::Tensor x = at::cat({classes, patches.flatten(2).transpose(1, 2)}, 1) +
                 position(c, w.at(vit + "pos_embed"), patches.size(2), patches.size(3));
  const auto kept = [&](int64_t block, int64_t branch, const at::Tensor& y) {
    return drop_path.defined() ? y * drop_path[block][branch].view({-1, 1, 1}) : y;
  };
  std::vector<at::Tensor> out;
  for (int64_t i = 0; i < c.depth; ++i) {
    const std::string block = vit + "blocks." + std::to_string(i) + ".";
    const auto qkv = linear(norm(x, w, block + "norm1"), w, block + "attn.qkv").chunk(3, 2);
    const at::Tensor q = by_head(qkv[0], c.heads), k = by_head(qkv[1], c.heads), v = by_head(qkv[2], c.heads);
    const at::Tensor p = at::softmax(at::matmul(q, k.transpose(2, 3)) / std::sqrt(double(q.size(3))), -1);
    if (attention) *attention = p;
    x = x + kept(i, 0, linear(join(at::matmul(p, v)), w, block + "attn.proj"));
    const at::Tensor hidden = exact_gelu(linear(norm(x, w, block + "norm2"), w, block + "mlp.fc1"));
    x = x + kept(i, 1, linear(hidden, w, block + "mlp.fc2"));
    out.push_back(x);
  }
  return out;
}

// map: the official dense sample maps, [B, Q, N]. tokens: [B, T, D].
inline at::Tensor srs(const udi_model_config& c, const Weights& w, const at::Tensor& tokens, const at::Tensor& map,
                      at::Tensor* attention = nullptr) {
  const at::Tensor patches = tokens.narrow(1, c.class_tokens, tokens.size(1) - c.class_tokens);
  const at::Tensor x = norm(patches, w, "backbone.norm1");
  const auto qkv = linear(x, w, "backbone.attn.qkv").chunk(3, 2);
  const at::Tensor q = by_head(qkv[0], c.srs_heads), k = by_head(qkv[1], c.srs_heads), v = by_head(qkv[2], c.srs_heads);
  const at::Tensor asked = at::matmul(map.unsqueeze(1), q);
  const at::Tensor p = at::softmax(at::matmul(asked, k.transpose(2, 3)) / std::sqrt(double(q.size(3))), -1);
  if (attention) *attention = p;
  const at::Tensor out = linear(join(at::matmul(p, v)), w, "backbone.attn.proj");
  return c.srs_residual ? norm(out + at::matmul(map, x), w, "backbone.attn.norm") : out;
}

inline at::Tensor head(const Weights& w, const at::Tensor& rows) {
  const at::Tensor hidden = exact_gelu(linear(exact_gelu(linear(rows, w, "head.0.mlp.0")), w, "head.0.mlp.2"));
  const at::Tensor out = linear(hidden, w, "head.0.mlp.4");
  return out / at::sqrt((out * out).sum(-1, true));
}

inline at::Tensor prototypes(const Weights& w) {
  const at::Tensor v = w.at("head.0.last_layer.weight_v");
  return w.at("head.0.last_layer.weight_g") * v / at::sqrt((v * v).sum(1, true));
}

// ---- What several tests use --------------------------------------------------------------------------------------

inline double distance(const at::Tensor& value, const at::Tensor& reference) {
  const at::Tensor r = reference.to(at::kDouble);
  return (value.to(at::kDouble) - r).norm().item<double>() / std::max(r.norm().item<double>(), 1e-300);
}

inline at::Tensor random(at::IntArrayRef shape) { return at::randn(shape, at::kDouble); }

// Every gradient of the library against autograd's. floor: of the norm that the error is measured against.
inline void expect_gradients(const Parameters& grads, const Weights& w, double tolerance, double floor = 0) {
  for (size_t i = 0; i < grads.entries().size(); ++i) {
    const std::string& name = grads.entries()[i].name;
    const at::Tensor& reference = w.at(name).grad();
    const at::Tensor expected = reference.defined() ? reference : at::zeros_like(w.at(name));
    const double error = (grads[i].to(at::kDouble) - expected).norm().item<double>();
    const double size = std::max(expected.norm().item<double>(), floor);
    EXPECT_LE(error, tolerance * size) << name << ", norm " << size;
  }
}

}  // namespace udi::twin
