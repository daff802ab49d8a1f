// The drawn image set as files: OUT/train/CLASS/ and OUT/test/CLASS/, JPEG and PNG of several sizes.
#include <cstdio>
#include <filesystem>

#include "base/files.h"
#include "base/random.h"
#include "image/jpeg.h"
#include "image/png.h"
#include "jobs/draw.h"
#include "jobs/jobs.h"

namespace udi {
namespace {

// Two of three pictures are JPEG, of any quality that cameras use.
std::vector<uint8_t> encode(const Image& image, uint64_t seed, int label, uint64_t index, std::string* extension) {
  Random random(seed ^ 0x5eed, Random::kDraw, uint64_t(label), index);
  const bool jpeg = random.below(3) != 0;
  *extension = jpeg ? ".jpg" : ".png";
  return jpeg ? encode_jpeg(image, 70 + int(random.below(26))) : encode_png(image);
}

// first: the number of the part's first picture, so that no picture is in two parts.
void write_part(const JobHost& host, const std::string& folder, uint64_t seed, uint64_t first, int64_t count) {
  const auto& classes = drawn_classes();
  for (const auto& name : classes) std::filesystem::create_directories(folder + "/" + name);
  Pace pace(host, "draw", count);
  for (int64_t i = 0; i < count; ++i) {
    const int label = int(i % int64_t(classes.size()));
    const uint64_t index = first + uint64_t(i) / classes.size();
    std::string extension;
    const auto bytes = encode(draw_picture(seed, label, index), seed, label, index, &extension);
    char number[32];
    std::snprintf(number, sizeof number, "%06lld", (long long)(i / int64_t(classes.size())));
    write_atomically(folder + "/" + classes[size_t(label)] + "/" + number + extension,
                     [&](const Append& append) { append(bytes.data(), bytes.size()); });
    pace.advance(1, 1);
  }
}

}  // namespace

Json run_demo_data(const JobHost& host, JobConfig& config) {
  const std::string out = config.string("out");
  const uint64_t seed = uint64_t(config.integer("seed"));
  const int64_t train = config.integer("train"), test = config.integer("test");
  try {
    write_part(host, out + "/train", seed, 0, train);
    write_part(host, out + "/test", seed, 1ull << 32, test);
  } catch (const std::filesystem::filesystem_error& error) {
    fail(UDI_E_IO, error.what());
  }
  return {{"train", out + "/train"},
          {"train_images", train},
          {"test", out + "/test"},
          {"test_images", test},
          {"classes", drawn_classes()}};
}

}  // namespace udi
