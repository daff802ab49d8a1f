// What was left out of an image set, and why: counted, the first few named.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/host.h"

namespace udi {

struct Skips {
  int64_t count = 0;
  std::vector<std::string> first;  // "name: reason", at most 10

  void add(const std::string& name, const std::string& reason) {
    ++count;
    if (first.size() < 10) first.push_back(name + ": " + reason);
  }
  void log(const Host& host) const {
    for (const std::string& line : first) host.log(UDI_LOG_WARN, "left out: ", line);
    if (count > int64_t(first.size())) host.log(UDI_LOG_WARN, "left out: ", count - int64_t(first.size()), " more");
  }
};

}  // namespace udi
