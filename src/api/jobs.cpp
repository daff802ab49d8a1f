#include "jobs/jobs.h"

#include <cstdlib>

#include "api/guard.h"
#include "api/structs.h"

using namespace udi;

namespace {

char* copy_string(const std::string& text) {
  auto* copy = static_cast<char*>(std::malloc(text.size() + 1));
  check(copy != nullptr, UDI_E_MEMORY, "no memory for a result of ", text.size(), " bytes");
  std::memcpy(copy, text.c_str(), text.size() + 1);
  return copy;
}

}  // namespace

udi_status udi_job_run(udi_context* context, const char* name, const char* config_json, udi_progress_fn progress,
                       void* user, char** out_result, udi_error* error) {
  return guard(context_of(context), error, [&] {
    require(context, "context");
    require(name, "name");
    require(config_json, "config_json");
    const Context& shared = *context->context;
    JobHost host{shared.host, shared.device, shared.num_threads, {}};
    if (progress) host.progress = [=](const udi_progress& now) { return progress(user, &now); };
    const std::string result = run_job(host, name, config_json);
    if (out_result) *out_result = copy_string(result);
  });
}

void udi_string_free(char* string) { std::free(string); }
