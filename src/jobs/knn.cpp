// k-NN over images or over features that were extracted before.
#include "eval/knn.h"

#include <algorithm>

#include "base/files.h"
#include "jobs/features.h"
#include "jobs/ranks.h"
#include "jobs/rows.h"
#include "jobs/settings.h"

namespace udi {
namespace {

bool is_feature_file(const std::string& path) {
  const auto ends_with = [&](const std::string& end) {
    return path.size() > end.size() && path.compare(path.size() - end.size(), end.size(), end) == 0;
  };
  return ends_with(".npy") || ends_with(".safetensors");
}

// The first folder of each path below what all paths have in common: what an image folder or a tar would say.
std::vector<std::string> labels_of_paths(const std::string& file) {
  const std::string content = read_text(file, 4ull << 30);
  std::vector<std::string> paths;
  for (size_t begin = 0; begin < content.size();) {
    const size_t end = std::min(content.find('\n', begin), content.size());
    paths.push_back(content.substr(begin, end - begin));
    begin = end + 1;
  }
  size_t common = paths.empty() ? 0 : paths[0].rfind('/') + 1;
  for (const auto& path : paths) {
    while (common > 0 && path.compare(0, common, paths[0], 0, common) != 0) {
      common = common < 2 ? 0 : paths[0].rfind('/', common - 2) + 1;
    }
  }
  std::vector<std::string> labels;
  for (const auto& path : paths) {
    const size_t slash = path.find('/', common);
    check(slash != std::string::npos, UDI_E_INVALID, file, ": '", path.substr(0, 200), "' lies in no class folder");
    labels.push_back(path.substr(common, slash - common));
  }
  return labels;
}

LabelledFeatures read_labelled(const std::string& path, const FormatLimits& limits) {
  const Rows rows = read_rows(path, limits);
  LabelledFeatures result;
  result.labels = labels_of_paths(paths_file(path));
  check(int64_t(result.labels.size()) == rows.count, UDI_E_FORMAT, path, " has ", rows.count, " rows, ",
        paths_file(path), " names ", result.labels.size(), " images");
  result.rows = at::empty({rows.count, rows.width}, at::kFloat);
  std::copy(rows.values.begin(), rows.values.end(), result.rows.mutable_data_ptr<float>());
  result.count.images = rows.count;
  return result;
}

Json knn(const JobHost& host, JobConfig& config) {
  const std::string train_path = config.string("train"), test_path = config.string("test");
  const bool needs_model = !is_feature_file(train_path) || !is_feature_file(test_path);
  check(!needs_model || config.given("model"), UDI_E_INVALID,
        "knn: 'model' must be given, unless train and test are feature files (.npy, .safetensors)");
  Model model;
  if (needs_model) model = open_configured_model(host, config);
  const auto features = [&](const std::string& path, const char* stage) {
    if (is_feature_file(path)) return read_labelled(path, format_settings(config));
    const LabelledSet set = open_labelled(host.host, path, config);
    check_same_images(host, set.source, path);
    return extract_labelled(host, model, set, config, extract_settings(config, model.config), stage);
  };
  const LabelledFeatures train = features(train_path, "train"), test = features(test_path, "test");
  warn_of_unknown_classes(host.host, train.labels, test.labels);

  KnnOptions options;
  options.k = config.integers("k");
  options.temperature = config.number("temperature");
  Pace pace(host, "knn", test.rows.size(0));
  options.progress = [&](int64_t count) { pace.advance(count, count); };
  const auto train_labels = number_labels(train.labels, train.labels);
  const auto scores =
      knn_over_ranks(host, train.rows, train_labels, test.rows, number_labels(train.labels, test.labels), options);
  Json table = Json::array();
  for (const auto& score : scores) table.push_back({{"k", score.k}, {"top1", score.top1}, {"top5", score.top5}});
  Json result = {{"top1", scores[0].top1},
                 {"top5", scores[0].top5},
                 {"k", scores[0].k},
                 {"token", config.string("token")},
                 {"temperature", options.temperature},
                 {"train_images", train.rows.size(0)},
                 {"test_images", test.rows.size(0)},
                 {"bad_images", train.count.bad + test.count.bad},
                 {"classes", 1 + *std::max_element(train_labels.begin(), train_labels.end())}};
  if (scores.size() > 1) result["scores"] = table;
  return result;
}

}  // namespace

Json run_knn(const JobHost& host, JobConfig& config) {
  return run_on_ranks(host, config, [&](const JobHost& own) { return knn(own, config); });
}

}  // namespace udi
