// A step where kernels work: tables go over in one copy, and from there on the host waits for nothing and reads
// nothing.
#include <cmath>
#include <limits>

#include "base/error.h"
#include "model/kernels.h"
#include "train/on_device.h"
#include "train/render.h"
#include "train/trainer.h"

namespace udi {

// Beside what each chunk needs: what all need, and what the update needs.
struct Trainer::StepTables {
  std::vector<ChunkTables> chunks;
  at::Tensor schedule;  // schedule_table
  at::Tensor temp;      // float32 [1]: the teacher's temperature
  at::Tensor rates;     // center_rates

  std::vector<at::Tensor*> all() {
    std::vector<at::Tensor*> tables = {&schedule, &temp, &rates};
    for (ChunkTables& chunk : chunks) chunk.tables(tables);
    return tables;
  }
};

namespace {

at::Tensor flat_losses(const std::vector<ChunkLosses>& chunks) {
  std::vector<at::Tensor> all;
  for (const ChunkLosses& losses : chunks) {
    all.push_back(losses.global);
    if (losses.local.defined()) all.push_back(losses.local);
    all.push_back(losses.entropy);
  }
  return at::cat(all);
}

std::vector<ChunkLosses> chunk_losses(const at::Tensor& flat, const std::vector<ChunkLabels>& labels) {
  std::vector<ChunkLosses> all;
  int64_t at = 0;
  const auto next = [&](size_t count) {
    at += int64_t(count);
    return flat.narrow(0, at - int64_t(count), int64_t(count));
  };
  for (const ChunkLabels& chunk : labels) {
    ChunkLosses losses;
    losses.global = next(chunk.global.part.size());
    if (!chunk.local.part.empty()) losses.local = next(chunk.local.part.size());
    losses.entropy = next(2 * chunk.names.size());
    all.push_back(losses);
  }
  return all;
}

double value_of(const at::Tensor& on_host, int64_t i) { return on_host.to(at::kDouble).const_data_ptr<double>()[i]; }

}  // namespace

// SGD and LARS have no kernel, and ranks exchange gradients by way of the host's knowledge.
bool Trainer::works_on_device() const {
  return !group_ && config_.optimizer == UDI_ADAMW && kernels::take(student_.flat);
}

void Trainer::leave_device() {
  settle();
  device_.reset();
}

void Trainer::step_on_device(const std::vector<const Views*>& views, const StepBatch& batch, const ScheduleValues& now,
                             udi_step_stats* stats) {
  if (!device_) device_ = std::make_unique<OnDevice>(config_, student_, optimizer_);
  OnDevice& device = *device_;
  make_strands(1);
  const int64_t limit = chosen_micro_batch(model_config_, config_, student_.device(), views[0]->global_size);
  const int64_t rounds = (batch.images + limit - 1) / limit, most = (batch.images + rounds - 1) / rounds;

  const auto tables = std::make_shared<StepTables>();
  const TableSettings settings{model_config_, config_,       objective_,       batch.loss,
                               steps_,        student_.flat, kernels::graphs()};
  std::vector<double> weight;
  Unread unread;
  unread.step = steps_;
  {
    const Replay::Scope scope(device.replay);  // crops are made on the stream that reads them
    for (const Chunk& chunk : make_chunks(views, batch.position, most)) {
      ChunkTables made = make_tables(rendered(chunk, student_.device()), settings);
      objective_.add_center_weights(made.samples, weight);
      unread.labels.push_back(std::move(made.labels));
      tables->chunks.push_back(std::move(made));
    }
    tables->schedule = schedule_table(now);
    tables->temp = at::full({1}, now.teacher_temp, at::kFloat);
    tables->rates = center_rates(weight, config_.center_momentum);
    const bool same = device.stage.move(tables->all(), student_.device());
    device.replay.run(same, [this, tables] { work(*tables); });
    unread.losses = flat_losses(strands_[0]->results.losses);
    unread.norms = device.update.norms.clone();
  }
  device.unread.push_back(std::move(unread));

  if (stats) {
    StrandSums sums;
    sums.feature = strands_[0]->results.feature;
    sums.feature2 = strands_[0]->results.feature2;
    at::Tensor center_norms = norms_of_centers();
    const Unread last = settle({&sums.feature, &sums.feature2, &center_norms});
    const std::vector<ChunkLosses> losses = chunk_losses(last.losses, last.labels);
    for (size_t chunk = 0; chunk < losses.size(); ++chunk) sums.LossSums::add(last.labels[chunk], losses[chunk]);
    fill_stats(now, batch.all, sums, {value_of(last.norms, 0), value_of(last.norms, 1)}, center_norms, stats);
  } else if (device.unread.size() >= OnDevice::kMostUnread) {
    settle();
  }
  ++steps_;
}

// What is replayed: all numbers of the step that it uses lie in the tables.
void Trainer::work(const StepTables& tables) {
  Prototypes prototypes = make_prototypes(std::numeric_limits<double>::quiet_NaN());
  prototypes.temp = tables.temp;
  prototypes.not_finite = device_->update.not_finite;
  Strand& strand = *strands_[0];
  strand.begin();
  for (const ChunkTables& chunk : tables.chunks) strand.learn(chunk, prototypes);
  prototype_backward(student_.head, grads_.head);
  device_->update.run(tables.schedule, grads_, student_, teacher_);
  update_centers(centers_, strand.results.centers, tables.rates, prototypes.teacher, device_->update.not_finite);
}

void Trainer::settle() { settle({}); }

// Reads, with `more`, what the steps since the last call came to. Returns the last of them.
Unread Trainer::settle(const std::vector<at::Tensor*>& more) {
  if (!device_ || device_->unread.empty()) return {};
  DeviceUpdate& update = device_->update;
  std::vector<Unread> unread;
  unread.swap(device_->unread);
  at::Tensor flag = update.not_finite.clone(), updates = update.updates.clone();
  std::vector<at::Tensor*> all = more;
  for (Unread& step : unread) all.insert(all.end(), {&step.losses, &step.norms});
  all.insert(all.end(), {&flag, &updates});
  read_back(all);
  updates = updates.to(at::kLong);
  optimizer_.updates.assign(updates.const_data_ptr<int64_t>(), updates.const_data_ptr<int64_t>() + updates.numel());
  if (value_of(flag, 0) == 0) return std::move(unread.back());

  update.not_finite.zero_();
  for (const Unread& step : unread) {
    const std::string bad = what_is_not_finite(step.labels, chunk_losses(step.losses, step.labels));
    if (bad.empty() && std::isfinite(value_of(step.norms, 1)) && &step != &unread.back()) continue;
    const int64_t later = unread.back().step - step.step;
    steps_ = step.step;  // the steps since then have changed nothing
    const std::string since =
        later > 0 ? text(". What was done after it (", later, later == 1 ? " step" : " steps", ") moved nothing either")
                  : "";
    check(!bad.empty(), UDI_E_NONFINITE, "step ", steps_, kGradientNotFinite, since);
    fail(UDI_E_NONFINITE, "step ", steps_, ": ", bad, "; nothing moved", since);
  }
  return {};
}

}  // namespace udi
