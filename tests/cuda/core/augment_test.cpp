// Crops made by kernels, emulated, against those of src/image and src/data: every bit, from a plan to a whole run.
#include "data/augment.h"

#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include "data/loader.h"
#include "data/support.h"
#include "jobs/jobs.h"
#include "train/render.h"
#include "train/support.h"

namespace udi {
namespace {

using udi_test::expect_error;
using udi_test::small_views;

// Noise, or something smooth.
Image picture(Random& random, int height, int width, int channels) {
  Image image{height, width, channels, UDI_U8, {}};
  const bool noise = random.chance(0.5);
  const uint64_t step = 1 + random.below(4);
  for (uint64_t i = 0; i < uint64_t(height) * uint64_t(width) * uint64_t(channels); ++i) {
    const uint64_t c = uint64_t(channels);
    image.bytes.push_back(uint8_t(noise ? random.below(256) : i / c * step + i % c * 60));
  }
  return image;
}

// What the trainer works on: crops of chunks of at most `images` images.
std::vector<at::Tensor> crops_of(const Views& views, int64_t images) {
  std::vector<at::Tensor> all;
  for (const Chunk& chunk : make_chunks({&views}, {0}, images)) {
    const Chunk whole = rendered(chunk, at::kCPU);
    all.push_back(global_crops(whole, at::kFloat));
    if (views.local_crops > 0) all.push_back(local_crops(whole, at::kFloat));
  }
  return all;
}

void expect_same_crops(const std::vector<Image>& images, const udi_view_config& config, uint64_t seed) {
  std::vector<int64_t> samples;
  for (size_t i = 0; i < images.size(); ++i) samples.push_back(int64_t(i) + 7);
  Views made, planned;
  make_views(images, config, seed, 3, samples, made);
  make_views(images, config, seed, 3, samples, planned, nullptr, true);
  ASSERT_TRUE(planned.global.empty() && planned.local.empty() && planned.planned() && !made.planned());
  EXPECT_EQ(made.coords, planned.coords);
  EXPECT_EQ(made.sample_global, planned.sample_global);
  EXPECT_EQ(made.maps.local_weight, planned.maps.local_weight);
  const int64_t at_once = seed % 3 == 2 ? 2 : int64_t(images.size());
  const auto want = crops_of(made, at_once), got = crops_of(planned, at_once);
  ASSERT_EQ(want.size(), got.size());
  for (size_t i = 0; i < want.size(); ++i) {
    EXPECT_TRUE(at::equal(want[i], got[i]))
        << "seed " << seed << ", part " << i << ": " << (want[i] != got[i]).sum().item<int64_t>() << " of "
        << want[i].numel() << " values differ";
  }
}

TEST(AugmentOnDevice, HasTheBitsOfTheCpu) {
  Random random(1, Random::kTest);
  for (uint64_t seed = 0; seed < 8; ++seed) {
    std::vector<Image> images;
    for (int i = 0; i < 5; ++i)
      images.push_back(picture(random, 20 + int(random.below(180)), 20 + int(random.below(180)), 3));
    expect_same_crops(images, small_views(), seed);
  }
}

TEST(AugmentOnDevice, HasThemForImagesOfAnyShape) {
  Random random(2, Random::kTest);
  std::vector<Image> images;
  for (const auto& [height, width] : {std::pair(1, 1), {1, 300}, {300, 1}, {2, 3}, {5, 900}, {900, 5}, {1200, 1600}})
    images.push_back(picture(random, height, width, 3));
  for (uint64_t seed = 0; seed < 3; ++seed) expect_same_crops(images, small_views(), seed);
}

TEST(AugmentOnDevice, HasThemForAnyNumberOfChannels) {
  Random random(3, Random::kTest);
  for (const int channels : {1, 2, 4, 16}) {
    expect_same_crops({picture(random, 60, 40, channels), picture(random, 33, 70, channels)}, small_views(), 1);
  }
}

TEST(AugmentOnDevice, HasThemForAnyConfiguration) {
  Random random(4, Random::kTest);
  for (uint64_t seed = 0; seed < 24; ++seed) {
    udi_view_config config = small_views();
    const auto some = [&](double most) { return float(random.chance(0.3) ? 0 : random.uniform(0, most)); };
    const auto any = [&] { return float(random.chance(0.3) ? random.below(2) : random.uniform(0, 1)); };
    config.patch_size = seed % 3 == 0 ? 1 : 4;
    config.global_size = config.patch_size * int(1 + random.below(12));
    config.local_size = config.patch_size * int(1 + random.below(8));
    config.local_crops = int(random.below(4));
    config.global_scale_min = config.local_scale_min = 1e-6f;
    config.local_scale_max = 1;
    config.flip_probability = any();
    config.jitter_probability = 0.5f + any() / 2;
    config.brightness = some(10);
    config.contrast = some(10);
    config.saturation = some(10);
    config.hue = some(0.5);
    config.grayscale_probability = any();
    config.blur_probability_a = config.blur_probability_b = any();
    config.blur_radius_min = 0;
    config.blur_radius_max = random.chance(0.3) ? 100 : some(3);
    config.solarize_probability_b = any();
    expect_same_crops({picture(random, 70, 50, 3), picture(random, 40, 90, 3), picture(random, 25, 25, 3)}, config,
                      seed);
  }
}

// One colour of the 2^24 in every 64, each a pixel that is not resized.
TEST(AugmentOnDevice, TurnsHuesAsTheCpuDoes) {
  constexpr int kSide = 512, kEvery = (1 << 24) / (kSide * kSide);
  udi_view_config config = small_views();
  config.patch_size = config.global_size = kSide;
  config.local_crops = 0;
  config.local_size = 0;
  Image image{kSide, kSide, 3, UDI_U8, {}};
  for (int i = 0; i < kSide * kSide; ++i) {
    for (const int shift : {16, 8, 0}) image.bytes.push_back(uint8_t((i * kEvery + i % kEvery) >> shift));
  }
  Colours colours;
  colours.jitter = true;
  colours.order = {Colours::kHue, Colours::kBrightness, Colours::kContrast, Colours::kSaturation};
  config.brightness = config.contrast = config.saturation = 0;  // hue alone is done
  Views views;
  make_views({image}, config, 0, 0, {0}, views, nullptr, true);
  for (int crop = 0; crop < 2; ++crop) {
    colours.hue = crop == 0 ? 0.37 : -0.1;
    Crop whole;
    whole.height = whole.width = kSide;
    views.plans[0].crops[size_t(crop)] = whole;
    views.plans[0].colours[size_t(crop)] = colours;
  }
  const at::Tensor got = rendered(make_chunks({&views}, {0}, 1)[0], at::kCPU).global;
  for (int crop = 0; crop < 2; ++crop) {
    std::vector<uint8_t> want(image.bytes.size());
    const Planes planes{want.data(), 3, kSide, kSide, UDI_U8};
    to_planes(image, planes);
    apply_colours(views.plans[0].colours[size_t(crop)], config, planes);
    EXPECT_EQ(std::memcmp(want.data(), got[crop].const_data_ptr(), want.size()), 0);
  }
}

TEST(AugmentOnDevice, IsNotForFloats) {
  Image image{4, 4, 1, UDI_F32, std::vector<uint8_t>(64)};
  Views views;
  expect_error(UDI_E_UNSUPPORTED, "augmented on the CPU alone",
               [&] { make_views({image}, small_views(), 0, 0, {0}, views, nullptr, true); });
}

TEST(AugmentOnDevice, RefusesABoxThatLeavesItsImage) {
  Random random(5, Random::kTest);
  Views views;
  make_views({picture(random, 30, 40, 3)}, small_views(), 0, 0, {0}, views, nullptr, true);
  const Chunk chunk = make_chunks({&views}, {0}, 1)[0];
  rendered(chunk, at::kCPU);
  views.plans[0].crops[3].top = 30;
  expect_error(UDI_E_INVALID, "leaves the image of 30 x 40", [&] { rendered(chunk, at::kCPU); });
}

// ---- A run ---------------------------------------------------------------------------------------------------------

struct Photos : udi_test::TempFolder {
  Photos() {
    for (int i = 0; i < 12; ++i)
      udi_test::write_jpeg(*this / text("images/", 100 + i, ".jpg"), uint64_t(i), 30 + 3 * i, 60 - 2 * i);
  }
};

TEST(AugmentOnDevice, LoadersGiveTheSameBatches) {
  const Photos photos;
  udi_loader_config config;
  udi_loader_config_init(&config, sizeof config);
  config.batch_size = 5;
  config.workers = 2;
  const Host host;
  Loader made(ImageSource::open(photos / "images", {}, host), small_views(), config, host);
  Loader planned(ImageSource::open(photos / "images", {}, host), small_views(), config, host, true);
  Views want, got;
  for (int batch = 0; batch < 5; ++batch) {
    made.next(want);
    planned.next(got);  // into memory of a batch before
    EXPECT_EQ(want.sample, got.sample);
    EXPECT_EQ(want.coords, got.coords);
    EXPECT_EQ(want.maps.global_weight, got.maps.global_weight);
    const auto a = crops_of(want, 5), b = crops_of(got, 5);
    for (size_t i = 0; i < a.size(); ++i) EXPECT_TRUE(at::equal(a[i], b[i]));
  }
}

// The log of a run without what depends on the clock.
std::vector<Json> run_log(const Photos& photos, const std::string& augment_on, const std::string& optimizer) {
  const std::string out = optimizer + "-" + augment_on;
  const Json config = {{"preset", "small-data"},
                       {"data", photos / "images"},
                       {"out", photos / out},
                       {"steps", 3},
                       {"save_steps", 0},
                       {"batch_size", 4},
                       {"accumulate", 2},
                       {"log_steps", 1},
                       {"depth", 1},
                       {"hue", 0.1},
                       {"blur_probability_a", 0.5},
                       {"image_size", 16},
                       {"local_size", 8},
                       {"micro_batch", 3},
                       {"optimizer", optimizer},
                       {"augment_on", augment_on}};
  const Host host;
  run_job({host, at::kCPU, 2, {}}, "pretrain", config.dump());
  std::vector<Json> lines;
  std::istringstream log(read_text(photos / (out + "/log.jsonl")));
  for (std::string line; std::getline(log, line);) {
    lines.push_back(Json::parse(line));
    lines.back().erase("images_per_second");
    lines.back().erase("eta_seconds");
  }
  return lines;
}

TEST(AugmentOnDevice, RunsHaveTheSameLosses) {
  const Photos photos;
  const int threads = at::get_num_threads();
  at::set_num_threads(1);                           // emulated kernels take turns
  for (const char* optimizer : {"adamw", "sgd"}) {  // steps on the device, and by way of the host
    const auto cpu = run_log(photos, "cpu", optimizer), device = run_log(photos, "device", optimizer);
    ASSERT_EQ(cpu.size(), 3u);
    EXPECT_EQ(cpu, device);
  }
  at::set_num_threads(threads);
}

}  // namespace
}  // namespace udi
