#include "jobs/jobs.h"

#include <algorithm>
#include <map>

namespace udi {

void JobHost::report(const char* stage, int64_t done, int64_t total, double images, double seconds, double loss) const {
  host.check_cancel();
  if (!progress) return;
  udi_progress state{};
  state.struct_size = sizeof state;
  state.done = done;
  state.total = total;
  state.images_per_second = seconds > 0 ? images / seconds : 0;
  state.eta_seconds = done > 0 ? seconds * double(total - done) / double(done) : 0;
  state.loss = loss;
  state.stage = stage;
  check(progress(state) == 0, UDI_E_CALLBACK, "stopped by the caller's progress callback");
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
