// The command line: which command, its configuration as JSON, and how the tool itself is to behave.
#pragma once

#include <stdexcept>
#include <string>
#include <vector>

#include "schema.h"
#include "udi.h"

namespace cli {

struct Arguments {
  std::string command;
  Json config = Json::object();
  bool json = false, quiet = false, verbose = false;
  udi_device_type device_type = UDI_CPU;
  int32_t device_index = 0;
  std::string text;  // --help, --version: print this and leave
};

struct UsageError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Throws UsageError. Values are checked for their type here, for their range by the library.
Arguments parse_arguments(const std::vector<Job>& jobs, int argc, char** argv);

}  // namespace cli
