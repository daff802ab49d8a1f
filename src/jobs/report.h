// A run as one HTML page that needs no network: curves out of log.jsonl, k-NN, attention maps, the configuration.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "image/image.h"
#include "jobs/jobs.h"
#include "model/aten.h"

namespace udi {

struct ReportMaps {
  std::string source;  // "cls", "cls_plus"
  at::Tensor maps;     // [heads, rows, cols]
};

struct ReportImage {
  std::string name;
  Image picture;  // 8-bit; cut to whole patches, as the maps are
  std::vector<ReportMaps> attention;
};

struct Report {
  std::string title;
  std::vector<std::pair<std::string, std::string>> facts;  // what and how much, in a table at the top
  std::vector<Json> log;                                   // the lines of log.jsonl
  std::vector<ReportImage> images;
  int64_t prototypes = 0;
  Json config;
};

std::string report_html(const Report& report);

std::string base64(const std::vector<uint8_t>& bytes);

}  // namespace udi
