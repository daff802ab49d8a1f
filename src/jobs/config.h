// A job's configuration: the JSON of a caller, checked against the schema and filled up with the preset's and the
// schema's defaults. Every message names the option, the value and the limit.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "jobs/schema.h"

namespace udi {

class JobConfig {
 public:
  // config_json: an object of options; null values count as not given. UDI_E_INVALID for anything amiss,
  // options that would do nothing among it.
  JobConfig(const std::string& job, const std::string& config_json);

  const std::string& job() const { return schema_->name; }

  // Whether the option has a value: the caller's, the preset's or the schema's.
  bool given(const std::string& name) const;
  int64_t integer(const std::string& name) const;
  double number(const std::string& name) const;
  bool flag(const std::string& name) const;
  std::string string(const std::string& name) const;
  int choice(const std::string& name) const;  // the place of an enum's value in its choices
  std::vector<int64_t> integers(const std::string& name) const;
  std::vector<double> numbers(const std::string& name) const;
  std::vector<std::string> strings(const std::string& name) const;

  // Replaces a value by what a job derived from others; `value` is not checked again.
  void set(const std::string& name, Json value);

  // Every option with its value, in the schema's order.
  const Json& values() const { return values_; }

 private:
  const Json& at(const std::string& name) const;
  void accept(const Json& given);

  const JobSchema* schema_;
  Json values_;
};

// What differs between two configurations of a job, leaving out the options that may change when a run goes on: lines
// "lr: 0.0005 before, 0.001 now", in other words where these are given. Empty: nothing.
std::vector<std::string> differences(const std::string& job, const Json& before, const Json& now,
                                     const std::string& before_word = "before", const std::string& now_word = "now");

}  // namespace udi
