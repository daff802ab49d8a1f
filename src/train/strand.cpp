#include "train/strand.h"

namespace udi {
namespace {

std::unique_ptr<Srs> make_srs(const udi_model_config& config, const Parameters& weights) {
  return config.include_patch ? std::make_unique<Srs>(config, weights) : nullptr;
}

// [2 b, ...]: crop 1 of all images, then crop 0.
at::Tensor reversed(const at::Tensor& crops) {
  return crops.unflatten(0, {2, crops.size(0) / 2}).flip(0).flatten(0, 1);
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
  results = StrandResults();
}

// From pixels to gradients, as in the paper's figure.
void Strand::learn(const ChunkTables& tables, const Prototypes& prototypes, const Ready& ready) {
  at::AutoDispatchBelowADInplaceOrView below_autograd;
  const TeacherRows teacher = teach(tables);
  const Targets targets = blend_targets(teacher, tables.samples, config_.alpha);
  objective_.add_centers(teacher, targets, tables.samples, results.centers);

  const bool locals = tables.local.defined();
  results.losses.emplace_back();
  learn_global(tables, objective_.global_targets(teacher, targets), prototypes, locals ? Ready() : ready);
  if (locals) learn_local(tables, objective_.local_targets(teacher, targets), prototypes, ready);
}

// The teacher sees both global crops once, in reversed order: its crop 1 teaches the student's crop 0. Windows larger
// than their grid have no sample: the SRS module is asked nothing then, here and in learn_global.
TeacherRows Strand::teach(const ChunkTables& tables) {
  const Samples& samples = tables.samples;
  const VitOutput seen = teacher_vit_.forward(reversed(tables.global), {});
  const at::Tensor cls = seen.cls.select(1, 0);
  std::vector<at::Tensor> rows;
  rows.push_back(cls);
  if (samples.queries() > 0) {
    const at::Tensor sampled = teacher_srs_->forward(seen.tokens, samples.teacher, false).flatten(0, 1);
    rows.push_back(sampled.index_select(0, samples.teacher_place));
    rows.push_back(sampled.index_select(0, samples.local_place));
  }
  const at::Tensor z = teacher_head_.forward(at::cat(rows), false);

  const at::Tensor feature = (cls / at::linalg_vector_norm(cls, 2, at::IntArrayRef{1}, true)).to(at::kDouble);
  const at::Tensor sum = feature.sum(0), sum2 = feature.square().sum(0);
  results.feature = results.feature.defined() ? results.feature + sum : sum;
  results.feature2 = results.feature2.defined() ? results.feature2 + sum2 : sum2;

  const int64_t crops = cls.size(0);
  if (!teacher_srs_) return {z, {}, {}};
  const int64_t patches = samples.teacher_place.numel();
  return {z.narrow(0, 0, crops), z.narrow(0, crops, patches), z.slice(0, crops + patches)};
}

// Global crops: class tokens and, through the SRS module, the patches that the other crop shows, too.
void Strand::learn_global(const ChunkTables& tables, const at::Tensor& target_z, const Prototypes& prototypes,
                          const Ready& ready) {
  const Samples& samples = tables.samples;
  const int64_t crops = 2 * samples.images, classes = model_config_.class_tokens;
  VitOptions options;
  options.keep_for_backward = true;
  options.drop_path = tables.global_drop_path;
  const VitOutput seen = student_vit_.forward(tables.global, options);
  std::vector<at::Tensor> parts;
  for (int64_t token = 0; token < classes; ++token) parts.push_back(seen.cls.select(1, token));
  if (samples.samples_global > 0) {
    const at::Tensor sampled = student_srs_->forward(seen.tokens, samples.student, true).flatten(0, 1);
    parts.push_back(sampled.index_select(0, samples.student_place));
  }
  const at::Tensor z = student_head_.forward(at::cat(parts), true);

  const CrossEntropy loss = loss_.run(z, target_z, tables.global_rows, prototypes, grads.head.weight_v);
  results.losses.back().global = loss.row;
  results.losses.back().entropy = loss.target_entropy.narrow(0, 0, crops);

  const at::Tensor d_rows = student_head_.backward(loss.d_z, grads.head);
  const at::Tensor d_cls = d_rows.narrow(0, 0, classes * crops).view({classes, crops, -1}).transpose(0, 1);
  at::Tensor d_tokens;
  if (samples.samples_global > 0) {
    d_tokens = at::zeros_like(seen.tokens);
    at::Tensor d_sampled = at::zeros({crops * samples.samples_global, d_rows.size(1)}, d_rows.options());
    d_sampled.index_copy_(0, samples.student_place, d_rows.slice(0, classes * crops));
    student_srs_->backward(d_sampled.view({crops, samples.samples_global, -1}), grads.srs, d_tokens);
  }
  vit_backward(d_tokens, d_cls, ready);
}

// Local crops: class tokens alone.
void Strand::learn_local(const ChunkTables& tables, const at::Tensor& target_z, const Prototypes& prototypes,
                         const Ready& ready) {
  const int64_t classes = model_config_.class_tokens;
  VitOptions options;
  options.class_tokens_only = true;
  options.keep_for_backward = true;
  options.drop_path = tables.local_drop_path;
  const VitOutput seen = student_vit_.forward(tables.local, options);
  const at::Tensor z = student_head_.forward(seen.cls.transpose(0, 1).flatten(0, 1), true);

  const CrossEntropy loss = loss_.run(z, target_z, tables.local_rows, prototypes, grads.head.weight_v);
  results.losses.back().local = loss.row;

  const at::Tensor d_rows = student_head_.backward(loss.d_z, grads.head);
  vit_backward({}, d_rows.view({classes, tables.local.size(0), -1}).transpose(0, 1), ready);
}

// Weights lie in memory in the order of the forward pass, so that their gradients are complete from the end on.
void Strand::vit_backward(const at::Tensor& d_tokens, const at::Tensor& d_cls, const Ready& ready) {
  if (!ready) return student_vit_.backward(d_tokens, d_cls, grads.vit);
  ready(behind_vit_);
  student_vit_.backward(d_tokens, d_cls, grads.vit, [&](size_t block) { ready(block_begin_[block]); });
  ready(0);
}

}  // namespace udi
