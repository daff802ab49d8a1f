#include "train/checkpoint.h"

#include <unistd.h>

#include <cstdio>
#include <filesystem>

#include "base/error.h"
#include "base/files.h"
#include "base/json.h"
#include "train/checksum.h"

namespace udi {
namespace {

constexpr int kFormat = 1;
constexpr const char* kFormatKey = "udi.format";
constexpr const char* kTrainKey = "udi.train";
constexpr const char* kStateKey = "udi.state";
constexpr const char* kExtraKey = "udi.extra";
constexpr const char* kChecksumsKey = "udi.checksums";

// A metadata entry's name among the checksums; no tensor is called so.
std::string entry_name(const std::string& key) { return "metadata:" + key; }

std::string checksum(const std::string& value) { return xxh64_hex(value.data(), value.size()); }

// The new file takes the old one's place, which goes on as path.prev. There is a file called `path` at every moment
// where the file system has hard links; elsewhere path.prev stands in for a moment.
void rotate(const std::string& next, const std::string& path) {
  const std::string previous = previous_checkpoint(path), link = previous + ".new";
  if (::access(path.c_str(), F_OK) == 0) {
    ::unlink(link.c_str());
    const bool linked = ::link(path.c_str(), link.c_str()) == 0;
    if (::rename((linked ? link : path).c_str(), previous.c_str()) != 0) fail_errno(previous, ": cannot be replaced");
  }
  if (::rename(next.c_str(), path.c_str()) != 0) fail_errno(path, ": cannot be replaced");
  sync_folder_of(path);
}

nlohmann::json metadata_json(const SafetensorsFile& file, const char* key) {
  const auto entry = file.metadata().find(key);
  check(entry != file.metadata().end(), UDI_E_FORMAT, file.path(), ": no checkpoint of a training run: '", key,
        "' is missing from its metadata");
  nlohmann::json value = parse_shallow(entry->second);
  check(!value.is_discarded(), UDI_E_FORMAT, file.path(), ": damaged: '", key, "' in its metadata is no JSON");
  return value;
}

void check_format(const SafetensorsFile& file) {
  const nlohmann::json format = metadata_json(file, kFormatKey);
  check(format.is_number_integer() && format >= 1, UDI_E_FORMAT, file.path(), ": damaged: its format is no number");
  check(format <= kFormat, UDI_E_VERSION, file.path(), ": format ", format.dump(), " is newer than ", kFormat,
        ", the newest that this libudi reads");
}

// The file's tensors are those that the configuration calls for. Before any memory is taken for them.
void check_tensors(const SafetensorsFile& file, const udi_model_config& model, const udi_train_config& train) {
  size_t expected = 0;
  const auto expect = [&](const std::string& name, const std::vector<int64_t>& shape) {
    const TensorView* tensor = file.find(name);
    check(tensor, UDI_E_FORMAT, file.path(), ": tensor '", name, "' is missing");
    check(tensor->shape == shape && tensor->dtype == UDI_F32, UDI_E_FORMAT, file.path(), ": tensor '", name,
          "' has another shape or type than its configuration says");
    ++expected;
  };
  for (const std::string& prefix : Trainer::tensor_prefixes(train)) {
    for (const ParameterInfo& info : parameter_layout(model)) expect(prefix + info.name, info.shape);
  }
  expect("center", {num_levels(model), model.out_dim});
  check(expected == file.tensors().size(), UDI_E_FORMAT, file.path(), ": holds ", file.tensors().size(),
        " tensors, must hold ", expected);
}

LoadedCheckpoint load_one(const std::string& path, at::Device device, const FormatLimits& limits) {
  const SafetensorsFile file(path, SafetensorsFile::limits_of(limits));
  check_format(file);
  check_checksums(file);
  const udi_model_config config = config_from_json(metadata_json(file, kConfigKey));
  const udi_train_config train = train_config_from_json(metadata_json(file, kTrainKey));
  check_tensors(file, config, train);
  LoadedCheckpoint out;
  out.path = path;
  out.extra = metadata_json(file, kExtraKey);
  out.trainer = std::make_unique<Trainer>(Model(config, device), train);
  for (const auto& [name, tensor] : out.trainer->tensors()) {
    const TensorView& view = file.at(name);
    // Not aligned, perhaps: bytes, then floats.
    const at::Tensor bytes = at::empty({int64_t(view.bytes)}, at::kByte);
    std::memcpy(bytes.data_ptr(), view.data, view.bytes);
    tensor.copy_(bytes.view(at::kFloat).view(view.shape));
  }
  out.trainer->restore(metadata_json(file, kStateKey), path);
  return out;
}

}  // namespace

std::string previous_checkpoint(const std::string& path) { return path + ".prev"; }

void check_checksums(const SafetensorsFile& file) {
  if (!file.metadata().count(kTrainKey) && !file.metadata().count(kChecksumsKey)) return;
  const nlohmann::json sums = metadata_json(file, kChecksumsKey);
  check(sums.is_object(), UDI_E_FORMAT, file.path(), ": damaged: its checksums are no object");
  const auto agree = [&](const std::string& name, const std::string& sum) {
    const auto entry = sums.find(name);
    check(entry != sums.end() && *entry == sum, UDI_E_FORMAT, file.path(), ": damaged: the checksum of '", name,
          "' does not agree");
  };
  for (const auto& [key, value] : file.metadata()) {
    if (key != kChecksumsKey) agree(entry_name(key), checksum(value));
  }
  for (const TensorView& tensor : file.tensors()) agree(tensor.name, xxh64_hex(tensor.data, tensor.bytes));
  check(sums.size() == file.metadata().size() - 1 + file.tensors().size(), UDI_E_FORMAT, file.path(),
        ": damaged: it has checksums of tensors that are not there");
}

void save_checkpoint(Trainer& trainer, const nlohmann::json& extra, const std::string& path) {
  trainer.settle();
  udi_train_config train = trainer.config();  // a run goes on on any number of ranks
  train.rank = 0;
  train.world = 1;
  Metadata metadata = {{kFormatKey, std::to_string(kFormat)},
                       {kConfigKey, config_to_json(trainer.model_config()).dump()},
                       {kTrainKey, config_to_json(train).dump()},
                       {kStateKey, trainer.state().dump()},
                       {kExtraKey, extra.dump()}};
  nlohmann::json sums = nlohmann::json::object();
  for (const auto& [key, value] : metadata) sums[entry_name(key)] = checksum(value);

  std::vector<at::Tensor> held;  // copies, where the trainer's memory is not the CPU's
  std::vector<TensorView> views;
  for (const auto& [name, tensor] : trainer.tensors()) {
    held.push_back(tensor.to(at::kCPU).contiguous());
    const at::Tensor& t = held.back();
    check(t.scalar_type() == at::kFloat, UDI_E_INTERNAL, name, " is not float32");
    views.push_back({name, UDI_F32, t.sizes().vec(), t.const_data_ptr(), t.nbytes()});
    sums[name] = xxh64_hex(t.const_data_ptr(), t.nbytes());
  }
  metadata[kChecksumsKey] = sums.dump();

  const std::string next = path + ".next";
  write_safetensors(next, views, metadata);
  rotate(next, path);
}

LoadedCheckpoint load_checkpoint(const std::string& path, at::Device device, bool or_previous,
                                 const FormatLimits& limits) {
  try {
    return load_one(path, device, limits);
  } catch (const Error& first) {
    const bool damaged = first.status == UDI_E_FORMAT || first.status == UDI_E_NOT_FOUND || first.status == UDI_E_IO ||
                         first.status == UDI_E_INVALID;
    if (!or_previous || !damaged) throw;
    try {
      LoadedCheckpoint out = load_one(previous_checkpoint(path), device, limits);
      out.damage = first.message;
      return out;
    } catch (const Error&) {
    }
    throw;
  }
}

}  // namespace udi
