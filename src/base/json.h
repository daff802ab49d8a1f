// JSON out of files that may be hostile.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace udi {

// A discarded value (is_discarded()) for what is no JSON, and for what nests deeper than anything that libudi writes:
// to copy, compare or write a value recurses as deep as it nests, which on purpose can be deeper than any stack.
template <class Json = nlohmann::json>
Json parse_shallow(const std::string& text) {
  constexpr int kDeepest = 64;
  bool deep = false;
  const auto limit = [&](int depth, typename Json::parse_event_t, Json&) {
    deep = deep || depth > kDeepest;
    return !deep;
  };
  Json value = Json::parse(text, limit, false);
  if (deep) value = Json(Json::value_t::discarded);
  return value;
}

}  // namespace udi
