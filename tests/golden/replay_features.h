// Replays the features of a golden folder.
#pragma once

#include <map>
#include <string>

#include "replay_train.h"

namespace udi {

// What README.md calls features, under their names, from the model before step 0 and the first batch. Float32,
// contiguous.
std::map<std::string, at::Tensor> replay_features(const GoldenRun& run);

}  // namespace udi
