#include "jobs/chart.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "base/error.h"

namespace udi {
namespace {

constexpr double kWidth = 560, kHeight = 240;                       // of the drawing
constexpr double kLeft = 52, kRight = 12, kTop = 10, kBottom = 26;  // margins
constexpr size_t kMaxPoints = 400;                                  // of a curve; more are averaged in groups
constexpr int kLineColors = 5;

std::string fixed(double value) {
  char out[32];
  std::snprintf(out, sizeof out, "%.1f", value);
  return out;
}

// Groups of neighbours become their means, so that a long run stays a small file.
std::vector<std::pair<double, double>> thinned(const std::vector<std::pair<double, double>>& points) {
  std::vector<std::pair<double, double>> finite;
  for (const auto& point : points) {
    if (std::isfinite(point.first) && std::isfinite(point.second)) finite.push_back(point);
  }
  const size_t group = (finite.size() + kMaxPoints - 1) / kMaxPoints;
  if (group <= 1) return finite;
  std::vector<std::pair<double, double>> result;
  for (size_t begin = 0; begin < finite.size(); begin += group) {
    const size_t end = std::min(begin + group, finite.size());
    double x = 0, y = 0;
    for (size_t i = begin; i < end; ++i) {
      x += finite[i].first;
      y += finite[i].second;
    }
    result.emplace_back(x / double(end - begin), y / double(end - begin));
  }
  return result;
}

struct Range {
  double low = INFINITY, high = -INFINITY;
  void add(double value) {
    low = std::min(low, value);
    high = std::max(high, value);
  }
  // Room for what is drawn: never of no extent.
  void widen() {
    const double extent = high > low ? high - low : std::max(std::abs(low) * 0.1, 1e-9);
    low -= extent * 0.04;
    high += extent * 0.04;
  }
};

class Drawing {
 public:
  Drawing(Range x, Range y) : x_(x), y_(y) {}

  double at_x(double value) const { return kLeft + (value - x_.low) / (x_.high - x_.low) * (kWidth - kLeft - kRight); }
  double at_y(double value) const {
    return kHeight - kBottom - (value - y_.low) / (y_.high - y_.low) * (kHeight - kTop - kBottom);
  }

  std::string axes() const {
    std::string svg;
    for (const double tick : ticks(y_.low, y_.high)) {
      const std::string y = fixed(at_y(tick));
      svg += text("<line class=\"grid\" x1=\"", kLeft, "\" x2=\"", kWidth - kRight, "\" y1=\"", y, "\" y2=\"", y,
                  "\"/><text x=\"", kLeft - 6, "\" y=\"", y, "\" dy=\".35em\" text-anchor=\"end\">", short_number(tick),
                  "</text>");
    }
    for (const double tick : ticks(x_.low, x_.high)) {
      svg += text("<text x=\"", fixed(at_x(tick)), "\" y=\"", kHeight - 8, "\" text-anchor=\"middle\">",
                  short_number(tick), "</text>");
    }
    return svg + text("<line class=\"axis\" x1=\"", kLeft, "\" x2=\"", kWidth - kRight, "\" y1=\"", kHeight - kBottom,
                      "\" y2=\"", kHeight - kBottom, "\"/>");
  }

  std::string line(const std::vector<std::pair<double, double>>& points, int color, bool marks) const {
    std::string path, dots;
    for (const auto& [x, y] : points) {
      path += text(path.empty() ? "" : " ", fixed(at_x(x)), ",", fixed(at_y(y)));
      if (marks || points.size() == 1) {
        dots += text("<circle cx=\"", fixed(at_x(x)), "\" cy=\"", fixed(at_y(y)), "\" r=\"3\" style=\"fill:var(--line-",
                     color, ")\"><title>", short_number(x), ": ", short_number(y), "</title></circle>");
      }
    }
    return text("<polyline points=\"", path, "\" style=\"stroke:var(--line-", color, ")\"/>", dots);
  }

  std::string reference(double value) const {
    const std::string y = fixed(at_y(value));
    return text("<line class=\"reference\" x1=\"", kLeft, "\" x2=\"", kWidth - kRight, "\" y1=\"", y, "\" y2=\"", y,
                "\"/>");
  }

 private:
  Range x_, y_;
};

}  // namespace

std::string chart_html(const Chart& chart) {
  Range x, y;
  std::vector<Curve> curves;
  for (const Curve& curve : chart.curves) {
    curves.push_back({curve.name, thinned(curve.points)});
    for (const auto& point : curves.back().points) {
      x.add(point.first);
      y.add(point.second);
    }
    if (curves.back().points.empty()) curves.pop_back();
  }
  if (curves.empty()) return "";
  if (!chart.reference_name.empty()) y.add(chart.reference);
  if (x.low == x.high) x.widen();
  y.widen();

  const Drawing drawing(x, y);
  std::string svg = drawing.axes(), legend;
  if (!chart.reference_name.empty()) {
    svg += drawing.reference(chart.reference);
    legend += "<span class=\"dashed\"></span>" + escape_html(chart.reference_name) + " ";
  }
  for (size_t i = 0; i < curves.size(); ++i) {
    const int color = int(i) % kLineColors + 1;
    svg += drawing.line(curves[i].points, color, chart.marks);
    legend += text("<span style=\"background:var(--line-", color, ")\"></span>", escape_html(curves[i].name), " ");
  }
  const bool plain = curves.size() == 1 && chart.reference_name.empty();
  return text("<figure><figcaption><b>", escape_html(chart.title), "</b> ", escape_html(chart.unit),
              "</figcaption><svg viewBox=\"0 0 ", kWidth, " ", kHeight, "\" role=\"img\" aria-label=\"",
              escape_html(chart.title), "\">", svg, "</svg>", plain ? "" : "<p class=\"legend\">" + legend + "</p>",
              "</figure>\n");
}

std::vector<double> ticks(double low, double high) {
  const double raw = (high - low) / 5, power = std::pow(10, std::floor(std::log10(raw)));
  double step = power;
  for (const double factor : {2.0, 5.0, 10.0}) {
    if (step < raw) step = factor * power;
  }
  std::vector<double> result;
  for (double i = std::ceil(low / step - 1e-9); i * step <= high + step * 1e-9; ++i) result.push_back(i * step);
  return result;
}

std::string short_number(double value) {
  if (std::abs(value) < 1e-12) return "0";
  char out[32];
  const char* unit = "";
  if (std::abs(value) >= 1e6) {
    value /= 1e6;
    unit = "M";
  } else if (std::abs(value) >= 1e4) {
    value /= 1e3;
    unit = "k";
  }
  std::snprintf(out, sizeof out, "%.4g%s", value, unit);
  return out;
}

std::string escape_html(const std::string& text) {
  std::string result;
  for (const char c : text) {
    switch (c) {
      case '&':
        result += "&amp;";
        break;
      case '<':
        result += "&lt;";
        break;
      case '>':
        result += "&gt;";
        break;
      case '"':
        result += "&quot;";
        break;
      case '\'':
        result += "&#39;";
        break;
      default:
        result += c;
    }
  }
  return result;
}

}  // namespace udi
