// Every kernel at the sizes of a step of ViT-S/16 with 2 + 10 crops and 65,536 prototypes, bfloat16 but for the logits.
#pragma once

#include <cuda_runtime_api.h>

#include <functional>
#include <string>
#include <vector>

#include "kernels.h"
#include "work.h"

namespace udi::cuda::bench {

struct Timed {
  std::string name, shape;
  Work work;
  std::function<udi_cuda_status(cudaStream_t)> run;
  std::vector<double> microseconds = {};
};

// The first is a copy, what others are measured by. Memory is never given back.
std::vector<Timed> all_cases(int64_t batch);

// To stderr, and out.
[[noreturn]] void stop(const char* what, const char* why);
void check(cudaError_t error, const char* what);

}  // namespace udi::cuda::bench
