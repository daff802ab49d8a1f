#include "jobs/jobs.h"

#include <cmath>
#include <map>

namespace udi {

Pace::Pace(const JobHost& host, const char* stage, int64_t total, int64_t done)
    : host_(host), stage_(stage), total_(total), done_(done) {}

void Pace::advance(int64_t units, int64_t images, double loss) {
  constexpr double kMemory = 30;  // seconds in which what is old has faded to a third
  const auto now = Clock::now();
  const double seconds = std::chrono::duration<double>(now - last_).count();
  const double kept = std::exp(-seconds / kMemory);
  last_ = now;
  seconds_ = seconds_ * kept + seconds;
  units_ = units_ * kept + double(units);
  images_ = images_ * kept + double(images);
  total_seconds_ += seconds;
  done_ += units;
  host_.host.check_cancel();
  if (!host_.progress) return;
  udi_progress state{};
  state.struct_size = sizeof state;
  state.done = done_;
  state.total = total_;
  state.images_per_second = images_per_second();
  state.eta_seconds = eta_seconds();
  state.loss = loss;
  state.stage = stage_;
  check(host_.progress(state) == 0, UDI_E_CALLBACK, "stopped by the caller's progress callback");
}

std::string run_job(const JobHost& host, const std::string& name, const std::string& config_json) {
  static const std::map<std::string, Json (*)(const JobHost&, JobConfig&)> jobs = {
      {"pretrain", run_pretrain}, {"extract", run_extract}, {"knn", run_knn},     {"attention", run_attention},
      {"inspect", run_inspect},   {"convert", run_convert}, {"bench", run_bench}, {"demo-data", run_demo_data},
  };
  JobConfig config(name, config_json);
  return jobs.at(name)(host, config).dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace udi
