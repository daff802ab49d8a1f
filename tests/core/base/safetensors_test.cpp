#include "base/safetensors.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>

#include "base/support.h"

namespace udi {
namespace {

using udi_test::expect_error;
using udi_test::TempFolder;

using Bytes = std::vector<uint8_t>;

// A file of this header and `data` zero bytes, its length field as told or right.
Bytes file_of(const std::string& header, size_t data = 0, uint64_t told = UINT64_MAX) {
  const uint64_t size = told == UINT64_MAX ? header.size() : told;
  Bytes bytes(8 + header.size() + data, 0);
  std::memcpy(bytes.data(), &size, 8);
  std::memcpy(bytes.data() + 8, header.data(), header.size());
  return bytes;
}

SafetensorsFile parse(const Bytes& bytes, SafetensorsFile::Limits limits = {}) {
  return SafetensorsFile("test", bytes.data(), bytes.size(), limits);
}

void expect_bad(const std::string& words, const std::string& header, size_t data = 0) {
  expect_error(UDI_E_FORMAT, words, [&] { parse(file_of(header, data)); });
}

std::string entry(const std::string& name, const std::string& dtype, const std::string& shape,
                  const std::string& offsets) {
  return "\"" + name + "\":{\"dtype\":\"" + dtype + "\",\"shape\":" + shape + ",\"data_offsets\":" + offsets + "}";
}

TEST(Safetensors, RoundTrip) {
  TempFolder folder;
  const std::vector<float> weights = {1.5f, -0.0f, std::numeric_limits<float>::infinity(), 3e-40f, NAN, 7};
  const std::vector<int64_t> ids = {INT64_MIN, INT64_MAX};
  const uint8_t byte = 200;
  const std::vector<TensorView> tensors = {{"z.weight", UDI_F32, {2, 3}, weights.data(), 24},
                                           {"odd", UDI_U8, {}, &byte, 1},
                                           {"empty", UDI_F16, {4, 0, 2}, nullptr, 0},
                                           {"a \"quoted\" \xc3\xa9", UDI_I64, {2}, ids.data(), 16}};
  const Metadata metadata = {{"format", "pt"}, {"config", "{\"a\": [1, 2]}\n"}};
  write_safetensors(folder / "t.safetensors", tensors, metadata);

  const SafetensorsFile file(folder / "t.safetensors");
  EXPECT_EQ(file.metadata(), metadata);
  ASSERT_EQ(file.tensors().size(), tensors.size());
  for (size_t i = 0; i < tensors.size(); ++i) {
    const TensorView &want = tensors[i], &got = file.tensors()[i];
    EXPECT_EQ(got.name, want.name);
    EXPECT_EQ(got.dtype, want.dtype);
    EXPECT_EQ(got.shape, want.shape);
    ASSERT_EQ(got.bytes, want.bytes);
    if (want.bytes) {
      EXPECT_EQ(std::memcmp(got.data, want.data, want.bytes), 0);
    }
  }
  EXPECT_EQ(reinterpret_cast<uintptr_t>(file.tensors()[0].data) % 64, 0u);
  EXPECT_EQ(file.find("odd")->elements(), 1);
  EXPECT_EQ(file.find("empty")->elements(), 0);
  EXPECT_EQ(file.find("absent"), nullptr);
  expect_error(UDI_E_NOT_FOUND, "holds no tensor 'absent'", [&] { file.at("absent"); });
}

// {"b": uint16 [1, 2], "a": float16 scalar} and metadata {"k": "v"}, byte by byte as the format's page has it.
TEST(Safetensors, ReadsAndWritesTheBytesOfTheFormat) {
  const std::string header =
      "{\"__metadata__\":{\"k\":\"v\"},\"b\":{\"dtype\":\"U16\",\"shape\":[1,2],\"data_offsets\":[0,4]},"
      "\"a\":{\"dtype\":\"F16\",\"shape\":[],\"data_offsets\":[4,6]}}";
  Bytes bytes = file_of(header + std::string(7, ' '));
  const uint8_t data[] = {0x34, 0x12, 0xff, 0xff, 0x00, 0x3c};
  bytes.insert(bytes.end(), data, data + 6);
  const SafetensorsFile file = parse(bytes);
  ASSERT_EQ(file.tensors().size(), 2u);
  EXPECT_EQ(file.tensors()[0].name, "b");
  EXPECT_EQ(std::memcmp(file.at("b").data, "\x34\x12\xff\xff", 4), 0);
  EXPECT_EQ(file.at("a").dtype, UDI_F16);
  EXPECT_EQ(file.metadata().at("k"), "v");

  TempFolder folder;
  write_safetensors(folder / "t", file.tensors(), file.metadata());
  const Bytes written = read_file(folder / "t", 1000);
  uint64_t size = 0;
  std::memcpy(&size, written.data(), 8);
  EXPECT_EQ((8 + size) % 64, 0u);
  const std::string text(written.begin() + 8, written.begin() + 8 + ptrdiff_t(size));
  EXPECT_EQ(text.substr(0, header.size()), header);
  EXPECT_EQ(text.find_first_not_of(' ', header.size()), std::string::npos);
  EXPECT_EQ(Bytes(written.begin() + 8 + ptrdiff_t(size), written.end()), Bytes(data, data + 6));
}

TEST(Safetensors, TensorsComeInTheOrderOfTheirBytes) {
  const auto bytes = file_of("{" + entry("late", "U8", "[2]", "[1,3]") + "," + entry("none", "U8", "[0]", "[1,1]") +
                                 "," + entry("early", "U8", "[1]", "[0,1]") + "}",
                             3);
  const SafetensorsFile file = parse(bytes);
  ASSERT_EQ(file.tensors().size(), 3u);
  EXPECT_EQ(file.tensors()[0].name, "early");
  EXPECT_EQ(file.tensors()[1].name, "none");
  EXPECT_EQ(file.tensors()[2].name, "late");
}

TEST(Safetensors, EveryDtypeHasItsSize) {
  const std::pair<const char*, int> dtypes[] = {{"BOOL", 1}, {"U8", 1},   {"I8", 1},  {"U16", 2}, {"I16", 2},
                                                {"F16", 2},  {"BF16", 2}, {"U32", 4}, {"I32", 4}, {"F32", 4},
                                                {"U64", 8},  {"I64", 8},  {"F64", 8}};
  for (const auto& [name, size] : dtypes) {
    const auto bytes = file_of("{" + entry("t", name, "[1]", "[0," + std::to_string(size) + "]") + "}", size_t(size));
    const SafetensorsFile file = parse(bytes);
    EXPECT_STREQ(dtype_name(file.at("t").dtype), name);
    EXPECT_EQ(dtype_size(file.at("t").dtype), size_t(size));
  }
  for (const char* name : {"F8_E4M3", "F8_E5M2", "f32", "", "F4", "C64"}) {
    expect_bad("dtype '" + std::string(name) + "' is not one", "{" + entry("t", name, "[1]", "[0,1]") + "}", 1);
  }
  expect_error(UDI_E_INVALID, "dtype 9", [] { dtype_size(9); });
}

TEST(Safetensors, HostileLengths) {
  expect_error(UDI_E_FORMAT, "0 bytes are too few", [] { parse({}); });
  expect_error(UDI_E_FORMAT, "7 bytes are too few", [] { parse(Bytes(7, 0)); });
  expect_error(UDI_E_FORMAT, "9223372036854775808 bytes is larger", [] { parse(file_of("{}", 0, 1ull << 63)); });
  expect_error(UDI_E_FORMAT, "is larger than the limit", [] { parse(file_of("{}", 0, UINT64_MAX - 1)); });
  expect_error(UDI_E_FORMAT, "ends within its header", [] { parse(file_of("{}", 0, 3)); });
  expect_error(UDI_E_FORMAT, "ends within its header", [] { parse(file_of("", 0, 1)); });
  expect_error(UDI_E_FORMAT, "does not start with", [] { parse(file_of("")); });
  SafetensorsFile::Limits limits;
  limits.header_bytes = 10;
  expect_error(UDI_E_FORMAT, "larger than the limit of 10", [&] { parse(file_of("{         }"), limits); });
  EXPECT_TRUE(parse(file_of("{        }"), limits).tensors().empty());
}

TEST(Safetensors, HostileJson) {
  expect_bad("does not start with", " {}");
  expect_bad("does not start with", "\xef\xbb\xbf{}");
  expect_bad("does not start with", "[]");
  expect_bad("does not start with", "{");
  expect_bad("no valid JSON", "{ ");
  expect_bad("no valid JSON", "{}x");
  expect_bad("no valid JSON", "{}{}");
  expect_bad("NUL byte", std::string("{}\0", 3));
  expect_bad("no valid JSON in UTF-8", "{\"\xff\":1}");
  expect_bad("no valid JSON in UTF-8", "{\"\xed\xa0\x80\":1}");
  expect_bad("no valid JSON", "{/* */}");
  expect_bad("NUL character", "{" + entry("a\\u0000b", "U8", "[0]", "[0,0]") + "}");
  expect_bad("a number stands", "{\"a\":1}");
  expect_bad("a string stands", "{\"a\":\"b\"}");
  expect_bad("an array stands", "{\"a\":[]}");
  expect_bad("null stands", "{\"a\":null}");
  expect_bad("a boolean stands", "{\"a\":true}");
  expect_bad("an array stands", "{\"__metadata__\":[]}");
  expect_bad("a number stands", "{\"__metadata__\":{\"a\":1}}");
  expect_bad("an object stands", "{\"__metadata__\":{\"a\":{}}}");
  expect_bad("is given twice", "{\"__metadata__\":{\"a\":\"1\",\"a\":\"2\"}}");
  expect_bad("is given twice", "{\"__metadata__\":{},\"__metadata__\":{}}");
  std::string deep = "{\"a\":";
  deep.append(1000000, '[');
  expect_bad("an array stands", deep);
}

TEST(Safetensors, HostileEntries) {
  const std::string good = entry("a", "U8", "[1]", "[0,1]");
  expect_bad("'a' is given twice", "{" + good + "," + good + "}", 1);
  expect_bad("'a' is given twice", "{" + good + "," + entry("\\u0061", "U8", "[0]", "[1,1]") + "}", 1);
  expect_bad("is missing", "{\"a\":{}}");
  expect_bad("is missing", R"({"a":{"dtype":"U8","shape":[0]}})");
  expect_bad("dtype is given twice", R"({"a":{"dtype":"U8","dtype":"U8","shape":[0],"data_offsets":[0,0]}})");
  expect_bad("unknown field 'x'", R"({"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0],"x":1}})");
  expect_bad("are not two numbers", "{" + entry("a", "U8", "[0]", "[0]") + "}");
  expect_bad("too many numbers", "{" + entry("a", "U8", "[0]", "[0,0,0]") + "}");
  expect_bad("an array stands", "{" + entry("a", "U8", "[[0]]", "[0,0]") + "}");
  expect_bad("an object stands", "{" + entry("a", "U8", "[{}]", "[0,0]") + "}");
  expect_bad("a number stands", "{" + entry("a", "U8", "0", "[0,0]") + "}");
  expect_bad("an array stands", R"({"a":{"dtype":["U8"],"shape":[0],"data_offsets":[0,0]}})");
  expect_bad("-1 is negative", "{" + entry("a", "U8", "[-1]", "[0,0]") + "}");
  expect_bad("1.0 is no whole number", "{" + entry("a", "U8", "[1.0]", "[0,1]") + "}", 1);
  expect_bad("18446744073709551616 is no whole", "{" + entry("a", "U8", "[18446744073709551616]", "[0,1]") + "}", 1);
}

TEST(Safetensors, HostileShapesAndRanges) {
  const auto one = [](const std::string& shape, const std::string& offsets) {
    return "{" + entry("a", "F32", shape, offsets) + "}";
  };
  expect_bad("shape and dtype need 4 bytes, data_offsets give 3", one("[1]", "[0,3]"), 3);
  expect_bad("a dimension of 18446744073709551615", one("[18446744073709551615]", "[0,4]"), 4);
  expect_bad("more elements than 64 bits count", one("[4294967296,4294967296]", "[0,0]"));
  expect_bad("more elements than 64 bits count", one("[4611686018427387904]", "[0,0]"));
  expect_bad("more elements than 64 bits count", one("[0,9223372036854775807,9223372036854775807]", "[0,0]"));
  expect_bad("are not within the 4 bytes", one("[1]", "[4,8]"), 4);
  expect_bad("are not within the 4 bytes", one("[1]", "[4,0]"), 4);
  expect_bad("are not within", one("[1]", "[18446744073709551612,0]"), 4);
  expect_bad("leave a gap", one("[1]", "[1,5]"), 5);
  expect_bad("1 bytes after the last", one("[1]", "[0,4]"), 5);
  expect_bad("1 bytes after the last", "{}", 1);
  expect_bad("overlap", "{" + entry("a", "U8", "[2]", "[0,2]") + "," + entry("b", "U8", "[2]", "[1,3]") + "}", 3);
  expect_bad("overlap", "{" + entry("a", "U8", "[2]", "[0,2]") + "," + entry("b", "U8", "[2]", "[0,2]") + "}", 2);
  expect_bad("overlap", "{" + entry("a", "U8", "[2]", "[0,2]") + "," + entry("b", "U8", "[0]", "[1,1]") + "}", 2);
  std::string many = "[1";
  for (int i = 0; i < 64; ++i) many += ",1";
  expect_bad("too many numbers in shape", one(many + "]", "[0,4]"), 4);
}

TEST(Safetensors, NamesHaveALimit) {
  const auto named = [](size_t size) {
    return file_of("{" + entry(std::string(size, 'n'), "U8", "[0]", "[0,0]") + "}");
  };
  EXPECT_EQ(parse(named(1024)).tensors().size(), 1u);
  expect_error(UDI_E_FORMAT, "1025 bytes is longer than the limit of 1024", [&] { parse(named(1025)); });
}

TEST(Safetensors, EveryTruncationIsAnError) {
  TempFolder folder;
  const std::vector<float> values(40, 1.0f);
  write_safetensors(folder / "t", {{"a", UDI_F32, {4, 5}, values.data(), 80}, {"b", UDI_F32, {20}, values.data(), 80}},
                    {{"k", "v"}});
  const Bytes bytes = read_file(folder / "t", 1u << 20);
  for (size_t size = 0; size < bytes.size(); ++size) {
    const Bytes cut(bytes.begin(), bytes.begin() + ptrdiff_t(size));
    EXPECT_THROW(parse(cut), Error) << size;
  }
}

TEST(Safetensors, TheWriterRefusesWhatTheReaderWould) {
  TempFolder folder;
  const float value = 0;
  const TensorView good = {"a", UDI_F32, {1}, &value, 4};
  const auto refuse = [&](const std::string& words, const std::vector<TensorView>& tensors, const Metadata& metadata) {
    expect_error(UDI_E_INVALID, words, [&] { write_safetensors(folder / "t", tensors, metadata); });
  };
  refuse("two tensors of the name 'a'", {good, good}, {});
  refuse("__metadata__", {{"__metadata__", UDI_F32, {1}, &value, 4}}, {});
  refuse("NUL", {{std::string("a\0b", 3), UDI_F32, {1}, &value, 4}}, {});
  refuse("not UTF-8", {{"\xff", UDI_F32, {1}, &value, 4}}, {});
  refuse("not UTF-8", {good}, {{"k", "\xff"}});
  refuse("another number", {{"a", UDI_F32, {1}, &value, 3}}, {});
  refuse("dtype 77", {{"a", 77, {1}, &value, 4}}, {});
  EXPECT_TRUE(folder.names().empty());
}

}  // namespace
}  // namespace udi
