// A line chart as inline SVG. Colours are CSS variables (--line-1 ... --line-5, --axis, --grid) that the page defines.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace udi {

struct Curve {
  std::string name;
  std::vector<std::pair<double, double>> points;  // ascending x; values that are not finite are left out
};

struct Chart {
  std::string title, unit;  // unit: of y, beside the title
  std::vector<Curve> curves;
  double reference = 0;        // a dashed line at this y ...
  std::string reference_name;  // ... with this name; empty: none
  bool marks = false;          // a dot at every point
};

// A <figure>: title, drawing, legend. Empty if no curve has a point.
std::string chart_html(const Chart& chart);

// Between 3 and 8 round numbers that span low..high.
std::vector<double> ticks(double low, double high);

// A number as labels show it: short, without needless zeros.
std::string short_number(double value);

// Text between tags or in quotes.
std::string escape_html(const std::string& text);

}  // namespace udi
