// Files that are no images, cut short, damaged or built to harm: refused in words, never a crash.
#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>

#include "base/random.h"
#include "image/exif.h"
#include "image/support.h"

namespace udi {
namespace {

using udi_test::decoded;
using udi_test::expect_error;
using udi_test::file_bytes;
using udi_test::files_of;
using Bytes = std::vector<uint8_t>;

// What is said of each bad file; a file that is not listed has its own words in the decoder's library.
const std::map<std::string, std::string> kWords = {
    {"empty.jpg", "the file is empty"},
    {"text_renamed.jpg", "no JPEG, PNG or .npy"},
    {"html_renamed.png", "no JPEG, PNG or .npy"},
    {"gif_renamed.jpg", "no JPEG, PNG or .npy"},
    {"jpeg_magic_only.jpg", "the JPEG is truncated"},
    {"jpeg_two_components.jpg", "the JPEG"},
    {"png_magic_only.png", "the PNG is truncated"},
    {"png_no_data.png", "the PNG"},
    {"npy_magic_only.npy", "the .npy file is truncated"},
    {"npy_version_9.npy", "version 9: 1 to 3"},
    {"npy_header_too_long.npy", "its header of 65535 bytes is not all there"},
    {"npy_one_byte_more.npy", "holds 90 bytes of pixels, but has 91"},
    {"npy_lying_shape.npy", "holds 9000 bytes of pixels, but has 90"},
    {"npy_17_channels.npy", "17 channels"},
    {"npy_no_channel.npy", "0 channels"},
    {"npy_zero.npy", "0 x 6 pixels"},
    {"npy_scalar.npy", "0 dimensions"},
    {"npy_line.npy", "1 dimensions"},
    {"npy_four_dimensions.npy", "4 dimensions"},
    {"npy_fortran.npy", "Fortran order"},
    {"npy_float64.npy", "'<f8'"},
    {"npy_big_endian.npy", "'>u2'"},
    {"npy_object.npy", "'|O'"},
    {"npy_nan.npy", "not finite"},
    {"npy_infinity.npy", "not finite"},
};
const std::map<std::string, std::string> kTooLarge = {{"jpeg_bomb.jpg", "65500 x 65500"},
                                                      {"png_bomb.png", "100000 x 100000"},
                                                      {"png_huge.png", "2147483647 x 2147483647"}};

TEST(BadFiles, AreRefusedInWords) {
  for (const std::string& path : files_of("bad/", {".jpg", ".png", ".npy"})) {
    SCOPED_TRACE(path);
    const std::string name = path.substr(4);
    const Bytes bytes = file_bytes(path);
    for (const int channels : {3, 1}) {
      if (name.find("npy") == 0 && channels == 1) continue;
      if (kTooLarge.count(name)) {
        expect_error(UDI_E_MEMORY, kTooLarge.at(name), [&] { decoded(bytes, channels); });
      } else {
        const std::string kind = name.substr(0, 3);
        const std::string words = kWords.count(name) ? kWords.at(name)
                                  : kind == "jpe"    ? "the JPEG"
                                  : kind == "png"    ? "the PNG"
                                                     : "the .npy file";
        if (name != "npy_overflow.npy" && name.find("zero_") == std::string::npos) {
          expect_error(UDI_E_FORMAT, words, [&] { decoded(bytes, channels); });
        } else {
          EXPECT_THROW(decoded(bytes, channels), Error);
        }
      }
    }
  }
}

TEST(Limits, AreTheCallers) {
  const Bytes jpeg = file_bytes("jpeg_420.jpg"), png = file_bytes("png_pillow.png"), npy = file_bytes("npy_u1_3.npy");
  const std::map<const Bytes*, uint64_t> pixels = {{&jpeg, 33 * 45}, {&png, 21 * 33}, {&npy, 5 * 6}};
  for (const auto& [bytes, count] : pixels) {
    DecodeLimits limits;
    limits.max_pixels = count;
    limits.max_file_bytes = bytes->size();
    EXPECT_NO_THROW(decode_image(bytes->data(), bytes->size(), limits, 3));
    limits.max_pixels = count - 1;
    expect_error(UDI_E_MEMORY, "more than the limit of " + std::to_string(count - 1),
                 [&, bytes = bytes] { decode_image(bytes->data(), bytes->size(), limits, 3); });
    limits.max_pixels = count;
    limits.max_file_bytes = bytes->size() - 1;
    expect_error(UDI_E_MEMORY, "more than the limit of " + std::to_string(bytes->size() - 1),
                 [&, bytes = bytes] { decode_image(bytes->data(), bytes->size(), limits, 3); });
  }
  expect_error(UDI_E_FORMAT, "2 are wanted", [&] { decoded(jpeg, 2); });
}

// What Pillow cannot read is refused. Pillow goes on where the checksum of the pixels is cut off, libudi does not: all
// that may be missing is a PNG's last chunk of 12 bytes, which is empty.
TEST(Truncated, IsRefusedAsPillowRefusesIt) {
  const auto lengths = nlohmann::json::parse(read_text(udi_test::kImages + "truncated.json"));
  int refused = 0, read = 0;
  for (const auto& [name, cuts] : lengths.items()) {
    const Bytes bytes = file_bytes(name);
    const Image whole = decoded(bytes);
    for (const auto& [length, opens] : cuts.items()) {
      SCOPED_TRACE(name + " cut to " + length);
      const Bytes part(bytes.begin(), bytes.begin() + std::stol(length));
      if (part.size() + 12 >= bytes.size() && name.find("png") == 0) {
        EXPECT_TRUE(opens.get<bool>());
        EXPECT_EQ(decoded(part).bytes, whole.bytes);
        ++read;
      } else {
        expect_error(UDI_E_FORMAT, "truncated", [&] { decoded(part); });
        ++refused;
      }
    }
  }
  EXPECT_GT(refused, 250);
  EXPECT_EQ(read, 4 * 12);
}

TEST(Truncated, AtEveryLength) {
  for (const std::string name :
       {"jpeg_gray.jpg", "jpeg_1x17.jpg", "png_1x9.png", "npy_u1_3.npy", "npy_version2.npy", "exif_6.jpg"}) {
    const Bytes bytes = file_bytes(name);
    const int channels = name == "npy_version2.npy" ? 1 : 3;
    const Image whole = decoded(bytes, channels);
    for (size_t length = 0; length < bytes.size(); ++length) {
      const Bytes part(bytes.begin(), bytes.begin() + long(length));  // of its own size, so that ASan sees its end
      try {
        EXPECT_EQ(decoded(part, channels, false).bytes, whole.bytes) << name << " " << length;
      } catch (const Error& error) {
        EXPECT_EQ(error.status, UDI_E_FORMAT) << name << " " << length << ": " << error.message;
      }
      exif_orientation(part.data(), part.size());
    }
  }
}

// ---- Mutations ------------------------------------------------------------------------------------------------------

Bytes mutated(Bytes bytes, const Bytes& other, Random& random) {
  for (uint64_t change = 0, changes = 1 + random.below(4); change < changes && !bytes.empty(); ++change) {
    const size_t at = size_t(random.below(bytes.size()));
    const size_t count = size_t(random.below(std::min<uint64_t>(bytes.size() - at, 40))) + 1;
    const auto begin = bytes.begin() + long(at), end = begin + long(std::min(count, bytes.size() - at));
    switch (random.below(6)) {
      case 0:
        bytes[at] ^= uint8_t(1u << random.below(8));
        break;
      case 1:
        bytes[at] = uint8_t(random.next());
        break;
      case 2:
        bytes[at] = random.chance(0.5) ? 0xFF : 0;
        break;
      case 3:
        bytes.erase(begin, end);
        break;
      case 4: {
        const Bytes part(begin, end);
        bytes.insert(bytes.begin() + long(random.below(bytes.size())), part.begin(), part.end());
        break;
      }
      default:
        for (auto to = begin; to != end; ++to) *to = other[size_t(random.below(other.size()))];
    }
  }
  bytes.shrink_to_fit();
  return bytes;
}

TEST(Mutations, NeverCrash) {
  DecodeLimits limits;
  limits.max_pixels = 1 << 20;
  const std::vector<std::string> names = files_of("", {".jpg", ".png", ".npy"});
  Random random(11, Random::kTest);
  int read = 0, refused = 0;
  for (int round = 0; round < 40; ++round) {
    for (const std::string& name : names) {
      const Bytes bytes = mutated(file_bytes(name), file_bytes(names[size_t(random.below(names.size()))]), random);
      const int channels = random.chance(0.5) ? 3 : 1;
      try {
        const Image image = decode_image(bytes.data(), bytes.size(), limits, channels, random.chance(0.5));
        const size_t values = size_t(image.height) * size_t(image.width) * size_t(image.channels);
        EXPECT_EQ(image.channels, channels);
        EXPECT_TRUE(values > 0 && image.bytes.size() == values * (image.dtype == UDI_U8 ? 1 : 4));
        ++read;
      } catch (const Error& error) {
        EXPECT_TRUE(error.status == UDI_E_FORMAT || error.status == UDI_E_MEMORY) << name << ": " << error.message;
        EXPECT_GT(error.message.size(), 10u);
        ++refused;
      }
    }
  }
  EXPECT_GT(read, 200);
  EXPECT_GT(refused, 200);
}

}  // namespace
}  // namespace udi
