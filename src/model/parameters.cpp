#include "model/parameters.h"

#include <ATen/Parallel.h>

#include <atomic>
#include <cmath>
#include <cstring>
#include <map>

#include "base/error.h"
#include "base/random.h"
#include "model/config.h"

namespace udi {

namespace {

constexpr int64_t kAlign = 16;           // elements: a cache line of float32
constexpr int64_t kDrawChunk = 1 << 16;  // elements that share a stream of random numbers

bool ends_with(const std::string& text, const std::string& end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

class LayoutBuilder {
 public:
  void tensor(const std::string& name, std::vector<int64_t> shape) {
    ParameterInfo info;
    info.name = name;
    info.elements = 1;
    for (int64_t extent : shape) info.elements *= extent;
    info.decayed = shape.size() > 1 && !ends_with(name, ".bias");
    info.last_layer = name.find("last_layer") != std::string::npos;
    info.shape = std::move(shape);
    info.offset = end_;
    end_ += (info.elements + kAlign - 1) / kAlign * kAlign;
    entries_.push_back(std::move(info));
  }
  void linear(const std::string& name, int64_t in, int64_t out) {
    tensor(name + ".weight", {out, in});
    tensor(name + ".bias", {out});
  }
  void norm(const std::string& name, int64_t dim) {
    tensor(name + ".weight", {dim});
    tensor(name + ".bias", {dim});
  }
  std::vector<ParameterInfo> take() { return std::move(entries_); }

 private:
  std::vector<ParameterInfo> entries_;
  int64_t end_ = 0;
};

int64_t flat_size(const std::vector<ParameterInfo>& entries) {
  return (entries.back().offset + entries.back().elements + kAlign - 1) / kAlign * kAlign;
}

at::ScalarType float_type(const TensorView& view) {
  switch (view.dtype) {
    case UDI_F16:
      return at::kHalf;
    case UDI_BF16:
      return at::kBFloat16;
    case UDI_F32:
      return at::kFloat;
    case UDI_F64:
      return at::kDouble;
  }
  fail(UDI_E_FORMAT, "tensor ", view.name, " is of type ", dtype_name(view.dtype),
       "; weights must be F16, BF16, F32 or F64");
}

// Vit: VitWeights, const or not.
template <class Vit>
auto backbone_layers(Vit& vit) {
  std::vector<decltype(&vit.patch_embed)> layers = {&vit.patch_embed};
  for (auto& block : vit.blocks) {
    for (auto* layer : {&block.qkv, &block.proj, &block.fc1, &block.fc2}) layers.push_back(layer);
  }
  return layers;
}

template <class Draw>
void fill(const at::Tensor& tensor, uint64_t seed, uint64_t place, Draw draw) {
  const at::Tensor values = at::empty(tensor.sizes(), at::kDouble);
  double* out = values.mutable_data_ptr<double>();
  const int64_t elements = values.numel(), chunks = (elements + kDrawChunk - 1) / kDrawChunk;
  at::parallel_for(0, chunks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t chunk = begin; chunk < end; ++chunk) {
      Random random(seed, Random::kInit, place, uint64_t(chunk));
      const int64_t last = std::min(elements, (chunk + 1) * kDrawChunk);
      for (int64_t i = chunk * kDrawChunk; i < last; ++i) out[i] = draw(random);
    }
  });
  tensor.copy_(values);
}

}  // namespace

std::string misshapen(const std::string& name, const std::vector<int64_t>& is, const std::vector<int64_t>& must) {
  const auto shape_text = [](const std::vector<int64_t>& shape) {
    std::string out = "[";
    for (size_t i = 0; i < shape.size(); ++i) out += (i ? ", " : "") + std::to_string(shape[i]);
    return out + "]";
  };
  return text("misshapen ", name, " is ", shape_text(is), ", must be ", shape_text(must));
}

std::vector<ParameterInfo> parameter_layout(const udi_model_config& c) {
  const int64_t dim = c.embed_dim, grid = grid_size(c), clt = c.class_tokens;
  LayoutBuilder layout;
  const std::string vit = "backbone.backbone.";
  layout.tensor(vit + "cls_token", {1, clt, dim});
  layout.tensor(vit + "pos_embed", {1, clt + grid * grid, dim});
  layout.tensor(vit + "patch_embed.proj.weight", {dim, c.channels, c.patch_size, c.patch_size});
  layout.tensor(vit + "patch_embed.proj.bias", {dim});
  for (int i = 0; i < c.depth; ++i) {
    const std::string block = vit + "blocks." + std::to_string(i) + ".";
    layout.norm(block + "norm1", dim);
    layout.linear(block + "attn.qkv", dim, 3 * dim);
    layout.linear(block + "attn.proj", dim, dim);
    layout.norm(block + "norm2", dim);
    layout.linear(block + "mlp.fc1", dim, hidden_dim(c));
    layout.linear(block + "mlp.fc2", hidden_dim(c), dim);
  }
  layout.norm(vit + "norm", dim);
  if (c.include_patch) {
    layout.linear("backbone.attn.qkv", dim, 3 * dim);
    layout.linear("backbone.attn.proj", dim, dim);
    layout.norm("backbone.attn.norm", dim);
    layout.norm("backbone.norm1", dim);
  }
  layout.linear("head.0.mlp.0", dim, c.head_hidden_dim);
  layout.linear("head.0.mlp.2", c.head_hidden_dim, c.head_hidden_dim);
  layout.linear("head.0.mlp.4", c.head_hidden_dim, c.head_bottleneck_dim);
  layout.tensor("head.0.last_layer.weight_g", {c.out_dim, 1});
  layout.tensor("head.0.last_layer.weight_v", {c.out_dim, c.head_bottleneck_dim});
  std::vector<ParameterInfo> entries = layout.take();
  for (ParameterInfo& entry : entries) entry.trainable = !(c.norm_last_layer && ends_with(entry.name, "weight_g"));
  return entries;
}

Parameters::Parameters(const udi_model_config& config, at::ScalarType dtype, at::ScalarType precision,
                       at::Device device)
    : config_(config), entries_(std::make_shared<const std::vector<ParameterInfo>>(parameter_layout(config))) {
  const int64_t size = flat_size(*entries_);
  flat = at::zeros({size}, at::TensorOptions().dtype(dtype).device(device));
  if (precision != dtype) flat16_ = at::zeros({size}, at::TensorOptions().dtype(precision).device(device));
  make_views();
}

Parameters Parameters::zeros_like() const { return Parameters(config_, dtype(), dtype(), device()); }

Parameters Parameters::to(at::ScalarType dtype, at::ScalarType precision, at::Device device) const {
  Parameters copy(config_, dtype, precision, device);
  copy.flat.copy_(flat);
  copy.refresh();
  return copy;
}

// Fills the handles in the order of parameter_layout.
void Parameters::make_views() {
  const at::Tensor& product = flat16_.defined() ? flat16_ : flat;
  std::vector<at::Tensor> product_views;
  for (const ParameterInfo& entry : *entries_) {
    views_.push_back(flat.narrow(0, entry.offset, entry.elements).view(entry.shape));
    product_views.push_back(product.narrow(0, entry.offset, entry.elements).view(entry.shape));
  }
  size_t next = 0;
  const auto linear = [&] {
    next += 2;
    const bool packs = product.is_cpu() && product.scalar_type() == at::kFloat;
    return LinearWeights{product_views[next - 2], product_views[next - 1],
                         packs ? std::make_shared<PackedLinear>() : nullptr};
  };
  const auto norm = [&] {
    next += 2;
    return NormWeights{views_[next - 2], views_[next - 1]};
  };
  vit.cls_token = views_[next++];
  vit.pos_embed = views_[next++];
  vit.patch_embed = linear();
  vit.patch_embed.weight = vit.patch_embed.weight.view({config_.embed_dim, -1});
  vit.blocks.resize(size_t(config_.depth));
  for (BlockWeights& block : vit.blocks) {
    block.norm1 = norm();
    block.qkv = linear();
    block.proj = linear();
    block.norm2 = norm();
    block.fc1 = linear();
    block.fc2 = linear();
  }
  vit.norm = norm();
  if (config_.include_patch) {
    srs.qkv = linear();
    srs.proj = linear();
    srs.norm = norm();
    srs.norm1 = norm();
  }
  for (LinearWeights& layer : head.mlp) layer = linear();
  head.weight_g = views_[next++];
  head.weight_v = views_[next++];
}

int64_t Parameters::find(const std::string& name) const {
  for (size_t i = 0; i < entries_->size(); ++i) {
    if ((*entries_)[i].name == name) return int64_t(i);
  }
  return -1;
}

const at::Tensor& Parameters::at(const std::string& name) const {
  const int64_t index = find(name);
  check(index >= 0, UDI_E_NOT_FOUND, "the model has no tensor '", name, "'");
  return views_[size_t(index)];
}

int64_t Parameters::count() const {
  int64_t sum = 0;
  for (const ParameterInfo& entry : *entries_) sum += entry.elements;
  return sum;
}

void Parameters::refresh() {
  if (flat16_.defined()) flat16_.copy_(flat);
  const std::lock_guard<std::mutex> lock(packing_->mutex);
  for (const LinearWeights* layer : backbone_layers(vit)) {
    if (layer->packed) layer->packed->current = false;
  }
  for (auto& layers : packing_->narrow) layers.clear();
  packing_->version = next_version();
}

uint64_t Parameters::next_version() {
  static std::atomic<uint64_t> last{0};
  return ++last;
}

uint64_t Parameters::version() const {
  const std::lock_guard<std::mutex> lock(packing_->mutex);
  return packing_->version;
}

bool Parameters::pack() const {
  if (!vit.patch_embed.packed) return false;
  const std::lock_guard<std::mutex> lock(packing_->mutex);
  for (const LinearWeights* layer : backbone_layers(vit)) {
    if (layer->packed && !layer->packed->current) layer->packed->pack(layer->weight);
  }
  return true;
}

Parameters Parameters::in_bits(gemm::Bits bits) const {
  check(vit.patch_embed.packed && gemm::narrow(bits), UDI_E_INTERNAL, "no products in fewer bits for these weights");
  const gemm::Narrow& kernels = *gemm::narrow(bits);
  Parameters out = *this;
  const auto layers = backbone_layers(out.vit);
  const std::lock_guard<std::mutex> lock(packing_->mutex);
  auto& made = packing_->narrow[int(bits)];
  if (made.empty() || made[0]->narrow->kernels != &kernels) {
    std::vector<std::shared_ptr<PackedLinear>> fresh;
    for (const LinearWeights* layer : layers) {
      fresh.push_back(std::make_shared<PackedLinear>());
      fresh.back()->narrow = std::make_shared<NarrowLinear>(layer->weight, kernels);
    }
    made = std::move(fresh);
  }
  for (size_t i = 0; i < layers.size(); ++i) layers[i]->packed = made[i];
  return out;
}

LinearWeights part(const LinearWeights& weights, int64_t first, int64_t count) {
  return {weights.weight.narrow(0, first, count), weights.bias.narrow(0, first, count), weights.packed,
          weights.first + first};
}

void Parameters::initialize(const udi_model_config& config, uint64_t seed) {
  const double patch_bound = 1 / std::sqrt(double(config.channels) * config.patch_size * config.patch_size);
  const double prototype_bound = 1 / std::sqrt(double(config.head_bottleneck_dim));
  for (size_t i = 0; i < entries_->size(); ++i) {
    const std::string& name = (*entries_)[i].name;
    const auto uniform = [&](double bound) {
      fill(views_[i], seed, i, [bound](Random& random) { return random.uniform(-bound, bound); });
    };
    if (name.find("patch_embed.") != std::string::npos) {
      uniform(patch_bound);  // PyTorch's own for a convolution: the official initialisation passes it over
    } else if (ends_with(name, "weight_v")) {
      uniform(prototype_bound);
    } else if (ends_with(name, "weight_g")) {
      views_[i].fill_(1);
    } else if (views_[i].dim() > 1) {
      // The official normal is cut off at +-2, a hundred deviations: never.
      fill(views_[i], seed, i, [](Random& random) { return 0.02 * random.normal(); });
    } else {
      views_[i].fill_(ends_with(name, ".bias") ? 0 : 1);  // biases, and the weights of norms
    }
  }
  refresh();
}

std::vector<std::string> Parameters::load(const std::vector<TensorView>& tensors, bool partial) {
  std::map<std::string, const TensorView*> given;
  for (const TensorView& view : tensors) given[view.name] = &view;
  std::vector<std::string> absent, misfit;
  std::vector<std::pair<size_t, const TensorView*>> fitting;
  for (size_t i = 0; i < entries_->size(); ++i) {
    const ParameterInfo& entry = (*entries_)[i];
    const auto found = given.find(entry.name);
    if (found == given.end()) {
      absent.push_back("missing " + entry.name);
    } else if (found->second->shape != entry.shape) {
      misfit.push_back(misshapen(entry.name, found->second->shape, entry.shape));
    } else {
      float_type(*found->second);
      fitting.push_back({i, found->second});
    }
    if (found != given.end()) given.erase(found);
  }
  for (const auto& extra : given) absent.push_back("extra " + extra.first);

  std::vector<std::string> wrong = misfit;
  if (!partial) wrong.insert(wrong.end(), absent.begin(), absent.end());
  if (!wrong.empty()) fail_listing(UDI_E_FORMAT, "", kDoNotFit, wrong);
  for (const auto& [index, view] : fitting) {
    const at::Tensor aligned = at::empty(view->shape, float_type(*view));  // a file's bytes may lie at any address
    std::memcpy(aligned.mutable_data_ptr(), view->data, aligned.nbytes());
    views_[index].copy_(aligned);
  }
  refresh();
  return absent;
}

std::vector<TensorView> Parameters::views(const std::string& prefix) const {
  check(flat.is_cpu(), UDI_E_INTERNAL, "weights must be copied to the CPU before they are written");
  std::vector<TensorView> out;
  for (size_t i = 0; i < entries_->size(); ++i) {
    const ParameterInfo& entry = (*entries_)[i];
    TensorView view;
    view.name = prefix + entry.name;
    view.dtype = dtype() == at::kDouble ? UDI_F64 : UDI_F32;
    view.shape = entry.shape;
    view.data = views_[i].const_data_ptr();
    view.bytes = views_[i].nbytes();
    out.push_back(std::move(view));
  }
  return out;
}

}  // namespace udi
