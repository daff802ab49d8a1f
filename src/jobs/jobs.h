// Whole jobs from one JSON configuration: what udi_job_run, and so the tool and every binding, calls.
#pragma once

#include <functional>
#include <string>

#include "base/host.h"
#include "jobs/config.h"
#include "model/aten.h"
#include "udi.h"

namespace udi {

// Returns 0 to go on, anything else to stop (UDI_E_CALLBACK). Called on the thread that runs the job.
using ProgressFn = std::function<int32_t(const udi_progress&)>;

// What a job may use of the program around it.
struct JobHost {
  const Host& host;
  at::Device device;
  int num_threads = 0;  // of loaders whose `workers` is 0; 0: one a core
  ProgressFn progress;  // may be empty

  // Reports and checks for a cancel: throws UDI_E_CANCELLED or UDI_E_CALLBACK. seconds: since the stage began.
  void report(const char* stage, int64_t done, int64_t total, double images, double seconds, double loss) const;
};

// Runs the job and returns its result, a JSON object. UDI_E_INVALID: the configuration, and why.
std::string run_job(const JobHost& host, const std::string& name, const std::string& config_json);

// One file a job.
Json run_pretrain(const JobHost& host, JobConfig& config);
Json run_extract(const JobHost& host, JobConfig& config);
Json run_knn(const JobHost& host, JobConfig& config);
Json run_attention(const JobHost& host, JobConfig& config);
Json run_inspect(const JobHost& host, JobConfig& config);
Json run_convert(const JobHost& host, JobConfig& config);
Json run_bench(const JobHost& host, JobConfig& config);
Json run_demo_data(const JobHost& host, JobConfig& config);

}  // namespace udi
