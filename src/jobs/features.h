// Tokens of a whole image set, in the set's order.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "eval/knn.h"
#include "jobs/images.h"
#include "jobs/model_file.h"
#include "model/model.h"

namespace udi {

// What stands in one row: [D * ...], or [N, D * ...] for every patch token.
std::vector<int64_t> row_shape(const udi_model_config& model, const udi_extract_config& options);

struct FeatureCount {
  int64_t images = 0, bad = 0;
  double seconds = 0;
};

// take(rows, index): float32 on the CPU, a row for each source index, batch after batch. stage: of the progress. With a
// group in `host` the ranks take turns at the batches, which are those of one process, and take() gets all of them in
// order, on rank 0 or on every rank. whole_pixels: as PreparedImages'.
enum class TakenBy { kFirst, kAll };
using TakeRows = std::function<void(const at::Tensor& rows, const std::vector<int64_t>& index)>;
FeatureCount extract_features(const JobHost& host, const Model& model, const ImageSource& source,
                              const JobConfig& config, const udi_extract_config& options, const char* stage,
                              const TakeRows& take, TakenBy taken_by = TakenBy::kFirst, int64_t whole_pixels = 0);

// Images and the class name of each.
struct LabelledSet {
  ImageSource source;
  std::vector<std::string> names;
};
// UDI_E_INVALID: an image without a label; ImageSource's.
LabelledSet open_labelled(const Host& host, const std::string& path, const JobConfig& config);

// Their features.
struct LabelledFeatures {
  at::Tensor rows;  // [n, D]
  std::vector<std::string> labels;
  FeatureCount count;
};
LabelledFeatures extract_labelled(const JobHost& host, const Model& model, const LabelledSet& set,
                                  const JobConfig& config, const udi_extract_config& options, const char* stage);

// The numbers that k-NN works with, of class names: places among the training set's; -1 and below for others.
std::vector<int64_t> number_labels(const std::vector<std::string>& train, const std::vector<std::string>& labels);

// knn_classify with the test rows shared out among the ranks of `host`; the same scores on every one.
std::vector<KnnScore> knn_over_ranks(const JobHost& host, const at::Tensor& train,
                                     const std::vector<int64_t>& train_labels, const at::Tensor& test,
                                     const std::vector<int64_t>& test_labels, const KnnOptions& options);

// Warns of classes that the training set lacks: all of them are wrong answers.
void warn_of_unknown_classes(const Host& host, const std::vector<std::string>& train,
                             const std::vector<std::string>& test);

// The options of sets "tokens", with token and normalize where a job has them.
udi_extract_config extract_settings(const JobConfig& config, const udi_model_config& model);

// Options of the set "weights": which file, and how it is read.
Model open_configured_model(const JobHost& host, const JobConfig& config);
ModelFileOptions model_file_settings(const JobConfig& config);

}  // namespace udi
