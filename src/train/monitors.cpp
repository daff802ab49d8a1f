#include "train/monitors.h"

#include <cmath>

#include "base/error.h"

namespace udi {
namespace {

constexpr int32_t kFewPrototypes = 1024;  // of the preset small-data

}  // namespace

std::vector<std::string> CollapseMonitor::see(const udi_step_stats& stats) {
  const double uniform = std::log(double(model_.out_dim));
  const bool present[kSymptoms] = {
      stats.global_cls >= kNearUniform * uniform,
      stats.teacher_entropy >= kNearUniform * uniform,
      stats.teacher_entropy <= kNearOneHot * uniform,
      stats.feature_std <= kNoSpread / std::sqrt(double(model_.embed_dim)),
  };
  std::vector<std::string> messages;
  for (int s = 0; s < kSymptoms; ++s) {
    const bool counts = present[s] && stats.step >= silent_;
    lasted_[s] = counts ? lasted_[s] + 1 : 0;
    if (lasted_[s] < kPatience || said_[s]) continue;
    said_[s] = true;
    messages.push_back(words(Symptom(s), stats));
  }
  return messages;
}

std::string CollapseMonitor::words(Symptom symptom, const udi_step_stats& stats) const {
  const double uniform = std::log(double(model_.out_dim));
  const std::string since = text("for ", kPatience, " steps, up to step ", stats.step);
  switch (symptom) {
    case kFlatLoss:
      return text("the run is collapsing: ", since, ", the loss of cls sits at ", stats.global_cls,
                  ", the logarithm of ", model_.out_dim, " prototypes is ", uniform,
                  ": the student's guess is no better than even. ", cures());
    case kFlatTeacher:
      return text("the run is collapsing: ", since, ", the teacher's targets are flat (entropy ", stats.teacher_entropy,
                  " of at most ", uniform, "): they say nothing about the image. ", cures());
    case kSharpTeacher:
      return text("the run may be collapsing: ", since, ", the teacher gives all its weight to one prototype (entropy ",
                  stats.teacher_entropy, "). Try a higher teacher_temp (now ", train_.teacher_temp,
                  ") or a lower center_momentum (now ", train_.center_momentum, ")");
    default:
      return text("the run is collapsing: ", since, ", all images have nearly the same features (standard deviation ",
                  stats.feature_std, ", ", 1 / std::sqrt(double(model_.embed_dim)), " where directions are random). ",
                  cures());
  }
}

// What has helped, the strongest first; settings that are in force already are left out.
std::string CollapseMonitor::cures() const {
  std::string list;
  const auto add = [&](bool applies, const std::string& cure) {
    if (applies) list += (list.empty() ? "Try " : "; ") + cure;
  };
  add(train_.teacher_temp > 0.04, text("teacher_temp 0.04 (now ", train_.teacher_temp, ")"));
  add(train_.momentum_teacher > 0.99, text("momentum_teacher 0.99 (now ", train_.momentum_teacher, ")"));
  add(model_.out_dim > kFewPrototypes, text("fewer prototypes (out_dim, now ", model_.out_dim, ")"));
  add(model_.out_dim > kFewPrototypes, "with few images, preset small-data (--preset small-data)");
  const bool long_already = train_.warmup_steps > silent_;
  add(long_already, text("a run that goes on for longer than its warm-up (warmup_steps ", train_.warmup_steps, " of ",
                         train_.total_steps, ")"));
  add(!long_already, text("a longer warm-up (warmup_steps, now ", train_.warmup_steps, ")"));
  add(model_.norm_last_layer == 0, "norm_last_layer 1");
  add(true, text("a last layer that is frozen for longer (freeze_last_layer_steps, now ",
                 train_.freeze_last_layer_steps, ")"));
  add(true, text("another lr (now ", train_.lr, ")"));
  return list;
}

}  // namespace udi
