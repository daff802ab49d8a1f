// What the tests of this room share: the files of tests/data/image, planes with memory of their own, comparisons.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "base/files.h"
#include "base/safetensors.h"
#include "base/support.h"
#include "image/decode.h"
#include "image/image.h"

namespace udi_test {

inline const std::string kImages = std::string(UDI_TEST_DIR) + "/data/image/";

// Names of the files in tests/data/image/`folder` that end so.
inline std::vector<std::string> files_of(const std::string& folder, const std::vector<std::string>& endings) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(kImages + folder)) {
    const std::string ending = entry.path().extension().string();
    if (std::find(endings.begin(), endings.end(), ending) == endings.end()) continue;
    names.push_back(folder + entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

inline std::vector<uint8_t> file_bytes(const std::string& name) { return udi::read_file(kImages + name, 1 << 20); }

inline udi::Image decoded(const std::vector<uint8_t>& bytes, int channels = 3, bool exif_turn = false) {
  return udi::decode_image(bytes.data(), bytes.size(), udi::DecodeLimits(), channels, exif_turn);
}

// Planes that own their memory.
struct OwnPlanes : udi::Planes {
  std::vector<uint8_t> memory;

  OwnPlanes(int channels, int height, int width, udi_dtype dtype = UDI_U8)
      : Planes{nullptr, channels, height, width, dtype}, memory(bytes()) {
    data = memory.data();
  }
  OwnPlanes(const OwnPlanes& other) : Planes(other), memory(other.memory) { data = memory.data(); }
  OwnPlanes& operator=(const OwnPlanes&) = delete;

  // The same as float32: value / 255.
  OwnPlanes as_float() const {
    OwnPlanes out(channels, height, width, UDI_F32);
    for (size_t i = 0; i < memory.size(); ++i) out.f32()[i] = float(memory[i]) / 255.0f;
    return out;
  }
};

struct Difference {
  int largest = 0;
  double mean = 0;
};

inline Difference difference(const uint8_t* a, const uint8_t* b, size_t count) {
  Difference result;
  for (size_t i = 0; i < count; ++i) {
    const int d = std::abs(int(a[i]) - int(b[i]));
    result.largest = std::max(result.largest, d);
    result.mean += d;
  }
  result.mean /= double(count);
  return result;
}

// The image has the tensor's size and bytes; [H, W] is one channel.
inline void expect_equal(const udi::Image& image, const udi::TensorView& want) {
  const int channels = want.shape.size() == 3 ? int(want.shape[2]) : 1;
  ASSERT_EQ(image.height, want.shape[0]);
  ASSERT_EQ(image.width, want.shape[1]);
  ASSERT_EQ(image.channels, channels);
  ASSERT_EQ(image.dtype, want.dtype);
  ASSERT_EQ(image.bytes.size(), want.bytes);
  const uint8_t* bytes = static_cast<const uint8_t*>(want.data);
  const Difference d = difference(image.bytes.data(), bytes, image.bytes.size());
  EXPECT_EQ(d.largest, 0) << "mean difference of bytes " << d.mean;
}

}  // namespace udi_test
