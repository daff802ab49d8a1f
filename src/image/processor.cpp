#include "image/processor.h"

#include <algorithm>
#include <atomic>

namespace udi {
namespace {

Processor best_here() {
#if UDI_X86_KERNELS
  __builtin_cpu_init();
  const bool v3 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("fma");
  const bool v4 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                  __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  const bool vnni = __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512vbmi");
  if (v3 && v4 && vnni) return Processor::kVnni;
  if (v3) return Processor::kAvx2;
#endif
  return Processor::kAny;
}

std::atomic<Processor> limit{Processor::kVnni};

}  // namespace

Processor processor() {
  static const Processor best = best_here();
  return std::min(best, limit.load(std::memory_order_relaxed));
}

void limit_processor(Processor to) { limit = to; }

}  // namespace udi
