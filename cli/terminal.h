// stderr: log lines, and a progress bar where someone watches (a line now and then where not).
#pragma once

#include <chrono>
#include <mutex>
#include <string>

#include "udi.h"

namespace cli {

class Terminal {
 public:
  Terminal(bool quiet, bool verbose);

  udi_log_level level() const { return level_; }
  void log(udi_log_level level, const std::string& message);
  void progress(const udi_progress& progress);
  void clear();  // takes the bar away

 private:
  using Clock = std::chrono::steady_clock;

  void draw(const std::string& line);

  std::mutex mutex_;  // log lines come from worker threads too
  udi_log_level level_;
  bool quiet_, bar_, color_;
  bool drawn_ = false;
  std::string stage_;
  Clock::time_point next_ = Clock::time_point::min();
};

}  // namespace cli
