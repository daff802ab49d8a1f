// What udi_job_schema() says, in the form that flags and help are made from.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace cli {

using Json = nlohmann::ordered_json;

struct Option {
  std::string name;  // as in JSON: batch_size
  std::string type;  // int, float, bool, string, path, enum, list
  std::string item;  // of a list
  std::string group, help;
  Json fallback;
  bool required = false;
  bool positional = false;
  std::vector<std::string> choices;

  std::string flag() const;  // --batch-size
};

struct Job {
  std::string name, summary;
  std::vector<Option> options;  // positionals first, in their order
};

std::vector<Job> read_schema(const char* text);

}  // namespace cli
