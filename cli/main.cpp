// udi: every command is a job of udi.h. Results go to stdout, everything else to stderr.
#include <signal.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "arguments.h"
#include "help.h"
#include "results.h"
#include "signals.h"
#include "terminal.h"
#include "udi.h"

namespace cli {
namespace {

enum Exit { kSuccess = 0, kFailure = 1, kUsage = 2 };

struct Outcome {
  udi_status status = UDI_OK;
  udi_error error{};
  std::string result;
};

void on_log(void* user, udi_log_level level, const char* message) { static_cast<Terminal*>(user)->log(level, message); }

int32_t on_progress(void* user, const udi_progress* progress) {
  static_cast<Terminal*>(user)->progress(*progress);
  return 0;
}

Outcome run_job(const Arguments& arguments, Terminal* terminal) {
  Outcome outcome;
  udi_context_config config;
  udi_context_config_init(&config, sizeof config);
  config.device_type = arguments.device_type;
  config.device_index = arguments.device_index;
  config.log_level = terminal->level();
  config.log = on_log;
  config.log_user = terminal;
  udi_context* context = nullptr;
  outcome.status = udi_context_create(&config, &context, &outcome.error);
  if (outcome.status != UDI_OK) return outcome;
  set_signal_context(context);
  char* result = nullptr;
  outcome.status = udi_job_run(context, arguments.command.c_str(), arguments.config.dump().c_str(), on_progress,
                               terminal, &result, &outcome.error);
  set_signal_context(nullptr);
  if (result) outcome.result = result;
  udi_string_free(result);
  udi_context_free(context);
  return outcome;
}

int exit_code(const Outcome& outcome) {
  if (outcome.status == UDI_OK) return kSuccess;
  if (outcome.status == UDI_E_CANCELLED && received_signal() != 0) return 128 + received_signal();
  return outcome.status == UDI_E_INVALID ? kUsage : kFailure;
}

// stdout may be a full disk: what could not be written is a failure too.
int print(const std::string& text, int code) {
  std::fputs(text.c_str(), stdout);
  if (std::fflush(stdout) == 0 && !std::ferror(stdout)) return code;
  std::fprintf(stderr, "udi: stdout: %s\n", std::strerror(errno));
  return kFailure;
}

int report(const Arguments& arguments, const Outcome& outcome, Terminal* terminal) {
  const int code = exit_code(outcome);
  terminal->clear();
  if (outcome.status != UDI_OK) {
    if (outcome.status == UDI_E_CANCELLED && received_signal() != 0) {
      terminal->log(UDI_LOG_INFO, received_signal() == SIGINT ? "interrupted" : "terminated");
    } else {
      terminal->log(UDI_LOG_ERROR, outcome.error.message);
    }
    if (!arguments.json) return code;
    const Json object = {{"error", outcome.error.message}, {"status", udi_status_name(outcome.status)}};
    return print(object.dump(-1, ' ', false, Json::error_handler_t::replace) + '\n', code);
  }
  if (outcome.result == "{}") return code;  // of a rank other than 0
  if (arguments.json) return print(outcome.result + '\n', code);
  return print(result_text(Json::parse(outcome.result)), code);
}

int run(int argc, char** argv) {
  const std::vector<Job> jobs = read_schema(udi_job_schema());
  Arguments arguments;
  try {
    arguments = parse_arguments(jobs, argc, argv);
  } catch (const UsageError& error) {
    if (argc < 2) {
      std::fputs(overview(jobs).c_str(), stderr);
      return kUsage;
    }
    std::string command;
    for (const auto& job : jobs) {
      if (job.name == argv[1]) command = job.name + ' ';
    }
    std::fprintf(stderr, "udi: %s\nTry: udi %s--help\n", error.what(), command.c_str());
    return kUsage;
  }
  if (!arguments.text.empty()) return print(arguments.text, kSuccess);
  // Ranks that lose each other say so themselves; what LibTorch's store would print of it is pages long.
  setenv("TORCH_CPP_LOG_LEVEL", "FATAL", 0);
  install_signal_handlers();
  Terminal terminal(arguments.quiet, arguments.verbose);
  return report(arguments, run_job(arguments, &terminal), &terminal);
}

}  // namespace
}  // namespace cli

int main(int argc, char** argv) {
  try {
    return cli::run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "udi: %s\n", error.what());
    return cli::kFailure;
  }
}
