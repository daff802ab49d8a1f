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
  std::vector<at::Tensor> z;
  int32_t count = 0;

  // Appends target rows of one level; returns the number of the first.
  int32_t targets(const at::Tensor& of, int32_t level) {
    const int32_t first = count;
    z.push_back(of);
    count += int32_t(of.size(0));
    rows.targets.level.resize(size_t(count), level);
    return first;
  }
  // Ends a student row of an image that weighs `weight` in its part.
  void end(Part part, int64_t image, double weight) {
    rows.part.push_back(part);
    rows.image.push_back(int32_t(image));
    rows.part_weight.push_back(weight);
    rows.students.end_row(weight * objective.share(part, totals));
  }
  void one(Part part, int64_t image, int32_t target, double weight) {
    rows.students.add_target(target, 1);
    end(part, image, weight);
  }
  LossRows done() {
    rows.targets.z = at::cat(z);
    return std::move(rows);
  }
};

namespace {

// Mixtures of probabilities (train.target_blend): the samples of each group of `each` places, weighted to a sum of 1.
struct SampleGroups {
  std::vector<std::vector<std::pair<int32_t, double>>> group;  // (row of the samples, share)

  SampleGroups(const std::vector<int64_t>& place, const std::vector<float>& sum, size_t groups) : group(groups) {
    std::vector<double> total(groups, 0.0);
    for (size_t row = 0; row < place.size(); ++row) total[size_t(place[row])] += sum[row];
    for (size_t row = 0; row < place.size(); ++row) {
      if (sum[row] > 0) group[size_t(place[row])].emplace_back(int32_t(row), sum[row] / total[size_t(place[row])]);
    }
  }
};

SampleGroups global_groups(const Samples& samples) {
  std::vector<int64_t> crop;
  for (const int64_t place : samples.teacher_place) crop.push_back(place / samples.queries());
  return SampleGroups(crop, samples.global_sum, size_t(2 * samples.images));
}

// A group for each teacher crop and local crop, in the order of Targets::plus_local.
SampleGroups local_groups(const Samples& samples) {
  std::vector<int64_t> group;
  for (const int64_t place : samples.local_place) {
    const int64_t crop = place / samples.queries(), within = place % samples.queries() - samples.samples_global;
    group.push_back(crop * samples.local_crops + within / samples.samples_local);
  }
  return SampleGroups(group, samples.local_sum, size_t(2 * samples.images * samples.local_crops));
}

// `scale` times the blend: alpha for the samples from target row `first` on, the rest for the row of cls; a group
// without a sample is cls alone.
void add_blend(StudentRows& students, const std::vector<std::pair<int32_t, double>>& group, int32_t first, int32_t cls,
               double alpha, double scale) {
  if (group.empty()) return students.add_target(cls, scale);
  for (const auto& [row, share] : group) students.add_target(first + row, scale * alpha * share);
  students.add_target(cls, scale * (1 - alpha));
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

LossRows UdiObjective::global_rows(const TeacherRows& teacher, const Targets& targets, const Samples& samples,
                                   const BatchTotals& totals) const {
  Builder build{*this, totals, {}, {}, 0};
  const int64_t crops = 2 * samples.images;
  const double each = 1 / (2.0 * double(totals.images));
  const int32_t cls = build.targets(teacher.cls, 0);
  const int32_t patch = patches_ ? build.targets(teacher.patch, class_tokens_) : 0;
  for (int64_t row = 0; row < crops; ++row) build.one(kGlobalCls, row % samples.images, cls + int32_t(row), each);
  if (class_tokens_ > 1 && patches_ && blend_probabilities_) {
    const SampleGroups blend = global_groups(samples);
    for (int64_t row = 0; row < crops; ++row) {
      add_blend(build.rows.students, blend.group[size_t(row)], patch, cls + int32_t(row), alpha_, 1);
      build.end(kGlobalClsPlus, row % samples.images, each);
    }
  } else if (class_tokens_ > 1) {
    const int32_t plus = build.targets(targets.plus_global, 1);
    for (int64_t row = 0; row < crops; ++row)
      build.one(kGlobalClsPlus, row % samples.images, plus + int32_t(row), each);
  }
  // Without a single valid sample in the batch there are no rows, and the part is 0.
  for (size_t row = 0; row < samples.teacher_place.size() && patches_; ++row)
    build.one(kGlobalPatch, samples.teacher_place[row] / samples.queries() % samples.images, patch + int32_t(row),
              1 / double(totals.global_valid));
  return build.done();
}

LossRows UdiObjective::local_rows(const TeacherRows& teacher, const Targets& targets, const Samples& samples,
                                  const BatchTotals& totals) const {
  Builder build{*this, totals, {}, {}, 0};
  const int32_t images = int32_t(samples.images), locals = int32_t(samples.local_crops);
  const double each = 1 / (double(totals.images) * double(totals.local_crops));
  // CE(t0, s) + CE(t1, s) = 2 CE((t0 + t1) / 2, s): one mixture of both global crops.
  const int32_t cls = build.targets(teacher.cls, 0);
  for (int32_t row = 0; row < locals * images; ++row) {
    for (int32_t facing = 0; facing < 2; ++facing)
      build.rows.students.add_target(cls + facing * images + row % images, 0.5);
    build.end(kLocalCls, row % images, each);
  }
  if (class_tokens_ < 2) return build.done();
  const auto group_of = [&](int32_t row, int32_t facing) {
    return (facing * images + row % images) * locals + row / images;
  };
  if (patches_ && blend_probabilities_) {
    const SampleGroups blend = local_groups(samples);
    const int32_t local = build.targets(teacher.local, class_tokens_);
    for (int32_t row = 0; row < locals * images; ++row) {
      for (int32_t facing = 0; facing < 2; ++facing)
        add_blend(build.rows.students, blend.group[size_t(group_of(row, facing))], local,
                  cls + facing * images + row % images, alpha_, 0.5);
      build.end(kLocalClsPlus, row % images, each);
    }
  } else {
    const int32_t plus = build.targets(targets.plus_local.flatten(0, 1), 1);
    for (int32_t row = 0; row < locals * images; ++row) {
      for (int32_t facing = 0; facing < 2; ++facing) build.rows.students.add_target(plus + group_of(row, facing), 0.5);
      build.end(kLocalClsPlus, row % images, each);
    }
  }
  return build.done();
}

void UdiObjective::add_centers(const TeacherRows& teacher, const Targets& targets, const Samples& samples,
                               CenterSums& sums) const {
  const int64_t dim = teacher.cls.size(1), crops = 2 * samples.images;
  if (!sums.z.defined()) {
    sums.z = at::zeros({levels(), dim}, teacher.cls.options());
    sums.weight.assign(size_t(levels()), 0.0);
  }
  const auto add = [&](int64_t level, const at::Tensor& sum, double weight) {
    sums.z[level].add_(sum);
    sums.weight[size_t(level)] += weight;
  };
  add(0, teacher.cls.sum(0), double(crops));
  if (class_tokens_ > 1)
    add(1, targets.plus_global.sum(0) + targets.plus_local.sum(at::IntArrayRef{0, 1}),
        double(crops * (1 + samples.local_crops)));
  if (!patches_) return;
  double weight = 0;
  for (const float sum : samples.global_sum) weight += sum;
  for (const float sum : samples.local_sum) weight += sum;
  add(class_tokens_, sample_sum(teacher, samples), weight);
}

}  // namespace udi
