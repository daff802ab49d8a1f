// The texts of --help, made from the schema.
#pragma once

#include <string>
#include <vector>

#include "schema.h"

namespace cli {

struct GeneralOption {
  std::string flags, help;
};
const std::vector<GeneralOption>& general_options();  // those that every command takes

std::string overview(const std::vector<Job>& jobs);
std::string job_help(const Job& job);

// The candidate that is spelled most like word; empty if none is near.
std::string nearest(const std::string& word, const std::vector<std::string>& candidates);

}  // namespace cli
