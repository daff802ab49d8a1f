#include "weights/zip.h"

#include "weights/support.h"
#include "weights/zip_write.h"

namespace udi {
namespace {

using udi_test::bytes_of;
using udi_test::expect_error;
using udi_test::number;
using udi_test::Zip;
using udi_test::ZipLine;

ZipLine line(const std::string& name, const std::string& data) {
  ZipLine made;
  made.name = name;
  made.data = data;
  return made;
}

Zip two_entries() {
  Zip zip;
  zip.lines = {line("a/one", "first"), line("a/two", "second")};
  return zip;
}

void read(const std::string& file, ZipFile::Limits limits = {}) {
  const std::vector<uint8_t> exact(bytes_of(file), bytes_of(file) + file.size());
  const ZipFile zip("test", exact.data(), exact.size(), limits);
  for (const ZipEntry& entry : zip.entries()) zip.verify(entry);
}

void expect_bad(const std::string& words, const Zip& zip, udi_status status = UDI_E_FORMAT) {
  expect_error(status, words, [&] { read(zip.bytes()); });
}

// Changes one field of the second entry and expects the archive to be refused.
template <class Change>
void expect_bad_line(const std::string& words, Change&& change, udi_status status = UDI_E_FORMAT) {
  Zip zip = two_entries();
  change(zip.lines[1]);
  expect_bad(words, zip, status);
}

TEST(Zip, FindsEntries) {
  const std::string file = two_entries().bytes();
  const ZipFile zip("test", bytes_of(file), file.size(), {});
  ASSERT_EQ(zip.entries().size(), 2u);
  const ZipEntry* two = zip.find("a/two");
  ASSERT_TRUE(two);
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(two->data), two->size), "second");
  EXPECT_EQ(zip.find("a/three"), nullptr);
}

TEST(Zip, WritesWhatItReads) {
  for (const uint64_t zip64_from : {uint64_t(UINT32_MAX), uint64_t(0), uint64_t(100)}) {
    std::string file;
    const Append append = [&](const void* data, size_t size) { file.append(static_cast<const char*>(data), size); };
    ZipWriter writer(append, zip64_from);
    const std::string large(1000, 'x');
    writer.add("f/empty", nullptr, 0);
    writer.add("f/large", large.data(), large.size());
    writer.add("f/small", "abc", 3);
    writer.finish();

    const ZipFile zip("test", bytes_of(file), file.size(), {});
    ASSERT_EQ(zip.entries().size(), 3u) << zip64_from;
    for (const ZipEntry& entry : zip.entries()) {
      EXPECT_EQ((entry.data - bytes_of(file)) % 64, 0);
      zip.verify(entry);
    }
    EXPECT_EQ(zip.find("f/empty")->size, 0u);
    EXPECT_EQ(std::string(reinterpret_cast<const char*>(zip.find("f/large")->data), 1000), large);
    EXPECT_EQ(std::memcmp(zip.find("f/small")->data, "abc", 3), 0);
  }
}

TEST(Zip, EveryTruncationIsAnError) {
  const std::string file = two_entries().bytes();
  for (size_t size = 0; size < file.size(); ++size) {
    EXPECT_THROW(read(file.substr(0, size)), Error) << size;
  }
}

TEST(Zip, NoChangedBitIsACrash) {
  Zip zip = two_entries();
  for (ZipLine& entry : zip.lines) {
    entry.crc = uint32_t(crc32_z(0, bytes_of(entry.data), entry.data.size()));
  }
  const std::string file = zip.bytes();
  const size_t data = 30 + std::strlen("a/one");
  int refused = 0;
  for (size_t at = 0; at < file.size(); ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string changed = file;
      changed[at] = char(changed[at] ^ 1 << bit);
      try {
        read(changed);
        EXPECT_FALSE(at >= data && at < data + 5) << "a changed content was not seen";
      } catch (const Error&) {
        ++refused;
      }
    }
  }
  EXPECT_GT(refused, int(file.size()) * 4);  // the rest are times, versions and attributes
}

TEST(Zip, RefusesWhatTwoReadersMayReadDifferently) {
  Zip zip = two_entries();
  zip.lines[1].name = "a/one";
  expect_bad("two entries are named 'a/one'", zip);
  expect_bad_line("called otherwise", [](ZipLine& entry) { entry.local_name = "a/owt"; });
  expect_bad_line("called otherwise", [](ZipLine& entry) { entry.local_name = "a/twos"; });
  expect_bad_line("differ", [](ZipLine& entry) { entry.local_size = 5; });
  expect_bad_line("share byte", [](ZipLine& entry) {
    entry.name = "a/one";  // a second line for the first entry
    entry.offset = 0;
    entry.packed = entry.unpacked = 5;
  });
  zip = two_entries();
  zip.before = "MZ";
  zip.lines[0].offset = 2;
  expect_bad("bytes stand before the first entry", zip);
  zip = two_entries();
  zip.after = "x";
  expect_bad("no end record", zip);
  zip = two_entries();
  zip.between = "an entry within an entry";
  zip.lines[1].data = "PK\3\4";
  zip.lines[1].packed = zip.lines[1].unpacked = 4 + 10;  // reaches into what follows
  read(zip.bytes());                                     // nothing is shared: one meaning
  zip.lines[1].packed = zip.lines[1].unpacked = 1000;
  expect_bad("reaches past", zip);
}

TEST(Zip, RefusesWrongPlacesAndSizes) {
  expect_bad_line("no entry at byte", [](ZipLine& entry) { entry.offset = 1; });
  expect_bad_line("is said to start", [](ZipLine& entry) { entry.offset = 0x7fffffff; });
  expect_bad_line("reaches past", [](ZipLine& entry) { entry.packed = entry.unpacked = 0x7fffffff; });
  expect_bad_line("two sizes", [](ZipLine& entry) { entry.unpacked = 5; });
  expect_bad_line("checksum is wrong", [](ZipLine& entry) { entry.crc = 7; });
  for (const int64_t wrong : {int64_t(0), int64_t(1), int64_t(1000), int64_t(0xfffffffe)}) {
    Zip zip = two_entries();
    zip.directory_offset = wrong;
    expect_bad("does not end at the end record", zip);
    zip = two_entries();
    zip.directory_size = wrong;
    expect_bad("does not end at the end record", zip);
  }
  Zip zip = two_entries();
  zip.entries = 1;
  expect_bad("of the directory are no entry", zip);
  zip.entries = 3;
  expect_bad("ends within entry", zip);
  zip = two_entries();
  zip.lines[1].extra = number(9, 2) + number(500, 2);
  expect_bad("extra fields are cut off", zip);
}

TEST(Zip, RefusesOtherKinds) {
  expect_bad_line(
      "compressed (method 8)", [](ZipLine& entry) { entry.method = 8; }, UDI_E_UNSUPPORTED);
  expect_bad_line(
      "encrypted", [](ZipLine& entry) { entry.flags = 1; }, UDI_E_UNSUPPORTED);
  expect_bad_line(
      "encrypted", [](ZipLine& entry) { entry.flags = 1 << 6; }, UDI_E_UNSUPPORTED);
}

TEST(Zip, RefusesNamesThatLeaveTheArchive) {
  for (const char* name : {"/etc/passwd", "../x", "a/../../x", "a\\..\\x", "a/.."}) {
    Zip zip = two_entries();
    zip.lines[1].name = name;
    expect_bad("an entry is named", zip);
  }
  Zip zip = two_entries();
  zip.lines[1].name = std::string("a/b\0c", 5);
  expect_bad("NUL", zip);
  zip.lines[1].name = "a/..b";  // only looks like one
  read(zip.bytes());
  zip.lines[1].name = std::string(2000, 'n');
  expect_bad("longer than the limit", zip);
}

// ---- zip64 ---------------------------------------------------------------------------------------------------------

std::string end64(uint64_t entries, uint64_t size, uint64_t offset) {
  return "PK\6\6" + number(44, 8) + number(45, 2) + number(45, 2) + number(0, 8) + number(entries, 8) +
         number(entries, 8) + number(size, 8) + number(offset, 8);
}

std::string locator(uint64_t record) { return "PK\6\7" + number(0, 4) + number(record, 8) + number(1, 4); }

struct Places {
  uint64_t offset, size, end;
};

Places places(const Zip& zip) {
  const std::string file = zip.bytes();
  const uint64_t end = file.size() - 22, size = 2 * (46 + 5);
  return {end - size, size, end};
}

TEST(Zip, Zip64) {
  Zip zip = two_entries();
  const Places at = places(zip);
  zip.zip64 = end64(2, at.size, at.offset) + locator(at.end);
  read(zip.bytes());
  for (const uint64_t lie : {uint64_t(1), uint64_t(1) << 40, UINT64_MAX - 7}) {
    zip.zip64 = end64(lie, at.size, at.offset) + locator(at.end);
    expect_bad("end records differ", zip);
    zip.zip64 = end64(2, lie, at.offset) + locator(at.end);
    expect_bad("end records differ", zip);
    zip.zip64 = end64(2, at.size, lie) + locator(at.end);
    expect_bad("end records differ", zip);
    zip.zip64 = end64(2, at.size, at.offset) + locator(lie);
    expect_bad("where no end record is", zip);
  }
  // A short record that leaves all to the long one.
  zip.entries = 0xffff;
  zip.directory_size = zip.directory_offset = 0xffffffff;
  zip.zip64 = end64(2, at.size, at.offset) + locator(at.end);
  read(zip.bytes());
  zip.zip64 = end64(UINT64_MAX, at.size, at.offset) + locator(at.end);
  expect_bad("more than the limit", zip);
  zip.zip64 = end64(1u << 20, at.size, at.offset) + locator(at.end);
  expect_bad("ends within entry", zip);
  zip.zip64 = end64(2, UINT64_MAX, at.offset) + locator(at.end);
  expect_bad("does not end at the end record", zip);
  zip.zip64 = end64(2, at.size, UINT64_MAX - 10) + locator(at.end);
  expect_bad("does not end at the end record", zip);
  zip.zip64 = end64(2, at.size, at.offset);
  expect_bad("does not end at the end record", zip);
}

TEST(Zip, Zip64Sizes) {
  const auto wide = [](std::initializer_list<uint64_t> values) {
    std::string field = number(1, 2) + number(8 * values.size(), 2);
    for (const uint64_t value : values) field += number(value, 8);
    return field;
  };
  Zip zip = two_entries();
  ZipLine& entry = zip.lines[1];
  entry.packed = entry.unpacked = entry.local_size = 0xffffffff;
  entry.extra = entry.local_extra = wide({6, 6});
  read(zip.bytes());
  entry.extra = wide({6});
  expect_bad("too short", zip);
  entry.extra = wide({6, 6}) + wide({6, 6});
  expect_bad("two zip64 fields", zip);
  entry.extra = wide({5, 5});
  expect_bad("differ", zip);
  for (const uint64_t lie : {uint64_t(1) << 40, UINT64_MAX, UINT64_MAX - 40}) {
    entry.extra = entry.local_extra = wide({lie, lie});
    expect_bad("reaches past", zip);
  }
  entry.extra = entry.local_extra = "";
  expect_bad("reaches past", zip);
}

}  // namespace
}  // namespace udi
