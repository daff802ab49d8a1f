// Whole jobs from one JSON configuration: what udi_job_run, and so the tool and every binding, calls.
#pragma once

#include <chrono>
#include <functional>
#include <limits>
#include <memory>
#include <string>

#include "base/host.h"
#include "dist/group.h"
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
  std::shared_ptr<Group> group = nullptr;  // the ranks that do the job together; null: this process alone
  bool first() const { return !group || group->first(); }
};

// How far a stage is and how fast it goes: tells the host, and stops where the host says so.
class Pace {
 public:
  // done: of `total` units, before the first advance().
  Pace(const JobHost& host, const char* stage, int64_t total, int64_t done = 0);

  // So many units more, with so many images, since the last call. UDI_E_CANCELLED, UDI_E_CALLBACK.
  void advance(int64_t units, int64_t images, double loss = std::numeric_limits<double>::quiet_NaN());
  // What took time since the last call was something else.
  void skip() { last_ = Clock::now(); }

  double images_per_second() const { return seconds_ > 0 ? images_ / seconds_ : 0; }
  double eta_seconds() const { return units_ > 0 ? seconds_ / units_ * double(total_ - done_) : 0; }
  double total_seconds() const { return total_seconds_; }  // of all calls

 private:
  using Clock = std::chrono::steady_clock;

  const JobHost& host_;
  const char* stage_;
  int64_t total_, done_;
  Clock::time_point last_ = Clock::now();
  double seconds_ = 0, units_ = 0, images_ = 0;  // of late: older ones fade
  double total_seconds_ = 0;
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
