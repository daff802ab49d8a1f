// Configurations of jobs, models and training out of any text. The first byte picks which.
#include <nlohmann/json.hpp>
#include <string>

#include "base/error.h"
#include "jobs/config.h"
#include "model/config.h"
#include "train/config.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const char* const kJobs[] = {"pretrain", "extract", "knn", "attention", "convert", "inspect"};
  constexpr size_t kCount = sizeof kJobs / sizeof *kJobs;
  if (size == 0) return 0;
  const std::string text(reinterpret_cast<const char*>(data) + 1, size - 1);
  const size_t pick = data[0] % (kCount + 2);
  try {
    if (pick < kCount) {
      const udi::JobConfig config(kJobs[pick], text);
      (void)udi::differences(kJobs[pick], config.values(), udi::Json::object());
      return 0;
    }
    const nlohmann::json json = nlohmann::json::parse(text, nullptr, false);
    if (json.is_discarded()) return 0;
    if (pick == kCount) {
      (void)udi::config_to_json(udi::config_from_json(json)).dump();
    } else {
      (void)udi::config_to_json(udi::train_config_from_json(json)).dump();
    }
  } catch (const udi::Error&) {
  }
  return 0;
}
