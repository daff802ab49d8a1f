// Pretraining by UDI: one step after the other over student, teacher, centers and optimizer.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/host.h"
#include "dist/group.h"
#include "model/model.h"
#include "objective/udi.h"
#include "train/buckets.h"
#include "train/config.h"
#include "train/optimizer.h"
#include "train/ranks.h"
#include "train/schedule.h"
#include "train/stage.h"
#include "train/strand.h"

namespace udi {

struct OnDevice;
struct Unread;

constexpr const char* kGradientNotFinite =
    ": the loss is finite and its gradient is not; nothing moved. A lower learning rate or gradient clipping helps";

// Images that are worked on at once: config.micro_batch, or what suits the device for crops of global_size pixels.
int64_t chosen_micro_batch(const udi_model_config& model, const udi_train_config& config, at::Device device,
                           int64_t global_size);

// How a step's images are spread: `strands` work side by side, each on at most `chunk` images at a time.
struct Spread {
  int64_t strands = 1, chunk = 1;
};
Spread spread_of(const udi_model_config& model, const udi_train_config& config, at::Device device, int64_t images,
                 int64_t global_size);

class Trainer {
 public:
  // Student and teacher start as copies of model, on its device. Checks config.
  Trainer(const Model& model, const udi_train_config& config);
  Trainer(Trainer&&);  // before the first step
  ~Trainer();

  // Steps from now on are over the ranks of `group`: see udi_trainer_join.
  void join(std::shared_ptr<Group> group);

  // One optimisation step over all images of the views; several views are one batch. stats may be null (struct_size is
  // left as it is). UDI_E_NONFINITE: a loss or a gradient is not finite; UDI_E_CANCELLED: host said so; UDI_E_SHAPE:
  // views do not fit. After any of these nothing has moved. Where kernels work (model/kernels.h), without stats,
  // UDI_E_NONFINITE may come some steps later: nothing has moved since the step it names, and steps() is that step.
  void step(const std::vector<const Views*>& views, const Host& host, udi_step_stats* stats);
  // In place of a step that this rank cannot begin: the step of every rank fails with this error.
  [[noreturn]] void refuse_step(const Error& why);

  // Waits for the steps so far and reads what they came to: UDI_E_NONFINITE, as step(). Before state().
  void settle();

  int64_t steps() const { return steps_; }  // done
  const udi_model_config& model_config() const { return model_config_; }
  const udi_train_config& config() const { return config_; }

  // A copy of the weights as they are now.
  Model model(udi_role role) const;

  int64_t micro_batch(const Views& views) const {
    return chosen_micro_batch(model_config_, config_, student_.device(), views.global_size);
  }

  // What a checkpoint holds: every tensor of the run under its name there (handles, to read from and to copy into) and
  // the rest as JSON. restore() takes the rest back, after the tensors; `path` is for its messages (UDI_E_FORMAT).
  std::vector<std::pair<std::string, at::Tensor>> tensors() const;
  // "student.", ...; "center" is alone.
  static std::vector<std::string> tensor_prefixes(const udi_train_config& config);
  nlohmann::json state() const;
  void restore(const nlohmann::json& state, const std::string& path);

  // Of the last step, before clipping; names as in the weights. For tests and udi-golden.
  const Parameters& gradients() const { return grads_; }
  const Parameters& student() const { return student_; }
  const Parameters& teacher() const { return teacher_; }
  const at::Tensor& centers() const { return centers_; }  // [levels, K]: cls, cls_plus, patch, those that the model has

 private:
  struct StepTables;

  Prototypes make_prototypes(double teacher_temp);
  StrandSums learn(const std::vector<const Views*>& views, const StepBatch& batch, const Prototypes& prototypes,
                   const Host& host);
  void make_strands(int64_t count);
  StrandSums run_strands(const std::vector<Chunk>& chunks, int64_t count, const BatchTotals& totals,
                         const Prototypes& prototypes, const Host& host);
  StrandSums sum_strands(const std::vector<std::vector<ChunkLabels>>& labels, std::vector<StrandSums> sums);
  void move_tables(ChunkTables& tables);
  at::Tensor norms_of_centers() const;
  void fill_stats(const ScheduleValues& now, const BatchTotals& totals, const StrandSums& sums,
                  const GradientNorms& norms, const at::Tensor& center_norms, udi_step_stats* stats) const;

  // trainer_device.cpp
  bool works_on_device() const;
  void step_on_device(const std::vector<const Views*>& views, const StepBatch& batch, const ScheduleValues& now,
                      udi_step_stats* stats);
  void work(const StepTables& tables);
  Unread settle(const std::vector<at::Tensor*>& more);
  void leave_device();

  udi_model_config model_config_;
  udi_train_config config_;
  int64_t steps_ = 0;
  Parameters student_, teacher_, grads_;
  at::Tensor centers_;
  Optimizer optimizer_;
  UdiObjective objective_;
  std::shared_ptr<Group> group_;              // null: one rank
  std::unique_ptr<GradientBuckets> buckets_;  // with a group

  // Working memory.
  std::vector<std::unique_ptr<Strand>> strands_;    // the first one's gradients are grads_
  Buffer student_prototypes_, teacher_prototypes_;  // [K, bottleneck]
  Stage stage_;
  std::unique_ptr<OnDevice> device_;  // null: kernels do not work, or have not yet
};

}  // namespace udi
