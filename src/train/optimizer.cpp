#include "train/optimizer.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>

#include "train/update.h"

namespace udi {
namespace {

constexpr int64_t kSlice = 1 << 16;
constexpr double kTrust = 0.001;  // LARS' eta, official constant

bool on_loops(const Parameters& p) { return p.flat.is_cpu() && p.flat.scalar_type() == at::kFloat; }

}  // namespace

Optimizer::Optimizer(const udi_train_config& config, const Parameters& student)
    : first(student.zeros_like()), config_(config) {
  if (config.optimizer == UDI_ADAMW) second = student.zeros_like();
  const auto& entries = student.entries();
  updates.assign(entries.size(), 0);
  gradient2_.assign(entries.size(), 0.0);
  gradient_weight_ = weight2_ = gradient2_;
  for (size_t i = 0; i < entries.size(); ++i) {
    for (int64_t at = 0; at < entries[i].elements; at += kSlice)
      slices_.push_back({i, entries[i].offset + at, std::min(kSlice, entries[i].elements - at)});
  }
}

GradientNorms Optimizer::measure(const Parameters& grads, const Parameters& student) {
  const auto& entries = grads.entries();
  if (on_loops(grads)) {
    std::vector<SliceSums> sums(slices_.size());
    const float* const g = grads.flat.const_data_ptr<float>();
    const float* const w = student.flat.const_data_ptr<float>();
    at::parallel_for(0, int64_t(slices_.size()), 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const Slice& slice = slices_[size_t(i)];
        sums[size_t(i)] = slice_sums(g + slice.begin, w + slice.begin, slice.size);
      }
    });
    for (size_t i = 0; i < entries.size(); ++i) gradient2_[i] = gradient_weight_[i] = weight2_[i] = 0;
    for (size_t i = 0; i < slices_.size(); ++i) {
      gradient2_[slices_[i].tensor] += sums[i].gradient2;
      gradient_weight_[slices_[i].tensor] += sums[i].gradient_weight;
      weight2_[slices_[i].tensor] += sums[i].weight2;
    }
  } else {
    std::vector<at::Tensor> all;  // one transfer for all tensors
    for (size_t i = 0; i < entries.size(); ++i) {
      const at::Tensor g = grads[i].flatten().to(at::kDouble), w = student[i].flatten().to(at::kDouble);
      all.insert(all.end(), {at::dot(g, g), at::dot(g, w), at::dot(w, w)});
    }
    const at::Tensor host = at::stack(all).cpu();
    for (size_t i = 0; i < entries.size(); ++i) {
      const double* const sums = host.const_data_ptr<double>() + 3 * i;
      gradient2_[i] = sums[0];
      gradient_weight_[i] = sums[1];
      weight2_[i] = sums[2];
    }
  }
  GradientNorms norms;
  for (size_t i = 0; i < entries.size(); ++i) {
    if (!entries[i].trainable) continue;
    const double norm = std::sqrt(gradient2_[i]);
    norms.max = norm > norms.max || std::isnan(norm) ? norm : norms.max;
    norms.sum += norm;
  }
  return norms;
}

// LARS multiplies the update of a decayed tensor, decay included, by eta |w| / |update|.
Optimizer::TensorStep Optimizer::tensor_step(const ParameterInfo& info, size_t i, const ScheduleValues& now) const {
  TensorStep step{};
  step.moves = info.trainable && !(info.last_layer && now.freeze_last_layer);
  step.clip = config_.clip_grad > 0 ? std::min(1.0, config_.clip_grad / (std::sqrt(gradient2_[i]) + 1e-6)) : 1;
  step.weight_decay = info.decayed ? now.weight_decay : 0;
  step.trust = 1;
  if (config_.optimizer != UDI_LARS || !info.decayed) return step;
  const double update2 = step.clip * step.clip * gradient2_[i] +
                         2 * step.clip * step.weight_decay * gradient_weight_[i] +
                         step.weight_decay * step.weight_decay * weight2_[i];
  if (weight2_[i] > 0 && update2 > 0) step.trust = kTrust * std::sqrt(weight2_[i] / update2);
  return step;
}

void Optimizer::step(const ScheduleValues& now, Parameters& student, const Parameters& grads, Parameters& teacher) {
  const auto& entries = student.entries();
  std::vector<TensorStep> plan;
  for (size_t i = 0; i < entries.size(); ++i) {
    plan.push_back(tensor_step(entries[i], i, now));
    if (plan.back().moves) ++updates[i];
  }
  if (on_loops(student)) {
    step_loops(plan, now, student, grads, teacher);
  } else {
    step_aten(plan, now, student, grads, teacher);
  }
  student.refresh();
  teacher.refresh();
}

void Optimizer::step_loops(const std::vector<TensorStep>& plan, const ScheduleValues& now, Parameters& student,
                           const Parameters& grads, Parameters& teacher) {
  const double momentum = now.momentum_teacher;
  at::parallel_for(0, int64_t(slices_.size()), 1, [&](int64_t begin, int64_t end) {
    for (int64_t s = begin; s < end; ++s) {
      const Slice& at = slices_[size_t(s)];
      const TensorStep& step = plan[at.tensor];
      const UpdateSlice slice{student.flat.data_ptr<float>() + at.begin,
                              grads.flat.const_data_ptr<float>() + at.begin,
                              first.flat.data_ptr<float>() + at.begin,
                              second.flat.defined() ? second.flat.data_ptr<float>() + at.begin : nullptr,
                              teacher.flat.data_ptr<float>() + at.begin,
                              at.size};
      if (!step.moves) {
        average_slice(slice, momentum);
      } else if (config_.optimizer == UDI_ADAMW) {
        adamw_slice(slice,
                    {now.lr, step.weight_decay, config_.beta1, config_.beta2, config_.epsilon, updates[at.tensor]},
                    step.clip, momentum);
      } else {
        sgd_slice(slice, {now.lr, step.weight_decay, config_.sgd_momentum, step.trust}, step.clip, momentum);
      }
    }
  });
}

// The same formulas a tensor at a time, for float64 and for other devices.
void Optimizer::step_aten(const std::vector<TensorStep>& plan, const ScheduleValues& now, Parameters& student,
                          const Parameters& grads, Parameters& teacher) {
  for (size_t i = 0; i < plan.size(); ++i) {
    const TensorStep& step = plan[i];
    at::Tensor weight = student[i];
    if (step.moves && config_.optimizer == UDI_ADAMW) {
      const at::Tensor g = grads[i] * step.clip;
      const double correction1 = 1 - std::pow(config_.beta1, double(updates[i]));
      const double correction2 = 1 - std::pow(config_.beta2, double(updates[i]));
      weight.mul_(1 - now.lr * step.weight_decay);
      first[i].lerp_(g, 1 - config_.beta1);
      second[i].mul_(config_.beta2).addcmul_(g, g, 1 - config_.beta2);
      const at::Tensor divisor = second[i].sqrt().div_(std::sqrt(correction2)).add_(config_.epsilon);
      weight.addcdiv_(first[i], divisor, -now.lr / correction1);
    } else if (step.moves) {
      const at::Tensor update = at::add(grads[i] * step.clip, weight, step.weight_decay).mul_(step.trust);
      first[i].mul_(config_.sgd_momentum).add_(update);
      weight.add_(first[i], -now.lr);
    }
    teacher[i].mul_(now.momentum_teacher).add_(weight, 1 - now.momentum_teacher);
  }
}

}  // namespace udi
