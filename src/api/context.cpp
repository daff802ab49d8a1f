#include "api/context.h"

#include <ATen/Parallel.h>

#include <mutex>
#include <thread>

#include "api/device.h"
#include "api/guard.h"
#include "api/structs.h"

using namespace udi;

namespace {

// LibTorch's worker threads do not live on in a forked child, and a call there would wait for them for ever.
void check_not_forked() {
  static std::atomic<pid_t> first{0};
  pid_t process = 0;
  if (first.compare_exchange_strong(process, getpid())) return;
  check(process == getpid(), UDI_E_STATE, "process ", process,
        " made a context and then forked: LibTorch does not work in the child; fork before the first context");
}

std::shared_ptr<Context> make_context(const udi_context_config& config) {
  in_range("config.deterministic", config.deterministic, 0, 1);
  in_range("config.num_threads", config.num_threads, 0, 4096);
  in_range("config.log_level", config.log_level, UDI_LOG_ERROR, UDI_LOG_DEBUG);
  constexpr uint64_t kMost = uint64_t(1) << 40;
  in_range("config.max_header_bytes", config.max_header_bytes, 0, kMost);
  in_range("config.max_name_bytes", config.max_name_bytes, 0, kMost);
  in_range("config.max_pixels", config.max_pixels, 0, kMost);
  in_range("config.max_file_bytes", config.max_file_bytes, 0, kMost);
  auto context = std::make_shared<Context>();
  context->num_threads = config.num_threads;
  context->host.deterministic = config.deterministic == 1;
  context->formats = {config.max_header_bytes, config.max_name_bytes};
  context->decode.max_pixels = limit_or(config.max_pixels, context->decode.max_pixels);
  context->decode.max_file_bytes = limit_or(config.max_file_bytes, context->decode.max_file_bytes);
  if (config.log) {
    auto one_at_a_time = std::make_shared<std::mutex>();
    context->host.sink = [=](udi_log_level level, const std::string& line) {
      if (level > config.log_level) return;
      const std::lock_guard<std::mutex> lock(*one_at_a_time);
      config.log(config.log_user, level, line.c_str());
    };
  }
  context->device = open_device(config.device_type, config.device_index);
  std::thread([&context] { context->threads = at::get_num_threads(); }).join();
  return context;
}

}  // namespace

udi_status udi_context_create(const udi_context_config* config, udi_context** out, udi_error* error) {
  return guard(nullptr, error, [&] {
    require(out, "out");
    check_not_forked();
    const udi_context_config given = read_config_or_default(config, "config", udi_context_config_init);
    *out = new udi_context{make_context(given)};
  });
}

void udi_context_cancel(udi_context* context) {
  if (context) context->context->host.cancelled.store(true, std::memory_order_relaxed);
}

void udi_context_clear_cancel(udi_context* context) {
  if (context) context->context->host.cancelled.store(false, std::memory_order_relaxed);
}

udi_status udi_context_set_stream(udi_context* context, void* stream, udi_error* error) {
  return guard(context_of(context), error, [&] {
    Context& self = *require(context, "context")->context;
    check(self.device.is_cuda(), UDI_E_UNSUPPORTED, "the context is on the CPU, which has no streams");
    // A stream that LibTorch did not make has its address for a number (c10/cuda/CUDAStream.cpp); 0 is the default one.
    self.stream = c10::Stream(c10::Stream::UNSAFE, self.device, reinterpret_cast<intptr_t>(stream));
  });
}

void udi_context_free(udi_context* context) { release(context); }
