// What the tests of this room share: pictures on disk, small views, statistics.
#pragma once

#include <algorithm>
#include <cmath>
#include <functional>
#include <mutex>
#include <string>
#include <vector>

#include "base/files.h"
#include "base/host.h"
#include "base/random.h"
#include "base/support.h"
#include "image/jpeg.h"
#include "image/png.h"
#include "udi.h"

namespace udi_test {

using udi::Host;
using udi::Image;
using udi::Random;

inline Image picture(uint64_t seed, int height, int width, int channels = 3) {
  Image image;
  image.height = height;
  image.width = width;
  image.channels = channels;
  Random random(seed, Random::kTest);
  const int dx = 1 + int(random.below(7)), dy = 1 + int(random.below(7));
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      for (int c = 0; c < channels; ++c) image.bytes.push_back(uint8_t(seed * 31 + y * dy + x * dx + c * 40));
    }
  }
  return image;
}

inline void write_bytes(const std::string& path, const std::vector<uint8_t>& bytes) {
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  udi::write_text(path, std::string(bytes.begin(), bytes.end()));
}
inline void write_jpeg(const std::string& path, uint64_t seed, int height = 30, int width = 40) {
  write_bytes(path, udi::encode_jpeg(picture(seed, height, width), 90));
}
inline void write_png(const std::string& path, uint64_t seed, int height = 30, int width = 40) {
  write_bytes(path, udi::encode_png(picture(seed, height, width)));
}

// Keeps what is logged.
struct LogHost : Host {
  mutable std::mutex mutex;
  mutable std::vector<std::string> lines;
  LogHost() {
    sink = [this](udi_log_level, const std::string& line) {
      const std::lock_guard lock(mutex);
      lines.push_back(line);
    };
  }
  int count(const std::string& words) const {
    return int(
        std::count_if(lines.begin(), lines.end(), [&](const auto& line) { return line.find(words) != line.npos; }));
  }
};

// The official augmentation at sizes that take no time.
inline udi_view_config small_views() {
  udi_view_config config;
  udi_view_config_init(&config, sizeof config);
  config.global_size = 32;
  config.local_size = 16;
  config.patch_size = 4;
  config.local_crops = 2;
  return config;
}

// Kolmogorov's distance between values and a continuous distribution on them, times sqrt(n). Where the values follow
// the distribution it exceeds 2.6 once in 370,000 tests (2 exp(-2 * 2.6^2)).
inline double ks_statistic(std::vector<double> values, const std::function<double(double)>& cdf) {
  std::sort(values.begin(), values.end());
  const double n = double(values.size());
  double distance = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    const double want = cdf(values[i]);
    distance = std::max({distance, std::abs(want - double(i) / n), std::abs(want - double(i + 1) / n)});
  }
  return distance * std::sqrt(n);
}
constexpr double kKsBound = 2.6;

inline std::function<double(double)> uniform_cdf(double low, double high) {
  return [=](double x) { return std::clamp((x - low) / (high - low), 0.0, 1.0); };
}

// A share seen in n independent trials of a known probability lies within 5.5 standard errors but once in 26 million
// tests.
inline void expect_share(double seen, double probability, int64_t n) {
  EXPECT_NEAR(seen, probability, 5.5 * std::sqrt(probability * (1 - probability) / double(n)));
}

}  // namespace udi_test
