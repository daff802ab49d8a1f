#include "jobs/schema.h"

#include <algorithm>
#include <map>

#include "base/error.h"

extern "C" const char udi_job_schema_text[];

namespace udi {
namespace {

struct Schema {
  std::map<std::string, JobSchema> jobs;
  Json presets;
};

Option read_option(const Json& entry) {
  Option option;
  option.name = entry.at("name");
  option.type = entry.at("type");
  option.item = entry.value("item", "");
  option.fallback = entry.at("default");
  option.required = entry.value("required", false);
  option.free = entry.value("free", false);
  option.has_minimum = entry.contains("minimum");
  option.has_maximum = entry.contains("maximum");
  if (option.has_minimum) option.minimum = entry["minimum"];
  if (option.has_maximum) option.maximum = entry["maximum"];
  option.needs = entry.value("needs", "");
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

const Schema& schema() {
  static const Schema parsed = [] {
    const Json text = Json::parse(udi_job_schema_text);
    Schema result;
    result.presets = text.at("presets");
    for (const auto& entry : text.at("jobs")) {
      JobSchema job;
      job.name = entry.at("name");
      for (const auto& set : entry.at("sets")) add_options(text.at("sets").at(set.get<std::string>()), &job.options);
      add_options(entry.at("options"), &job.options);
      result.jobs.emplace(job.name, std::move(job));
    }
    return result;
  }();
  return parsed;
}

// Levenshtein's distance.
size_t distance(const std::string& a, const std::string& b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
    }
  }
  return row[b.size()];
}

}  // namespace

const Option* JobSchema::find(const std::string& option) const {
  for (const auto& candidate : options) {
    if (candidate.name == option) return &candidate;
  }
  return nullptr;
}

const JobSchema& find_job(const std::string& name) {
  const auto found = schema().jobs.find(name);
  if (found != schema().jobs.end()) return found->second;
  std::vector<std::string> names;
  std::string list;
  for (const auto& [job, options] : schema().jobs) {
    names.push_back(job);
    list += (list.empty() ? "" : ", ") + job;
  }
  const std::string near = nearest(name, names);
  fail(UDI_E_INVALID, "no job '", name.substr(0, 64), "'", near.empty() ? "" : "; did you mean '" + near + "'?",
       " Jobs: ", list);
}

const Json& preset_defaults(const std::string& name) {
  check(schema().presets.contains(name), UDI_E_INVALID, "no preset '", name, "'");
  return schema().presets[name]["defaults"];
}

std::string nearest(const std::string& word, const std::vector<std::string>& candidates) {
  if (word.size() > 64) return "";
  std::string best;
  size_t best_distance = std::max<size_t>(2, word.size() / 3) + 1;
  for (const auto& candidate : candidates) {
    const size_t d = distance(word, candidate);
    if (d < best_distance) {
      best = candidate;
      best_distance = d;
    }
  }
  return best;
}

}  // namespace udi
