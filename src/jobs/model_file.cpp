#include "jobs/model_file.h"

#include "train/checkpoint.h"
#include "weights/names.h"

namespace udi {
namespace {

bool is_head(const std::string& name) { return name.rfind("head.", 0) == 0; }

// A configuration for what the file tells, with the smallest head where it has none.
udi_model_config imported_config(const std::string& path, const ImportedWeights& weights, bool has_head) {
  nlohmann::json config = weights.model_config;
  if (!has_head) {
    config["out_dim"] = 2;
    config["head_hidden_dim"] = 1;
    config["head_bottleneck_dim"] = 1;
    config["norm_last_layer"] = 1;
  }
  try {
    return config_from_json(config);
  } catch (const Error& error) {
    fail(UDI_E_FORMAT, path, ": no model of libudi: ", error.message);
  }
}

// The tensors that have a place in the model; what is said of the others goes into `misfits`.
std::vector<TensorView> fitting(const ImportedWeights& weights, const Model& model, std::vector<std::string>* misfits) {
  std::vector<TensorView> result;
  for (const TensorView& tensor : weights.tensors) {
    const int64_t index = model.weights.find(tensor.name);
    if (index < 0) {
      misfits->push_back("extra " + tensor.name);
      continue;
    }
    const auto& shape = model.weights.entries()[size_t(index)].shape;
    if (shape == tensor.shape) {
      result.push_back(tensor);
    } else {
      misfits->push_back(misshapen(tensor.name, tensor.shape, shape));
    }
  }
  return result;
}

ModelFile import_model(const std::string& path, const ModelFileOptions& options, at::Device device) {
  ImportOptions import;
  import.role = options.role;
  import.heads = options.heads;
  import.srs_heads = options.srs_heads;
  import.safetensors = SafetensorsFile::limits_of(options.limits);
  import.pth = PthFile::limits_of(options.limits);
  const ImportedWeights weights = import_weights(path, import);
  bool has_head = false;
  for (const TensorView& tensor : weights.tensors) has_head = has_head || is_head(tensor.name);

  ModelFile file;
  file.layout = weights.layout;
  const udi_model_config config = imported_config(path, weights, has_head);
  file.model = Model(config, device);
  file.model.weights.initialize(config, 0);
  const auto tensors = fitting(weights, file.model, &file.misfits);
  std::set<std::string> given, got;
  for (const TensorView& tensor : weights.tensors) given.insert(tensor.name);
  for (const TensorView& tensor : tensors) got.insert(tensor.name);
  for (const ParameterInfo& info : file.model.weights.entries()) {
    if (got.count(info.name)) continue;
    file.unset.insert(info.name);
    const bool misshapen = given.count(info.name) > 0;  // said already
    if (!misshapen && (has_head || !is_head(info.name))) file.misfits.push_back("missing " + info.name);
  }
  if (!file.misfits.empty() && !options.partial) {
    fail_listing(UDI_E_FORMAT, path, text(kDoNotFit, " (convert and pretrain have --partial)"), file.misfits);
  }
  file.model.weights.load(tensors, true);
  if (!has_head) file.notes.push_back("no projection head: the model has the smallest one, at random");
  file.notes.insert(file.notes.end(), weights.dropped.begin(), weights.dropped.end());
  return file;
}

}  // namespace

bool is_safetensors(const std::string& path) {
  const MappedFile file(path);
  const bool zip = file.size() > 1 && std::memcmp(file.data(), "PK", 2) == 0;
  return !zip && file.size() > 8 && file.data()[8] == '{';
}

ModelFile open_model_file(const std::string& path, const ModelFileOptions& options, at::Device device) {
  if (!is_safetensors(path)) return import_model(path, options, device);
  const SafetensorsFile file(path, SafetensorsFile::limits_of(options.limits));
  if (!file.metadata().count(kConfigKey)) return import_model(path, options, device);
  check_checksums(file);
  return {load_model(file, options.role, device), "udi", {}, {}, {}};
}

Model open_model(const Host& host, const std::string& path, const ModelFileOptions& options, at::Device device) {
  ModelFile file = open_model_file(path, options, device);
  for (const auto& note : file.notes) host.log(UDI_LOG_INFO, path, ": ", note);
  return std::move(file.model);
}

std::vector<std::string> copy_weights(const ModelFile& from, Model* to) {
  const Parameters& given = from.model.weights;
  std::set<std::string> lines(from.misfits.begin(), from.misfits.end());
  for (size_t i = 0; i < to->weights.entries().size(); ++i) {
    const ParameterInfo& info = to->weights.entries()[i];
    const int64_t index = from.unset.count(info.name) ? -1 : given.find(info.name);
    if (index < 0) {
      lines.insert("missing " + info.name);
    } else if (given.entries()[size_t(index)].shape != info.shape) {
      lines.insert(misshapen(info.name, given.entries()[size_t(index)].shape, info.shape));
    } else {
      to->weights[i].copy_(given[size_t(index)]);
    }
  }
  for (const ParameterInfo& info : given.entries()) {
    if (!from.unset.count(info.name) && to->weights.find(info.name) < 0) lines.insert("extra " + info.name);
  }
  const udi_model_config &theirs = from.model.config, &ours = to->config;
  if (theirs.heads != ours.heads) lines.insert(text("heads are ", theirs.heads, ", must be ", ours.heads));
  if (theirs.include_patch && ours.include_patch && theirs.srs_heads != ours.srs_heads) {
    lines.insert(text("srs_heads are ", theirs.srs_heads, ", must be ", ours.srs_heads));
  }
  to->weights.refresh();
  return {lines.begin(), lines.end()};
}

}  // namespace udi
