#include "jobs/report.h"

#include <cmath>

#include "image/png.h"
#include "jobs/chart.h"
#include "jobs/overlay.h"

namespace udi {
namespace {

constexpr char kStyle[] = R"(
:root{color-scheme:light dark;--page:#fbfbfa;--card:#fff;--ink:#1c1e21;--quiet:#646a73;--edge:#e2e4e8;--grid:#eceef1;--axis:#9aa0a8;
--line-1:#2563c9;--line-2:#c8500a;--line-3:#1d8045;--line-4:#8a3fb0;--line-5:#b0295c}
@media(prefers-color-scheme:dark){:root{--page:#14161a;--card:#1c1f24;--ink:#e6e8eb;--quiet:#9aa1ab;--edge:#2d3138;--grid:#282c33;--axis:#5d646e;
--line-1:#6ea2f5;--line-2:#f0904e;--line-3:#5cc486;--line-4:#c58ae6;--line-5:#ef7ba6}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:1180px;padding:28px 20px 60px;background:var(--page);color:var(--ink);font:15px/1.5 system-ui,sans-serif}
h1{font-size:26px;margin:0 0 14px}h2{font-size:19px;margin:36px 0 12px}
p.note{color:var(--quiet);margin:0 0 14px;max-width:75ch}
table.facts{border-collapse:collapse}table.facts td{padding:3px 22px 3px 0;vertical-align:top}table.facts td:first-child{color:var(--quiet)}
.charts{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,480px),1fr));gap:16px}
figure,.image{margin:0;background:var(--card);border:1px solid var(--edge);border-radius:8px;padding:12px 14px}
figcaption{color:var(--quiet)}figcaption b{color:var(--ink);font-weight:600}
svg{display:block;width:100%;height:auto}svg text{font:11px system-ui,sans-serif;fill:var(--quiet)}
svg polyline{fill:none;stroke-width:1.8;stroke-linejoin:round}.grid{stroke:var(--grid)}.axis{stroke:var(--axis)}
.reference{stroke:var(--axis);stroke-dasharray:5 4;stroke-width:1.4}
.legend{margin:4px 0 0;font-size:13px;color:var(--quiet)}
.legend span{display:inline-block;width:14px;height:3px;margin:0 6px 3px 10px;vertical-align:middle;border-radius:2px}
.legend span.dashed{background:none;height:0;border-top:2px dashed var(--axis)}
.images{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,520px),1fr));gap:16px}
.image .name{font-size:13px;color:var(--quiet);overflow-wrap:anywhere;margin:0 0 6px}
.maps{display:grid;gap:4px;align-items:center;font-size:12px;color:var(--quiet)}
.maps .head{text-align:center}
.cell{position:relative;background:var(--picture) center/100% 100%;border-radius:3px;overflow:hidden}
.cell img{position:absolute;inset:0;width:100%;height:100%;image-rendering:pixelated;opacity:.68}
details{margin-top:32px}summary{cursor:pointer;color:var(--quiet)}
pre{background:var(--card);border:1px solid var(--edge);border-radius:8px;padding:14px;overflow:auto;font-size:12.5px}
)";

// The curve of one field over the steps of the log.
Curve curve_of(const std::vector<Json>& log, const std::string& field, const std::string& name) {
  Curve curve{name, {}};
  for (const Json& line : log) {
    if (line.contains("step") && line.contains(field) && line[field].is_number()) {
      curve.points.emplace_back(line["step"].get<double>(), line[field].get<double>());
    }
  }
  return curve;
}

Chart chart_of(const std::vector<Json>& log, const std::string& title, const std::string& unit,
               const std::vector<std::pair<std::string, std::string>>& fields) {
  Chart chart;
  chart.title = title;
  chart.unit = unit;
  for (const auto& [field, name] : fields) chart.curves.push_back(curve_of(log, field, name));
  return chart;
}

std::string charts(const Report& report) {
  const auto& log = report.log;
  Chart loss = chart_of(log, "Loss", "nats", {{"loss", "loss"}});
  Chart parts = chart_of(log, "Parts of the loss", "nats",
                         {{"global_cls", "global cls"},
                          {"global_cls_plus", "global cls+"},
                          {"global_patch", "global patch"},
                          {"local_cls", "local cls"},
                          {"local_cls_plus", "local cls+"}});
  Chart entropy = chart_of(log, "Teacher", "nats", {{"teacher_entropy", "entropy"}, {"kl", "KL to the student"}});
  for (Chart* chart : {&loss, &entropy}) {
    chart->reference = std::log(double(report.prototypes));
    chart->reference_name = text("ln ", report.prototypes, ": nothing told apart");
  }
  Chart knn = chart_of(log, "k-NN", "top-1, percent", {{"knn_cls_top1", "cls"}, {"knn_cls_plus_top1", "cls+"}});
  knn.marks = true;
  std::string html = chart_html(loss) + chart_html(knn) + chart_html(parts) + chart_html(entropy);
  html += chart_html(chart_of(log, "Learning rate", "", {{"lr", "lr"}}));
  html += chart_html(chart_of(log, "Spread of the features", "mean standard deviation of normalised cls tokens",
                              {{"feature_std", "spread"}}));
  html += chart_html(chart_of(log, "Gradient norm", "largest tensor, before clipping", {{"grad_norm_max", "norm"}}));
  html += chart_html(chart_of(log, "Speed", "images/s", {{"images_per_second", "images/s"}}));
  return html;
}

std::string png_url(const Image& image) { return "data:image/png;base64," + base64(encode_png(image)); }

// A map in the colours of overlay(), a pixel a patch: the browser enlarges it.
std::string map_cell(const Image& picture, const at::Tensor& map) {
  Image cells;
  cells.height = int(map.size(0));
  cells.width = int(map.size(1));
  cells.channels = 3;
  cells.bytes.resize(size_t(cells.height) * size_t(cells.width) * 3);
  return text("<div class=\"cell\" style=\"aspect-ratio:", picture.width, "/", picture.height,
              "\"><img alt=\"\" src=\"", png_url(overlay(cells, map, 1)), "\"></div>");
}

std::string image_card(const ReportImage& image) {
  if (image.attention.empty()) return "";
  const int64_t heads = image.attention[0].maps.size(0);
  std::string html =
      text("<div class=\"image\" style=\"--picture:url(", png_url(image.picture), ")\"><p class=\"name\">",
           escape_html(image.name), "</p><div class=\"maps\" style=\"grid-template-columns:auto repeat(", heads + 2,
           ",minmax(0,1fr))\"><span></span><span class=\"head\">image</span>", "<span class=\"head\">mean</span>");
  for (int64_t head = 0; head < heads; ++head) html += text("<span class=\"head\">head ", head, "</span>");
  for (const auto& [source, maps] : image.attention) {
    html += text("<span>", source == "cls_plus" ? "cls+" : escape_html(source), "</span><div class=\"cell\" style=\"",
                 "aspect-ratio:", image.picture.width, "/", image.picture.height, "\"></div>");
    html += map_cell(image.picture, maps.mean(0));
    for (int64_t head = 0; head < heads; ++head) html += map_cell(image.picture, maps[head]);
  }
  return html + "</div></div>\n";
}

}  // namespace

std::string report_html(const Report& report) {
  std::string html =
      text("<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" ",
           "content=\"width=device-width,initial-scale=1\"><title>", escape_html(report.title), "</title><style>",
           kStyle, "</style></head><body>\n<h1>", escape_html(report.title), "</h1>\n<table class=\"facts\">");
  for (const auto& [name, value] : report.facts) {
    html += "<tr><td>" + escape_html(name) + "</td><td>" + escape_html(value) + "</td></tr>";
  }
  html += "</table>\n<h2>Curves</h2>\n<p class=\"note\">Over the steps of the run.</p><div class=\"charts\">" +
          charts(report) + "</div>\n";
  if (!report.images.empty()) {
    html +=
        "<h2>Attention</h2>\n<p class=\"note\">What the class tokens of the teacher look at in its last block: bright "
        "is "
        "much, each map on its own scale. cls+ learns from a mixture of cls and the patches.</p><div class=\"images\">";
    for (const auto& image : report.images) html += image_card(image);
    html += "</div>\n";
  }
  html += "<details><summary>Configuration</summary><pre>" +
          escape_html(report.config.dump(2, ' ', false, Json::error_handler_t::replace)) + "</pre></details>\n";
  return html + "</body></html>\n";
}

std::string base64(const std::vector<uint8_t>& bytes) {
  constexpr char kLetters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t group = uint32_t(bytes[i]) << 16;
    if (i + 1 < bytes.size()) group |= uint32_t(bytes[i + 1]) << 8;
    if (i + 2 < bytes.size()) group |= bytes[i + 2];
    for (int place = 0; place < 4; ++place) {
      out += i + size_t(place) <= bytes.size() ? kLetters[group >> (18 - 6 * place) & 63] : '=';
    }
  }
  return out;
}

}  // namespace udi
