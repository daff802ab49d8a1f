// Files of every kind in tests/data/image against what Pillow made of them (make_corpus.py).
#include "image/decode.h"

#include <gtest/gtest.h>

#include <cstring>

#include "image/exif.h"
#include "image/jpeg.h"
#include "image/png.h"
#include "image/support.h"

namespace udi {
namespace {

using udi_test::decoded;
using udi_test::expect_equal;
using udi_test::expect_error;
using udi_test::file_bytes;
using udi_test::files_of;

SafetensorsFile expected() { return SafetensorsFile(udi_test::kImages + "expected.safetensors"); }

class Files : public testing::TestWithParam<std::string> {
 protected:
  std::vector<uint8_t> bytes_ = file_bytes(GetParam());
};

TEST_P(Files, BecomePillowsRgb) { expect_equal(decoded(bytes_), expected().at(GetParam() + ".rgb")); }
TEST_P(Files, BecomePillowsGray) { expect_equal(decoded(bytes_, 1), expected().at(GetParam() + ".gray")); }
TEST_P(Files, AreTurnedAsPillowTurnsThem) {
  const SafetensorsFile file = expected();
  const TensorView* turned = file.find(GetParam() + ".turned");
  EXPECT_EQ(turned != nullptr, GetParam().rfind("exif_", 0) == 0);
  expect_equal(decoded(bytes_, 3, true), turned ? *turned : file.at(GetParam() + ".rgb"));
}

std::string without_dots(const testing::TestParamInfo<std::string>& info) {
  std::string name = info.param;
  for (char& letter : name) letter = std::isalnum(static_cast<unsigned char>(letter)) ? letter : '_';
  return name;
}
INSTANTIATE_TEST_SUITE_P(Corpus, Files, testing::ValuesIn(files_of("", {".jpg", ".png"})), without_dots);

TEST(Corpus, HasEveryKind) {
  EXPECT_EQ(files_of("", {".jpg", ".png"}).size(), 85u);
  EXPECT_EQ(files_of("", {".npy"}).size(), 10u);
  EXPECT_EQ(files_of("bad/", {".jpg", ".png", ".npy"}).size(), 56u);
}

// The documented difference: the high byte, where Pillow clips at 255.
TEST(Png, Gray16KeepsItsHighByte) {
  const std::vector<uint8_t> bytes = file_bytes("png_gray_16.png");
  const Image image = decoded(bytes, 1);
  const auto [low, high] = std::minmax_element(image.bytes.begin(), image.bytes.end());
  EXPECT_LT(*low, 20);
  EXPECT_GT(*high, 235);
}

TEST(Npy, HoldsArraysAsTheyAre) {
  const SafetensorsFile file = expected();
  for (const std::string& name : files_of("", {".npy"})) {
    SCOPED_TRACE(name);
    const TensorView* want = file.find(name + ".array");
    if (!want) continue;  // versions 2 and 3: below
    expect_equal(decoded(file_bytes(name), int(want->shape[2])), *want);
  }
  for (const std::string name : {"npy_version2.npy", "npy_version3.npy"}) {
    const std::vector<uint8_t> bytes = file_bytes(name);
    EXPECT_EQ(decoded(bytes, 1).bytes, std::vector<uint8_t>(bytes.end() - 12, bytes.end())) << name;
  }
}

TEST(Npy, OneChannelServesAsThree) {
  for (const std::string name : {"npy_u1_2d.npy", "npy_u1_1.npy", "npy_u2_2d.npy", "npy_f4_2d.npy"}) {
    const Image one = decoded(file_bytes(name), 1), three = decoded(file_bytes(name), 3);
    const size_t size = one.dtype == UDI_U8 ? 1 : 4;
    ASSERT_EQ(three.bytes.size(), 3 * one.bytes.size());
    for (size_t i = 0; i < three.bytes.size() / size; ++i) {
      EXPECT_EQ(std::memcmp(three.bytes.data() + i * size, one.bytes.data() + i / 3 * size, size), 0) << name;
    }
  }
  expect_error(UDI_E_FORMAT, "has 3 channels, 1 are wanted", [] { decoded(file_bytes("npy_u1_3.npy"), 1); });
  expect_error(UDI_E_FORMAT, "has 2 channels, 3 are wanted", [] { decoded(file_bytes("npy_f4_2.npy"), 3); });
}

TEST(FileKind, IsToldByTheFirstBytes) {
  const auto kind = [](const std::string& name) {
    const std::vector<uint8_t> bytes = file_bytes(name);
    return file_kind(bytes.data(), bytes.size());
  };
  EXPECT_EQ(kind("jpeg_420.jpg"), FileKind::kJpeg);
  EXPECT_EQ(kind("png_1x1.png"), FileKind::kPng);
  EXPECT_EQ(kind("npy_u1_3.npy"), FileKind::kNpy);
  EXPECT_EQ(kind("bad/text_renamed.jpg"), FileKind::kOther);
  EXPECT_EQ(file_kind(nullptr, 0), FileKind::kOther);
}

TEST(Exif, TellsTheOrientation) {
  for (int orientation = 1; orientation <= 8; ++orientation) {
    const std::vector<uint8_t> bytes = file_bytes("exif_" + std::to_string(orientation) + ".jpg");
    EXPECT_EQ(exif_orientation(bytes.data(), bytes.size()), orientation);
  }
  for (const std::string name : {"exif_0.jpg", "exif_9.jpg", "jpeg_420.jpg", "png_1x1.png", "npy_u1_3.npy"}) {
    const std::vector<uint8_t> bytes = file_bytes(name);
    EXPECT_EQ(exif_orientation(bytes.data(), bytes.size()), 1) << name;
  }
  expect_error(UDI_E_INVALID, "1 to 8, not 9", [] { turn_upright(Image(), 9); });
}

// ---- Writing --------------------------------------------------------------------------------------------------------

TEST(Png, ReadsWhatItWrites) {
  for (const int channels : {1, 3}) {
    const Image image = decoded(file_bytes("jpeg_444.jpg"), channels);
    EXPECT_EQ(decoded(encode_png(image), channels).bytes, image.bytes);
  }
}

TEST(Jpeg, ReadsWhatItWrites) {
  for (const int channels : {1, 3}) {
    Image image;
    image.height = 40, image.width = 53, image.channels = channels;
    for (int i = 0; i < 40 * 53 * channels; ++i) image.bytes.push_back(uint8_t(60 + i / channels % 53 * 2));
    const Image again = decoded(encode_jpeg(image, 95), channels);
    ASSERT_EQ(again.bytes.size(), image.bytes.size());
    EXPECT_LE(udi_test::difference(again.u8(), image.u8(), image.bytes.size()).largest, 4);
  }
}

TEST(Encoders, RefuseWhatTheyCannotWrite) {
  Image image = decoded(file_bytes("jpeg_444.jpg"));
  for (const int quality : {0, 101}) {
    expect_error(UDI_E_INVALID, "quality", [&] { encode_jpeg(image, quality); });
  }
  expect_error(UDI_E_SHAPE, "0 x 0", [] {
    Image none;
    none.channels = 3;
    encode_jpeg(none, 90);
  });
  expect_error(UDI_E_SHAPE, "without pixels", [] {
    Image none;
    none.channels = 3;
    encode_png(none);
  });
  image.channels = 2;
  expect_error(UDI_E_SHAPE, "not of 2", [&] { encode_jpeg(image, 90); });
  expect_error(UDI_E_SHAPE, "not of 2", [&] { encode_png(image); });
}

}  // namespace
}  // namespace udi
