#include "train/trainer.h"

#include <cmath>
#include <limits>

#include "base/error.h"
#include "train/drop_path.h"

namespace udi {
namespace {

constexpr int64_t kTokensAtOnce = 8 * 198;  // of global crops on the CPU: enough to fill the cores, little to keep

at::ScalarType precision_of(const Model& model, const udi_train_config& config) {
  check_train_config(config);
  return config.precision == UDI_BF16 ? at::kBFloat16 : model.weights.dtype();
}

Parameters copy_of(const Model& model, const udi_train_config& config) {
  return model.weights.to(model.weights.dtype(), precision_of(model, config), model.weights.device());
}

std::unique_ptr<Srs> make_srs(const udi_model_config& config, const Parameters& weights) {
  return config.include_patch ? std::make_unique<Srs>(config, weights) : nullptr;
}

at::Tensor rows_at(const at::Tensor& rows, const std::vector<int64_t>& place) {
  return rows.index_select(0, at::tensor(place, at::kLong).to(rows.device()));
}

// "1 of the step's samples: 17, 18, 19 and 5 more"
std::string names_of(const std::vector<int64_t>& samples) {
  std::string names;
  for (size_t i = 0; i < samples.size() && i < 8; ++i) names += (i ? ", " : "") + std::to_string(samples[i]);
  if (samples.size() > 8) names += text(" and ", samples.size() - 8, " more");
  return names;
}

}  // namespace

int64_t chosen_micro_batch(const udi_model_config& model, const udi_train_config& config, at::Device device,
                           int64_t global_size) {
  if (config.micro_batch > 0) return config.micro_batch;
  if (!device.is_cpu()) return std::numeric_limits<int64_t>::max() / 2;
  const int64_t grid = global_size / model.patch_size;
  return std::max<int64_t>(1, kTokensAtOnce / (2 * (grid * grid + model.class_tokens)));
}

struct Trainer::Sums {
  std::array<double, kParts> parts{};
  double entropy = 0;  // of the targets of cls
  CenterSums centers;
  at::Tensor feature, feature2;  // [D]: of normalised cls tokens and their squares
};

Trainer::Trainer(const Model& model, const udi_train_config& config)
    : model_config_(model.config),
      config_(config),
      student_(copy_of(model, config)),
      teacher_(copy_of(model, config)),
      grads_(student_.zeros_like()),
      centers_(at::zeros({num_levels(model.config), model.config.out_dim}, student_.flat.options())),
      optimizer_(config, student_),
      objective_(model.config, config),
      student_vit_(model.config, student_),
      teacher_vit_(model.config, teacher_),
      student_srs_(make_srs(model.config, student_)),
      teacher_srs_(make_srs(model.config, teacher_)),
      student_head_(model.config, student_),
      teacher_head_(model.config, teacher_),
      student_prototypes_(at::empty_like(student_.head.weight_v)),
      teacher_prototypes_(at::empty_like(student_.head.weight_v)) {}

// ---- A step ------------------------------------------------------------------------------------------------------

void Trainer::step(const std::vector<const Views*>& views, const Host& host, udi_step_stats* stats) {
  check_views(views, model_config_);
  const BatchTotals totals = totals_of(views);
  const ScheduleValues now = schedule_at(config_, steps_);

  // All images, some at a time. What they are divided by is known, so gradients and sums simply add up.
  grads_.flat.zero_();
  prototype_weights(student_.head, student_prototypes_);
  prototype_weights(teacher_.head, teacher_prototypes_);
  const Prototypes prototypes{student_prototypes_, teacher_prototypes_, centers_, config_.student_temp,
                              now.teacher_temp};
  Sums sums;
  for (const Chunk& chunk : make_chunks(views, micro_batch(*views[0]))) {
    host.check_cancel();
    learn(chunk, totals, prototypes, sums);
  }
  prototype_backward(student_.head, grads_.head);

  // Everything is known and finite before anything moves.
  const GradientNorms norms = optimizer_.measure(grads_, student_);
  check(
      std::isfinite(norms.sum), UDI_E_NONFINITE, "step ", steps_,
      ": the loss is finite and its gradient is not; nothing moved. A lower learning rate or gradient clipping helps");
  optimizer_.step(now, student_, grads_, teacher_);
  update_centers(centers_, sums.centers, teacher_prototypes_, config_.center_momentum);
  if (stats) fill_stats(now, totals, sums, norms, stats);
  ++steps_;
}

// From pixels to gradients, as in the paper's figure.
void Trainer::learn(const Chunk& chunk, const BatchTotals& totals, const Prototypes& prototypes, Sums& sums) {
  Samples samples = model_config_.include_patch ? samples_of(chunk.views->maps, chunk.begin, chunk.begin + chunk.images,
                                                             student_.flat.options())
                                                : Samples();
  samples.images = chunk.images;
  samples.local_crops = chunk.views->local_crops;

  const TeacherRows teacher = teach(chunk, samples, sums);
  const Targets targets = blend_targets(teacher, samples, config_.alpha);
  objective_.add_centers(teacher, targets, samples, sums.centers);

  learn_global(chunk, samples, objective_.global_rows(teacher, targets, samples, totals), prototypes, sums);
  if (totals.local_crops > 0) {
    learn_local(chunk, objective_.local_rows(teacher, targets, samples, totals), prototypes, sums);
  }
}

// The teacher sees both global crops once, in reversed order: its crop 1 teaches the student's crop 0.
TeacherRows Trainer::teach(const Chunk& chunk, const Samples& samples, Sums& sums) {
  const VitOutput seen = teacher_vit_.forward(global_crops(chunk, student_.flat.options(), true), {});
  const at::Tensor cls = seen.cls.select(1, 0);
  std::vector<at::Tensor> rows;
  rows.push_back(cls);
  if (teacher_srs_) {
    const at::Tensor sampled = teacher_srs_->forward(seen.tokens, samples.teacher, false).flatten(0, 1);
    rows.push_back(rows_at(sampled, samples.teacher_place));
    rows.push_back(rows_at(sampled, samples.local_place));
  }
  const at::Tensor z = teacher_head_.forward(at::cat(rows), false);

  const at::Tensor feature = (cls / at::linalg_vector_norm(cls, 2, at::IntArrayRef{1}, true)).to(at::kDouble);
  const at::Tensor sum = feature.sum(0), sum2 = feature.square().sum(0);
  sums.feature = sums.feature.defined() ? sums.feature + sum : sum;
  sums.feature2 = sums.feature2.defined() ? sums.feature2 + sum2 : sum2;

  const int64_t crops = cls.size(0);
  if (!teacher_srs_) return {z, {}, {}};
  const int64_t patches = int64_t(samples.teacher_place.size());
  return {z.narrow(0, 0, crops), z.narrow(0, crops, patches), z.slice(0, crops + patches)};
}

// Global crops: class tokens and, through the SRS module, the patches that the other crop shows, too.
void Trainer::learn_global(const Chunk& chunk, const Samples& samples, LossRows rows, const Prototypes& prototypes,
                           Sums& sums) {
  const int64_t crops = 2 * chunk.images, classes = model_config_.class_tokens;
  VitOptions options;
  options.keep_for_backward = true;
  options.drop_path = drop_path(chunk, 0, 2);
  const VitOutput seen = student_vit_.forward(global_crops(chunk, student_.flat.options(), false), options);
  std::vector<at::Tensor> parts;
  for (int64_t token = 0; token < classes; ++token) parts.push_back(seen.cls.select(1, token));
  if (student_srs_) {
    const at::Tensor sampled = student_srs_->forward(seen.tokens, samples.student, true).flatten(0, 1);
    parts.push_back(rows_at(sampled, samples.student_place));
  }
  rows.students.z = student_head_.forward(at::cat(parts), true);

  const CrossEntropy loss = compare(chunk, rows, prototypes, sums);
  for (int64_t row = 0; row < crops; ++row) sums.entropy += loss.target_entropy[size_t(row)];

  const at::Tensor d_rows = student_head_.backward(loss.d_z, grads_.head);
  const at::Tensor d_cls = d_rows.narrow(0, 0, classes * crops).view({classes, crops, -1}).transpose(0, 1);
  at::Tensor d_tokens;
  if (student_srs_) {
    d_tokens = at::zeros_like(seen.tokens);
    at::Tensor d_sampled = at::zeros({crops * samples.samples_global, d_rows.size(1)}, d_rows.options());
    d_sampled.index_copy_(0, at::tensor(samples.student_place, at::kLong).to(d_rows.device()),
                          d_rows.slice(0, classes * crops));
    student_srs_->backward(d_sampled.view({crops, samples.samples_global, -1}), grads_.srs, d_tokens);
  }
  student_vit_.backward(d_tokens, d_cls, grads_.vit);
}

// Local crops: class tokens alone.
void Trainer::learn_local(const Chunk& chunk, LossRows rows, const Prototypes& prototypes, Sums& sums) {
  const int64_t crops = chunk.views->local_crops * chunk.images, classes = model_config_.class_tokens;
  VitOptions options;
  options.class_tokens_only = true;
  options.keep_for_backward = true;
  options.drop_path = drop_path(chunk, 2, chunk.views->local_crops);
  const VitOutput seen = student_vit_.forward(local_crops(chunk, student_.flat.options()), options);
  rows.students.z = student_head_.forward(seen.cls.transpose(0, 1).flatten(0, 1), true);

  const CrossEntropy loss = compare(chunk, rows, prototypes, sums);

  const at::Tensor d_rows = student_head_.backward(loss.d_z, grads_.head);
  student_vit_.backward({}, d_rows.view({classes, crops, -1}).transpose(0, 1), grads_.vit);
}

// The cross-entropies of rows, into the parts; what is not finite is named.
CrossEntropy Trainer::compare(const Chunk& chunk, const LossRows& rows, const Prototypes& prototypes, Sums& sums) {
  const CrossEntropy loss = loss_.run(rows.students, rows.targets, prototypes, grads_.head.weight_v);
  std::array<bool, kParts> bad_part{};
  std::vector<bool> bad_image(size_t(chunk.images));
  bool bad = false;
  for (size_t r = 0; r < rows.part.size(); ++r) {
    sums.parts[rows.part[r]] += rows.part_weight[r] * loss.row[r];
    if (std::isfinite(loss.row[r])) continue;
    bad = bad_part[rows.part[r]] = bad_image[size_t(rows.image[r])] = true;
  }
  if (!bad) return loss;
  std::string parts;
  for (int part = 0; part < kParts; ++part) {
    if (bad_part[part]) parts += (parts.empty() ? "" : ", ") + std::string(part_name(part));
  }
  std::vector<int64_t> samples;
  for (int64_t i = 0; i < chunk.images; ++i) {
    const Views& views = *chunk.views;
    const int64_t image = chunk.begin + i;
    if (bad_image[size_t(i)])
      samples.push_back(views.sample.empty() ? chunk.position + i : views.sample[size_t(image)]);
  }
  fail(UDI_E_NONFINITE, "step ", steps_, ": the loss is not finite in ", parts, " for ",
       chunk.views->sample.empty() ? "images " : "samples ", names_of(samples), "; nothing moved");
}

at::Tensor Trainer::drop_path(const Chunk& chunk, int64_t first_crop, int64_t crops) const {
  return drop_path_factors(model_config_, config_.seed, steps_, chunk.position, chunk.images, first_crop, crops,
                           student_.flat.options());
}

// ---- What is asked of it -----------------------------------------------------------------------------------------

void Trainer::fill_stats(const ScheduleValues& now, const BatchTotals& totals, const Sums& sums,
                         const GradientNorms& norms, udi_step_stats* stats) const {
  const double nan = std::numeric_limits<double>::quiet_NaN(), crops = 2 * double(totals.images);
  double* const parts[kParts] = {&stats->global_cls, &stats->global_cls_plus, &stats->global_patch, &stats->local_cls,
                                 &stats->local_cls_plus};
  stats->loss = 0;
  for (int part = 0; part < kParts; ++part) {
    const bool there = objective_.has(Part(part), totals);
    *parts[part] = there ? sums.parts[part] : nan;
    if (there) stats->loss += objective_.share(Part(part), totals) * sums.parts[part];
  }
  stats->step = steps_;
  stats->lr = now.lr;
  stats->weight_decay = now.weight_decay;
  stats->momentum_teacher = now.momentum_teacher;
  stats->teacher_temp = now.teacher_temp;
  stats->grad_norm_max = norms.max;
  stats->grad_norm_sum = norms.sum;
  const at::Tensor center_norm = at::linalg_vector_norm(centers_, 2, at::IntArrayRef{1}).to(at::kDouble).cpu();
  const int64_t level[3] = {0, model_config_.class_tokens > 1 ? 1 : -1,
                            model_config_.include_patch ? model_config_.class_tokens : -1};
  for (int i = 0; i < 3; ++i) stats->center_norm[i] = level[i] < 0 ? nan : center_norm[level[i]].item<double>();
  stats->teacher_entropy = sums.entropy / crops;
  stats->kl = stats->global_cls - stats->teacher_entropy;  // cross-entropy = entropy + KL
  stats->valid_share = totals.samples > 0 ? double(totals.valid) / double(totals.samples) : nan;
  const at::Tensor mean = sums.feature / crops;
  stats->feature_std = (sums.feature2 / crops - mean.square()).clamp_min(0).sqrt().mean().item<double>();
}

Model Trainer::model(udi_role role) const {
  check(role == UDI_STUDENT || role == UDI_TEACHER, UDI_E_INVALID, "role is ", role,
        ", must be UDI_STUDENT or UDI_TEACHER");
  const Parameters& weights = role == UDI_STUDENT ? student_ : teacher_;
  Model model;
  model.config = model_config_;
  model.weights = weights.to(weights.dtype(), weights.dtype(), weights.device());
  return model;
}

// ---- Checkpoints -------------------------------------------------------------------------------------------------

std::vector<std::string> Trainer::tensor_prefixes(const udi_train_config& config) {
  if (config.optimizer == UDI_ADAMW) return {"student.", "teacher.", "exp_avg.", "exp_avg_sq."};
  return {"student.", "teacher.", "momentum."};
}

std::vector<std::pair<std::string, at::Tensor>> Trainer::tensors() const {
  const Parameters* const groups[] = {&student_, &teacher_, &optimizer_.first, &optimizer_.second};
  const std::vector<std::string> prefixes = tensor_prefixes(config_);
  std::vector<std::pair<std::string, at::Tensor>> all;
  for (size_t group = 0; group < prefixes.size(); ++group) {
    for (size_t i = 0; i < student_.entries().size(); ++i)
      all.emplace_back(prefixes[group] + student_.entries()[i].name, (*groups[group])[i]);
  }
  all.emplace_back("center", centers_);
  return all;
}

nlohmann::json Trainer::state() const { return {{"steps", steps_}, {"updates", optimizer_.updates}}; }

void Trainer::restore(const nlohmann::json& state, const std::string& path) {
  const auto count = [&](const nlohmann::json& value) {
    check(value.is_number_integer() && value >= 0 && value <= int64_t(1) << 40, UDI_E_FORMAT, path,
          ": damaged: a count in its state is out of range");
    return value.get<int64_t>();
  };
  check(state.is_object() && state.contains("steps") && state.contains("updates") && state["updates"].is_array() &&
            state["updates"].size() == optimizer_.updates.size(),
        UDI_E_FORMAT, path, ": damaged: its state lacks steps, or updates of each tensor");
  steps_ = count(state["steps"]);
  for (size_t i = 0; i < optimizer_.updates.size(); ++i) optimizer_.updates[i] = count(state["updates"][i]);
  student_.refresh();
  teacher_.refresh();
}

}  // namespace udi
