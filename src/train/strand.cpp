#include "train/strand.h"

#include "model/kernels.h"

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

  const at::Tensor global = objective_.global_targets(teacher, targets);
  const at::Tensor local = tables.local.defined() ? objective_.local_targets(teacher, targets) : at::Tensor();
  results.losses.emplace_back();
  if (!local.defined() || packs_crops(tables)) {
    learn_crops(tables, global, local, prototypes, ready);
  } else {
    learn_crops(tables, global, {}, prototypes, {});
    learn_crops(tables, {}, local, prototypes, ready);
  }
}

// On a device one pass over all crops: half as many calls, each of a size that fills it. On the CPU the global crops'
// activations go before the local ones come: less memory, and no slower (docs/performance.md).
bool Strand::packs_crops(const ChunkTables& tables) const {
  return !tables.global.is_cpu() || kernels::take(grads.flat);
}

// The teacher sees both global crops once, in reversed order: its crop 1 teaches the student's crop 0. Windows larger
// than their grid have no sample: the SRS module is asked nothing then, here and in global_rows.
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

// The student's way there and back with global crops, local ones or both: those of which there are target rows.
void Strand::learn_crops(const ChunkTables& tables, const at::Tensor& global_z, const at::Tensor& local_z,
                         const Prototypes& prototypes, const Ready& ready) {
  std::vector<VitBatch> batches;
  const auto add_batch = [&](const at::Tensor& crops, const at::Tensor& drop_path, bool class_tokens_only) {
    VitBatch& batch = batches.emplace_back();
    batch.images = crops;
    batch.options.class_tokens_only = class_tokens_only;
    batch.options.keep_for_backward = true;
    batch.options.drop_path = drop_path;
  };
  if (global_z.defined()) add_batch(tables.global, tables.global_drop_path, false);
  if (local_z.defined()) add_batch(tables.local, tables.local_drop_path, true);
  const std::vector<VitOutput> seen = student_vit_.forward(batches);

  std::vector<at::Tensor> rows;
  if (global_z.defined()) rows.push_back(global_rows(seen.front(), tables.samples));
  if (local_z.defined()) rows.push_back(class_rows(seen.back()));
  const at::Tensor z = student_head_.forward(rows.size() == 1 ? rows[0] : at::cat(rows), true);

  std::vector<at::Tensor> d_z;
  if (global_z.defined()) {
    const CrossEntropy loss =
        loss_.run(z.narrow(0, 0, rows.front().size(0)), global_z, tables.global_rows, prototypes, grads.head.weight_v);
    results.losses.back().global = loss.row;
    results.losses.back().entropy = loss.target_entropy.narrow(0, 0, tables.global.size(0));
    d_z.push_back(loss.d_z);
  }
  if (local_z.defined()) {
    const int64_t count = rows.back().size(0);
    const CrossEntropy loss =
        loss_.run(z.narrow(0, z.size(0) - count, count), local_z, tables.local_rows, prototypes, grads.head.weight_v);
    results.losses.back().local = loss.row;
    d_z.push_back(loss.d_z);
  }

  const at::Tensor d_rows = student_head_.backward(d_z.size() == 1 ? d_z[0] : at::cat(d_z), grads.head);
  std::vector<VitOutput> d_seen;
  if (global_z.defined())
    d_seen.push_back(global_gradients(seen.front(), d_rows.narrow(0, 0, rows.front().size(0)), tables.samples));
  if (local_z.defined()) {
    const int64_t count = rows.back().size(0);
    d_seen.push_back({{}, class_gradients(d_rows.narrow(0, d_rows.size(0) - count, count))});
  }
  vit_backward(d_seen, ready);
}

// Of local crops class tokens alone: [cls of all crops; cls_plus of all crops].
at::Tensor Strand::class_rows(const VitOutput& seen) const { return seen.cls.transpose(0, 1).flatten(0, 1); }

at::Tensor Strand::class_gradients(const at::Tensor& d_rows) const {
  const int64_t classes = model_config_.class_tokens;
  return d_rows.view({classes, d_rows.size(0) / classes, -1}).transpose(0, 1);
}

// Of global crops class tokens and, through the SRS module, the patches that the other crop shows, too.
at::Tensor Strand::global_rows(const VitOutput& seen, const Samples& samples) {
  std::vector<at::Tensor> parts = {class_rows(seen)};
  if (samples.samples_global > 0) {
    const at::Tensor sampled = student_srs_->forward(seen.tokens, samples.student, true).flatten(0, 1);
    parts.push_back(sampled.index_select(0, samples.student_place));
  }
  return at::cat(parts);
}

VitOutput Strand::global_gradients(const VitOutput& seen, const at::Tensor& d_rows, const Samples& samples) {
  const int64_t crops = seen.cls.size(0), of_classes = crops * model_config_.class_tokens;
  VitOutput d_seen{{}, class_gradients(d_rows.narrow(0, 0, of_classes))};
  if (samples.samples_global == 0) return d_seen;
  d_seen.tokens = at::zeros_like(seen.tokens);
  at::Tensor d_sampled = at::zeros({crops * samples.samples_global, d_rows.size(1)}, d_rows.options());
  d_sampled.index_copy_(0, samples.student_place, d_rows.slice(0, of_classes));
  student_srs_->backward(d_sampled.view({crops, samples.samples_global, -1}), grads.srs, d_seen.tokens);
  return d_seen;
}

// Weights lie in memory in the order of the forward pass, so that their gradients are complete from the end on.
void Strand::vit_backward(const std::vector<VitOutput>& d_seen, const Ready& ready) {
  if (!ready) return student_vit_.backward(d_seen, grads.vit);
  ready(behind_vit_);
  student_vit_.backward(d_seen, grads.vit, [&](size_t block) { ready(block_begin_[block]); });
  ready(0);
}

}  // namespace udi
