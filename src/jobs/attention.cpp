// Attention maps over images, as PNG files: each head and the mean of the heads.
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <set>

#include "base/files.h"
#include "image/png.h"
#include "jobs/features.h"
#include "jobs/overlay.h"
#include "jobs/settings.h"

namespace udi {
namespace {

constexpr double kMaxAttentionBytes = 4e9;  // of one image's attention in one block

// The maps of all tokens against all others are what an image costs: refuse before memory runs out.
void check_size(const Image& image, const udi_model_config& model) {
  const double tokens = double(image.height / model.patch_size) * double(image.width / model.patch_size);
  const double bytes = tokens * tokens * model.heads * sizeof(float);
  check(bytes <= kMaxAttentionBytes, UDI_E_FORMAT, image.height, " x ", image.width, " pixels make ", tokens,
        " patches, whose attention needs ", std::llround(bytes / 1e6), " MB, more than the limit of ",
        std::llround(kMaxAttentionBytes / 1e6), "; give a smaller image_size");
}

// Who asks: what was given, or the class tokens that the model has.
std::vector<std::string> sources_of(const JobConfig& config, const udi_model_config& model) {
  std::vector<std::string> sources = {"cls"};
  if (model.class_tokens == 2) sources.push_back("cls_plus");
  if (config.given("source")) sources = config.strings("source");
  const auto asks = [&](const char* source) { return std::count(sources.begin(), sources.end(), source) > 0; };
  check(model.class_tokens == 2 || !asks("cls_plus"), UDI_E_INVALID, "source: cls_plus, and the model has cls alone");
  check(model.include_patch || !asks("srs"), UDI_E_INVALID, "source: srs, and the model has no SRS module");
  check(!config.given("patch") || asks("srs"), UDI_E_INVALID, "patch: does nothing unless srs is a source");
  return sources;
}

udi_attention_config attention_settings(const JobConfig& config, const std::string& source, int64_t rows,
                                        int64_t columns) {
  udi_attention_config options;
  udi_attention_config_init(&options, sizeof options);
  options.source = source == "srs" ? UDI_ATTENTION_SRS : source == "cls" ? UDI_ATTENTION_CLS : UDI_ATTENTION_CLS_PLUS;
  options.patch_row = int32_t(rows / 2);
  options.patch_col = int32_t(columns / 2);
  if (!config.given("patch")) return options;
  const auto patch = config.integers("patch");
  check(patch.size() == 2, UDI_E_INVALID, "patch: needs two numbers, row and column, ", patch.size(), " are given");
  options.patch_row = int32_t(patch[0]);
  options.patch_col = int32_t(patch[1]);
  return options;
}

// A file name that no other image of the set gets: folders become '_'.
std::string stem_of(const std::string& name, std::set<std::string>* used) {
  std::string stem = std::filesystem::path(name).replace_extension().string();
  for (char& c : stem) c = c == '/' ? '_' : c;
  std::string unique = stem;
  for (int copy = 2; !used->insert(unique).second; ++copy) unique = text(stem, "-", copy);
  return unique;
}

void write_png(const std::string& path, const Image& image) {
  const auto bytes = encode_png(image);
  write_atomically(path, [&](const Append& append) { append(bytes.data(), bytes.size()); });
}

// The PNG files of one image, all of them or none; returns how many.
int64_t draw_maps(const Model& model, const Image& image, const std::vector<std::string>& sources,
                  const JobConfig& config, const std::string& prefix) {
  const Image picture = as_picture(image);
  const at::Tensor input = as_model_input(image, model.config);
  std::vector<std::pair<std::string, Image>> files = {{"image", picture}};
  for (const auto& source : sources) {
    const auto options = attention_settings(config, source, image.height / model.config.patch_size,
                                            image.width / model.config.patch_size);
    const at::Tensor maps = model.attention(input, UDI_NCHW, options)[0];
    for (int64_t head = 0; head < maps.size(0); ++head) {
      files.emplace_back(text(source, "-head", head), overlay(picture, maps[head], config.number("opacity")));
    }
    files.emplace_back(source + "-mean", overlay(picture, maps.mean(0), config.number("opacity")));
  }
  for (const auto& [name, file] : files) write_png(prefix + "-" + name + ".png", file);
  return int64_t(files.size());
}

}  // namespace

Json run_attention(const JobHost& host, JobConfig& config) {
  const std::string out = config.string("out");
  const Model model = open_configured_model(host, config);
  const auto sources = sources_of(config, model.config);
  const ImageSource source = ImageSource::open(config.string("data"), source_settings(config), host.host);
  const int64_t count = std::min(source.size(), config.integer("max_images"));
  if (count < source.size())
    host.host.log(UDI_LOG_WARN, "drawing ", count, " of ", source.size(), " images (max_images)");
  const int side = config.given("image_size") ? int(config.integer("image_size")) : 2 * model.config.image_size;
  std::error_code code;
  std::filesystem::create_directories(out, code);
  if (code) throw Error(UDI_E_IO, text(out, ": cannot be created: ", code.message()), code.value());

  BadImages bad(host.host, count, config.number("max_bad"));
  Pace pace(host, "attention", count);
  std::set<std::string> used;
  std::vector<uint8_t> bytes;
  int64_t files = 0;
  for (int64_t i = 0; i < count; ++i) {
    Image image;
    try {
      source.read(i, bytes);
      image = decode_image(bytes.data(), bytes.size(), decode_settings(config), model.config.channels,
                           model.config.exif_turn != 0);
      check(image.channels == model.config.channels, UDI_E_SHAPE, image.channels, " channels, the model has ",
            model.config.channels);
      image = fit_to_patches(image, side, model.config.patch_size);
      check_size(image, model.config);
    } catch (const Error& error) {
      if (!is_bad_file(error)) throw;
      bad.add(source.name(i), error.message);
      continue;
    }
    files += draw_maps(model, image, sources, config, out + "/" + stem_of(source.name(i), &used));
    pace.advance(1, 1);
  }
  return {{"out", out}, {"images", count - bad.count()}, {"bad_images", bad.count()}, {"files", files}};
}

}  // namespace udi
