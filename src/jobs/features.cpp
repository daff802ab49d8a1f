#include "jobs/features.h"

#include <algorithm>
#include <map>
#include <set>

#include "base/safetensors.h"
#include "jobs/settings.h"

namespace udi {

std::vector<int64_t> row_shape(const udi_model_config& model, const udi_extract_config& options) {
  const int64_t width = int64_t(model.embed_dim) * options.num_blocks * (options.token == UDI_TOKEN_BOTH ? 2 : 1);
  if (options.token != UDI_TOKEN_PATCHES) return {width};
  const int64_t grid = model.image_size / model.patch_size;
  return {grid * grid, width};
}

FeatureCount extract_features(const JobHost& host, const Model& model, const ImageSource& source,
                              const JobConfig& config, const udi_extract_config& options, const char* stage,
                              const TakeRows& take) {
  PreparedImages images(host, source, model.config, config, options.batch_size);
  PreparedImages::Batch batch;
  FeatureCount count;
  Pace pace(host, stage, source.size());
  int64_t done = 0;
  while (images.next(&batch)) {
    take(model.extract(batch.images, UDI_NCHW, options, &host.host), batch.index);
    count.images += int64_t(batch.index.size());
    pace.advance(images.done() - done, int64_t(batch.index.size()));
    done = images.done();
  }
  count.bad = images.bad();
  count.seconds = pace.total_seconds();
  check(count.images > 0, UDI_E_FORMAT, "none of the ", source.size(), " images can be read");
  return count;
}

LabelledSet open_labelled(const Host& host, const std::string& path, const JobConfig& config) {
  LabelledSet set{ImageSource::open(path, source_settings(config), host), {}};
  set.names = label_names(set.source, path);
  return set;
}

LabelledFeatures extract_labelled(const JobHost& host, const Model& model, const LabelledSet& set,
                                  const JobConfig& config, const udi_extract_config& options, const char* stage) {
  LabelledFeatures result;
  result.rows = at::empty({set.source.size(), row_shape(model.config, options)[0]}, at::kFloat);
  int64_t filled = 0;
  result.count = extract_features(host, model, set.source, config, options, stage,
                                  [&](const at::Tensor& rows, const std::vector<int64_t>& index) {
                                    result.rows.narrow(0, filled, rows.size(0)).copy_(rows);
                                    filled += rows.size(0);
                                    for (const int64_t i : index) result.labels.push_back(set.names[size_t(i)]);
                                  });
  result.rows = result.rows.narrow(0, 0, filled);
  return result;
}

std::vector<int64_t> number_labels(const std::vector<std::string>& train, const std::vector<std::string>& labels) {
  std::map<std::string, int64_t> numbers;
  for (const auto& name : train) numbers.emplace(name, int64_t(numbers.size()));
  std::vector<int64_t> result;
  for (const auto& name : labels) {
    const auto found = numbers.find(name);
    result.push_back(found == numbers.end() ? -1 : found->second);
  }
  return result;
}

void warn_of_unknown_classes(const Host& host, const std::vector<std::string>& train,
                             const std::vector<std::string>& test) {
  const std::set<std::string> known(train.begin(), train.end());
  std::set<std::string> unknown;
  int64_t images = 0;
  for (const auto& name : test) {
    if (known.count(name)) continue;
    unknown.insert(name);
    ++images;
  }
  if (unknown.empty()) return;
  host.log(UDI_LOG_WARN, images, " test images are of ", unknown.size(), " classes that the training set lacks ('",
           *unknown.begin(), "', ...): they count as wrong");
}

udi_extract_config extract_settings(const JobConfig& config, const udi_model_config& model) {
  udi_extract_config options = extract_config_default();
  options.token = UDI_TOKEN_CLS + config.choice("token");
  options.block = int32_t(config.integer("block"));
  options.num_blocks = int32_t(config.integer("num_blocks"));
  options.batch_size = int32_t(config.integer("batch_size"));
  check(options.block + options.num_blocks <= model.depth, UDI_E_INVALID, "block ", options.block, " and num_blocks ",
        options.num_blocks, " go beyond the model's ", model.depth, " blocks");
  return options;
}

ModelFileOptions model_file_settings(const JobConfig& config) {
  ModelFileOptions options;
  options.role = config.string("role") == "student" ? UDI_STUDENT : UDI_TEACHER;
  if (config.given("heads")) options.heads = int32_t(config.integer("heads"));
  if (config.given("srs_heads")) options.srs_heads = int32_t(config.integer("srs_heads"));
  options.limits = format_settings(config);
  return options;
}

Model open_configured_model(const JobHost& host, const JobConfig& config) {
  Model model = open_model(host.host, config.string("model"), model_file_settings(config), host.device);
  if (config.given("exif_turn")) model.config.exif_turn = config.flag("exif_turn");
  return model;
}

}  // namespace udi
