#include "weights/names.h"

#include <algorithm>
#include <map>

#include "weights/pth_write.h"
#include "weights/support.h"

namespace udi {
namespace {

using udi_test::expect_error;
using udi_test::TempFolder;

const std::string kGolden = std::string(UDI_TEST_DIR) + "/golden/udi_tiny/";
const std::string kVit = "backbone.backbone.", kNone;

// Tensors of a small network, each filled with numbers of its own.
class Network {
 public:
  TensorView& add(const std::string& name, const std::vector<int64_t>& shape) {
    TensorView tensor{name, UDI_F32, shape, nullptr, 0};
    std::vector<float>& values = memory_.emplace_back(size_t(tensor.elements()));
    for (size_t i = 0; i < values.size(); ++i) values[i] = float(memory_.size()) + 0.001f * float(i);
    tensor.data = values.data();
    tensor.bytes = values.size() * 4;
    tensors.push_back(tensor);
    return tensors.back();
  }
  void add_linear(const std::string& name, int64_t out, int64_t in) {
    add(name + ".weight", {out, in});
    add(name + ".bias", {out});
  }
  void add_norm(const std::string& name, int64_t width) {
    add(name + ".weight", {width});
    add(name + ".bias", {width});
  }

  struct Shape {
    int64_t grid = 3, patch = 4, channels = 3, hidden = 24;
  };

  // Width 12, 2 blocks, all below `prefix`; patches of 4 pixels and a grid of 3 x 3 if nothing else is asked for.
  void add_vit(const std::string& prefix, int64_t tokens) { add_vit(prefix, tokens, Shape()); }
  void add_vit(const std::string& prefix, int64_t tokens, const Shape& shape) {
    add(prefix + "cls_token", {1, tokens, 12});
    add(prefix + "pos_embed", {1, tokens + shape.grid * shape.grid, 12});
    add(prefix + "patch_embed.proj.weight", {12, shape.channels, shape.patch, shape.patch});
    add(prefix + "patch_embed.proj.bias", {12});
    for (int block = 0; block < 2; ++block) {
      const std::string name = prefix + "blocks." + std::to_string(block) + '.';
      add_norm(name + "norm1", 12);
      add_linear(name + "attn.qkv", 36, 12);
      add_linear(name + "attn.proj", 12, 12);
      add_norm(name + "norm2", 12);
      add_linear(name + "mlp.fc1", shape.hidden, 12);
      add_linear(name + "mlp.fc2", 12, shape.hidden);
    }
    add_norm(prefix + "norm", 12);
  }
  void add_srs(const std::string& prefix) {
    add_linear(prefix + "attn.qkv", 36, 12);
    add_linear(prefix + "attn.proj", 12, 12);
    add_norm(prefix + "norm1", 12);
  }
  void add_head(const std::string& prefix, bool new_names = false) {
    add_linear(prefix + "mlp.0", 10, 12);
    add_linear(prefix + "mlp.2", 10, 10);
    add_linear(prefix + "mlp.4", 5, 10);
    const std::string last = prefix + "last_layer.";
    TensorView& magnitudes = add(last + (new_names ? "parametrizations.weight.original0" : "weight_g"), {7, 1});
    std::fill_n(static_cast<float*>(const_cast<void*>(magnitudes.data)), 7, 1.0f);
    add(last + (new_names ? "parametrizations.weight.original1" : "weight_v"), {7, 5});
  }
  // A second name for the tensors below `from`.
  void alias(const std::string& from, const std::string& to) {
    const std::vector<TensorView> all = tensors;
    for (TensorView tensor : all) {
      if (tensor.name.rfind(from, 0) != 0) continue;
      tensor.name = to + tensor.name.substr(from.size());
      tensors.push_back(tensor);
    }
  }
  Network& under(const std::string& prefix) {
    for (TensorView& tensor : tensors) tensor.name.insert(0, prefix);
    return *this;
  }

  std::vector<TensorView> tensors;

 private:
  std::deque<std::vector<float>> memory_;
};

// What the tests write: a safetensors file, or a .pth of flat names below one key ("": none), with some arguments.
ImportedWeights from_safetensors(const std::vector<TensorView>& tensors, const ImportOptions& options = {},
                                 const Metadata& metadata = {}) {
  TempFolder folder;
  write_safetensors(folder / "w.safetensors", tensors, metadata);
  return import_weights(folder / "w.safetensors", options);
}

ImportedWeights from_pth(const std::vector<TensorView>& tensors, const std::string& key, const nlohmann::json& args,
                         const ImportOptions& options = {}) {
  TempFolder folder;
  PthWriter out;
  out.begin_dict();
  if (!key.empty()) out.string(key), out.begin_ordered_dict();
  for (const TensorView& tensor : tensors) out.string(tensor.name), out.tensor(tensor);
  if (!key.empty()) out.end();
  out.string("args");
  out.json(args.is_null() ? nlohmann::json::object() : args);
  out.end();
  out.save(folder / "w.pth");
  return import_weights(folder / "w.pth", options);
}

ImportOptions heads(int32_t count, udi_role role = UDI_TEACHER) {
  ImportOptions options;
  options.heads = count;
  options.srs_heads = count;
  options.role = role;
  return options;
}

// Every tensor of `want`, in this order of names, under the official names that rename() gives.
template <class Rename>
void expect_tensors(const ImportedWeights& got, const std::vector<TensorView>& want, Rename&& rename) {
  std::map<std::string, const TensorView*> by_name;
  for (const TensorView& tensor : got.tensors) by_name[tensor.name] = &tensor;
  size_t count = 0;
  for (const TensorView& tensor : want) {
    const std::string name = rename(tensor.name);
    if (name.empty()) continue;
    ++count;
    ASSERT_TRUE(by_name.count(name)) << name;
    EXPECT_EQ(by_name[name]->shape, tensor.shape) << name;
    ASSERT_EQ(by_name[name]->bytes, tensor.bytes) << name;
    EXPECT_EQ(std::memcmp(by_name[name]->data, tensor.data, tensor.bytes), 0) << name;
  }
  EXPECT_EQ(got.tensors.size(), count);
}

bool mentions(const std::vector<std::string>& list, const std::string& name) {
  return std::any_of(list.begin(), list.end(), [&](const std::string& text) { return text.rfind(name, 0) == 0; });
}

// ---- The official code ---------------------------------------------------------------------------------------------

TEST(Names, OfficialCheckpoint) {
  const SafetensorsFile want(kGolden + "final.safetensors");
  for (const udi_role role : {UDI_STUDENT, UDI_TEACHER}) {
    ImportOptions options;
    options.role = role;
    const ImportedWeights got = import_weights(kGolden + "official_checkpoint.pth", options);
    EXPECT_EQ(got.layout, "official");
    const std::string prefix = role == UDI_STUDENT ? "student." : "teacher.";
    expect_tensors(got, want.tensors(), [&](const std::string& name) {
      return name.rfind(prefix, 0) == 0 ? name.substr(prefix.size()) : kNone;
    });
    EXPECT_TRUE(got.missing.empty());
    EXPECT_TRUE(got.dropped.empty());
    const nlohmann::json config = {{"class_tokens", 2},    {"embed_dim", 48},       {"patch_size", 16},
                                   {"channels", 3},        {"image_size", 224},     {"depth", 2},
                                   {"heads", 3},           {"mlp_ratio", 4.0},      {"include_patch", 1},
                                   {"srs_heads", 6},       {"srs_residual", 1},     {"out_dim", 256},
                                   {"norm_last_layer", 1}, {"head_hidden_dim", 96}, {"head_bottleneck_dim", 32}};
    for (const auto& [key, value] : config.items()) EXPECT_EQ(got.model_config[key], value) << key;
    EXPECT_EQ(got.center.shape, (std::vector<int64_t>{3, 256}));
    EXPECT_EQ(std::memcmp(got.center.data, want.at("center").data, got.center.bytes), 0);
    EXPECT_EQ(got.scalars["epoch"], 2);
  }
}

TEST(Names, OfficialParts) {
  Network network;
  network.add_vit(kVit, 2);
  network.add_srs("backbone.");
  network.add_head("head.0.");
  const auto same = [](const std::string& name) { return name; };
  const auto check_all = [&](const ImportedWeights& got) {
    EXPECT_EQ(got.layout, "official");
    EXPECT_TRUE(got.missing.empty()) << got.missing[0];
    expect_tensors(got, network.tensors, same);
  };
  check_all(from_safetensors(network.tensors, heads(3)));
  check_all(from_pth(network.tensors, "", {}, heads(3)));
  check_all(from_pth(network.tensors, "student", {}, heads(3)));  // the other role, where there is only one
  check_all(from_pth(network.tensors, "teacher", {}, heads(3, UDI_STUDENT)));
  check_all(from_pth(network.tensors, "state_dict", {}, heads(3)));

  Network wrapped = network;
  check_all(from_pth(wrapped.under("module.").tensors, "student", {}, heads(3)));
  check_all(from_safetensors(wrapped.under("teacher.").tensors, heads(3)));
}

TEST(Names, OfficialBackbones) {
  for (const std::string& prefix : {std::string("backbone."), std::string()}) {
    Network network;
    network.add_vit(prefix, 2);
    network.add_srs("");
    const ImportedWeights got = from_safetensors(network.tensors, heads(3));
    EXPECT_EQ(got.layout, "official-backbone");
    expect_tensors(got, network.tensors, [&](const std::string& name) {
      const bool srs = name.rfind("attn.", 0) == 0 || name.rfind("norm1.", 0) == 0;
      return srs ? "backbone." + name : kVit + name.substr(prefix.size());
    });
    EXPECT_EQ(got.model_config["include_patch"], 1);
    EXPECT_FALSE(got.model_config.contains("out_dim"));
    EXPECT_TRUE(mentions(got.missing, "head.0.mlp.0.weight"));
  }
}

TEST(Names, HeadsOfTheLevelsMustBeOne) {
  Network network;
  network.add_vit(kVit, 2);
  network.add_srs("backbone.");
  network.add_head("head.0.");
  network.alias("head.0.", "head.1.");
  network.alias("head.0.", "head.2.");
  const ImportedWeights got = from_safetensors(network.tensors, heads(3));
  EXPECT_FALSE(mentions(got.missing, "head"));
  for (const TensorView& tensor : got.tensors) EXPECT_NE(tensor.name.rfind("head.1.", 0), 0u);

  std::vector<float> other(50, 3.0f);
  std::vector<TensorView> tensors = network.tensors;
  for (TensorView& tensor : tensors) {
    if (tensor.name == "head.2.mlp.4.weight") tensor.data = other.data();
  }
  expect_error(UDI_E_UNSUPPORTED, "'head.2.mlp.4.weight' differs", [&] { from_safetensors(tensors, heads(3)); });
  tensors = network.tensors;
  tensors.back().name = "head.2.other";
  expect_error(UDI_E_FORMAT, "no twin", [&] { from_safetensors(tensors, heads(3)); });
}

// ---- Others --------------------------------------------------------------------------------------------------------

TEST(Names, Dino) {
  for (const bool new_names : {false, true}) {
    Network network;
    network.add_vit("backbone.", 1);
    network.add_head("head.", new_names);
    const auto rename = [](std::string name) {
      if (name.rfind("head.", 0) != 0) return "backbone." + name;
      const size_t at = name.find("parametrizations");
      if (at != std::string::npos) name = name.substr(0, at) + (name.back() == '0' ? "weight_g" : "weight_v");
      return "head.0." + name.substr(5);
    };
    ImportedWeights got = from_pth(network.tensors, "teacher", {{"arch", "vit_small"}});
    EXPECT_EQ(got.layout, "dino");
    expect_tensors(got, network.tensors, rename);
    EXPECT_EQ(got.model_config["heads"], 6);
    EXPECT_EQ(got.model_config["class_tokens"], 1);
    EXPECT_EQ(got.model_config["include_patch"], 0);
    EXPECT_EQ(got.model_config["out_dim"], 7);
    EXPECT_EQ(got.model_config["norm_last_layer"], 1);
    EXPECT_TRUE(got.missing.empty());
    Network wrapped = network;
    got = from_pth(wrapped.under("module.").tensors, "student", {{"arch", "vit_tiny"}}, heads(0, UDI_STUDENT));
    expect_tensors(got, network.tensors, rename);
    EXPECT_EQ(got.model_config["heads"], 3);
  }
}

TEST(Names, Ibot) {
  Network network;
  network.add_vit("backbone.", 1);
  network.add("backbone.masked_embed", {1, 12});
  network.add_head("head.");
  network.alias("head.last_layer.", "head.last_layer2.");
  const ImportedWeights got = from_pth(network.tensors, "teacher", {{"arch", "vit_small"}});
  EXPECT_EQ(got.layout, "ibot");
  EXPECT_TRUE(mentions(got.dropped, "backbone.masked_embed: "));
  EXPECT_TRUE(mentions(got.dropped, "head.last_layer2.weight_v: "));
  EXPECT_EQ(got.dropped.size(), 3u);
  EXPECT_TRUE(got.missing.empty());
  expect_tensors(got, network.tensors, [](const std::string& name) {
    if (name.find("masked") != std::string::npos || name.find("layer2") != std::string::npos) return kNone;
    return name.rfind("head.", 0) == 0 ? "head.0." + name.substr(5) : "backbone." + name;
  });
}

TEST(Names, BareVits) {
  Network network;
  network.add_vit("", 1);
  network.add("head.weight", {4, 12});
  network.add("head.bias", {4});
  const auto rename = [](const std::string& name) { return name.rfind("head", 0) == 0 ? kNone : kVit + name; };
  for (const char* key : {"", "model", "state_dict"}) {
    const ImportedWeights got = from_pth(network.tensors, key, {{"model", "deit_tiny_patch16_224"}});
    EXPECT_EQ(got.layout, "vit");
    EXPECT_EQ(got.model_config["heads"], 3);
    EXPECT_EQ(got.model_config["image_size"], 12);
    EXPECT_EQ(got.dropped, (std::vector<std::string>{"head.weight: a classifier", "head.bias: a classifier"}));
    expect_tensors(got, network.tensors, rename);
    EXPECT_EQ(got.missing.size(), 8u);  // of the head
  }
  expect_tensors(from_safetensors(network.tensors, heads(2)), network.tensors, rename);
}

TEST(Names, WhatIsMissingOrForeignIsNamed) {
  Network network;
  network.add_vit("", 1);
  const auto without = [&](const std::string& name) {
    std::vector<TensorView> tensors;
    for (const TensorView& tensor : network.tensors) {
      if (tensor.name != name) tensors.push_back(tensor);
    }
    return tensors;
  };
  EXPECT_TRUE(
      mentions(from_safetensors(without("blocks.1.norm2.bias"), heads(3)).missing, kVit + "blocks.1.norm2.bias"));
  expect_error(UDI_E_FORMAT, "no cls_token", [&] { from_safetensors(without("cls_token"), heads(3)); });
  expect_error(UDI_E_FORMAT, "pos_embed", [&] { from_safetensors(without("pos_embed"), heads(3)); });
  expect_error(UDI_E_INVALID, "--heads N", [&] { from_safetensors(network.tensors); });
  expect_error(UDI_E_INVALID, "does not divide", [&] { from_safetensors(network.tensors, heads(5)); });
  const auto with = [&](const std::string& name, const std::vector<int64_t>& shape) {
    Network more = network;
    more.add(name, shape);
    return from_safetensors(more.tensors, heads(3));
  };
  expect_error(UDI_E_UNSUPPORTED, "distilled", [&] { with("dist_token", {1, 1, 12}); });
  expect_error(UDI_E_UNSUPPORTED, "register", [&] { with("reg_token", {1, 4, 12}); });
  expect_error(UDI_E_UNSUPPORTED, "layer scale", [&] { with("blocks.0.ls1.gamma", {12}); });
  expect_error(UDI_E_FORMAT, "no block", [&] { with("blocks.x.norm1.weight", {12}); });
  expect_error(UDI_E_FORMAT, "no block", [&] { with("blocks.999.norm1.weight", {12}); });
  expect_error(UDI_E_FORMAT, "two tensors for 'backbone.backbone.cls_token'", [&] {
    with("module.cls_token", {1, 1, 12});
  });
  expect_error(UDI_E_FORMAT, "no vision transformer", [&] { from_safetensors({}, heads(3)); });
  EXPECT_EQ(with("blocks.0.extra", {2}).tensors.back().name, kVit + "blocks.0.extra");
}

TEST(Names, ShapesThatAreNoVit) {
  const auto misshapen = [](const std::string& name, const std::vector<int64_t>& shape) {
    Network network;
    network.add_vit("", 1);
    Network other;
    for (TensorView& tensor : network.tensors) {
      if (tensor.name == name) tensor = other.add(name, shape);
    }
    return from_safetensors(network.tensors, heads(3));
  };
  expect_error(UDI_E_FORMAT, "dimensions", [&] { misshapen("cls_token", {12}); });
  expect_error(UDI_E_FORMAT, "empty", [&] { misshapen("cls_token", {1, 1, 0}); });
  expect_error(UDI_E_UNSUPPORTED, "class tokens", [&] { misshapen("cls_token", {1, 3, 12}); });
  expect_error(UDI_E_UNSUPPORTED, "a square", [&] { misshapen("pos_embed", {1, 9, 12}); });
  expect_error(UDI_E_UNSUPPORTED, "a square", [&] { misshapen("pos_embed", {1, 1, 12}); });
  expect_error(UDI_E_FORMAT, "widths", [&] { misshapen("pos_embed", {1, 10, 13}); });
  expect_error(UDI_E_UNSUPPORTED, "patches of 4 x 5", [&] { misshapen("patch_embed.proj.weight", {12, 3, 4, 5}); });
}

// ---- What no shape tells -------------------------------------------------------------------------------------------

// DeiT-B at 384 pixels, but for its width: a file that never heard of libudi.
TEST(Names, TheEvaluationTransformFollowsTheImageSize) {
  const auto resize_size = [](int64_t grid, int64_t patch) -> int {
    Network network;
    network.add_vit("", 1, {grid, patch, 3, 24});
    return from_pth(network.tensors, "model", {{"model", "deit_base_patch16_384"}}).model_config["resize_size"];
  };
  EXPECT_EQ(resize_size(24, 16), 439);  // 384 * 256 / 224
  EXPECT_EQ(resize_size(14, 16), 256);
  EXPECT_EQ(resize_size(28, 8), 256);
  EXPECT_EQ(resize_size(3, 4), 14);
}

TEST(Names, TheFileHasTheWordOnTheEvaluationTransform) {
  Network network;
  network.add_vit("", 1);
  const std::vector<double> mean = {0.25, 0.5, 0.75}, std = {0.125, 0.25, 0.5};
  const nlohmann::json args = {{"heads", 3}, {"resize_size", 13}, {"mean", mean}, {"std", std}};
  Metadata metadata;
  for (const auto& [name, value] : args.items()) metadata[name] = value.dump();
  for (const ImportedWeights& got :
       {from_pth(network.tensors, "model", args), from_safetensors(network.tensors, {}, metadata)}) {
    EXPECT_EQ(got.model_config["resize_size"], 13);
    EXPECT_EQ(got.model_config["mean"], nlohmann::json(mean));
    EXPECT_EQ(got.model_config["std"], nlohmann::json(std));
  }
  // One number counts for all channels; None is no word.
  const std::vector<double> half = {0.5};
  const ImportedWeights one = from_pth(network.tensors, "", {{"heads", 3}, {"mean", half}, {"std", 0.25}});
  EXPECT_EQ(one.model_config["mean"], nlohmann::json({0.5, 0.5, 0.5}));
  EXPECT_EQ(one.model_config["std"], nlohmann::json({0.25, 0.25, 0.25}));
  const nlohmann::json none = {{"heads", 3}, {"mean", nullptr}, {"std", nullptr}, {"resize_size", nullptr}};
  const ImportedWeights silent = from_pth(network.tensors, "", none);
  EXPECT_FALSE(silent.model_config.contains("mean"));  // ImageNet's, then
  EXPECT_EQ(silent.model_config["resize_size"], 14);

  const auto wrong = [&](const char* name, const nlohmann::json& value) {
    from_pth(network.tensors, "", {{"heads", 3}, {name, value}});
  };
  expect_error(UDI_E_FORMAT, "its mean is neither one number nor 3", [&] { wrong("mean", {0.5, 0.5}); });
  expect_error(UDI_E_FORMAT, "its std is neither", [&] { wrong("std", {"a", "b", "c"}); });
  expect_error(UDI_E_FORMAT, "its std is neither", [&] { wrong("std", nlohmann::json::object()); });
  expect_error(UDI_E_FORMAT, "its resize_size is no whole number", [&] { wrong("resize_size", 13.5); });
}

TEST(Names, ImagesThatAreNoPhotographsHaveTheDefaultsOfPretraining) {
  for (const int64_t channels : {1, 5}) {
    Network network;
    network.add_vit("", 1, {3, 4, channels, 24});
    const ImportedWeights got = from_safetensors(network.tensors, heads(3));
    EXPECT_EQ(got.model_config["mean"], nlohmann::json(std::vector<double>(size_t(channels), 0.5)));
    EXPECT_EQ(got.model_config["std"], nlohmann::json(std::vector<double>(size_t(channels), 0.25)));
  }
}

// The ratio is kept as a float and multiplied by the width again: no hidden width may be lost by rounding.
TEST(Names, HiddenWidthsSurviveTheirRatio) {
  for (int64_t hidden = 1; hidden <= 100; ++hidden) {
    Network network;
    network.add_vit("", 1, {3, 4, 3, hidden});
    const float ratio = from_safetensors(network.tensors, heads(3)).model_config["mlp_ratio"];
    EXPECT_EQ(int64_t(12.0 * double(ratio)), hidden);
  }
}

TEST(Names, MetadataThatNestDeeperThanAStackAreNoWords) {
  Network network;
  network.add_vit("", 1);
  const std::string deep = std::string(1000000, '[') + std::string(1000000, ']');
  expect_error(UDI_E_FORMAT, "its mean is neither", [&] {
    from_safetensors(network.tensors, heads(3), {{"mean", deep}});
  });
}

TEST(Names, LimitsAreTheCallers) {
  Network network;
  network.add_vit("", 1);
  TempFolder folder;
  write_safetensors(folder / "w.safetensors", network.tensors, {});
  PthWriter out;
  out.begin_dict();
  for (const TensorView& tensor : network.tensors) out.string(tensor.name), out.tensor(tensor);
  out.end();
  out.save(folder / "w.pth");
  const auto read = [&](const std::string& name, uint64_t header_bytes, uint64_t name_bytes) {
    ImportOptions options = heads(3);
    options.safetensors = SafetensorsFile::limits_of({header_bytes, name_bytes});
    options.pth = PthFile::limits_of({header_bytes, name_bytes});
    import_weights(folder / name, options);
  };
  for (const char* name : {"w.safetensors", "w.pth"}) {
    read(name, 0, 0);
    read(name, 1 << 20, 30);
    expect_error(UDI_E_FORMAT, "larger than the limit of 100 (max_header_bytes)", [&] { read(name, 100, 0); });
    expect_error(UDI_E_FORMAT, "(max_name_bytes)", [&] { read(name, 0, 20); });
  }
}

// ---- timm ----------------------------------------------------------------------------------------------------------

TEST(Names, TimmAndBack) {
  Network network;
  network.add_vit(kVit, 2);
  network.add_srs("backbone.");
  network.add_head("head.0.");
  TimmWeights both = export_timm(network.tensors, false);
  EXPECT_EQ(both.tensors[0].name, "cls_token");
  EXPECT_EQ(both.tensors[0].shape, (std::vector<int64_t>{1, 2, 12}));

  const TimmWeights timm = export_timm(network.tensors, true);
  TempFolder folder;  // metadata tell the heads
  write_safetensors(folder / "timm.safetensors", timm.tensors, {{"format", "pt"}, {"heads", "2"}});
  const ImportedWeights got = import_weights(folder / "timm.safetensors", {});
  EXPECT_EQ(got.layout, "vit");
  EXPECT_EQ(got.model_config["heads"], 2);
  EXPECT_EQ(got.model_config["class_tokens"], 1);
  EXPECT_EQ(got.model_config["image_size"], 12);
  EXPECT_EQ(got.missing.size(), 8u);
  for (const TensorView& tensor : got.tensors) {
    const auto want = std::find_if(network.tensors.begin(), network.tensors.end(),
                                   [&](const TensorView& other) { return other.name == tensor.name; });
    ASSERT_NE(want, network.tensors.end()) << tensor.name;
    const auto* a = static_cast<const uint8_t*>(tensor.data);
    const auto* b = static_cast<const uint8_t*>(want->data);
    if (tensor.name == kVit + "cls_token") {
      EXPECT_EQ(std::memcmp(a, b, 48), 0);
    } else if (tensor.name == kVit + "pos_embed") {
      ASSERT_EQ(tensor.shape, (std::vector<int64_t>{1, 10, 12}));
      EXPECT_EQ(std::memcmp(a, b, 48), 0);
      EXPECT_EQ(std::memcmp(a + 48, b + 96, 9 * 48), 0);  // without the slot of the second class token
    } else {
      EXPECT_EQ(std::memcmp(a, b, want->bytes), 0) << tensor.name;
    }
  }
  expect_error(UDI_E_NOT_FOUND, "no backbone", [] { export_timm({}, true); });
}

}  // namespace
}  // namespace udi
