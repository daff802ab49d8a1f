#include "schema.h"

#include <algorithm>

namespace cli {
namespace {

Option read_option(const Json& entry) {
  Option option;
  option.name = entry.at("name");
  option.type = entry.at("type");
  option.item = entry.value("item", "");
  option.group = entry.at("group");
  option.help = entry.at("help");
  option.fallback = entry.at("default");
  option.required = entry.value("required", false);
  if (entry.contains("choices")) option.choices = entry["choices"].get<std::vector<std::string>>();
  return option;
}

void add_options(const Json& entries, std::vector<Option>* options) {
  for (const auto& entry : entries) {
    Option option = read_option(entry);
    const auto same =
        std::find_if(options->begin(), options->end(), [&](const Option& o) { return o.name == option.name; });
    if (same == options->end()) {
      options->push_back(std::move(option));
    } else {
      *same = std::move(option);
    }
  }
}

}  // namespace

std::string Option::flag() const {
  std::string result = "--" + name;
  std::replace(result.begin(), result.end(), '_', '-');
  return result;
}

std::vector<Job> read_schema(const char* text) {
  const Json schema = Json::parse(text);
  std::vector<Job> jobs;
  for (const auto& entry : schema.at("jobs")) {
    Job job;
    job.name = entry.at("name");
    job.summary = entry.at("summary");
    for (const auto& set : entry.at("sets")) add_options(schema.at("sets").at(set.get<std::string>()), &job.options);
    add_options(entry.at("options"), &job.options);
    const auto positionals = entry.at("positionals").get<std::vector<std::string>>();
    for (auto& option : job.options) {
      option.positional = std::find(positionals.begin(), positionals.end(), option.name) != positionals.end();
    }
    std::stable_partition(job.options.begin(), job.options.end(), [](const Option& o) { return o.positional; });
    std::stable_partition(job.options.begin(), job.options.end(), [](const Option& o) { return o.required; });
    jobs.push_back(std::move(job));
  }
  return jobs;
}

}  // namespace cli
