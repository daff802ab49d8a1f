#include "results.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <sstream>
#include <vector>

namespace cli {
namespace {

std::string spaced(std::string name) {
  std::replace(name.begin(), name.end(), '_', ' ');
  return name;
}

// Digits behind the point such that a value of this size shows four or more that count.
int decimals(double size) { return size >= 10 ? 2 : 4; }

std::string number(double value, int digits) {
  char out[40];
  const double size = std::abs(value);
  std::snprintf(out, sizeof out, size != 0 && (size < 1e-3 || size >= 1e9) ? "%.*g" : "%.*f", digits, value);
  return out;
}

std::string value_text(const Json& value, int digits = -1) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_number_float()) {
    const double shown = value.get<double>();
    return number(shown, digits >= 0 ? digits : decimals(std::abs(shown)));
  }
  if (value.is_boolean()) return value.get<bool>() ? "yes" : "no";
  if (value.is_null()) return "-";
  if (value.is_array()) {
    std::string list;
    for (const auto& item : value) list += (list.empty() ? "" : " ") + value_text(item);
    return list.empty() ? "-" : list;
  }
  return value.dump();
}

bool is_table(const Json& value) {
  return value.is_array() && !value.empty() &&
         std::all_of(value.begin(), value.end(), [](const Json& row) { return row.is_object(); });
}

// Columns as wide as their widest cell; numbers to the right, words to the left.
void write_table(const Json& rows, std::ostringstream* out) {
  std::vector<std::string> names;
  for (const auto& row : rows) {
    for (const auto& [name, value] : row.items()) {
      if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
    }
  }
  std::vector<std::vector<std::string>> cells(rows.size() + 1);
  std::vector<size_t> widths(names.size());
  std::vector<bool> numeric(names.size(), true);
  for (size_t column = 0; column < names.size(); ++column) {
    cells[0].push_back(spaced(names[column]));
    double largest = 0;
    for (const auto& row : rows) {
      if (row.contains(names[column]) && row[names[column]].is_number()) {
        largest = std::max(largest, std::abs(row[names[column]].get<double>()));
      }
    }
    for (size_t row = 0; row < rows.size(); ++row) {
      const Json value = rows[row].value(names[column], Json());
      numeric[column] = numeric[column] && (value.is_number() || value.is_null());
      cells[row + 1].push_back(value_text(value, decimals(largest)));
    }
    for (const auto& line : cells) widths[column] = std::max(widths[column], line[column].size());
  }
  for (const auto& line : cells) {
    std::string written = " ";
    for (size_t column = 0; column < names.size(); ++column) {
      const std::string padding(widths[column] - line[column].size(), ' ');
      written += ' ' + (numeric[column] ? padding + line[column] : line[column] + padding) + ' ';
    }
    *out << written.substr(0, written.find_last_not_of(' ') + 1) << '\n';
  }
}

void write_object(const Json& object, std::ostringstream* out) {
  size_t width = 0;
  for (const auto& [name, value] : object.items()) {
    if (!value.is_object() && !is_table(value)) width = std::max(width, name.size());
  }
  for (const auto& [name, value] : object.items()) {
    if (value.is_object() || is_table(value)) continue;
    *out << spaced(name) << std::string(width - name.size() + 2, ' ') << value_text(value) << '\n';
  }
  for (const auto& [name, value] : object.items()) {
    if (!value.is_object() && !is_table(value)) continue;
    *out << '\n' << spaced(name) << ":\n";
    if (is_table(value)) {
      write_table(value, out);
    } else {
      std::ostringstream inner;
      write_object(value, &inner);
      std::istringstream lines(inner.str());
      for (std::string line; std::getline(lines, line);) *out << (line.empty() ? "" : "  ") << line << '\n';
    }
  }
}

}  // namespace

std::string result_text(const Json& result) {
  std::ostringstream out;
  write_object(result, &out);
  return out.str();
}

}  // namespace cli
