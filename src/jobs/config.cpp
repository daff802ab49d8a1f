#include "jobs/config.h"

#include <cmath>
#include <set>

#include "base/error.h"

namespace udi {
namespace {

constexpr size_t kMaxConfigBytes = 1 << 20;
constexpr size_t kMaxListLength = 1024;
constexpr size_t kMaxStringBytes = 4096;

// A value as it stands in a message: short, and no deeper than a list of plain values (dump recurses).
std::string shown(const Json& value) {
  if (value.is_object()) return "an object";
  if (value.is_array()) {
    for (const auto& item : value) {
      if (item.is_structured()) return "a list";
    }
  }
  std::string result = value.dump(-1, ' ', false, Json::error_handler_t::replace);
  if (result.size() > 80) result = result.substr(0, 77) + "...";
  return result;
}

Json parse_object(const std::string& config_json) {
  check(config_json.size() <= kMaxConfigBytes, UDI_E_INVALID, "configuration: ", config_json.size(),
        " bytes are more than the limit of ", kMaxConfigBytes);
  std::set<std::string> seen;
  const auto refuse_repeated = [&](int depth, Json::parse_event_t event, Json& parsed) {
    if (event == Json::parse_event_t::key && depth == 1) {
      const auto name = parsed.get<std::string>();
      check(seen.insert(name).second, UDI_E_INVALID, "configuration: '", name.substr(0, 64), "' is given twice");
    }
    return true;
  };
  Json object;
  try {
    object = Json::parse(config_json, refuse_repeated);
  } catch (const Json::exception& error) {
    fail(UDI_E_INVALID, "configuration: not valid JSON: ", error.what());
  }
  check(object.is_object(), UDI_E_INVALID, "configuration: must be a JSON object of options, not ", shown(object));
  return object;
}

[[noreturn]] void refuse(const Option& option, const Json& value, const std::string& wanted) {
  fail(UDI_E_INVALID, option.name, ": ", shown(value), " is not ", wanted);
}

void check_range(const Option& option, const Json& value) {
  const double number = value.get<double>();
  check(!option.has_minimum || number >= option.minimum, UDI_E_INVALID, option.name, ": ", shown(value),
        " is below the minimum of ", option.minimum);
  check(!option.has_maximum || number <= option.maximum, UDI_E_INVALID, option.name, ": ", shown(value),
        " is above the maximum of ", option.maximum);
}

Json check_choice(const Option& option, const Json& value) {
  if (!value.is_string()) refuse(option, value, "a word in quotes");
  std::string list;
  for (const auto& choice : option.choices) {
    if (value == choice) return value;
    list += (list.empty() ? "" : ", ") + choice;
  }
  refuse(option, value, "one of: " + list);
}

// The value as the option's type has it: integers given as 3.0 become 3, floats given as 3 become 3.0.
Json check_value(const Option& option, const std::string& type, const Json& value) {
  if (type == "int") {
    if (value.is_number_unsigned()) {
      if (value.get<uint64_t>() > uint64_t(INT64_MAX)) refuse(option, value, "an integer that fits");
      check_range(option, value);
      return value.get<int64_t>();
    }
    if (value.is_number_float()) {
      const double number = value.get<double>();
      if (std::floor(number) != number || std::abs(number) > 0x1p53) refuse(option, value, "an integer");
    } else if (!value.is_number_integer()) {
      refuse(option, value, "an integer");
    }
    check_range(option, value);
    return value.get<int64_t>();
  }
  if (type == "float") {
    if (!value.is_number()) refuse(option, value, "a number");
    if (!std::isfinite(value.get<double>())) refuse(option, value, "a finite number");
    check_range(option, value);
    return value.get<double>();
  }
  if (type == "bool") {
    if (!value.is_boolean()) refuse(option, value, "true or false");
    return value;
  }
  if (!option.choices.empty()) return check_choice(option, value);
  if (!value.is_string()) refuse(option, value, "a text in quotes");
  const auto& word = value.get_ref<const std::string&>();
  check(word.size() <= kMaxStringBytes, UDI_E_INVALID, option.name, ": ", word.size(),
        " bytes are more than the limit of ", kMaxStringBytes);
  check(word.find('\0') == std::string::npos, UDI_E_INVALID, option.name, ": holds a zero byte");
  check(!word.empty(), UDI_E_INVALID, option.name, ": is empty");
  return value;
}

Json check_option(const Option& option, const Json& value) {
  if (option.type != "list") return check_value(option, option.type, value);
  if (!value.is_array()) return Json::array({check_value(option, option.item, value)});
  check(!value.empty(), UDI_E_INVALID, option.name, ": the list is empty");
  check(value.size() <= kMaxListLength, UDI_E_INVALID, option.name, ": ", value.size(),
        " entries are more than the limit of ", kMaxListLength);
  Json list = Json::array();
  for (const auto& item : value) list.push_back(check_value(option, option.item, item));
  return list;
}

}  // namespace

JobConfig::JobConfig(const std::string& job, const std::string& config_json) : schema_(&find_job(job)) {
  const Json given = parse_object(config_json);
  for (const auto& option : schema_->options) values_[option.name] = option.fallback;
  if (const Option* preset = schema_->find("preset")) {
    const bool chosen = given.contains("preset") && !given["preset"].is_null();
    const Json name = chosen ? check_option(*preset, given["preset"]) : preset->fallback;
    for (const auto& [key, value] : preset_defaults(name).items()) {
      if (values_.contains(key)) values_[key] = value;
    }
  }
  accept(given);
  for (const auto& option : schema_->options) {
    const Json& value = values_[option.name];
    check(!option.required || !value.is_null(), UDI_E_INVALID, job, ": '", option.name, "' must be given");
    const bool idle = !option.needs.empty() && values_[option.needs].is_null() && value != option.fallback;
    check(!idle, UDI_E_INVALID, option.name, ": does nothing without ", option.needs, "; give ", option.needs,
          ", or leave ", option.name, " out");
  }
}

void JobConfig::accept(const Json& given) {
  for (const auto& [name, value] : given.items()) {
    const Option* option = schema_->find(name);
    if (!option) {
      std::vector<std::string> names;
      for (const auto& known : schema_->options) names.push_back(known.name);
      const std::string near = nearest(name, names);
      fail(UDI_E_INVALID, schema_->name, " has no option '", name.substr(0, 64), "'",
           near.empty() ? "" : "; did you mean '" + near + "'?");
    }
    if (!value.is_null()) values_[name] = check_option(*option, value);
  }
}

const Json& JobConfig::at(const std::string& name) const {
  const auto found = values_.find(name);
  check(found != values_.end() && !found->is_null(), UDI_E_INTERNAL, job(), ": option '", name, "' has no value");
  return *found;
}

bool JobConfig::given(const std::string& name) const {
  const auto found = values_.find(name);
  check(found != values_.end(), UDI_E_INTERNAL, job(), ": there is no option '", name, "'");
  return !found->is_null();
}

int64_t JobConfig::integer(const std::string& name) const { return at(name).get<int64_t>(); }
double JobConfig::number(const std::string& name) const { return at(name).get<double>(); }
bool JobConfig::flag(const std::string& name) const { return at(name).get<bool>(); }
std::string JobConfig::string(const std::string& name) const { return at(name).get<std::string>(); }
std::vector<int64_t> JobConfig::integers(const std::string& name) const { return at(name).get<std::vector<int64_t>>(); }
std::vector<double> JobConfig::numbers(const std::string& name) const { return at(name).get<std::vector<double>>(); }
std::vector<std::string> JobConfig::strings(const std::string& name) const {
  return at(name).get<std::vector<std::string>>();
}

int JobConfig::choice(const std::string& name) const {
  const std::string value = string(name);
  const auto& choices = schema_->find(name)->choices;
  for (size_t i = 0; i < choices.size(); ++i) {
    if (choices[i] == value) return int(i);
  }
  fail(UDI_E_INTERNAL, job(), ": '", value, "' is no choice of ", name);
}

void JobConfig::set(const std::string& name, Json value) { values_[name] = std::move(value); }

std::vector<std::string> differences(const std::string& job, const Json& before, const Json& now,
                                     const std::string& before_word, const std::string& now_word) {
  std::vector<std::string> result;
  for (const auto& option : find_job(job).options) {
    if (option.free) continue;
    const Json old_value = before.value(option.name, Json());
    const Json new_value = now.value(option.name, Json());
    if (old_value != new_value) {
      result.push_back(text(option.name, ": ", shown(old_value), " ", before_word, ", ", shown(new_value), " ", now_word));
    }
  }
  return result;
}

}  // namespace udi
