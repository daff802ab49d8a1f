#include "data/config.h"

#include "base/error.h"

namespace udi {
namespace {

template <class Value>
void check_range(const char* field, Value value, Value low, Value high) {
  // Written so that NaN fails.
  check(value >= low && value <= high, UDI_E_INVALID, field, " is ", value, ", outside ", low, " to ", high);
}

void check_pair(const char* field, float low_value, float high_value, float low, float high) {
  check_range(text(field, "_min").c_str(), low_value, low, high);
  check_range(text(field, "_max").c_str(), high_value, low, high);
  check(low_value <= high_value, UDI_E_INVALID, field, "_min ", low_value, " is above ", field, "_max ", high_value);
}

void check_size(const char* field, int32_t size, int32_t patch_size) {
  check_range<int32_t>(field, size, 1, 16384);
  check(size % patch_size == 0, UDI_E_INVALID, field, " ", size, " is not a multiple of patch_size ", patch_size);
}

}  // namespace

void check_view_config(const udi_view_config& config) {
  check_range<int32_t>("patch_size", config.patch_size, 1, 1024);
  check_size("global_size", config.global_size, config.patch_size);
  check_range<int32_t>("local_crops", config.local_crops, 0, 64);
  if (config.local_crops > 0) check_size("local_size", config.local_size, config.patch_size);
  check_range<int32_t>("global_window", config.global_window, 1, 16384);
  check_range<int32_t>("local_window", config.local_window, 1, 16384);
  check_range<int32_t>("crop_overlap", config.crop_overlap, 0, 1);
  check_range<int32_t>("local_reference", config.local_reference, 0, 1);
  check_range<int32_t>("crop_pairing", config.crop_pairing, 0, 1);
  check_range<int32_t>("exif_turn", config.exif_turn, 0, 1);
  check_pair("global_scale", config.global_scale_min, config.global_scale_max, 1e-6f, 1);
  check_pair("local_scale", config.local_scale_min, config.local_scale_max, 1e-6f, 1);
  check_range<float>("flip_probability", config.flip_probability, 0, 1);
  check_range<float>("jitter_probability", config.jitter_probability, 0, 1);
  check_range<float>("brightness", config.brightness, 0, 10);
  check_range<float>("contrast", config.contrast, 0, 10);
  check_range<float>("saturation", config.saturation, 0, 10);
  check_range<float>("hue", config.hue, 0, 0.5f);
  check_range<float>("grayscale_probability", config.grayscale_probability, 0, 1);
  check_range<float>("blur_probability_a", config.blur_probability_a, 0, 1);
  check_range<float>("blur_probability_b", config.blur_probability_b, 0, 1);
  check_range<float>("solarize_probability_b", config.solarize_probability_b, 0, 1);
  check_pair("blur_radius", config.blur_radius_min, config.blur_radius_max, 0, 100);
  check_range<int32_t>("channels", config.channels, 0, 16);
}

void check_loader_config(const udi_loader_config& config) {
  check_range<int32_t>("batch_size", config.batch_size, 1, 1 << 20);
  check_range<int32_t>("workers", config.workers, 0, 1024);
  check_range<int32_t>("channels", config.channels, 1, 16);
  check_range<int32_t>("world", config.world, 1, 1 << 20);
  check_range<int32_t>("rank", config.rank, 0, config.world - 1);
  check_range<uint64_t>("max_pixels", config.max_pixels, 1, 1ull << 40);
  check_range<uint64_t>("max_file_bytes", config.max_file_bytes, 1, 1ull << 40);
  check_range<double>("max_bad_percent", config.max_bad_percent, 0, 100);
}

}  // namespace udi
