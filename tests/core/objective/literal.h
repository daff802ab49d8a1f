// The tests' twin of the objective: the official UDILoss step by step, on K-wide logits, in float64, with gradients by
// autograd. Slow and plain on purpose.
#pragma once

#include <array>

#include "model/aten.h"
#include "udi.h"

namespace literal {

// Rows in the official order: teacher crops [crop 1 | crop 0], student crops [crop 0 | crop 1]. B images, L local
// crops.
struct Inputs {
  at::Tensor teacher_cls;                             // [2B, D]
  at::Tensor teacher_patch, teacher_mask;             // [2B, s, D], [2B, s]: row sums of the maps
  at::Tensor teacher_local, local_mask;               // [L, 2B, n, D], [L, 2B, n]
  at::Tensor student_cls, student_plus;               // [2B, D]
  at::Tensor student_patch, student_mask;             // [2B, s, D], [2B, s]: 0 or 1
  at::Tensor local_cls, local_plus;                   // [L * B, D], row l * B + b
  at::Tensor student_prototypes, teacher_prototypes;  // [K, D]
  at::Tensor centers;                                 // [levels, K]
  double teacher_temp = 0.04;
};

struct Outputs {
  at::Tensor loss;  // differentiable
  std::array<at::Tensor, 5>
      parts;  // global_cls, global_cls_plus, global_patch, local_cls, local_cls_plus; or undefined
  at::Tensor centers;
};

inline at::Tensor cross_entropy(const at::Tensor& p, const at::Tensor& student, double temp) {
  return -(p * at::log_softmax(student / temp, -1)).sum(-1);
}

inline Outputs run(const Inputs& in, const udi_model_config& model, const udi_train_config& train) {
  const bool patches = model.include_patch, plus = model.class_tokens > 1, mixed = train.target_blend == 1;
  const int64_t crops = in.teacher_cls.size(0), images = crops / 2, locals = in.local_cls.size(0) / images;
  const int64_t patch_level = model.class_tokens;
  const auto teacher = [&](const at::Tensor& z) { return at::matmul(z, in.teacher_prototypes.t()); };
  const auto student = [&](const at::Tensor& z) { return at::matmul(z, in.student_prototypes.t()); };
  const auto softmax = [&](const at::Tensor& logits, int64_t level) {
    return at::softmax((logits - in.centers[level]) / in.teacher_temp, -1);
  };
  // [L, 2B, K] or [2B, K] -> for local crops [L * B, 2, K]
  const auto pair_up = [&](const at::Tensor& x) {
    return x.view({locals, 2, images, x.size(-1)}).transpose(1, 2).reshape({locals * images, 2, x.size(-1)});
  };

  const at::Tensor cls = teacher(in.teacher_cls);                                                   // [2B, K]
  const at::Tensor cls_local = pair_up(cls.unsqueeze(0).expand({locals, crops, -1}).contiguous());  // [L B, 2, K]
  at::Tensor patch, local, mask, local_mask, blend = cls, blend_local = cls_local;
  if (patches) {
    patch = teacher(in.teacher_patch);
    local = teacher(in.teacher_local);
    mask = in.teacher_mask.unsqueeze(-1);
    local_mask = in.local_mask.unsqueeze(-1);
    const at::Tensor mean = (patch * mask).sum(1) / (mask.sum(1) + 1e-5);
    const at::Tensor mean_local = (local * local_mask).sum(2) / (local_mask.sum(2) + 1e-5);
    blend = train.alpha * mean + (1 - train.alpha) * cls;
    blend_local = train.alpha * pair_up(mean_local) + (1 - train.alpha) * cls_local;
  }

  const at::Tensor p_cls = softmax(cls, 0), p_cls_local = softmax(cls_local, 0);
  at::Tensor p_plus, p_plus_local;
  if (plus && patches && mixed) {
    // The paper's mixture: means of probabilities over valid samples; no sample, no mixture.
    const auto mix = [&](const at::Tensor& p, const at::Tensor& m, const at::Tensor& of_cls, int64_t dim) {
      const at::Tensor total = m.sum(dim);
      const at::Tensor mean = (p * m).sum(dim) / total.clamp_min(1e-300);
      return at::where(total > 0, train.alpha * mean + (1 - train.alpha) * of_cls, of_cls);
    };
    p_plus = mix(softmax(patch, patch_level), mask, p_cls, 1);
    p_plus_local = pair_up(
        mix(softmax(local, patch_level), local_mask, p_cls.unsqueeze(0).expand({locals, crops, -1}), 2).contiguous());
  } else if (plus) {
    p_plus = softmax(blend, 1);
    p_plus_local = softmax(blend_local, 1);
  }

  Outputs out;
  out.parts[0] = cross_entropy(p_cls, student(in.student_cls), train.student_temp).mean();
  if (plus) out.parts[1] = cross_entropy(p_plus, student(in.student_plus), train.student_temp).mean();
  if (patches) {
    const at::Tensor ce = cross_entropy(softmax(patch, patch_level), student(in.student_patch), train.student_temp);
    out.parts[2] = (ce * in.student_mask).sum() / in.student_mask.sum().clamp_min(1);
  }
  if (locals > 0) {
    const auto local_ce = [&](const at::Tensor& p, const at::Tensor& z) {
      return cross_entropy(p, student(z).unsqueeze(1), train.student_temp).mean();
    };
    out.parts[3] = local_ce(p_cls_local, in.local_cls);
    if (plus) out.parts[4] = local_ce(p_plus_local, in.local_plus);
  }
  at::Tensor sum;
  int levels = 0;
  const auto add_level = [&](const at::Tensor& level) {
    sum = sum.defined() ? sum + level : level;
    ++levels;
  };
  const auto class_level = [&](const at::Tensor& global, const at::Tensor& of_local) {
    add_level(locals > 0 ? (2 * global + 2 * locals * of_local) / (2 + 2 * locals) : global);
  };
  class_level(out.parts[0], out.parts[3]);
  if (plus) class_level(out.parts[1], out.parts[4]);
  if (patches) add_level(out.parts[2]);
  out.loss = train.loss_reduction == 1 ? sum : sum / levels;

  std::vector<at::Tensor> batch;
  batch.push_back(cls.mean(0));
  if (plus) batch.push_back(at::cat({blend, blend_local.flatten(0, 1)}).mean(0));
  if (patches) {
    const at::Tensor weight = mask.sum() + local_mask.sum();
    const at::Tensor all =
        (patch * mask).sum(at::IntArrayRef{0, 1}) + (local * local_mask).sum(at::IntArrayRef{0, 1, 2});
    batch.push_back(weight.item<double>() > 0 ? all / weight : in.centers[patch_level]);  // unmoved
  }
  out.centers = in.centers * train.center_momentum + at::stack(batch) * (1 - train.center_momentum);
  return out;
}

}  // namespace literal
