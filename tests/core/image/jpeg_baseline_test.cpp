// Common JPEG files by our own decoder against libjpeg-turbo: the same bits, or left to it; the same errors always.
#include "image/jpeg_baseline.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/error.h"
#include "image/jpeg_maker.h"
#include "image/on_processor.h"
#include "image/support.h"

namespace udi {
namespace {

using udi_test::file_bytes;
using udi_test::files_of;
using udi_test::JpegEncoder;
using udi_test::JpegOptions;
using udi_test::made_by_libjpeg;
using Bytes = std::vector<uint8_t>;

constexpr int kSamplings[3][2] = {{1, 1}, {2, 1}, {2, 2}};

// A picture with smooth parts, edges and grain.
Image picture(int channels, int height, int width, uint32_t seed) {
  std::mt19937 random(seed);
  Image image;
  image.height = height, image.width = width, image.channels = channels;
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      for (int c = 0; c < channels; ++c) {
        const int wave = (x * (5 + c) + y * (3 + int(seed % 5))) % 256, edge = (x / 11 + y / 7 + c) % 2 * 90;
        image.bytes.push_back(uint8_t(std::clamp(wave / 2 + edge + int(random() % 17), 0, 255)));
      }
    }
  }
  return image;
}

// What a decoder says: pixels, or words.
struct Outcome {
  Image image;
  int status = 0;
  std::string words;
};

Outcome outcome(const Bytes& bytes, int channels, BaselineUse use, uint64_t max_pixels) {
  Outcome result;
  DecodeLimits limits;
  limits.max_pixels = max_pixels;
  use_baseline_jpeg(use);
  try {
    result.image = decode_image(bytes.data(), bytes.size(), limits, channels);
  } catch (const Error& error) {
    result.status = error.status;
    result.words = error.message;
  }
  use_baseline_jpeg(BaselineUse::kWhereFaster);
  return result;
}

class BaselineJpegs : public udi_test::OnProcessor {
 protected:
  void SetUp() override {
    OnProcessor::SetUp();
    use_baseline_jpeg(BaselineUse::kAlways);
    if (!BaselineJpeg::wanted()) GTEST_SKIP() << "not built";
    use_baseline_jpeg(BaselineUse::kWhereFaster);
  }

  // Whether the decoder took the file. It then made what libjpeg-turbo makes; and decode_image says the same with and
  // without it.
  bool taken(const Bytes& bytes, int channels = 3, uint64_t max_pixels = 1 << 24) {
    const Outcome theirs = outcome(bytes, channels, BaselineUse::kNever, max_pixels);
    const Outcome ours = outcome(bytes, channels, BaselineUse::kAlways, max_pixels);
    EXPECT_EQ(ours.status, theirs.status);
    EXPECT_EQ(ours.words, theirs.words);
    EXPECT_TRUE(ours.image.bytes == theirs.image.bytes);
    DecodeLimits limits;
    limits.max_pixels = max_pixels;
    Image image;
    if (!kept_.decode(bytes.data(), bytes.size(), limits, channels, image)) return false;
    EXPECT_EQ(theirs.words, "");
    EXPECT_EQ(image.height, theirs.image.height);
    EXPECT_EQ(image.width, theirs.image.width);
    EXPECT_TRUE(image.bytes == theirs.image.bytes);
    return true;
  }

  BaselineJpeg kept_;  // one for all files of a test
};

TEST_P(BaselineJpegs, OfEveryQualityAreTheSame) {
  for (int quality = 1; quality <= 100; ++quality) {
    for (const auto& [across, down] : kSamplings) {
      for (const bool optimize : {false, true}) {
        const Image image = picture(3, 37, 70 + quality % 16, uint32_t(quality));
        EXPECT_TRUE(taken(made_by_libjpeg(image, {quality, across, down, 0, optimize}))) << quality << across << down;
      }
    }
  }
}

TEST_P(BaselineJpegs, OfEverySizeAreTheSame) {
  for (int side = 1; side <= 70; ++side) {
    for (const int other : {1, 2, 3, 4, 5, 8, 16, 17, 33}) {
      for (const auto& [across, down] : kSamplings) {
        const JpegOptions options{90, across, down};
        EXPECT_TRUE(taken(made_by_libjpeg(picture(3, side, other, 1), options))) << side << " x " << other;
        EXPECT_TRUE(taken(made_by_libjpeg(picture(3, other, side, 2), options))) << other << " x " << side;
      }
      const Bytes gray = made_by_libjpeg(picture(1, side, other, 3), {});
      EXPECT_TRUE(taken(gray, 1));
      EXPECT_TRUE(taken(gray, 3));
    }
  }
}

TEST_P(BaselineJpegs, WithRestartsAreTheSame) {
  for (const int restart : {1, 2, 3, 7, 11, 1000}) {
    for (const auto& [across, down] : kSamplings) {
      EXPECT_TRUE(taken(made_by_libjpeg(picture(3, 90, 100, 4), {85, across, down, restart}))) << restart;
    }
    EXPECT_TRUE(taken(made_by_libjpeg(picture(1, 90, 100, 4), {85, 1, 1, restart}), 1)) << restart;
  }
}

TEST_P(BaselineJpegs, OfNoiseAreTheSame) {
  for (const bool extremes : {false, true}) {
    for (const int quality : {20, 75, 95, 100}) {
      for (const auto& [across, down] : kSamplings) {
        const Image image = udi_test::noise(3, 61, 67, extremes, uint32_t(quality));
        EXPECT_TRUE(taken(made_by_libjpeg(image, {quality, across, down, 0, false, quality != 75})));
      }
    }
  }
}

// Each difference of colour meets the same luma, then black and white.
TEST_P(BaselineJpegs, OfEveryColourAreTheSame) {
  std::array<int, 64> quant{};
  quant.fill(8);  // of the first coefficient: 1 is one step of all samples
  for (const int luma : {-128, 0, 127}) {
    JpegEncoder encoder(2048, 2048, 3, 0x11, quant, 9, 1);
    JpegEncoder::Block y{}, cb{}, cr{};
    int before[3] = {};
    for (int i = 0; i < 65536; ++i) {
      const int now[3] = {luma, i / 256 - 128, i % 256 - 128};
      y[0] = now[0] - before[0], cb[0] = now[1] - before[1], cr[0] = now[2] - before[2];
      std::copy(now, now + 3, before);
      encoder.write(y), encoder.write(cb), encoder.write(cr);
    }
    EXPECT_TRUE(taken(encoder.finished()));
  }
}

// Coefficients far beyond those of pictures, runs of zeros, full blocks, codes of up to 16 bits.
TEST_P(BaselineJpegs, OfAnyCoefficientsAreTheSame) {
  std::mt19937 random(5);
  for (int round = 0; round < 400; ++round) {
    const int most = 1 << (round % 16), fill = 1 + round % 7, longest = 9 + round % 8;
    std::array<int, 64> quant;
    for (int& value : quant) value = round % 3 == 0 ? 1 : int(random() % (round % 3 == 1 ? 256 : 65536));
    const auto& sampling = kSamplings[round % 3];
    const int components = round % 5 ? 3 : 1;
    const int luma = components == 3 ? sampling[0] << 4 | sampling[1] : 0x11;
    const int width = 8 * sampling[0] * 6, height = 8 * sampling[1] * 2;
    JpegEncoder encoder(height, width, components, luma, quant, longest, uint32_t(round));
    const int blocks = components == 3 ? 12 * (sampling[0] * sampling[1] + 2) : width * height / 64;
    for (int i = 0; i < blocks; ++i) {
      JpegEncoder::Block block{};
      for (int k = 0; k < 64; ++k) {
        const int row_alone[8] = {0, 1, 5, 6, 14, 15, 27, 28};  // places of the first row
        const bool in_row = std::find(row_alone, row_alone + 8, k) != row_alone + 8;
        if (i % 4 == 1 ? !in_row : i % 4 == 2 ? k > 0 : int(random() % 8) >= fill) continue;
        const int value = int(random() % uint32_t(most));
        block[size_t(k)] = random() % 2 ? value : -value;
      }
      if (i % 4 == 3) block[63] = 1;
      encoder.write(block);
    }
    EXPECT_TRUE(taken(encoder.finished(), components)) << round;
  }
}

TEST_P(BaselineJpegs, LeaveWhatIsNotCommon) {
  int files = 0, ours = 0;
  for (const std::string& name : files_of("", {".jpg"})) {
    const auto has = [&](const char* part) { return name.find(part) != std::string::npos; };
    const bool rare = has("progressive") || has("440") || has("411") || has("410") || has("cmyk") || has("ycck") ||
                      has("rgb") || has("fill_bytes");
    EXPECT_EQ(taken(file_bytes(name)), !rare) << name;
    EXPECT_EQ(taken(file_bytes(name), 1), !rare && (has("gray") || has("comment"))) << name;
    ++files, ours += !rare;
  }
  EXPECT_GT(ours, 25);
  EXPECT_GT(files, ours + 10);
  for (const std::string& name : files_of("bad/", {".jpg"})) EXPECT_FALSE(taken(file_bytes(name))) << name;
}

TEST_P(BaselineJpegs, LeaveWhatIsNotClean) {
  const Bytes good = made_by_libjpeg(picture(3, 40, 40, 6), {80, 2, 2, 2});
  const auto changed = [&](size_t at, size_t removed, const Bytes& added) {
    Bytes bytes = good;
    bytes.erase(bytes.begin() + long(at), bytes.begin() + long(at + removed));
    bytes.insert(bytes.begin() + long(at), added.begin(), added.end());
    return bytes;
  };
  const auto find = [&](Bytes what) {
    return size_t(std::search(good.begin(), good.end(), what.begin(), what.end()) - good.begin());
  };
  const size_t end = good.size(), first_restart = find({0xFF, 0xD0}), second_restart = find({0xFF, 0xD1});
  ASSERT_LT(first_restart, second_restart);
  ASSERT_LT(second_restart, end);
  EXPECT_TRUE(taken(good));
  EXPECT_TRUE(taken(changed(end, 0, {1, 2, 3})));                                   // behind the end nobody reads
  EXPECT_FALSE(taken(changed(end - 2, 2, {})));                                     // no end
  EXPECT_FALSE(taken(changed(end - 2, 0, {0})));                                    // stray bytes
  EXPECT_FALSE(taken(changed(end - 2, 0, {0xFF, 0xD3})));                           // one restart too many
  EXPECT_FALSE(taken(changed(end - 2, 2, {0xFF, 0xDC, 0, 4, 0, 40, 0xFF, 0xD9})));  // DNL
  EXPECT_FALSE(taken(changed(first_restart, 2, {})));
  EXPECT_FALSE(taken(changed(first_restart, 2, {0xFF, 0xD1})));
  EXPECT_FALSE(taken(changed(first_restart, 0, {0x55})));
  EXPECT_FALSE(taken(changed(first_restart, 0, {0xFF})));
  EXPECT_FALSE(taken(changed(first_restart, second_restart - first_restart, {})));
  EXPECT_FALSE(taken(changed(2, 0, {0xFF})));
  EXPECT_FALSE(taken(changed(2, 0, {0xFF, 0xD8})));
}

TEST_P(BaselineJpegs, KeepToTheLimit) {
  const Bytes bytes = made_by_libjpeg(picture(3, 30, 40, 7), {});
  EXPECT_TRUE(taken(bytes, 3, 1200));
  EXPECT_FALSE(taken(bytes, 3, 1199));
}

TEST_P(BaselineJpegs, CutAnywhereGiveTheSameWords) {
  for (const int restart : {0, 1}) {
    const Bytes bytes = made_by_libjpeg(picture(3, 9, 20, 8), {70, 2, 2, restart, true});
    for (size_t length = 3; length < bytes.size(); ++length) {
      EXPECT_FALSE(taken(Bytes(bytes.begin(), bytes.begin() + long(length)))) << length;
    }
  }
}

TEST_P(BaselineJpegs, WithAnyBitTurnedGiveTheSame) {
  int ours = 0, others = 0;
  for (const int restart : {0, 1}) {
    Bytes bytes = made_by_libjpeg(picture(3, 9, 20, 9), {70, 2, 1, restart, true});
    for (size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
      bytes[bit / 8] ^= uint8_t(1 << bit % 8);
      (taken(bytes, 3, 1 << 16) ? ours : others) += 1;
      if (HasFailure()) FAIL() << "bit " << bit;
      bytes[bit / 8] ^= uint8_t(1 << bit % 8);
    }
  }
  EXPECT_GT(ours, 500);
  EXPECT_GT(others, 1000);
}

INSTANTIATE_TEST_SUITE_P(On, BaselineJpegs, udi_test::kProcessors, udi_test::processor_name);

}  // namespace
}  // namespace udi
