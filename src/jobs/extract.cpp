// Images into a feature file: one row an image that could be read, and a text file that says which.
#include <optional>

#include "base/files.h"
#include "jobs/features.h"
#include "jobs/plan.h"
#include "jobs/ranks.h"
#include "jobs/rows.h"
#include "jobs/settings.h"

namespace udi {
namespace {

// One line a name: what would break the line is written as in C.
std::string one_line(const std::string& name) {
  std::string line;
  for (const char c : name) {
    if (c == '\n') {
      line += "\\n";
    } else if (c == '\r') {
      line += "\\r";
    } else {
      line += c;
    }
  }
  return line;
}

void check_whole(int64_t pixels, const udi_model_config& model, const udi_extract_config& options) {
  if (pixels == 0) return;
  check(options.token != UDI_TOKEN_PATCHES, UDI_E_INVALID,
        "whole_pixels: whole images have different numbers of patches, which are no rows of one width; take another "
        "token than patches, or leave whole_pixels out");
  const int64_t patch = model.patch_size;
  check(pixels >= patch * patch, UDI_E_INVALID, "whole_pixels is ", pixels, ": a patch of the model has ",
        patch * patch, " pixels already");
}

Json extract(const JobHost& host, JobConfig& config) {
  const std::string out = config.string("out"), token = config.string("token");
  check_row_path(out);
  const Model model = open_configured_model(host, config);
  udi_extract_config options = extract_settings(config, model.config);
  options.normalize = config.flag("normalize");
  const int64_t whole_pixels = config.given("whole_pixels") ? config.integer("whole_pixels") : 0;
  check_whole(whole_pixels, model.config, options);
  const ImageSource source = ImageSource::open(config.string("data"), source_settings(config), host.host);
  check_same_images(host, source, config.string("data"));
  host.host.log(UDI_LOG_INFO, source.size(), " images in ", config.string("data"));
  if (host.device.is_cpu()) {
    host.host.log(UDI_LOG_INFO, "memory: weights ", bytes_text(model.weights.count() * int64_t(sizeof(float))),
                  ", the backbone's once more for products in ", config.string("precision"), " ",
                  bytes_text(extraction_bytes(model.config, options.precision)));
  }

  const auto shape = row_shape(model.config, options);
  std::optional<RowWriter> writer;  // rank 0's
  agree_on(host.group.get(), [&] {
    if (host.first()) writer.emplace(out, shape, token);
  });
  std::string names;
  const FeatureCount count = extract_features(
      host, model, source, config, options, "extract",
      [&](const at::Tensor& rows, const std::vector<int64_t>& index) {
        writer->append(rows.const_data_ptr<float>(), rows.size(0));
        for (const int64_t i : index) names += one_line(source.name(i)) + '\n';
      },
      TakenBy::kFirst, whole_pixels);
  agree_on(host.group.get(), [&] {
    if (!host.first()) return;
    write_text(paths_file(out), names);
    writer->finish();
  });
  Json row = shape;
  return {{"out", out},
          {"paths", paths_file(out)},
          {"images", count.images},
          {"bad_images", count.bad},
          {"token", token},
          {"row_shape", row},
          {"images_per_second", double(count.images) / count.seconds}};
}

}  // namespace

Json run_extract(const JobHost& host, JobConfig& config) {
  return run_on_ranks(host, config, [&](const JobHost& own) { return extract(own, config); });
}

}  // namespace udi
