// Says in words when a run collapses, and which settings cure it.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "udi.h"

namespace udi {

class CollapseMonitor {
 public:
  static constexpr int64_t kPatience = 50;       // steps in a row that a symptom must last
  static constexpr double kNearUniform = 0.985;  // of ln(prototypes): a loss or an entropy at or above it
  static constexpr double kNearOneHot = 0.01;    // of ln(prototypes): a teacher's entropy at or below it
  static constexpr double kNoSpread = 0.1;       // of 1 / sqrt(embed_dim), the spread of directions drawn at random

  CollapseMonitor(const udi_model_config& model, const udi_train_config& train)
      : model_(model), train_(train), silent_(std::min(train.warmup_steps, train.total_steps / 4)) {}

  // Takes a step's statistics; returns a message for each symptom that has lasted, each symptom once in a run.
  std::vector<std::string> see(const udi_step_stats& stats);

 private:
  enum Symptom { kFlatLoss, kFlatTeacher, kSharpTeacher, kSameFeatures, kSymptoms };
  std::string words(Symptom symptom, const udi_step_stats& stats) const;
  std::string cures() const;

  udi_model_config model_;
  udi_train_config train_;
  int64_t silent_;  // steps at first in which flat outputs are no symptom: the warm-up, but no more than a quarter
  int64_t lasted_[kSymptoms] = {};
  bool said_[kSymptoms] = {};
};

}  // namespace udi
