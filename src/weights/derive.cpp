#include "weights/derive.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/error.h"
#include "base/json.h"

namespace udi {
namespace {

using nlohmann::json;

constexpr char kVit[] = "backbone.backbone.";
constexpr int64_t kMaxDepth = 256;  // as in udi.h
constexpr int64_t kOfficialSrsHeads = 6;

// The heads of architectures that DINO, iBOT, DeiT and the official code name in their arguments.
struct Arch {
  const char* part;
  int64_t heads;
};
constexpr Arch kArchs[] = {{"tiny", 3}, {"small", 6}, {"base", 12}, {"large", 16}};

class Deriver {
 public:
  Deriver(const std::string& path, const ImportOptions& options, const json& scalars, ImportedWeights* weights)
      : path_(path), options_(options), weights_(*weights), config_(weights->model_config = json::object()) {
    if (scalars.is_object()) args_ = scalars.contains("args") ? scalars.at("args") : scalars;
    for (const TensorView& tensor : weights->tensors) tensors_[tensor.name] = &tensor;
  }

  void derive() {
    backbone();
    transform();
    srs();
    head();
    regularisation();
    list_missing();
  }

 private:
  // The tensor of this name, which must have as many dimensions; nullptr if absent.
  const TensorView* find(const std::string& name, size_t dimensions) const {
    const auto found = tensors_.find(name);
    if (found == tensors_.end()) return nullptr;
    check(found->second->shape.size() == dimensions, UDI_E_FORMAT, path_, ": tensor '", name, "' has ",
          found->second->shape.size(), " dimensions, not ", dimensions);
    check(found->second->elements() > 0, UDI_E_FORMAT, path_, ": tensor '", name, "' is empty");
    return found->second;
  }
  const TensorView& need(const std::string& name, size_t dimensions) const {
    const TensorView* tensor = find(name, dimensions);
    check(tensor, UDI_E_FORMAT, path_, ": holds no '", name, "'");
    return *tensor;
  }

  // One of the checkpoint's arguments, null if absent. Metadata of a safetensors file are strings, of JSON here.
  json told(const char* name) const {
    if (!args_.is_object() || !args_.contains(name)) return nullptr;
    const json& value = args_.at(name);
    if (!value.is_string()) return value;
    const json parsed = parse_shallow(value.get<std::string>());
    return parsed.is_discarded() ? value : parsed;
  }

  // A positive whole number among the checkpoint's arguments, else 0.
  int64_t argument(const char* name) const {
    const json number = told(name);
    return number.is_number_integer() ? std::max<int64_t>(number.get<int64_t>(), 0) : 0;
  }

  void backbone();
  void transform();
  json channels_told(const char* name) const;
  void srs();
  void head();
  void regularisation();
  void list_missing();
  int64_t find_depth() const;
  int64_t find_heads(int64_t width) const;

  const std::string& path_;
  const ImportOptions& options_;
  ImportedWeights& weights_;
  json& config_;
  json args_;
  std::map<std::string, const TensorView*> tensors_;
};

void Deriver::backbone() {
  const TensorView& token = need(text(kVit, "cls_token"), 3);
  const TensorView& positions = need(text(kVit, "pos_embed"), 3);
  const TensorView& patch = need(text(kVit, "patch_embed.proj.weight"), 4);
  const int64_t tokens = token.shape[1], width = token.shape[2], side = patch.shape[2];
  check(tokens <= 2, UDI_E_UNSUPPORTED, path_, ": ", tokens, " class tokens; libudi has one or two");
  check(patch.shape[0] == width && positions.shape[2] == width, UDI_E_FORMAT, path_,
        ": cls_token, pos_embed and patch_embed have different widths");
  check(patch.shape[3] == side, UDI_E_UNSUPPORTED, path_, ": patches of ", side, " x ", patch.shape[3],
        " pixels; libudi's are square");
  const int64_t patches = positions.shape[1] - tokens;
  const int64_t grid = patches > 0 ? std::llround(std::sqrt(double(patches))) : 0;
  check(patches > 0 && grid < (1 << 20) && grid * grid == patches, UDI_E_UNSUPPORTED, path_,
        ": a position embedding of ", positions.shape[1], " places is not one for ", tokens,
        " class token(s) and a square of patches");
  config_["class_tokens"] = tokens;
  config_["embed_dim"] = width;
  config_["patch_size"] = side;
  config_["channels"] = patch.shape[1];
  config_["image_size"] = grid * side;
  config_["depth"] = find_depth();
  config_["heads"] = find_heads(width);
  if (const TensorView* mlp = find(text(kVit, "blocks.0.mlp.fc1.weight"), 2)) {
    // As a float, with which width * ratio must not fall short of the hidden width by rounding.
    float ratio = float(double(mlp->shape[0]) / double(width));
    if (double(width) * double(ratio) < double(mlp->shape[0])) ratio = std::nextafter(ratio, INFINITY);
    config_["mlp_ratio"] = ratio;
  }
}

// How an image becomes the model's input: the file's own word, which those written by libudi have, else the defaults
// of pretraining.
void Deriver::transform() {
  config_["resize_size"] = std::llround(double(config_["image_size"].get<int64_t>()) * 256 / 224);
  for (const char* name : {"resize_size", "exif_turn"}) {
    const json number = told(name);
    if (number.is_null()) continue;
    check(number.is_number_integer(), UDI_E_FORMAT, path_, ": its ", name, " is no whole number");
    config_[name] = number;
  }
  const std::pair<const char*, double> of_no_photograph[] = {{"mean", 0.5}, {"std", 0.25}};
  for (const auto& [name, value] : of_no_photograph) {
    const json given = channels_told(name);
    if (!given.is_null()) {
      config_[name] = given;
    } else if (config_["channels"] != 3) {
      config_[name] = std::vector<double>(config_["channels"].get<size_t>(), value);
    }
  }
}

// A number for each channel, or one for all of them; null if the file has none.
json Deriver::channels_told(const char* name) const {
  const json given = told(name);
  if (given.is_null()) return given;
  const size_t channels = config_["channels"].get<size_t>();
  const json list = given.is_array() ? given : json::array({given});
  const bool numbers = std::all_of(list.begin(), list.end(), [](const json& item) { return item.is_number(); });
  check(numbers && (list.size() == 1 || list.size() == channels), UDI_E_FORMAT, path_, ": its ", name,
        " is neither one number nor ", channels, ", one a channel");
  return list.size() == channels ? list : json(std::vector<json>(channels, list[0]));
}

int64_t Deriver::find_depth() const {
  const std::string prefix = text(kVit, "blocks.");
  int64_t depth = 0;
  for (const auto& [name, tensor] : tensors_) {
    if (name.compare(0, prefix.size(), prefix) != 0) continue;
    const std::string number = name.substr(prefix.size(), name.find('.', prefix.size()) - prefix.size());
    const bool good =
        !number.empty() && number.size() <= 4 && number.find_first_not_of("0123456789") == std::string::npos;
    check(good && std::stol(number) < kMaxDepth, UDI_E_FORMAT, path_, ": tensor '", name, "' is of no block from 0 to ",
          kMaxDepth - 1);
    depth = std::max<int64_t>(depth, std::stol(number) + 1);
  }
  check(depth > 0, UDI_E_FORMAT, path_, ": holds no blocks");
  return depth;
}

// No shape tells the number of heads.
int64_t Deriver::find_heads(int64_t width) const {
  int64_t heads = options_.heads;
  if (heads == 0) heads = argument("heads");
  if (heads == 0) heads = argument("num_heads");
  for (const char* key : {"arch", "model"}) {
    if (heads != 0 || !args_.is_object() || !args_.contains(key) || !args_.at(key).is_string()) continue;
    const std::string name = args_.at(key).get<std::string>();
    for (const Arch& arch : kArchs) {
      if (name.find(arch.part) != std::string::npos) heads = arch.heads;
    }
  }
  if (heads == 0 && width % 64 == 0) heads = width / 64;
  check(heads > 0 && width % heads == 0, UDI_E_INVALID, path_, ": ", heads == 0 ? "does not tell" : text(heads, " as"),
        " the number of attention heads of a width of ", width, heads == 0 ? "" : " does not divide it",
        "; give it by heads (--heads N; the job convert has it, too)");
  return heads;
}

void Deriver::srs() {
  const TensorView* qkv = find("backbone.attn.qkv.weight", 2);
  config_["include_patch"] = qkv ? 1 : 0;
  if (!qkv) return;
  const int64_t width = config_["embed_dim"].get<int64_t>();
  int64_t heads = options_.srs_heads;
  if (heads == 0) heads = argument("srs_heads");
  if (heads == 0) heads = kOfficialSrsHeads;
  check(width % heads == 0, UDI_E_INVALID, path_, ": ", heads, " heads of the SRS module do not divide the width of ",
        width, "; give their number by srs_heads (--srs-heads N)");
  config_["srs_heads"] = heads;
  config_["srs_residual"] = tensors_.count("backbone.attn.norm.weight") ? 1 : 0;
}

void Deriver::head() {
  const TensorView* hidden = find("head.0.mlp.0.weight", 2);
  const TensorView* prototypes = find("head.0.last_layer.weight_v", 2);
  if (hidden) config_["head_hidden_dim"] = hidden->shape[0];
  if (!prototypes) return;
  config_["out_dim"] = prototypes->shape[0];
  config_["head_bottleneck_dim"] = prototypes->shape[1];

  // The magnitudes stay 1 unless they are trained.
  const TensorView* magnitudes = find("head.0.last_layer.weight_g", 2);
  if (args_.is_object() && args_.contains("norm_last_layer") && args_.at("norm_last_layer").is_boolean()) {
    config_["norm_last_layer"] = args_.at("norm_last_layer").get<bool>() ? 1 : 0;
  } else if (magnitudes && magnitudes->dtype == UDI_F32) {
    const auto* bytes = static_cast<const uint8_t*>(magnitudes->data);
    bool ones = true;
    for (uint64_t at = 0; at < magnitudes->bytes; at += sizeof(float)) {
      float value;
      std::memcpy(&value, bytes + at, sizeof value);
      ones = ones && value == 1.0f;
    }
    config_["norm_last_layer"] = ones ? 1 : 0;
  }
}

void Deriver::regularisation() {
  for (const char* key : {"drop_path_rate", "drop_path"}) {
    if (!args_.is_object() || !args_.contains(key) || !args_.at(key).is_number()) continue;
    const double rate = args_.at(key).get<double>();
    if (rate >= 0 && rate < 1) config_["drop_path_rate"] = rate;
  }
}

void Deriver::list_missing() {
  std::vector<std::string> names;
  const auto add = [&](const std::string& prefix, std::initializer_list<const char*> modules) {
    for (const char* module : modules) {
      for (const char* part : {"weight", "bias"}) names.push_back(text(prefix, module, '.', part));
    }
  };
  names.push_back(text(kVit, "cls_token"));
  names.push_back(text(kVit, "pos_embed"));
  add(kVit, {"patch_embed.proj"});
  for (int64_t block = 0; block < config_["depth"].get<int64_t>(); ++block) {
    add(text(kVit, "blocks.", block, '.'), {"norm1", "attn.qkv", "attn.proj", "norm2", "mlp.fc1", "mlp.fc2"});
  }
  add(kVit, {"norm"});
  if (config_["include_patch"] == 1) {
    add("backbone.", {"attn.qkv", "attn.proj"});
    if (config_["srs_residual"] == 1) add("backbone.", {"attn.norm"});
    add("backbone.", {"norm1"});
  }
  add("head.0.", {"mlp.0", "mlp.2", "mlp.4"});
  names.insert(names.end(), {"head.0.last_layer.weight_g", "head.0.last_layer.weight_v"});
  for (const std::string& name : names) {
    if (!tensors_.count(name)) weights_.missing.push_back(name);
  }
}

}  // namespace

void derive_config(const std::string& path, const ImportOptions& options, const nlohmann::json& scalars,
                   ImportedWeights* weights) {
  Deriver(path, options, scalars, weights).derive();
}

}  // namespace udi
