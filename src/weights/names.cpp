#include "weights/names.h"

#include <algorithm>
#include <cstring>
#include <set>

#include "base/error.h"
#include "weights/derive.h"

namespace udi {
namespace {

bool starts_with(const std::string& text, const std::string& start) {
  return text.compare(0, start.size(), start) == 0;
}

struct Source {
  std::shared_ptr<const void> file;
  std::vector<TensorView> tensors;
  nlohmann::json scalars;
};

// A .pth by the first bytes of a zip archive or an old pickle, a safetensors file by the brace that its header starts
// with.
Source read_source(const std::string& path, const ImportOptions& options) {
  bool is_safetensors = false;
  {
    const MappedFile file(path);
    is_safetensors = file.size() > 8 && file.data()[8] == '{' && std::memcmp(file.data(), "PK", 2) != 0;
  }
  Source source;
  if (is_safetensors) {
    const auto file = std::make_shared<SafetensorsFile>(path, options.safetensors);
    source = {file, file->tensors(), file->metadata()};
  } else {
    const auto file = std::make_shared<PthFile>(path, options.pth);
    source = {file, file->tensors(), file->scalars()};
  }
  return source;
}

// The tensors of one network: those below the wanted role, else below the other, else of a wrapped or bare state_dict.
std::vector<TensorView> pick_network(const std::vector<TensorView>& all, udi_role role) {
  const bool student = role == UDI_STUDENT;
  for (const char* prefix :
       {student ? "student." : "teacher.", student ? "teacher." : "student.", "state_dict.", "model.", ""}) {
    std::vector<TensorView> picked;
    for (TensorView tensor : all) {
      if (!starts_with(tensor.name, prefix)) continue;
      tensor.name.erase(0, std::strlen(prefix));
      while (starts_with(tensor.name, "module.")) tensor.name.erase(0, 7);  // torch's data parallel wrapper
      picked.push_back(std::move(tensor));
    }
    if (!picked.empty()) return picked;
  }
  return {};
}

struct Layout {
  std::string name;
  std::string vit, srs;  // prefixes of the transformer and of the SRS module
};

bool has(const std::vector<TensorView>& tensors, const std::string& name) {
  return std::any_of(tensors.begin(), tensors.end(), [&](const TensorView& tensor) { return tensor.name == name; });
}

Layout find_layout(const std::string& path, const std::vector<TensorView>& tensors) {
  const bool head = std::any_of(tensors.begin(), tensors.end(),
                                [](const TensorView& tensor) { return starts_with(tensor.name, "head.0."); });
  if (has(tensors, "backbone.backbone.cls_token")) {
    return {head ? "official" : "official-backbone", "backbone.backbone.", "backbone."};
  }
  for (const char* vit : {"backbone.", ""}) {
    const auto token = std::find_if(tensors.begin(), tensors.end(), [&](const TensorView& tensor) {
      return tensor.name == std::string(vit) + "cls_token";
    });
    if (token == tensors.end()) continue;
    const bool two_tokens = token->shape.size() == 3 && token->shape[1] == 2;
    Layout layout{"vit", vit, ""};
    if (two_tokens || has(tensors, "norm1.weight")) {
      layout.name = "official-backbone";
    } else if (has(tensors, std::string(vit) + "masked_embed") || has(tensors, "head.last_layer2.weight_v")) {
      layout.name = "ibot";
    } else if (*vit) {
      layout.name = "dino";
    }
    return layout;
  }
  std::string seen;
  for (size_t i = 0; i < std::min<size_t>(tensors.size(), 3); ++i) seen += (i ? ", " : "") + tensors[i].name;
  fail(UDI_E_FORMAT, path, ": no vision transformer that is known: no cls_token among ", tensors.size(), " tensors",
       seen.empty() ? "" : " (", seen, seen.empty() ? "" : ", ...)");
}

// Networks that have parts which libudi's have not: without them the weights would give other features.
void refuse_foreign(const std::string& path, const std::vector<TensorView>& tensors, const Layout& layout) {
  const auto refuse = [&](const std::string& part, const std::string& what) {
    for (const TensorView& tensor : tensors) {
      if (!starts_with(tensor.name, layout.vit)) continue;
      check(tensor.name.find(part, layout.vit.size()) == std::string::npos, UDI_E_UNSUPPORTED, path, ": ", what,
            " (tensor '", tensor.name, "')");
    }
  };
  refuse("dist_token",
         "a distilled DeiT has a second token with its own training; take the file without \"distilled\"");
  refuse("reg_token", "a network with register tokens is not read");
  refuse("register_tokens", "a network with register tokens is not read");
  refuse(".gamma_1", "a network with layer scale is not read");
  refuse(".ls1.gamma", "a network with layer scale is not read");
}

// Why a tensor of the network is left out; empty: it is not.
std::string reason_to_drop(const std::string& name, bool batch_norm_head) {
  const auto ends_with = [&](const std::string& end) {
    return name.size() >= end.size() && name.compare(name.size() - end.size(), end.size(), end) == 0;
  };
  if (ends_with("masked_embed") || ends_with("mask_token")) return "the token of masked patches, for training alone";
  if (name == "head.weight" || name == "head.bias") return "a classifier";
  if (starts_with(name, "pre_logits.") || starts_with(name, "fc_norm.")) return "part of a classifier";
  if (starts_with(name, "head.last_layer2.") || starts_with(name, "head.mlp2.")) return "iBOT's head of patches";
  if (batch_norm_head && starts_with(name, "head.")) return "of a head with batch normalisation";
  return "";
}

std::string official_name(const std::string& name, const Layout& layout) {
  static const std::set<std::string> vit_parts = {"cls_token", "pos_embed", "patch_embed", "blocks", "norm"};
  static const std::set<std::string> srs_parts = {"attn", "norm1"};
  const auto first_part = [&](const std::string& prefix) -> std::string {
    if (!starts_with(name, prefix)) return "";
    return name.substr(prefix.size(), name.find('.', prefix.size()) - prefix.size());
  };
  if (vit_parts.count(first_part(layout.vit))) return "backbone.backbone." + name.substr(layout.vit.size());
  if (srs_parts.count(first_part(layout.srs))) return "backbone." + name.substr(layout.srs.size());
  if (starts_with(name, "head.mlp.") || starts_with(name, "head.last_layer.")) return "head.0." + name.substr(5);
  return name;
}

// torch 2 keeps the parts of a weight norm under other names than torch 1.
std::string old_weight_norm(std::string name) {
  const std::pair<const char*, const char*> renamed[] = {
      {"last_layer.parametrizations.weight.original0", "last_layer.weight_g"},
      {"last_layer.parametrizations.weight.original1", "last_layer.weight_v"}};
  for (const auto& [from, to] : renamed) {
    const size_t at = name.find(from);
    if (at != std::string::npos) name.replace(at, std::strlen(from), to);
  }
  return name;
}

// head.1.* and head.2.* of the official code are head.0.* once more. Removes them, if they are.
void drop_aliases(const std::string& path, std::vector<TensorView>* tensors) {
  std::map<std::string, const TensorView*> by_name;
  for (const TensorView& tensor : *tensors) by_name[tensor.name] = &tensor;
  std::vector<TensorView> kept;
  for (const TensorView& tensor : *tensors) {
    const bool alias = starts_with(tensor.name, "head.1.") || starts_with(tensor.name, "head.2.");
    if (!alias) {
      kept.push_back(tensor);
      continue;
    }
    const auto first = by_name.find("head.0." + tensor.name.substr(7));
    check(first != by_name.end(), UDI_E_FORMAT, path, ": '", tensor.name, "' has no twin in head.0");
    const TensorView& twin = *first->second;
    const bool same = twin.dtype == tensor.dtype && twin.shape == tensor.shape &&
                      (twin.data == tensor.data || std::memcmp(twin.data, tensor.data, tensor.bytes) == 0);
    check(same, UDI_E_UNSUPPORTED, path, ": '", tensor.name, "' differs from '", twin.name,
          "': heads of their own a level are not offered");
  }
  *tensors = std::move(kept);
}

// "module.a" and "a" of one file, say, have the same official name: no one could tell which is meant.
void refuse_twins(const std::string& path, const std::vector<TensorView>& tensors) {
  std::set<std::string> names;
  for (const TensorView& tensor : tensors) {
    check(names.insert(tensor.name).second, UDI_E_FORMAT, path, ": two tensors for '", tensor.name, "'");
  }
}

TensorView find_center(const std::vector<TensorView>& all) {
  for (const char* name : {"udi_loss.centering.center", "dino_loss.center", "ibot_loss.center", "center"}) {
    for (TensorView tensor : all) {
      if (tensor.name != name || tensor.shape.empty() || tensor.shape.back() == 0) continue;
      tensor.shape = {tensor.elements() / tensor.shape.back(), tensor.shape.back()};  // iBOT's has one dimension more
      tensor.name = "center";
      return tensor;
    }
  }
  return {};
}

}  // namespace

ImportedWeights import_weights(const std::string& path, const ImportOptions& options) {
  Source source = read_source(path, options);
  std::vector<TensorView> network = pick_network(source.tensors, options.role);
  for (TensorView& tensor : network) tensor.name = old_weight_norm(std::move(tensor.name));
  const Layout layout = find_layout(path, network);
  refuse_foreign(path, network, layout);

  ImportedWeights weights;
  weights.layout = layout.name;
  const bool batch_norm_head = std::any_of(network.begin(), network.end(), [](const TensorView& tensor) {
    return starts_with(tensor.name, "head.") && tensor.name.find(".running_mean") != std::string::npos;
  });
  for (TensorView& tensor : network) {
    const std::string reason = reason_to_drop(tensor.name, batch_norm_head);
    if (!reason.empty()) {
      weights.dropped.push_back(tensor.name + ": " + reason);
      continue;
    }
    tensor.name = official_name(tensor.name, layout);
    weights.tensors.push_back(std::move(tensor));
  }
  refuse_twins(path, weights.tensors);
  drop_aliases(path, &weights.tensors);
  derive_config(path, options, source.scalars, &weights);
  weights.center = find_center(source.tensors);
  weights.scalars = std::move(source.scalars);
  weights.file = std::move(source.file);
  return weights;
}

TimmWeights export_timm(const std::vector<TensorView>& official, bool first_token_only) {
  const std::string prefix = "backbone.backbone.";
  TimmWeights timm;
  for (TensorView tensor : official) {
    if (!starts_with(tensor.name, prefix)) continue;
    tensor.name.erase(0, prefix.size());
    timm.tensors.push_back(std::move(tensor));
  }
  const auto find = [&](const char* name) -> TensorView& {
    for (TensorView& tensor : timm.tensors) {
      if (tensor.name == name && tensor.shape.size() == 3) return tensor;
    }
    fail(UDI_E_NOT_FOUND, "no backbone among these tensors: '", name, "' is not there");
  };
  TensorView &token = find("cls_token"), &positions = find("pos_embed");
  const int64_t extra = token.shape[1] - 1;
  if (!first_token_only || extra <= 0) return timm;

  // Both are [1, tokens, D]: the first row stays, those of the other class tokens go.
  check(positions.shape[1] > extra && positions.shape[2] == token.shape[2], UDI_E_SHAPE,
        "pos_embed does not belong to cls_token");
  const uint64_t row = token.bytes / uint64_t(token.shape[1]);
  token.shape[1] = 1;
  token.bytes = row;
  const auto* from = static_cast<const uint8_t*>(positions.data);
  std::vector<uint8_t>& copy = timm.copies.emplace_back(from, from + row);
  copy.insert(copy.end(), from + uint64_t(extra + 1) * row, from + positions.bytes);
  positions.shape[1] -= extra;
  positions.data = copy.data();
  positions.bytes = copy.size();
  return timm;
}

}  // namespace udi
