#include "train/strand.h"

#include <cmath>

#include "base/error.h"
#include "train/drop_path.h"

namespace udi {
namespace {

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

void StrandSums::add(const StrandSums& other) {
  for (int part = 0; part < kParts; ++part) parts[part] += other.parts[part];
  entropy += other.entropy;
  centers.z = centers.z + other.centers.z;
  for (size_t level = 0; level < centers.weight.size(); ++level) centers.weight[level] += other.centers.weight[level];
  feature = feature + other.feature;
  feature2 = feature2 + other.feature2;
}

Strand::Strand(const udi_model_config& model, const udi_train_config& train, const Parameters& student,
               const Parameters& teacher, Parameters gradients)
    : grads(std::move(gradients)),
      model_config_(model),
      config_(train),
      options_(student.flat.options()),
      objective_(model, train),
      student_vit_(model, student),
      teacher_vit_(model, teacher),
      student_srs_(make_srs(model, student)),
      teacher_srs_(make_srs(model, teacher)),
      student_head_(model, student),
      teacher_head_(model, teacher) {
  const auto begin_of = [&](const at::Tensor& tensor) { return tensor.storage_offset() - grads.flat.storage_offset(); };
  behind_vit_ = begin_of(grads.srs.qkv.weight.defined() ? grads.srs.qkv.weight : grads.head.mlp[0].weight);
  for (const BlockWeights& block : grads.vit.blocks) block_begin_.push_back(begin_of(block.norm1.weight));
}

void Strand::begin() {
  grads.flat.zero_();
  sums = StrandSums();
}

// From pixels to gradients, as in the paper's figure.
void Strand::learn(const Chunk& chunk, const BatchTotals& totals, const Prototypes& prototypes, int64_t step,
                   const Ready& ready) {
  at::AutoDispatchBelowADInplaceOrView below_autograd;
  step_ = step;
  Samples samples;
  if (model_config_.include_patch) {
    samples = samples_of(chunk.views->maps, chunk.begin, chunk.begin + chunk.images, options_);
  }
  samples.images = chunk.images;
  samples.local_crops = chunk.views->local_crops;

  const TeacherRows teacher = teach(chunk, samples);
  const Targets targets = blend_targets(teacher, samples, config_.alpha);
  objective_.add_centers(teacher, targets, samples, sums.centers);

  const bool locals = totals.local_crops > 0;
  learn_global(chunk, samples, objective_.global_rows(teacher, targets, samples, totals), prototypes,
               locals ? Ready() : ready);
  if (locals) learn_local(chunk, objective_.local_rows(teacher, targets, samples, totals), prototypes, ready);
}

// The teacher sees both global crops once, in reversed order: its crop 1 teaches the student's crop 0. Windows larger
// than their grid have no sample: the SRS module is asked nothing then, here and in learn_global.
TeacherRows Strand::teach(const Chunk& chunk, const Samples& samples) {
  const VitOutput seen = teacher_vit_.forward(global_crops(chunk, options_, true), {});
  const at::Tensor cls = seen.cls.select(1, 0);
  std::vector<at::Tensor> rows;
  rows.push_back(cls);
  if (samples.queries() > 0) {
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
void Strand::learn_global(const Chunk& chunk, const Samples& samples, LossRows rows, const Prototypes& prototypes,
                          const Ready& ready) {
  const int64_t crops = 2 * chunk.images, classes = model_config_.class_tokens;
  VitOptions options;
  options.keep_for_backward = true;
  options.drop_path = drop_path(chunk, 0, 2);
  const VitOutput seen = student_vit_.forward(global_crops(chunk, options_, false), options);
  std::vector<at::Tensor> parts;
  for (int64_t token = 0; token < classes; ++token) parts.push_back(seen.cls.select(1, token));
  if (samples.samples_global > 0) {
    const at::Tensor sampled = student_srs_->forward(seen.tokens, samples.student, true).flatten(0, 1);
    parts.push_back(rows_at(sampled, samples.student_place));
  }
  rows.students.z = student_head_.forward(at::cat(parts), true);

  const CrossEntropy loss = compare(chunk, rows, prototypes);
  for (int64_t row = 0; row < crops; ++row) sums.entropy += loss.target_entropy[size_t(row)];

  const at::Tensor d_rows = student_head_.backward(loss.d_z, grads.head);
  const at::Tensor d_cls = d_rows.narrow(0, 0, classes * crops).view({classes, crops, -1}).transpose(0, 1);
  at::Tensor d_tokens;
  if (samples.samples_global > 0) {
    d_tokens = at::zeros_like(seen.tokens);
    at::Tensor d_sampled = at::zeros({crops * samples.samples_global, d_rows.size(1)}, d_rows.options());
    d_sampled.index_copy_(0, at::tensor(samples.student_place, at::kLong).to(d_rows.device()),
                          d_rows.slice(0, classes * crops));
    student_srs_->backward(d_sampled.view({crops, samples.samples_global, -1}), grads.srs, d_tokens);
  }
  vit_backward(d_tokens, d_cls, ready);
}

// Local crops: class tokens alone.
void Strand::learn_local(const Chunk& chunk, LossRows rows, const Prototypes& prototypes, const Ready& ready) {
  const int64_t crops = chunk.views->local_crops * chunk.images, classes = model_config_.class_tokens;
  VitOptions options;
  options.class_tokens_only = true;
  options.keep_for_backward = true;
  options.drop_path = drop_path(chunk, 2, chunk.views->local_crops);
  const VitOutput seen = student_vit_.forward(local_crops(chunk, options_), options);
  rows.students.z = student_head_.forward(seen.cls.transpose(0, 1).flatten(0, 1), true);

  const CrossEntropy loss = compare(chunk, rows, prototypes);

  const at::Tensor d_rows = student_head_.backward(loss.d_z, grads.head);
  vit_backward({}, d_rows.view({classes, crops, -1}).transpose(0, 1), ready);
}

// Weights lie in memory in the order of the forward pass, so that their gradients are complete from the end on.
void Strand::vit_backward(const at::Tensor& d_tokens, const at::Tensor& d_cls, const Ready& ready) {
  if (!ready) return student_vit_.backward(d_tokens, d_cls, grads.vit);
  ready(behind_vit_);
  student_vit_.backward(d_tokens, d_cls, grads.vit, [&](size_t block) { ready(block_begin_[block]); });
  ready(0);
}

// The cross-entropies of rows, into the parts; what is not finite is named.
CrossEntropy Strand::compare(const Chunk& chunk, const LossRows& rows, const Prototypes& prototypes) {
  const CrossEntropy loss = loss_.run(rows.students, rows.targets, prototypes, grads.head.weight_v);
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
  fail(UDI_E_NONFINITE, "step ", step_, ": the loss is not finite in ", parts, " for ",
       chunk.views->sample.empty() ? "images " : "samples ", names_of(samples), "; nothing moved");
}

at::Tensor Strand::drop_path(const Chunk& chunk, int64_t first_crop, int64_t crops) const {
  return drop_path_factors(model_config_, config_.seed, step_, chunk.position, chunk.images, first_crop, crops,
                           options_);
}

}  // namespace udi
