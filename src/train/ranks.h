// What the ranks of a step tell each other beside their gradients.
#pragma once

#include <vector>

#include "dist/group.h"
#include "train/batch.h"
#include "train/strand.h"

namespace udi {

class Trainer;

// A step's batch.
struct StepBatch {
  int64_t images = 0;             // of this rank
  std::vector<int64_t> position;  // of each views' first image in the step
  BatchTotals loss;               // what this rank's loss is divided by
  BatchTotals all;                // of all ranks
};

// Checks the views, too, and host's cancel. group: may be null. The images of a step are counted as those of one rank
// would be that had the ranks' first views side by side, then their second views, ... UDI_E_SHAPE: also views that differ
// between ranks; UDI_E_STATE: ranks at different steps.
StepBatch batch_of(Group* group, const std::vector<const Views*>& views, const udi_model_config& model,
                   const udi_train_config& train, int64_t steps, const Host& host);

// This rank's sums become those of all. Means of ranks' means (train.rank_reduction) are sums of their world's share.
void sum_over_ranks(Group& group, const udi_train_config& train, StrandSums& sums);

// Every rank's trainer becomes what rank 0's is. UDI_E_INVALID: they are of different configurations.
void copy_first(Group& group, Trainer& trainer);

}  // namespace udi
