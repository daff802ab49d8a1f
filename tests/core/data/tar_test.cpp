#include "data/tar.h"

#include <gtest/gtest.h>

#include "data/support.h"
#include "data/tarball.h"

namespace udi {
namespace {

using udi_test::expect_error;
using udi_test::TarBuilder;
using udi_test::TempFolder;

struct Indexed {
  std::vector<TarEntry> entries;
  Skips skips;
  std::vector<std::string> names() const {
    std::vector<std::string> names;
    for (const TarEntry& entry : entries) names.push_back(entry.name);
    return names;
  }
};

Indexed index(const std::string& archive, const FormatLimits& limits = {}) {
  Indexed result;
  const MemoryBytes bytes(reinterpret_cast<const uint8_t*>(archive.data()), archive.size());
  result.entries = index_tar(bytes, "a.tar", result.skips, Host(), limits);
  return result;
}

std::string content(const std::string& archive, const TarEntry& entry) {
  return archive.substr(size_t(entry.offset), size_t(entry.size));
}

// Archives as the system's tar writes them, in each of its formats.
class SystemTar : public testing::TestWithParam<const char*> {};

TEST_P(SystemTar, IsReadInWhole) {
  TempFolder folder;
  const std::string format = GetParam();
  const std::string deep = std::string(90, 'd') + "/" + std::string(90, 'e') + "/";
  std::vector<std::string> names = {"a/1.jpg", "a/b/2.png", deep + std::string(90, 'f') + ".jpg"};  // 277 bytes
  if (format == "v7") names.pop_back();
  if (format == "ustar") names.back() = deep + "f.jpg";  // 155 + 100 bytes at most
  for (const std::string& name : names) {
    std::filesystem::create_directories(std::filesystem::path(folder / ("in/" + name)).parent_path());
    write_text(folder / ("in/" + name), "content of " + name);
  }
  const std::string command =
      "tar -C " + (folder / "in") + " --sort=name --format=" + format + " -cf " + (folder / "a.tar") + " .";
  ASSERT_EQ(std::system(command.c_str()), 0);
  const std::string archive = read_text(folder / "a.tar");
  const Indexed indexed = index(archive);
  EXPECT_EQ(indexed.skips.count, 0);
  EXPECT_EQ(indexed.names(), names);
  for (const TarEntry& entry : indexed.entries) EXPECT_EQ(content(archive, entry), "content of " + entry.name);
}
INSTANTIATE_TEST_SUITE_P(Formats, SystemTar, testing::Values("v7", "ustar", "gnu", "oldgnu", "pax"));

TEST(Tar, TakesPaxPathsAndSizes) {
  const std::string archive = TarBuilder()
                                  .pax({{"path", "long/name.jpg"}, {"size", "5"}, {"mtime", "1.5"}})
                                  .raw_header("short", 0, '0')
                                  .data("12345")
                                  .file("next.jpg", "6789")
                                  .finish();
  const Indexed indexed = index(archive);
  ASSERT_EQ(indexed.names(), (std::vector<std::string>{"long/name.jpg", "next.jpg"}));
  EXPECT_EQ(content(archive, indexed.entries[0]), "12345");
  EXPECT_EQ(content(archive, indexed.entries[1]), "6789");
}

TEST(Tar, TakesBinarySizes) {
  TarBuilder builder;
  std::string header = TarBuilder::header("big.jpg", 0, '0');
  header[124] = char(0x80);
  for (int i = 125; i < 136; ++i) header[size_t(i)] = 0;
  header[135] = 7;
  const std::string archive = builder.append(TarBuilder::sign(header)).data("1234567").finish();
  ASSERT_EQ(index(archive).entries.size(), 1u);
  EXPECT_EQ(index(archive).entries[0].size, 7u);
}

TEST(Tar, TakesTheLastOfEqualNames) {
  const std::string archive = TarBuilder().file("x.jpg", "old").file("y.jpg", "why").file("x.jpg", "new").finish();
  const Indexed indexed = index(archive);
  ASSERT_EQ(indexed.names(), (std::vector<std::string>{"y.jpg", "x.jpg"}));
  EXPECT_EQ(content(archive, indexed.entries[1]), "new");
  EXPECT_EQ(indexed.skips.count, 1);
}

TEST(Tar, LeavesOutWhatIsUnsafeOrNoFile) {
  TarBuilder builder;
  for (const char* name : {"/etc/passwd.jpg", "../up.jpg", "a/../../up.jpg", "a/..", "line\nbreak.jpg"}) {
    builder.file(name, "x");
  }
  builder.raw_header("link.jpg", 0, '2').raw_header("hard.jpg", 0, '1').raw_header("folder", 0, '5');
  builder.raw_header("sparse.jpg", 3, 'S').data("abc").raw_header("what.jpg", 3, 'Q').data("abc");
  builder.pax({{"GNU.sparse.major", "1"}}).file("sparse2.jpg", "abc");
  builder.pax({{"path", std::string("a\0b.jpg", 7)}}).file("nul.jpg", "abc");
  builder.file("./././good.jpg", "abc").file("..good.jpg", "abc");
  const Indexed indexed = index(builder.finish());
  EXPECT_EQ(indexed.names(), (std::vector<std::string>{"good.jpg", "..good.jpg"}));
  EXPECT_EQ(indexed.skips.count, 11);
}

TEST(Tar, RefusesDamage) {
  const std::string good = TarBuilder().file("one.jpg", std::string(700, '1')).file("two.jpg", "2").finish();
  expect_error(UDI_E_FORMAT, "an empty file", [] { index(""); });
  expect_error(UDI_E_FORMAT, "not a tar archive", [] { index(std::string(2048, 'x')); });
  expect_error(UDI_E_FORMAT, "reaches beyond the end", [&] { index(good.substr(0, 1000)); });
  expect_error(UDI_E_FORMAT, "cut off inside a header", [&] { index(good.substr(0, 100)); });
  expect_error(UDI_E_FORMAT, "cut off inside a header", [&] { index(good.substr(0, 1536 + 20)); });
  std::string flipped = good;
  flipped[1536 + 2] ^= 1;
  expect_error(UDI_E_FORMAT, "damaged at byte 1536: the header's checksum", [&] { index(flipped); });
  const auto huge = [](const std::string& size) {
    std::string header = TarBuilder::header("x.jpg", 0, '0');
    header.replace(124, size.size(), size);
    return TarBuilder().append(TarBuilder::sign(header)).finish();
  };
  expect_error(UDI_E_FORMAT, "reaches beyond the end", [&] { index(huge("77777777777")); });
  expect_error(UDI_E_FORMAT, "reaches beyond the end",
               [&] { index(huge(std::string("\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff", 12))); });
  expect_error(UDI_E_FORMAT, "the size is no number", [&] { index(huge(std::string(12, '\xff'))); });
  expect_error(UDI_E_FORMAT, "the size is no number", [&] { index(huge("12x")); });
}

TEST(Tar, RefusesDamagedExtensions) {
  const auto pax = [](const std::string& records) {
    return TarBuilder().raw_header("pax", records.size(), 'x').data(records).file("a.jpg", "x").finish();
  };
  EXPECT_EQ(index(pax("14 path=b.jpg\n")).names(), std::vector<std::string>{"b.jpg"});
  for (const char* records : {"path=b.jpg\n", "99 path=b.jpg\n", "0 path=b.jpg\n", "3 a\n", "14 path=b.jpgx\n",
                              "99999999999999999999 path=b.jpg\n", "10 path-b.\n"}) {
    expect_error(UDI_E_FORMAT, "pax record", [&] { index(pax(records)); });
  }
  for (const char* records : {"11 size=-1\n", "8 size=\n", "28 size=1000000000000000000\n"}) {
    expect_error(UDI_E_FORMAT, "pax size that is no number", [&] { index(pax(records)); });
  }
  expect_error(UDI_E_FORMAT, "beyond the end", [&] { index(pax("27 size=100000000000000000\n")); });
  expect_error(UDI_E_FORMAT, "more than max_name_bytes 4096", [] {
    index(TarBuilder().raw_header("L", 5000, 'L').data(std::string(5000, 'n')).file("a", "x").finish());
  });
  expect_error(UDI_E_FORMAT, "pax header of 2000000 bytes",
               [] { index(TarBuilder().raw_header("x", 2000000, 'x').data(std::string(2000000, 'n')).finish()); });
}

TEST(Tar, LimitsAreTheCallers) {
  const std::string name(5000, 'n'), plain = TarBuilder().file("seven.c", "x").finish();
  const std::string pax = TarBuilder().pax({{"path", name}}).file("short", "x").finish();
  const std::string gnu = TarBuilder().raw_header("L", 5001, 'L').data(name + '\0').file("short", "x").finish();
  for (const std::string& archive : {pax, gnu}) {
    expect_error(UDI_E_FORMAT, "a name of 5000 bytes, more than max_name_bytes 4096", [&] { index(archive); });
    expect_error(UDI_E_FORMAT, "more than max_name_bytes 4999", [&] { index(archive, {0, 4999}); });
    EXPECT_EQ(index(archive, {0, 5000}).names(), std::vector<std::string>{name});
  }
  EXPECT_EQ(index(plain, {0, 7}).names(), std::vector<std::string>{"seven.c"});
  expect_error(UDI_E_FORMAT, "a name of 7 bytes, more than max_name_bytes 6", [&] { index(plain, {0, 6}); });
  expect_error(UDI_E_FORMAT, "more than max_header_bytes 5010", [&] { index(pax, {5010, 5000}); });
  EXPECT_EQ(index(pax, {5011, 5000}).names(), std::vector<std::string>{name});
}

TEST(Tar, StopsOnACancel) {
  const std::string archive = TarBuilder().file("a.jpg", "x").finish();
  Host host;
  host.cancelled = true;
  Skips skips;
  const MemoryBytes bytes(reinterpret_cast<const uint8_t*>(archive.data()), archive.size());
  expect_error(UDI_E_CANCELLED, "cancelled", [&] { index_tar(bytes, "a.tar", skips, host); });
}

}  // namespace
}  // namespace udi
