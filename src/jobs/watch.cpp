#include "jobs/watch.h"

#include <cstdio>

#include "eval/knn.h"

namespace udi {
namespace {

std::string percent(double value) {
  char out[16];
  std::snprintf(out, sizeof out, "%.2f", value);
  return out;
}

}  // namespace

KnnWatch::KnnWatch(const JobConfig& config, const Host& host) : config_(config) {
  check(config.given("knn_train") == config.given("knn_test"), UDI_E_INVALID,
        "knn_train and knn_test must be given together");
  if (!config.given("knn_train")) return;
  train_ = open_labelled(host, config.string("knn_train"), config);
  test_ = open_labelled(host, config.string("knn_test"), config);
}

Json KnnWatch::measure(const JobHost& host, const Model& model) const {
  const bool both = model.config.class_tokens == 2;
  udi_extract_config options = extract_config_default();
  options.token = both ? UDI_TOKEN_BOTH : UDI_TOKEN_CLS;
  options.batch_size = kKnnWatchBatch;
  const JobHost quiet{host.host, host.device, host.num_threads, {}, host.group};  // the run's own progress stays
  const LabelledFeatures train = extract_labelled(quiet, model, *train_, config_, options, "knn");
  const LabelledFeatures test = extract_labelled(quiet, model, *test_, config_, options, "knn");
  const auto train_labels = number_labels(train.labels, train.labels);
  const auto test_labels = number_labels(train.labels, test.labels);

  KnnOptions knn;
  knn.k = {config_.integer("knn_k")};
  knn.progress = [&](int64_t) { host.host.check_cancel(); };
  Json result = Json::object();
  std::string words;
  for (int64_t token = 0; token < (both ? 2 : 1); ++token) {
    const int64_t width = model.config.embed_dim;
    const KnnScore score = knn_over_ranks(quiet, train.rows.narrow(1, token * width, width), train_labels,
                                          test.rows.narrow(1, token * width, width), test_labels, knn)[0];
    const std::string name = token == 0 ? "cls" : "cls_plus";
    result["knn_" + name + "_top1"] = score.top1;
    result["knn_" + name + "_top5"] = score.top5;
    words += (words.empty() ? "" : ", ") + name + " " + percent(score.top1) + " %";
  }
  host.host.log(UDI_LOG_INFO, "k-NN:      ", words, " (top-1 of ", test.rows.size(0), " images, k = ", knn.k[0], ")");
  return result;
}

}  // namespace udi
