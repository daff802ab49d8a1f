#include "train/trainer.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "model/kernels.h"
#include "train/on_device.h"
#include "train/render.h"

namespace udi {
namespace {

// Of global crops in a strand on the CPU: enough for large products, little to keep.
constexpr int64_t kTokensAtOnce = 8 * 198;

at::ScalarType precision_of(const Model& model, const udi_train_config& config) {
  check_train_config(config);
  return config.precision == UDI_BF16 ? at::kBFloat16 : model.weights.dtype();
}

Parameters copy_of(const Model& model, const udi_train_config& config) {
  return model.weights.to(model.weights.dtype(), precision_of(model, config), model.weights.device());
}

}  // namespace

int64_t chosen_micro_batch(const udi_model_config& model, const udi_train_config& config, at::Device device,
                           int64_t global_size) {
  if (config.micro_batch > 0) return config.micro_batch;
  if (!device.is_cpu()) return std::numeric_limits<int64_t>::max() / 2;
  const int64_t grid = global_size / model.patch_size;
  return std::max<int64_t>(1, kTokensAtOnce / (2 * (grid * grid + model.class_tokens)));
}

// A strand a thread, where there is work for each: a thread that goes its own way through images waits for no other,
// and splitting each small product over threads costs more than it gives. Strands cost a copy of the gradients each.
Spread spread_of(const udi_model_config& model, const udi_train_config& config, at::Device device, int64_t images,
                 int64_t global_size) {
  constexpr int64_t kMostStrands = 8;
  const int64_t limit = chosen_micro_batch(model, config, device, global_size);
  Spread spread;
  if (device.is_cpu()) {
    const int64_t pieces = config.micro_batch > 0 ? (images + limit - 1) / limit : images;
    spread.strands = std::max<int64_t>(1, std::min({int64_t(at::get_num_threads()), pieces, kMostStrands}));
  }
  // As few rounds as the limit allows, of chunks as equal as can be.
  const int64_t at_once = spread.strands * std::min(limit, images), rounds = (images + at_once - 1) / at_once;
  spread.chunk = (images + spread.strands * rounds - 1) / (spread.strands * rounds);
  // Nine images on eight threads are five chunks of two: no strand goes without.
  spread.strands = std::min(spread.strands, (images + spread.chunk - 1) / spread.chunk);
  return spread;
}

Trainer::Trainer(const Model& model, const udi_train_config& config)
    : model_config_(model.config),
      config_(config),
      student_(copy_of(model, config)),
      teacher_(copy_of(model, config)),
      grads_(student_.zeros_like()),
      centers_(at::zeros({num_levels(model.config), model.config.out_dim}, student_.flat.options())),
      optimizer_(config, student_),
      objective_(model.config, config) {}

Trainer::Trainer(Trainer&&) = default;
Trainer::~Trainer() = default;

// ---- A step ------------------------------------------------------------------------------------------------------

void Trainer::join(std::shared_ptr<Group> group) {
  const bool alone = config_.world == 1;
  group->agree_on([&] {
    check(alone || (config_.world == group->world() && config_.rank == group->rank()), UDI_E_INVALID,
          "the trainer is rank ", config_.rank, " of ", config_.world, ", the group's is ", group->rank(), " of ",
          group->world());
  });
  leave_device();
  if (group->world() > 1) {
    group->use_device(student_.device());
    copy_first(*group, *this);
  }
  group_ = group->world() > 1 ? std::move(group) : nullptr;
  buckets_ = group_ ? std::make_unique<GradientBuckets>(*group_) : nullptr;
}

void Trainer::refuse_step(const Error& why) {
  agree_on(group_.get(), [&] { throw why; });
  throw why;
}

void Trainer::step(const std::vector<const Views*>& views, const Host& host, udi_step_stats* stats) {
  check(group_ || config_.world == 1, UDI_E_STATE, "the trainer is rank ", config_.rank, " of ", config_.world,
        " and has joined no group");
  if (!works_on_device()) leave_device();
  const StepBatch batch = batch_of(group_.get(), views, model_config_, config_, steps_, host);
  const ScheduleValues now = schedule_at(config_, steps_);
  if (works_on_device()) return step_on_device(views, batch, now, stats);

  student_.pack();  // in float32 on the CPU, for the products of all chunks
  teacher_.pack();
  const Prototypes prototypes = make_prototypes(now.teacher_temp);
  StrandSums sums = learn(views, batch, prototypes, host);
  prototype_backward(student_.head, grads_.head);

  // Everything is known and finite before anything moves.
  const GradientNorms norms = optimizer_.measure(grads_, student_);
  check(std::isfinite(norms.sum), UDI_E_NONFINITE, "step ", steps_, kGradientNotFinite);
  optimizer_.step(now, student_, grads_, teacher_);
  update_centers(centers_, sums.centers, prototypes.teacher, config_.center_momentum);
  if (stats) {
    at::Tensor center_norms = norms_of_centers();
    read_back({&sums.feature, &sums.feature2, &center_norms});
    fill_stats(now, batch.all, sums, norms, center_norms, stats);
  }
  ++steps_;
}

// In mixed precision kernels work on logits in 16 bits: cuda/prototypes.h says why these are float16.
Prototypes Trainer::make_prototypes(double teacher_temp) {
  const bool half = kernels::take(student_.flat) && student_.precision() != student_.dtype();
  const at::IntArrayRef shape = student_.head.weight_v.sizes();
  const at::TensorOptions options = student_.flat.options().dtype(half ? at::kHalf : student_.dtype());
  Prototypes out{};
  out.student = student_prototypes_.make(shape, options);
  out.teacher = teacher_prototypes_.make(shape, options);
  prototype_weights(student_.head, out.student);
  prototype_weights(teacher_.head, out.teacher);
  out.centers = centers_;
  out.student_temp = config_.student_temp;
  out.teacher_temp = teacher_temp;
  out.scale = half ? gradient_scale(objective_.most_weight(), config_.student_temp) : 1;
  return out;
}

// All images, some at a time, in strands side by side. What they are divided by is known, so gradients and sums add up,
// over chunks, strands and ranks.
StrandSums Trainer::learn(const std::vector<const Views*>& views, const StepBatch& batch, const Prototypes& prototypes,
                          const Host& host) {
  const Spread spread = spread_of(model_config_, config_, student_.device(), batch.images, views[0]->global_size);
  const std::vector<Chunk> chunks = make_chunks(views, batch.position, spread.chunk);
  make_strands(spread.strands);
  if (!group_) {
    StrandSums sums = run_strands(chunks, spread.strands, batch.loss, prototypes, host);
    for (int64_t strand = 1; strand < spread.strands; ++strand) grads_.flat.add_(strands_[size_t(strand)]->grads.flat);
    return sums;
  }
  std::vector<at::Tensor> gradients;
  for (int64_t strand = 0; strand < spread.strands; ++strand) gradients.push_back(strands_[size_t(strand)]->grads.flat);
  StrandSums sums;
  group_->agree_on([&] {
    buckets_->begin(gradients);
    std::exception_ptr failure;
    try {
      sums = run_strands(chunks, spread.strands, batch.loss, prototypes, host);
    } catch (...) {
      failure = std::current_exception();
    }
    buckets_->finish();
    if (failure) std::rethrow_exception(failure);
    check(buckets_->finite(), UDI_E_NONFINITE, "step ", steps_, kGradientNotFinite);
  });
  if (config_.rank_reduction == 1) grads_.flat.div_(double(group_->world()));
  sum_over_ranks(*group_, config_, sums);
  return sums;
}

void Trainer::make_strands(int64_t count) {
  while (int64_t(strands_.size()) < count) {
    strands_.push_back(std::make_unique<Strand>(model_config_, config_, student_, teacher_,
                                                strands_.empty() ? grads_ : grads_.zeros_like()));
  }
}

// Each strand takes every count-th chunk. With its last one it says which gradients are complete.
StrandSums Trainer::run_strands(const std::vector<Chunk>& chunks, int64_t count, const BatchTotals& totals,
                                const Prototypes& prototypes, const Host& host) {
  const TableSettings settings{model_config_, config_, objective_, totals, steps_, student_.flat};
  std::vector<std::vector<ChunkLabels>> labels(static_cast<size_t>(count));
  std::vector<StrandSums> sums(static_cast<size_t>(count));
  const auto run = [&](size_t strand) {
    Strand& own = *strands_[strand];
    own.begin();
    for (size_t i = strand; i < chunks.size(); i += size_t(count)) {
      host.check_cancel();
      Strand::Ready ready;
      if (buckets_ && i + size_t(count) >= chunks.size())
        ready = [&](int64_t first_element) { buckets_->ready(strand, first_element); };
      ChunkTables tables = make_tables(rendered(chunks[i], student_.device()), settings);
      move_tables(tables);
      objective_.add_center_weights(tables.samples, sums[strand].centers.weight);
      own.learn(tables, prototypes, ready);
      labels[strand].push_back(std::move(tables.labels));
    }
  };
  if (count == 1) {
    run(0);  // its products use all threads
  } else {
    at::parallel_for(0, count, 1, [&](int64_t begin, int64_t end) {
      for (int64_t strand = begin; strand < end; ++strand) run(size_t(strand));
    });
  }
  return sum_strands(labels, std::move(sums));
}

// sums: with the weights for the centers alone. UDI_E_NONFINITE.
StrandSums Trainer::sum_strands(const std::vector<std::vector<ChunkLabels>>& labels, std::vector<StrandSums> sums) {
  std::vector<at::Tensor*> all;
  for (size_t strand = 0; strand < sums.size(); ++strand) {
    for (ChunkLosses& losses : strands_[strand]->results.losses)
      all.insert(all.end(), {&losses.global, &losses.local, &losses.entropy});
  }
  read_back(all);
  for (size_t strand = 0; strand < sums.size(); ++strand) {
    const StrandResults& results = strands_[strand]->results;
    const std::string bad = what_is_not_finite(labels[strand], results.losses);
    check(bad.empty(), UDI_E_NONFINITE, "step ", steps_, ": ", bad, "; nothing moved");
    for (size_t chunk = 0; chunk < results.losses.size(); ++chunk)
      sums[strand].LossSums::add(labels[strand][chunk], results.losses[chunk]);
    sums[strand].centers.z = results.centers;
    sums[strand].feature = results.feature;
    sums[strand].feature2 = results.feature2;
  }
  for (size_t strand = 1; strand < sums.size(); ++strand) sums[0].add(sums[strand]);
  return std::move(sums[0]);
}

// On the CPU they are where they are wanted.
void Trainer::move_tables(ChunkTables& tables) {
  if (student_.device().is_cpu()) return;
  std::vector<at::Tensor*> all;
  tables.tables(all);
  stage_.move(all, student_.device());
}

// ---- What is asked of it -----------------------------------------------------------------------------------------

at::Tensor Trainer::norms_of_centers() const { return at::linalg_vector_norm(centers_, 2, at::IntArrayRef{1}); }

// All on the CPU.
void Trainer::fill_stats(const ScheduleValues& now, const BatchTotals& totals, const StrandSums& sums,
                         const GradientNorms& norms, const at::Tensor& center_norms, udi_step_stats* stats) const {
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
  const at::Tensor center_norm = center_norms.to(at::kDouble);
  const int64_t level[3] = {0, model_config_.class_tokens > 1 ? 1 : -1,
                            model_config_.include_patch ? model_config_.class_tokens : -1};
  for (int i = 0; i < 3; ++i) stats->center_norm[i] = level[i] < 0 ? nan : center_norm[level[i]].item<double>();
  stats->teacher_entropy = sums.entropy / crops;
  stats->kl = stats->global_cls - stats->teacher_entropy;  // cross-entropy = entropy + KL
  stats->valid_share = totals.samples > 0 ? double(totals.valid) / double(totals.samples) : 0;
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
  device_.reset();
}

}  // namespace udi
