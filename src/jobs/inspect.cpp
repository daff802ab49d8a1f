// What is in a checkpoint, in weights, in a feature file, in an image set.
#include <algorithm>
#include <filesystem>
#include <map>

#include "base/files.h"
#include "base/json.h"
#include "base/safetensors.h"
#include "data/pool.h"
#include "jobs/images.h"
#include "jobs/model_file.h"
#include "jobs/rows.h"
#include "jobs/settings.h"
#include "model/config.h"
#include "train/checkpoint.h"
#include "weights/names.h"

namespace udi {
namespace {

constexpr size_t kNamedBad = 20;  // unreadable images that are listed

bool ends_with(const std::string& text, const std::string& end) {
  return text.size() > end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

Json tensor_json(const TensorView& tensor) {
  return {{"tensor", tensor.name}, {"type", dtype_name(tensor.dtype)}, {"shape", tensor.shape}};
}

void write_tensors(const std::vector<TensorView>& tensors, bool list, Json* result) {
  int64_t elements = 0;
  uint64_t bytes = 0;
  Json table = Json::array();
  for (const TensorView& tensor : tensors) {
    elements += tensor.elements();
    bytes += tensor.bytes;
    if (list) table.push_back(tensor_json(tensor));
  }
  (*result)["tensors"] = tensors.size();
  (*result)["values"] = elements;
  (*result)["tensor_bytes"] = bytes;
  if (list) (*result)["tensor_list"] = table;
}

// ---- Weights -------------------------------------------------------------------------------------------------------

// "good", or what is damaged.
std::string verify(const SafetensorsFile& file) {
  try {
    check_checksums(file);
    return "good";
  } catch (const Error& error) {
    return error.message;
  }
}

// Metadata that is JSON as JSON, the rest as text.
Json metadata_value(const std::string& value) {
  const Json parsed = parse_shallow<Json>(value);
  return parsed.is_discarded() ? Json(value) : parsed;
}

Json inspect_own(const std::string& path, const SafetensorsFile& file, bool list) {
  const Metadata& metadata = file.metadata();
  Json result = {{"path", path}, {"kind", metadata.count("udi.train") ? "checkpoint" : "model"}};
  write_tensors(file.tensors(), list, &result);
  if (metadata.count("udi.train") || metadata.count("udi.checksums")) result["checksums"] = verify(file);
  if (metadata.count("udi.state")) {
    const Json state = metadata_value(metadata.at("udi.state"));
    if (state.is_object() && state.contains("steps")) result["steps_done"] = state["steps"];
  }
  result["model"] = metadata_value(metadata.at(kConfigKey));
  if (metadata.count("udi.train")) result["train"] = metadata_value(metadata.at("udi.train"));
  return result;
}

Json inspect_foreign(const std::string& path, const ImportedWeights& weights, bool list) {
  Json result = {{"path", path}, {"kind", "weights"}, {"layout", weights.layout}};
  write_tensors(weights.tensors, list, &result);
  result["missing"] = weights.missing;
  result["left_out"] = weights.dropped;
  result["model"] = Json(weights.model_config);
  return result;
}

Json inspect_weights(const std::string& path, const ImportOptions& options, bool list) {
  if (!is_safetensors(path) && !ends_with(path, ".safetensors")) {
    return inspect_foreign(path, import_weights(path, options), list);
  }
  const SafetensorsFile file(path, options.safetensors);
  if (file.metadata().count(kConfigKey)) return inspect_own(path, file, list);
  try {
    return inspect_foreign(path, import_weights(path, options), list);
  } catch (const Error& error) {  // tensors, but no network that is known: features, say
    Json result = {{"path", path}, {"kind", "tensors"}, {"no_weights_because", error.message}};
    write_tensors(file.tensors(), true, &result);
    return result;
  }
}

// An array is an image, [H, W] or [H, W, C], or rows of features, which extract writes as float32 beside their names.
Json inspect_npy(const std::string& path) {
  const MappedFile file(path);
  const NpyHeader header = parse_npy_header(path, file.data(), file.size());
  const auto& shape = header.shape;
  const bool features =
      header.dtype == UDI_F32 && (shape.size() < 3 || shape.back() > 16 || std::filesystem::exists(paths_file(path)));
  Json result = {{"path", path}, {"kind", features ? "features" : "image"}};
  result["type"] = dtype_name(header.dtype);
  result["shape"] = shape;
  result["bytes"] = file.size();
  if (!features) result["channels"] = shape.size() == 3 ? shape[2] : 1;
  return result;
}

// ---- Images --------------------------------------------------------------------------------------------------------

struct Found {
  int height = 0, width = 0, channels = 0;
  FileKind kind = FileKind::kOther;
  uint64_t bytes = 0;
  std::string error;
};

class LookAtImages : public WorkerPool::Task {
 public:
  LookAtImages(const ImageSource& source, const DecodeLimits& limits, int64_t first, int64_t count)
      : found(static_cast<size_t>(count)), source_(source), limits_(limits), first_(first) {}
  int64_t items() const override { return int64_t(found.size()); }
  void run(int64_t item, int) override {
    Found& entry = found[size_t(item)];
    std::vector<uint8_t> bytes;
    try {
      source_.read(first_ + item, bytes);
      entry.bytes = bytes.size();
      entry.kind = file_kind(bytes.data(), bytes.size());
      const Image image = decode_image(bytes.data(), bytes.size(), limits_, 0);
      entry.height = image.height;
      entry.width = image.width;
      entry.channels = image.channels;
    } catch (const Error& error) {
      if (!is_bad_file(error)) throw;
      entry.error = error.message;
    }
  }
  std::vector<Found> found;

 private:
  const ImageSource& source_;
  const DecodeLimits& limits_;
  int64_t first_;
};

std::vector<Found> look_at_all(const JobHost& host, const ImageSource& source, const JobConfig& config) {
  constexpr int64_t kAtOnce = 256;
  const DecodeLimits limits = decode_settings(config);
  WorkerPool pool(config.integer("workers") ? int(config.integer("workers")) : host.num_threads);
  Pace pace(host, "inspect", source.size());
  std::vector<Found> all;
  for (int64_t first = 0; first < source.size(); first += kAtOnce) {
    const int64_t count = std::min(kAtOnce, source.size() - first);
    const auto task = std::make_shared<LookAtImages>(source, limits, first, count);
    pool.push(task);
    pool.wait(*task, nullptr);
    all.insert(all.end(), task->found.begin(), task->found.end());
    pace.advance(count, count);
  }
  return all;
}

Json spread(std::vector<int> values) {
  std::sort(values.begin(), values.end());
  if (values.empty()) return nullptr;
  return {{"smallest", values.front()}, {"median", values[values.size() / 2]}, {"largest", values.back()}};
}

void write_decoded(const JobHost& host, const ImageSource& source, const JobConfig& config, Json* result) {
  const auto all = look_at_all(host, source, config);
  std::vector<int> heights, widths, channels;  // channels: of arrays; the rest is gray or RGB as one wishes
  std::map<FileKind, int64_t> kinds;
  uint64_t bytes = 0;
  int64_t bad = 0;
  Json list = Json::array();
  for (size_t i = 0; i < all.size(); ++i) {
    bytes += all[i].bytes;
    if (!all[i].error.empty()) {
      ++bad;
      if (list.size() < kNamedBad) list.push_back({{"image", source.name(int64_t(i))}, {"why", all[i].error}});
      continue;
    }
    heights.push_back(all[i].height);
    widths.push_back(all[i].width);
    if (all[i].kind == FileKind::kNpy) channels.push_back(all[i].channels);
    ++kinds[all[i].kind];
  }
  (*result)["bytes"] = bytes;
  (*result)["jpeg"] = kinds[FileKind::kJpeg];
  (*result)["png"] = kinds[FileKind::kPng];
  (*result)["npy"] = kinds[FileKind::kNpy];
  (*result)["bad_images"] = bad;
  (*result)["height"] = spread(heights);
  (*result)["width"] = spread(widths);
  if (!channels.empty()) (*result)["npy_channels"] = spread(channels);
  if (bad > 0) (*result)["bad"] = list;
}

Json inspect_images(const JobHost& host, const JobConfig& config) {
  const std::string path = config.string("path");
  const ImageSource source = ImageSource::open(path, source_settings(config), host.host);
  Json result = {{"path", path}, {"kind", "images"}, {"images", source.size()}, {"left_out", source.skips().count}};
  std::map<int64_t, int64_t> counts;
  for (int64_t i = 0; i < source.size(); ++i) ++counts[source.label(i)];
  if (config.flag("decode")) write_decoded(host, source, config, &result);
  if (counts.size() == 1 && counts.count(-1)) return result;
  Json classes = Json::array();
  for (const auto& [label, count] : counts) {
    const std::string name = label < 0                  ? "(none)"
                             : source.classes().empty() ? std::to_string(label)
                                                        : source.classes()[size_t(label)];
    classes.push_back({{"class", name}, {"images", count}});
  }
  result["classes"] = classes;
  return result;
}

}  // namespace

Json run_inspect(const JobHost& host, JobConfig& config) {
  const std::string path = config.string("path");
  ImportOptions options;
  if (config.given("heads")) options.heads = int32_t(config.integer("heads"));
  if (config.given("srs_heads")) options.srs_heads = int32_t(config.integer("srs_heads"));
  options.safetensors = SafetensorsFile::limits_of(format_settings(config));
  options.pth = PthFile::limits_of(format_settings(config));
  for (const char* end : {".safetensors", ".safetensors.prev", ".pth", ".pt", ".pth.tar", ".bin"}) {
    if (ends_with(path, end)) return inspect_weights(path, options, config.flag("tensors"));
  }
  if (ends_with(path, ".npy")) return inspect_npy(path);
  return inspect_images(host, config);
}

}  // namespace udi
