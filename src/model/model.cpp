#include "model/model.h"

#include <ATen/Parallel.h>
#include <omp.h>

#include "base/error.h"
#include "base/json.h"

namespace udi {

namespace {

constexpr int64_t kTokensAtOnce = 8 * 198;  // of extraction, where no batch size is asked for: enough to fill the cores

// [B, C, H, W], contiguous, on the model's device.
at::Tensor channels_first(const Model& model, const at::Tensor& images, udi_layout layout) {
  check(images.dim() == 4, UDI_E_SHAPE, "images have ", images.dim(), " dimensions, must have 4");
  check(layout == UDI_NCHW || layout == UDI_NHWC, UDI_E_INVALID, "layout is ", layout,
        ", must be UDI_NCHW (1) or UDI_NHWC (2)");
  check(images.scalar_type() == at::kByte || images.scalar_type() == model.weights.dtype(), UDI_E_SHAPE,
        "images must be uint8 or float32");
  const at::Tensor moved = layout == UDI_NHWC ? images.permute({0, 3, 1, 2}) : images;
  const int64_t patch = model.config.patch_size;
  check(moved.size(0) >= 1, UDI_E_SHAPE, "there are no images");
  check(moved.size(1) == model.config.channels, UDI_E_SHAPE, "images have ", moved.size(1), " channels, the model has ",
        model.config.channels);
  check(moved.size(2) >= patch && moved.size(3) >= patch && moved.size(2) % patch == 0 && moved.size(3) % patch == 0,
        UDI_E_SHAPE, "images are ", moved.size(2), " x ", moved.size(3),
        " pixels; height and width must be multiples of patch_size, ", patch);
  return moved;
}

void check_options(const Model& model, const udi_extract_config& o) {
  check(o.token >= UDI_TOKEN_CLS && o.token <= UDI_TOKEN_PATCHES, UDI_E_INVALID, "token is ", o.token,
        ", must be 1 to 5");
  check(model.config.class_tokens == 2 || (o.token != UDI_TOKEN_CLS_PLUS && o.token != UDI_TOKEN_BOTH), UDI_E_INVALID,
        "token is cls_plus or both, and the model has one class token");
  const int64_t depth = model.config.depth;
  check(o.block >= 0 && o.block < depth, UDI_E_INVALID, "block is ", o.block, ", must be 0 (the last) to ", depth - 1);
  check(o.num_blocks >= 1 && o.block + int64_t(o.num_blocks) <= depth, UDI_E_INVALID, "num_blocks is ", o.num_blocks,
        ", must be 1 to ", depth - o.block, " (the model has ", depth, " blocks, and block is ", o.block, ")");
  check(o.normalize == 0 || o.normalize == 1, UDI_E_INVALID, "normalize is ", o.normalize, ", must be 0 or 1");
  check(o.batch_size >= 0, UDI_E_INVALID, "batch_size is ", o.batch_size, ", must be at least 0");
}

// The token of normed tokens [B, T, D].
at::Tensor pick(const at::Tensor& tokens, udi_token token, int64_t classes) {
  switch (token) {
    case UDI_TOKEN_CLS:
      return tokens.select(1, 0);
    case UDI_TOKEN_CLS_PLUS:
      return tokens.select(1, 1);
    case UDI_TOKEN_BOTH:
      return tokens.narrow(1, 0, 2).flatten(1);
    case UDI_TOKEN_PATCH_MEAN:
      return tokens.narrow(1, classes, tokens.size(1) - classes).mean(1);
  }
  return tokens.narrow(1, classes, tokens.size(1) - classes);
}

// Products on this thread, also where it is not one of several: how they round depends on the number, too.
struct OneThread {
  OneThread() {
    at::get_num_threads();  // whose first call in a thread sets the number
    omp_set_num_threads(1);
  }
  ~OneThread() { omp_set_num_threads(found); }
  const int found = omp_get_max_threads();
};

at::Tensor extract_batch(Vit& vit, const Model& model, const at::Tensor& images, const udi_extract_config& o) {
  const int64_t classes = model.config.class_tokens, dim = model.config.embed_dim;
  const NormWeights& norm = model.weights.vit.norm;
  VitOptions options;
  options.pixels = Pixels::kNormalized;
  const bool class_token = o.token <= UDI_TOKEN_BOTH;
  if (class_token && o.block == 0 && o.num_blocks == 1) {
    options.class_tokens_only = true;
    return pick(vit.forward(images, options).cls, o.token, classes);
  }
  std::vector<at::Tensor> blocks;
  options.blocks = &blocks;
  vit.forward(images, options);
  std::vector<at::Tensor> parts;
  for (int64_t i = model.config.depth - o.block - o.num_blocks; i < model.config.depth - o.block; ++i) {
    const at::Tensor normed = at::layer_norm(blocks[size_t(i)], {dim}, norm.weight, norm.bias, kNormEpsilon);
    parts.push_back(pick(normed, o.token, classes));
  }
  return at::cat(parts, -1);
}

}  // namespace

udi_extract_config extract_config_default() {
  udi_extract_config config{};
  config.struct_size = sizeof config;
  config.token = UDI_TOKEN_CLS;
  config.num_blocks = 1;
  return config;
}

Model::Model(const udi_model_config& c, at::Device device, at::ScalarType precision) : config(c) {
  check_model_config(config);
  config.struct_size = sizeof config;
  weights = Parameters(config, at::kFloat, precision, device);
}

at::Tensor Model::extract(const at::Tensor& images, udi_layout layout, const udi_extract_config& options,
                          const Host* host) const {
  check_options(*this, options);
  const at::Tensor all = channels_first(*this, images, layout);
  const int64_t patches = all.size(2) / config.patch_size * (all.size(3) / config.patch_size);
  // By itself a picture goes through products of the same shapes every time. ATen's round as the size of a batch has it.
  // Ours do not (packed.h), and a picture by itself stays in the cache.
  const bool packed = weights.pack();
  const bool alone = packed || (host && host->deterministic);
  const int64_t chosen = std::max<int64_t>(1, kTokensAtOnce / (patches + config.class_tokens));
  const int64_t at_once = alone ? 1 : options.batch_size ? options.batch_size : chosen;
  const int64_t count = all.size(0), batches = (count + at_once - 1) / at_once;
  std::vector<at::Tensor> parts(static_cast<size_t>(batches));
  const auto run = [&](Vit& vit, int64_t i) {
    if (host) host->check_cancel();
    const int64_t first = i * at_once;
    const at::Tensor batch = all.narrow(0, first, std::min(at_once, count - first)).to(weights.device()).contiguous();
    at::Tensor part = extract_batch(vit, *this, batch, options).to(at::kCPU, at::kFloat, false, true);
    if (options.normalize) part.div_(at::linalg_vector_norm(part, 2, at::IntArrayRef{-1}, true).clamp_min_(1e-12));
    parts[size_t(i)] = part;
  };
  if (alone && weights.device().is_cpu() && (!packed || batches >= at::get_num_threads())) {
    at::parallel_for(0, batches, 1, [&](int64_t begin, int64_t end) {
      const OneThread products;
      Vit vit(config, weights);
      for (int64_t i = begin; i < end; ++i) run(vit, i);
    });
  } else {
    Vit vit(config, weights);
    for (int64_t i = 0; i < batches; ++i) run(vit, i);
  }
  return at::cat(parts).contiguous();
}

at::Tensor Model::attention(const at::Tensor& images, udi_layout layout, const udi_attention_config& options,
                            const Host* host) const {
  const at::Tensor all = channels_first(*this, images, layout);
  const int64_t rows = all.size(2) / config.patch_size, columns = all.size(3) / config.patch_size;
  const int64_t classes = config.class_tokens, count = rows * columns;
  const bool srs = options.source == UDI_ATTENTION_SRS;
  check(options.source >= UDI_ATTENTION_CLS && options.source <= UDI_ATTENTION_SRS, UDI_E_INVALID, "source is ",
        options.source, ", must be 1 to 3");
  check(options.source != UDI_ATTENTION_CLS_PLUS || classes == 2, UDI_E_INVALID,
        "source is cls_plus, and the model has one class token");
  check(!srs || config.include_patch, UDI_E_INVALID, "source is srs, and the model has no SRS module");
  if (srs) {
    check(options.patch_row >= 0 && options.patch_row < rows, UDI_E_INVALID, "patch_row is ", options.patch_row,
          ", must be 0 to ", rows - 1);
    check(options.patch_col >= 0 && options.patch_col < columns, UDI_E_INVALID, "patch_col is ", options.patch_col,
          ", must be 0 to ", columns - 1);
  }

  weights.pack();
  Vit vit(config, weights);
  std::vector<at::Tensor> parts;
  for (int64_t i = 0; i < all.size(0); ++i) {  // an image at a time: the maps of all tokens are large
    if (host) host->check_cancel();
    at::Tensor maps;
    VitOptions vit_options;
    vit_options.pixels = Pixels::kNormalized;
    vit_options.class_tokens_only = !srs;
    if (!srs) vit_options.attention = &maps;
    const VitOutput out = vit.forward(all.narrow(0, i, 1).to(weights.device()).contiguous(), vit_options);
    if (srs) {
      const at::TensorOptions index = weights.flat.options().dtype(at::kLong);
      const SrsQueries query = {at::full({1, 1, 1}, options.patch_row * columns + options.patch_col, index),
                                at::ones({1, 1, 1}, weights.flat.options())};
      Srs(config, weights).forward(out.tokens, query, false, &maps);
    } else {
      maps = maps.narrow(2, options.source == UDI_ATTENTION_CLS ? 0 : 1, 1).narrow(3, classes, count);
    }
    parts.push_back(maps.reshape({1, -1, rows, columns}).to(at::kCPU, at::kFloat));
  }
  return at::cat(parts);
}

// ---- Files -------------------------------------------------------------------------------------------------------

void save_model(const Model& model, const std::string& path) {
  const Parameters weights = model.weights.to(at::kFloat, at::kFloat, at::kCPU);
  write_safetensors(path, weights.views(), {{kConfigKey, config_to_json(model.config).dump()}});
}

Model model_from_tensors(const udi_model_config& config, const std::vector<TensorView>& tensors, bool partial,
                         std::vector<std::string>* notes, at::Device device, at::ScalarType precision) {
  Model model(config, device, precision);
  std::vector<std::string> left_out = model.weights.load(tensors, partial);
  if (notes) *notes = std::move(left_out);
  return model;
}

Model load_model(const SafetensorsFile& file, udi_role role, at::Device device, at::ScalarType precision) {
  check(role == UDI_STUDENT || role == UDI_TEACHER, UDI_E_INVALID, "role is ", role,
        ", must be UDI_STUDENT (1) or UDI_TEACHER (2)");
  const auto found = file.metadata().find(kConfigKey);
  check(found != file.metadata().end(), UDI_E_FORMAT, file.path(), ": no model configuration ('", kConfigKey,
        "') in its metadata");
  const nlohmann::json json = parse_shallow(found->second);
  check(!json.is_discarded(), UDI_E_FORMAT, file.path(), ": the model configuration is not JSON");
  udi_model_config config;
  try {
    config = config_from_json(json);
  } catch (const Error& error) {
    fail(UDI_E_FORMAT, file.path(), ": ", error.message);
  }

  const std::string prefix = role == UDI_STUDENT ? "student." : "teacher.";
  const auto named = [](const TensorView& view, const std::string& start) { return view.name.rfind(start, 0) == 0; };
  std::vector<TensorView> bare, of_role;
  for (TensorView view : file.tensors()) {
    if (named(view, "backbone.") || named(view, "head.")) {
      bare.push_back(view);
    } else if (named(view, prefix)) {
      view.name = view.name.substr(prefix.size());
      of_role.push_back(view);
    }
  }
  const bool checkpoint = bare.empty() && !of_role.empty();
  try {
    return model_from_tensors(config, checkpoint ? of_role : file.tensors(), false, nullptr, device, precision);
  } catch (const Error& error) {
    if (!error.lines.empty()) fail_listing(error.status, file.path(), kDoNotFit, error.lines);
    fail(error.status, file.path(), ": ", error.message);
  }
}

}  // namespace udi
