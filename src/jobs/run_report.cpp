#include "jobs/run_report.h"

#include <cstdio>

#include "base/files.h"
#include "jobs/images.h"
#include "jobs/overlay.h"
#include "jobs/report.h"
#include "jobs/settings.h"

namespace udi {
namespace {

constexpr int64_t kImages = 12;
constexpr int kSide = 224;  // of a shown picture, at most twice the model's own size

// Images spread evenly over the set: of every class, where folders are classes.
std::vector<ReportImage> attention_images(const JobConfig& config, const Model& model, const ImageSource& source) {
  const int64_t count = std::min(kImages, source.size());
  std::vector<ReportImage> images;
  std::vector<uint8_t> bytes;
  for (int64_t i = 0; i < count; ++i) {
    const int64_t index = (2 * i + 1) * source.size() / (2 * count);
    ReportImage image;
    image.name = source.name(index);
    try {
      source.read(index, bytes);
      Image pixels = decode_image(bytes.data(), bytes.size(), decode_settings(config), model.config.channels,
                                  model.config.exif_turn != 0);
      pixels = fit_to_patches(pixels, std::min(kSide, 2 * model.config.image_size), model.config.patch_size);
      image.picture = as_picture(pixels);
      udi_attention_config options;
      udi_attention_config_init(&options, sizeof options);
      for (int token = 0; token < model.config.class_tokens; ++token) {
        options.source = UDI_ATTENTION_CLS + token;
        image.attention.push_back({token == 0 ? "cls" : "cls_plus",
                                   model.attention(as_model_input(pixels, model.config), UDI_NCHW, options)[0]});
      }
    } catch (const Error& error) {
      if (!is_bad_file(error)) throw;
      continue;
    }
    images.push_back(std::move(image));
  }
  return images;
}

std::string number_text(double value, const char* format) {
  char out[64];
  std::snprintf(out, sizeof out, format, value);
  return out;
}

// The first and the last value of a field in the log, "31.20 to 45.60 %".
std::string change(const std::vector<Json>& log, const std::string& field) {
  double first = 0, last = 0;
  bool any = false;
  for (const Json& line : log) {
    if (!line.contains(field) || !line[field].is_number()) continue;
    last = line[field].get<double>();
    if (!any) first = last;
    any = true;
  }
  return any ? number_text(first, "%.1f") + " % untrained, " + number_text(last, "%.1f") + " % now" : "";
}

}  // namespace

void write_run_report(const JobHost& host, const JobConfig& config, const RunFolder& folder, const Model& teacher,
                      const ImageSource& images, const Json& result, const std::string& path) {
  Report report;
  report.title = "Pretraining on " + config.string("data");
  report.log = folder.read_log();
  report.prototypes = teacher.config.out_dim;
  report.config = config.values();
  const udi_model_config& m = teacher.config;
  report.facts = {
      {"Images", text(result["images"].get<int64_t>())},
      {"Model", text("width ", m.embed_dim, ", ", m.depth, " blocks, ", m.heads, " heads, patches of ", m.patch_size,
                     " at ", m.image_size, " pixels, ", m.out_dim, " prototypes")},
      {"Parameters", text(result["parameters"].get<int64_t>())},
      {"Steps", text(result["steps_done"].get<int64_t>(), " of ", result["images_a_step"].get<int64_t>(), " images")}};
  for (const char* token : {"cls", "cls_plus"}) {
    const std::string words = change(report.log, text("knn_", token, "_top1"));
    if (!words.empty()) report.facts.push_back({token == std::string("cls") ? "k-NN of cls" : "k-NN of cls+", words});
  }
  if (config.given("report_images")) {
    const std::string own = config.string("report_images");
    report.images = attention_images(config, teacher, ImageSource::open(own, source_settings(config), host.host));
  } else {
    report.images = attention_images(config, teacher, images);
  }
  write_text(path, report_html(report));
}

}  // namespace udi
