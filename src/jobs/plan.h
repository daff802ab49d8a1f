// What a training run will do and what it needs, in words, before it starts.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "jobs/jobs.h"

namespace udi {

struct RunPlan {
  udi_model_config model;
  udi_view_config views;
  udi_train_config train;
  int64_t images = 0, steps = 0, batch_size = 0, accumulate = 1;  // batch_size: of all ranks
  int64_t ranks = 1;
  int64_t parameters = 0, backbone_parameters = 0;
  int64_t knn_train = 0, knn_test = 0;  // images of k-NN while it learns; 0: none
};

// Bytes by part, largest first; an estimate from the sizes and from this moment's number of threads, each of which has
// gradients and activations of its own (train/trainer.h: spread_of). Tensors within 15 percent of a step's real peak.
std::vector<std::pair<std::string, int64_t>> memory_parts(const RunPlan& plan, at::Device device);

// Writes the plan to the log, with a warning where the memory is not there; returns it as JSON.
Json announce(const JobHost& host, const RunPlan& plan, const std::string& data);

// "1.3 GB"
std::string bytes_text(int64_t bytes);

}  // namespace udi
