#include "model/model.h"

#include "base/error.h"
#include "base/json.h"
#include "model/extract.h"

namespace udi {

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
