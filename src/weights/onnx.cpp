#include "weights/onnx.h"

#include <cmath>
#include <map>

#include "base/error.h"
#include "weights/onnx_graph.h"

namespace udi {
namespace {

// Writes the network of model/vit.cpp in ONNX's operators. Every function adds nodes and gives back the name of what
// they compute; shapes: B images, K class tokens, N = rows * columns patches, T = K + N, D the width, H heads.
class Backbone {
 public:
  Backbone(const udi_model_config& config, const std::vector<TensorView>& tensors, OnnxGraph* graph)
      : config_(config), graph_(*graph) {
    for (const TensorView& tensor : tensors) tensors_[tensor.name] = &tensor;
  }

  void write() {
    graph_.input("images", {"batch", number(config_.channels), "height", "width"});
    std::string x = embed();
    for (int32_t i = 0; i < config_.depth; ++i) x = block(x, i);
    outputs(norm(x, "norm"));
  }

 private:
  static std::string number(int64_t value) { return std::to_string(value); }

  const float* weights(const std::string& name, const std::vector<int64_t>& shape) const {
    const auto found = tensors_.find("backbone.backbone." + name);
    check(found != tensors_.end(), UDI_E_NOT_FOUND, "no backbone among these tensors: '", name, "' is not there");
    check(found->second->shape == shape && found->second->dtype == UDI_F32, UDI_E_SHAPE, "'", name,
          "' has another shape or dtype than the configuration says");
    return static_cast<const float*>(found->second->data);
  }

  std::string vector(const std::string& name, int64_t elements) {
    return graph_.constant(name, {elements}, weights(name, {elements}));
  }

  std::string norm(const std::string& x, const std::string& name) {
    const int64_t dim = config_.embed_dim;
    return graph_.node("LayerNormalization", {x, vector(name + ".weight", dim), vector(name + ".bias", dim)},
                       {{"axis", int64_t(-1)}, {"epsilon", 1e-6f}});
  }

  std::string linear(const std::string& x, const std::string& name, int64_t in, int64_t out) {
    const std::string weight = name + ".weight";
    const std::string product =
        graph_.node("MatMul", {x, graph_.transposed(weight, out, in, weights(weight, {out, in}))});
    return graph_.node("Add", {product, vector(name + ".bias", out)});
  }

  // [B, C, height, width] -> [B, T, D]
  std::string embed() {
    const int64_t dim = config_.embed_dim, patch = config_.patch_size, classes = config_.class_tokens;
    const std::vector<int64_t> kernel = {dim, config_.channels, patch, patch};
    const std::string name = "patch_embed.proj.weight";
    const std::string patches = graph_.node(
        "Conv", {"images", graph_.constant(name, kernel, weights(name, kernel)), vector("patch_embed.proj.bias", dim)},
        {{"kernel_shape", std::vector<int64_t>{patch, patch}}, {"strides", std::vector<int64_t>{patch, patch}}});
    grid_ = graph_.node("Shape", {patches}, {{"start", int64_t(2)}, {"end", int64_t(4)}});
    const std::string placed = graph_.node("Add", {patches, positions()});  // [B, D, rows, columns]
    const std::string rows = graph_.node("Transpose", {graph_.node("Reshape", {placed, graph_.integers({0, 0, -1})})},
                                         {{"perm", std::vector<int64_t>{0, 2, 1}}});

    const std::string batch = graph_.node("Shape", {patches}, {{"start", int64_t(0)}, {"end", int64_t(1)}});
    const std::string shape = graph_.node("Concat", {batch, graph_.integers({classes, dim})}, {{"axis", int64_t(0)}});
    return graph_.node("Concat", {graph_.node("Expand", {class_tokens(), shape}), rows}, {{"axis", int64_t(1)}});
  }

  int64_t own() const { return config_.image_size / config_.patch_size; }
  const float* position_table() const {
    return weights("pos_embed", {1, config_.class_tokens + own() * own(), config_.embed_dim});
  }

  // The class tokens with their positions, [1, K, D].
  std::string class_tokens() {
    const int64_t dim = config_.embed_dim, classes = config_.class_tokens;
    const float *token = weights("cls_token", {1, classes, dim}), *position = position_table();
    std::vector<float> sum(token, token + classes * dim);
    for (size_t i = 0; i < sum.size(); ++i) sum[i] += position[i];
    return graph_.constant("class_tokens", {1, classes, dim}, std::move(sum));
  }

  // The patches' positions for the grid at hand, [1, D, rows, columns]: bicubic, and the scale is (rows + 0.1) / own,
  // which Resize samples with and rounds down to rows. For the model's own grid the scale is 1, and nothing changes.
  std::string positions() {
    const int64_t dim = config_.embed_dim, count = own() * own();
    const float* table = position_table() + config_.class_tokens * dim;
    std::vector<float> planes(size_t(dim * count));
    for (int64_t i = 0; i < count; ++i) {
      for (int64_t d = 0; d < dim; ++d) planes[size_t(d * count + i)] = table[i * dim + d];
    }
    const std::string grid = graph_.constant("position_grid", {1, dim, own(), own()}, std::move(planes));

    const float extent = float(own());
    const std::string enlarged =
        graph_.node("Add", {graph_.node("Cast", {grid_}, {{"to", int64_t(1)}}),
                            graph_.constant("against_rounding", {1}, std::vector<float>{0.1f})});
    const std::string scaled =
        graph_.node("Div", {enlarged, graph_.constant("own_extent", {1}, std::vector<float>{extent})});
    const std::string ones = graph_.constant("ones", {2}, std::vector<float>{1, 1});
    const std::string equal = graph_.node("Cast", {graph_.node("Equal", {grid_, graph_.integers({own(), own()})})},
                                          {{"to", int64_t(1)}});  // 1 or 0 a side
    const std::string same = graph_.node("Cast", {graph_.node("ReduceMin", {equal})}, {{"to", int64_t(9)}});
    const std::string scales =
        graph_.node("Concat", {ones, graph_.node("Where", {same, ones, scaled})}, {{"axis", int64_t(0)}});
    return graph_.node(
        "Resize", {grid, "", scales},
        {{"mode", "cubic"}, {"coordinate_transformation_mode", "half_pixel"}, {"cubic_coeff_a", -0.75f}});
  }

  // [B, T, D] -> the same
  std::string block(const std::string& x, int32_t index) {
    const std::string name = "blocks." + number(index) + ".";
    const std::string middle = graph_.node("Add", {x, attention(norm(x, name + "norm1"), name + "attn.")});
    return graph_.node("Add", {middle, mlp(norm(middle, name + "norm2"), name + "mlp.")});
  }

  std::string attention(const std::string& y, const std::string& name) {
    const int64_t dim = config_.embed_dim, heads = config_.heads, each = dim / heads;
    const auto parts = graph_.nodes("Split", {linear(y, name + "qkv", dim, 3 * dim), graph_.integers({dim, dim, dim})},
                                    3, {{"axis", int64_t(-1)}});
    const std::string shape = graph_.integers({0, 0, heads, each});
    const auto split = [&](size_t part, std::vector<int64_t> order) {
      return graph_.node("Transpose", {graph_.node("Reshape", {parts[part], shape})}, {{"perm", std::move(order)}});
    };
    const std::string query = split(0, {0, 2, 1, 3}), key = split(1, {0, 2, 3, 1}), value = split(2, {0, 2, 1, 3});
    const std::string scale =
        graph_.constant(name + "scale", {1}, std::vector<float>{float(1 / std::sqrt(double(each)))});
    const std::string scores = graph_.node("MatMul", {graph_.node("Mul", {query, scale}), key});
    probabilities_ = graph_.node("Softmax", {scores}, {{"axis", int64_t(-1)}});  // [B, H, T, T]
    const std::string mixed = graph_.node("Transpose", {graph_.node("MatMul", {probabilities_, value})},
                                          {{"perm", std::vector<int64_t>{0, 2, 1, 3}}});
    return linear(graph_.node("Reshape", {mixed, graph_.integers({0, 0, dim})}), name + "proj", dim, dim);
  }

  // GELU in its exact form: h / 2 (1 + erf(h / sqrt 2)).
  std::string mlp(const std::string& y, const std::string& name) {
    const int64_t dim = config_.embed_dim, hidden = int64_t(double(dim) * double(config_.mlp_ratio));
    const std::string h = linear(y, name + "fc1", dim, hidden);
    const auto one = [&](const char* what, double value) {
      return graph_.constant(name + what, {1}, std::vector<float>{float(value)});
    };
    const std::string erf = graph_.node("Erf", {graph_.node("Div", {h, one("sqrt2", std::sqrt(2.0))})});
    const std::string sum = graph_.node("Add", {erf, one("one", 1.0)});
    const std::string active = graph_.node("Mul", {graph_.node("Mul", {h, sum}), one("half", 0.5)});
    return linear(active, name + "fc2", hidden, dim);
  }

  // tokens: [B, T, D], normed
  void outputs(const std::string& tokens) {
    const int64_t dim = config_.embed_dim, classes = config_.class_tokens, end = INT32_MAX;
    const auto slice = [&](const std::string& from, std::vector<int64_t> starts, std::vector<int64_t> ends,
                           std::vector<int64_t> axes, const char* name = "") {
      return graph_.node("Slice", {from, graph_.integers(starts), graph_.integers(ends), graph_.integers(axes)}, {},
                         name);
    };
    const std::string map = graph_.node("Concat", {graph_.integers({0, 0}), grid_}, {{"axis", int64_t(0)}});
    for (int64_t i = 0; i < classes; ++i) {
      const std::string token = i == 0 ? "cls" : "cls_plus";
      graph_.node("Reshape", {slice(tokens, {i}, {i + 1}, {1}), graph_.integers({0, dim})}, {}, token);
      graph_.output(token, {"batch", number(dim)});
    }
    slice(tokens, {classes}, {end}, {1}, "patches");
    graph_.output("patches", {"batch", "patches", number(dim)});
    for (int64_t i = 0; i < classes; ++i) {
      const std::string name = i == 0 ? "attention_cls" : "attention_cls_plus";
      const std::string row = slice(probabilities_, {i, classes}, {i + 1, end}, {2, 3});  // [B, H, 1, N]
      graph_.node("Reshape", {row, map}, {}, name);
      graph_.output(name, {"batch", number(config_.heads), "rows", "columns"});
    }
  }

  const udi_model_config& config_;
  OnnxGraph& graph_;
  std::map<std::string, const TensorView*> tensors_;
  std::string grid_;           // [rows, columns]
  std::string probabilities_;  // of the block that came last
};

}  // namespace

void write_onnx(const std::string& path, const udi_model_config& config, const std::vector<TensorView>& tensors,
                const Metadata& metadata) {
  OnnxGraph graph;
  Backbone(config, tensors, &graph).write();
  graph.save(path, "backbone", "Backbone of a model of libudi. images are normalised by mean and std (metadata).",
             metadata);
}

}  // namespace udi
