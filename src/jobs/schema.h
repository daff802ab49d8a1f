// schema.json, read once: what jobs there are and which options each takes.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace udi {

using Json = nlohmann::ordered_json;

struct Option {
  std::string name;
  std::string type;  // int, float, bool, string, path, enum, list
  std::string item;  // of a list: int, float, string
  Json fallback;     // null: none
  bool required = false;
  bool free = false;  // may change when a stopped run goes on
  bool has_minimum = false, has_maximum = false;
  double minimum = 0, maximum = 0;
  std::vector<std::string> choices;
  std::string needs;  // the option without which it does nothing; empty: none
};

struct JobSchema {
  std::string name;
  std::vector<Option> options;

  const Option* find(const std::string& option) const;  // nullptr if there is none
};

// UDI_E_INVALID: no such job; the message names the nearest and lists all.
const JobSchema& find_job(const std::string& name);

// The defaults of a preset (an object of options); UDI_E_INVALID if there is none of that name.
const Json& preset_defaults(const std::string& name);

// The candidate that is spelled most like word; empty if none is near.
std::string nearest(const std::string& word, const std::vector<std::string>& candidates);

}  // namespace udi
