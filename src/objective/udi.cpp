#include "objective/udi.h"

namespace udi {

const char* part_name(int part) {
  static const char* const names[] = {"global_cls", "global_cls_plus", "global_patch", "local_cls", "local_cls_plus"};
  return names[part];
}

// Collects target rows and student rows.
struct UdiObjective::Builder {
  const UdiObjective& objective;
  const BatchTotals& totals;
  LossRows rows;

  // Appends `count` target rows of one level; returns the number of the first.
  int32_t targets(int64_t count, int32_t level) {
    const size_t first = rows.table.level.size();
    rows.table.level.resize(first + size_t(count), level);
    return int32_t(first);
  }
  // Ends a student row of an image that weighs `weight` in its part.
  void end(Part part, int64_t image, double weight) {
    rows.labels.part.push_back(part);
    rows.labels.image.push_back(int32_t(image));
    rows.labels.weight.push_back(weight);
    rows.table.end_row(weight * objective.share(part, totals));
  }
  void one(Part part, int64_t image, int32_t target, double weight) {
    rows.table.add_target(target, 1);
    end(part, image, weight);
  }
};

namespace {

// Mixtures of probabilities (train.target_blend): the samples of each group of places, weighted to a sum of 1. Padded
// groups have all their samples, though some, or all, with a share of 0.
struct SampleGroups {
  std::vector<std::vector<std::pair<int32_t, double>>> group;  // (row of the samples, share)

  SampleGroups(const std::vector<int64_t>& place, const std::vector<float>& sum, size_t groups, bool padded)
      : group(groups) {
    std::vector<double> total(groups, 0.0);
    for (size_t row = 0; row < place.size(); ++row) total[size_t(place[row])] += sum[row];
    for (size_t row = 0; row < place.size(); ++row) {
      const double all = total[size_t(place[row])];
      if (sum[row] > 0 || padded) group[size_t(place[row])].emplace_back(int32_t(row), all > 0 ? sum[row] / all : 0);
    }
  }
};

SampleGroups global_groups(const Samples& samples) {
  std::vector<int64_t> crop;
  for (const int64_t place : samples.places.teacher) crop.push_back(place / samples.queries());
  return SampleGroups(crop, samples.places.global_sum, size_t(2 * samples.images), samples.padded);
}

// A group for each teacher crop and local crop, in the order of Targets::plus_local.
SampleGroups local_groups(const Samples& samples) {
  std::vector<int64_t> group;
  for (const int64_t place : samples.places.local) {
    const int64_t crop = place / samples.queries(), within = place % samples.queries() - samples.samples_global;
    group.push_back(crop * samples.local_crops + within / samples.samples_local);
  }
  return SampleGroups(group, samples.places.local_sum, size_t(2 * samples.images * samples.local_crops),
                      samples.padded);
}

// `scale` times the blend: alpha for the samples from target row `first` on, the rest for the row of cls; a group
// without a sample is cls alone.
void add_blend(RowTable& table, const std::vector<std::pair<int32_t, double>>& group, int32_t first, int32_t cls,
               double alpha, double scale) {
  double any = 0;
  for (const auto& [row, share] : group) {
    table.add_target(first + row, scale * alpha * share);
    any += share;
  }
  table.add_target(cls, any > 0 ? scale * (1 - alpha) : scale);
}

}  // namespace

UdiObjective::UdiObjective(const udi_model_config& model, const udi_train_config& train)
    : class_tokens_(model.class_tokens),
      patches_(model.include_patch != 0),
      blend_probabilities_(train.target_blend == 1),
      sum_levels_(train.loss_reduction == 1),
      alpha_(train.alpha) {}

bool UdiObjective::has(Part part, const BatchTotals& totals) const {
  if (part == kGlobalPatch) return patches_;
  if ((part == kGlobalClsPlus || part == kLocalClsPlus) && class_tokens_ < 2) return false;
  return (part != kLocalCls && part != kLocalClsPlus) || totals.local_crops > 0;
}

double UdiObjective::share(Part part, const BatchTotals& totals) const {
  if (!has(part, totals)) return 0;
  const double level = sum_levels_ ? 1.0 : 1.0 / double(levels());
  if (part == kGlobalPatch) return level;
  const double crops = 2.0 * double(totals.local_crops);
  return level * (part == kGlobalCls || part == kGlobalClsPlus ? 2 : crops) / (2 + crops);
}

LossRows UdiObjective::global_rows(const Samples& samples, const BatchTotals& totals) const {
  Builder build{*this, totals, {}};
  const Places& places = samples.places;
  const int64_t crops = 2 * samples.images;
  const double each = 1 / (2.0 * double(totals.images));
  const int32_t cls = build.targets(crops, 0);
  const int32_t patch = patches_ ? build.targets(int64_t(places.teacher.size()), class_tokens_) : 0;
  if (plus_is_mixed()) {
    const SampleGroups blend = global_groups(samples);
    for (int64_t row = 0; row < crops; ++row) build.one(kGlobalCls, row % samples.images, cls + int32_t(row), each);
    for (int64_t row = 0; row < crops; ++row) {
      add_blend(build.rows.table, blend.group[size_t(row)], patch, cls + int32_t(row), alpha_, 1);
      build.end(kGlobalClsPlus, row % samples.images, each);
    }
  } else {
    const int32_t plus = class_tokens_ > 1 ? build.targets(crops, 1) : 0;
    for (int64_t row = 0; row < crops; ++row) build.one(kGlobalCls, row % samples.images, cls + int32_t(row), each);
    for (int64_t row = 0; row < crops && class_tokens_ > 1; ++row)
      build.one(kGlobalClsPlus, row % samples.images, plus + int32_t(row), each);
  }
  // Without a single valid sample in the batch no row has weight, and the part is 0.
  for (size_t row = 0; row < places.teacher.size() && patches_; ++row)
    build.one(kGlobalPatch, places.teacher[row] / samples.queries() % samples.images, patch + int32_t(row),
              places.inside[row] ? 1 / double(totals.global_valid) : 0);
  return std::move(build.rows);
}

LossRows UdiObjective::local_rows(const Samples& samples, const BatchTotals& totals) const {
  Builder build{*this, totals, {}};
  RowTable& table = build.rows.table;
  const int32_t images = int32_t(samples.images), locals = int32_t(samples.local_crops);
  const double each = 1 / (double(totals.images) * double(totals.local_crops));
  // CE(t0, s) + CE(t1, s) = 2 CE((t0 + t1) / 2, s): one mixture of both global crops.
  const int32_t cls = build.targets(2 * images, 0);
  for (int32_t row = 0; row < locals * images; ++row) {
    for (int32_t facing = 0; facing < 2; ++facing) table.add_target(cls + facing * images + row % images, 0.5);
    build.end(kLocalCls, row % images, each);
  }
  if (class_tokens_ < 2) return std::move(build.rows);
  const auto group_of = [&](int32_t row, int32_t facing) {
    return (facing * images + row % images) * locals + row / images;
  };
  if (plus_is_mixed()) {
    const SampleGroups blend = local_groups(samples);
    const int32_t local = build.targets(int64_t(samples.places.local.size()), class_tokens_);
    for (int32_t row = 0; row < locals * images; ++row) {
      for (int32_t facing = 0; facing < 2; ++facing)
        add_blend(table, blend.group[size_t(group_of(row, facing))], local, cls + facing * images + row % images,
                  alpha_, 0.5);
      build.end(kLocalClsPlus, row % images, each);
    }
  } else {
    const int32_t plus = build.targets(int64_t(2) * images * locals, 1);
    for (int32_t row = 0; row < locals * images; ++row) {
      for (int32_t facing = 0; facing < 2; ++facing) table.add_target(plus + group_of(row, facing), 0.5);
      build.end(kLocalClsPlus, row % images, each);
    }
  }
  return std::move(build.rows);
}

// In the order in which the rows were counted above.
at::Tensor UdiObjective::global_targets(const TeacherRows& teacher, const Targets& targets) const {
  std::vector<at::Tensor> z = {teacher.cls};
  if (patches_) z.push_back(teacher.patch);
  if (class_tokens_ > 1 && !plus_is_mixed()) z.push_back(targets.plus_global);
  return at::cat(z);
}

at::Tensor UdiObjective::local_targets(const TeacherRows& teacher, const Targets& targets) const {
  std::vector<at::Tensor> z = {teacher.cls};
  if (class_tokens_ > 1) z.push_back(plus_is_mixed() ? teacher.local : targets.plus_local.flatten(0, 1));
  return at::cat(z);
}

void UdiObjective::add_centers(const TeacherRows& teacher, const Targets& targets, const Samples& samples,
                               at::Tensor& z) const {
  if (!z.defined()) z = at::zeros({levels(), teacher.cls.size(1)}, teacher.cls.options());
  z[0].add_(teacher.cls.sum(0));
  if (class_tokens_ > 1) z[1].add_(targets.plus_global.sum(0) + targets.plus_local.sum(at::IntArrayRef{0, 1}));
  if (patches_) z[class_tokens_].add_(sample_sum(teacher, samples));
}

void UdiObjective::add_center_weights(const Samples& samples, std::vector<double>& weight) const {
  const double crops = 2 * double(samples.images);
  weight.resize(size_t(levels()), 0.0);
  weight[0] += crops;
  if (class_tokens_ > 1) weight[1] += crops * double(1 + samples.local_crops);
  if (!patches_) return;
  double of_samples = 0;
  for (const float sum : samples.places.global_sum) of_samples += sum;
  for (const float sum : samples.places.local_sum) of_samples += sum;
  weight[size_t(class_tokens_)] += of_samples;
}

}  // namespace udi
