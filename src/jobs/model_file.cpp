#include "jobs/model_file.h"

#include <set>

#include "train/checkpoint.h"
#include "weights/names.h"

namespace udi {
namespace {

bool is_head(const std::string& name) { return name.rfind("head.", 0) == 0; }

// "a, b, c and 12 more"
std::string list_of(const std::vector<std::string>& names) {
  constexpr size_t kShown = 8;
  std::string list;
  for (size_t i = 0; i < std::min(names.size(), kShown); ++i) list += (i ? ", " : "") + names[i];
  if (names.size() > kShown) list += text(" and ", names.size() - kShown, " more");
  return list;
}

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

// The tensors that have a place in the model; the others, and places without a tensor, go into `notes`.
std::vector<TensorView> fitting(const ImportedWeights& weights, const Model& model, std::vector<std::string>* notes) {
  std::vector<TensorView> result;
  for (const TensorView& tensor : weights.tensors) {
    const int64_t index = model.weights.find(tensor.name);
    if (index < 0) {
      notes->push_back("extra: " + tensor.name);
    } else if (model.weights.entries()[size_t(index)].shape != tensor.shape) {
      notes->push_back("misshapen: " + tensor.name);
    } else {
      result.push_back(tensor);
    }
  }
  return result;
}

ModelFile import_model(const std::string& path, const ModelFileOptions& options, at::Device device) {
  ImportOptions import;
  import.role = options.role;
  import.heads = options.heads;
  import.srs_heads = options.srs_heads;
  const ImportedWeights weights = import_weights(path, import);
  bool has_head = false;
  for (const TensorView& tensor : weights.tensors) has_head = has_head || is_head(tensor.name);

  ModelFile file;
  file.layout = weights.layout;
  const udi_model_config config = imported_config(path, weights, has_head);
  file.model = Model(config, device);
  file.model.weights.initialize(config, 0);
  std::vector<std::string> wrong;
  const auto tensors = fitting(weights, file.model, &wrong);
  std::set<std::string> got;
  for (const TensorView& tensor : tensors) got.insert(tensor.name);
  for (const ParameterInfo& info : file.model.weights.entries()) {
    const bool needed = has_head || !is_head(info.name);
    if (needed && !got.count(info.name)) wrong.push_back("missing: " + info.name);
  }
  check(wrong.empty() || options.partial, UDI_E_FORMAT, path, ": ", list_of(wrong),
        "; give partial to go without them");
  file.model.weights.load(tensors, true);
  file.notes = wrong;
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
  const SafetensorsFile file(path);
  if (!file.metadata().count(kConfigKey)) return import_model(path, options, device);
  check_checksums(file);
  return {load_model(file, options.role, device), "udi", {}};
}

Model open_model(const Host& host, const std::string& path, const ModelFileOptions& options, at::Device device) {
  ModelFile file = open_model_file(path, options, device);
  for (const auto& note : file.notes) host.log(UDI_LOG_INFO, path, ": ", note);
  return std::move(file.model);
}

std::vector<std::string> copy_weights(const Model& from, Model* to) {
  std::vector<std::string> left;
  for (size_t i = 0; i < to->weights.entries().size(); ++i) {
    const ParameterInfo& info = to->weights.entries()[i];
    const int64_t index = from.weights.find(info.name);
    if (index < 0) {
      left.push_back("missing: " + info.name);
    } else if (from.weights.entries()[size_t(index)].shape != info.shape) {
      left.push_back("misshapen: " + info.name);
    } else {
      to->weights[i].copy_(from.weights[size_t(index)]);
    }
  }
  to->weights.refresh();
  return left;
}

}  // namespace udi
