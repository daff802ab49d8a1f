#include "jobs/features.h"

#include <algorithm>
#include <deque>
#include <map>
#include <optional>
#include <set>

#include "base/safetensors.h"
#include "jobs/settings.h"
#include "model/extract.h"

namespace udi {

namespace {

// Of an image of the model's own size.
int64_t usual_patches(const udi_model_config& model) {
  const int64_t grid = model.image_size / model.patch_size;
  return grid * grid;
}

}  // namespace

std::vector<int64_t> row_shape(const udi_model_config& model, const udi_extract_config& options) {
  const int64_t width = int64_t(model.embed_dim) * options.num_blocks * (options.token == UDI_TOKEN_BOTH ? 2 : 1);
  if (options.token != UDI_TOKEN_PATCHES) return {width};
  return {usual_patches(model), width};
}

namespace {

FeatureCount extract_alone(const JobHost& host, const Model& model, const ImageSource& source, const JobConfig& config,
                           const udi_extract_config& options, const char* stage, const TakeRows& take,
                           int64_t whole_pixels) {
  PreparedImages images(host, source, model.config, config, options.batch_size, whole_pixels);
  Extraction extraction(model, options, &host.host, usual_patches(model.config));
  PreparedImages::Batch batch;
  std::deque<std::pair<std::vector<int64_t>, int64_t>> pushed;  // index of each batch, and images that are behind it
  FeatureCount count;
  Pace pace(host, stage, source.size());
  int64_t done = 0;
  const auto take_oldest = [&] {
    const auto [index, behind] = std::move(pushed.front());
    pushed.pop_front();
    take(extraction.pop(), index);
    count.images += int64_t(index.size());
    pace.advance(behind - done, int64_t(index.size()));
    done = behind;
  };
  while (images.next(&batch)) {
    extraction.push(batch.images);
    pushed.emplace_back(batch.index, images.done());
    if (extraction.full()) take_oldest();
  }
  while (!extraction.empty()) take_oldest();
  count.bad = images.bad();
  count.seconds = pace.total_seconds();
  return count;
}

// A round: a batch on each rank. Which is whose follows from the set alone, so a batch is what it is in one process.
FeatureCount extract_over_ranks(const JobHost& host, const Model& model, const ImageSource& source,
                                const JobConfig& config, const udi_extract_config& options, const char* stage,
                                const TakeRows& take, TakenBy taken_by, int64_t whole_pixels) {
  Group& group = *host.group;
  PreparedImages images(host, source, model.config, config, options.batch_size, whole_pixels);
  std::optional<Extraction> extraction;
  group.agree_on([&] { extraction.emplace(model, options, &host.host, usual_patches(model.config)); });
  PreparedImages::Batch batch;
  FeatureCount count;
  Pace pace(host, stage, source.size());
  const int64_t a_round = options.batch_size * group.world();
  for (int64_t begin = 0; begin < source.size(); begin += a_round) {
    at::Tensor rows, index;
    int64_t most = 0, good = 0, bad = 0;
    const auto ranks = group.agree([&](Group::Words& mine) {
      batch.index.clear();
      images.next_or_empty(&batch);
      if (!batch.index.empty()) {
        extraction->push(batch.images);
        rows = extraction->pop();
      }
      mine[0] = int64_t(batch.index.size());
      mine[1] = images.bad();
    });
    for (const Group::Words& words : ranks) {
      most = std::max(most, words[0]);
      good += words[0];
      bad += words[1];
    }
    const double max_bad = config.number("max_bad");
    check(double(bad) * 100 <= max_bad * double(source.size()), UDI_E_FORMAT, bad, " of ", source.size(),
          " images cannot be read, more than max_bad = ", max_bad, " percent; the log names them");
    std::vector<at::Tensor> all_rows, all_index;
    if (most > 0) {  // of one size on every rank
      std::vector<int64_t> shape = row_shape(model.config, options);
      shape.insert(shape.begin(), most);
      const at::Tensor padded = at::zeros(shape, at::kFloat), padded_index = at::zeros({most}, at::kLong);
      const int64_t own = int64_t(batch.index.size());
      if (own > 0) {
        padded.narrow(0, 0, own).copy_(rows);
        std::copy(batch.index.begin(), batch.index.end(), padded_index.mutable_data_ptr<int64_t>());
      }
      all_rows = group.gather(padded, taken_by == TakenBy::kFirst);
      all_index = group.gather(padded_index, taken_by == TakenBy::kFirst);
    }
    group.agree_on([&] {
      for (size_t rank = 0; rank < all_rows.size(); ++rank) {
        const int64_t n = ranks[rank][0];
        const int64_t* const first = all_index[rank].const_data_ptr<int64_t>();
        if (n > 0) take(all_rows[rank].narrow(0, 0, n), std::vector<int64_t>(first, first + n));
      }
      pace.advance(std::min(a_round, source.size() - begin), good);
    });
    count.images += good;
    count.bad = bad;
  }
  count.seconds = pace.total_seconds();
  return count;
}

}  // namespace

FeatureCount extract_features(const JobHost& host, const Model& model, const ImageSource& source,
                              const JobConfig& config, const udi_extract_config& options, const char* stage,
                              const TakeRows& take, TakenBy taken_by, int64_t whole_pixels) {
  const FeatureCount count =
      host.group ? extract_over_ranks(host, model, source, config, options, stage, take, taken_by, whole_pixels)
                 : extract_alone(host, model, source, config, options, stage, take, whole_pixels);
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
                                  },
                                  TakenBy::kAll);
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

// Rows are shared out by whole chunks: products are of the sizes that they have in one process, and so are their bits.
std::vector<KnnScore> knn_over_ranks(const JobHost& host, const at::Tensor& train,
                                     const std::vector<int64_t>& train_labels, const at::Tensor& test,
                                     const std::vector<int64_t>& test_labels, const KnnOptions& options) {
  if (!host.group) return knn_classify(train, train_labels, test, test_labels, options);
  const int64_t rows = test.size(0), world = host.group->world();
  const int64_t chunks = (rows + options.test_chunk - 1) / options.test_chunk;
  const auto begin_of = [&](int64_t rank) { return std::min(rows, chunks * rank / world * options.test_chunk); };
  const int64_t begin = begin_of(host.group->rank()), end = begin_of(host.group->rank() + 1);
  const int64_t scored = int64_t(options.k.size());
  const at::Tensor right = at::zeros({scored, 2}, at::kLong);
  host.group->agree_on([&] {
    if (begin == end) return;
    const std::vector<int64_t> labels(test_labels.begin() + begin, test_labels.begin() + end);
    const auto scores = knn_classify(train, train_labels, test.narrow(0, begin, end - begin), labels, options);
    for (int64_t i = 0; i < scored; ++i) {
      right[i][0] = scores[size_t(i)].right1;
      right[i][1] = scores[size_t(i)].right5;
    }
  });
  host.group->sum(right);
  std::vector<KnnScore> scores;
  for (int64_t i = 0; i < scored; ++i) {
    const int64_t right1 = right[i][0].item<int64_t>(), right5 = right[i][1].item<int64_t>();
    scores.push_back({options.k[size_t(i)], 100.0 * double(right1) / double(rows), 100.0 * double(right5) / double(rows),
                      right1, right5});
  }
  return scores;
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
  options.precision = config.choice("precision");
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
