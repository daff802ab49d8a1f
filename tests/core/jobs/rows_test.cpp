#include "jobs/rows.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "base/error.h"
#include "base/files.h"
#include "base/safetensors.h"
#include "jobs/temporary.h"

namespace udi {
namespace {

const float kValues[] = {1, 2, 3, 4, 5, 6};

void write_rows(const std::string& path) {
  RowWriter writer(path, {3}, "features");
  writer.append(kValues, 1);
  writer.append(kValues + 3, 1);
  EXPECT_EQ(writer.rows(), 2);
  writer.finish();
}

// Writes a version 1 header with this dictionary and six floats behind it.
std::string npy(const std::string& dictionary, size_t values = 6) {
  const uint16_t length = uint16_t(dictionary.size());
  std::string file("\x93NUMPY\x01\x00", 8);
  file += {char(length & 0xFF), char(length >> 8)};
  return file + dictionary + std::string(reinterpret_cast<const char*>(kValues), values * sizeof(float));
}

NpyHeader parse(const std::string& bytes) {
  return parse_npy_header("file", reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
}

TEST(Rows, NpyHasTheBytesOfNumpy) {
  TemporaryFolder folder;
  write_rows(folder / "f.npy");
  const std::string file = read_text(folder / "f.npy");
  ASSERT_EQ(file.size(), 512u + 24);
  EXPECT_EQ(file.substr(0, 8), std::string("\x93NUMPY\x01\x00", 8));
  EXPECT_EQ(file.substr(8, 2), std::string("\xf6\x01", 2));  // 502
  EXPECT_EQ(file.find("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3, ), }"), 10u);
  EXPECT_EQ(file[511], '\n');
  EXPECT_EQ(file.substr(512), std::string(reinterpret_cast<const char*>(kValues), sizeof kValues));
}

TEST(Rows, SafetensorsAreReadByTheStrictReader) {
  TemporaryFolder folder;
  write_rows(folder / "f.safetensors");
  const SafetensorsFile file(folder / "f.safetensors");
  EXPECT_EQ(file.at("features").shape, (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(file.at("features").bytes, sizeof kValues);
}

TEST(Rows, BothAreReadBack) {
  TemporaryFolder folder;
  for (const char* name : {"f.npy", "f.safetensors"}) {
    write_rows(folder / name);
    const Rows rows = read_rows(folder / name);
    EXPECT_EQ(rows.count, 2);
    EXPECT_EQ(rows.width, 3);
    EXPECT_EQ(rows.values, std::vector<float>(kValues, kValues + 6));
  }
}

TEST(Rows, NoRowsAreAFileToo) {
  TemporaryFolder folder;
  for (const char* name : {"f.npy", "f.safetensors"}) {
    RowWriter writer(folder / name, {3}, "features");
    writer.finish();
    EXPECT_EQ(read_rows(folder / name).count, 0);
  }
}

TEST(Rows, WithoutFinishTheOldFileStaysAndNothingIsLeft) {
  TemporaryFolder folder;
  write_rows(folder / "f.npy");
  {
    RowWriter writer(folder / "f.npy", {1}, "features");
    writer.append(kValues, 6);
  }
  EXPECT_EQ(read_rows(folder / "f.npy").width, 3);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), {}), 1);
}

TEST(Rows, NamesThatFit) {
  EXPECT_EQ(paths_file("a/b.npy"), "a/b.paths.txt");
  EXPECT_EQ(paths_file("a/b.c.safetensors"), "a/b.c.paths.txt");
  EXPECT_THROW(check_row_path("a.bin"), Error);
  EXPECT_THROW(check_row_path(".npy"), Error);
  EXPECT_THROW(RowWriter("/nowhere/f.npy", {1}, "features"), Error);
}

TEST(Rows, HostileNpyHeadersAreErrors) {
  EXPECT_EQ(parse(npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }\n")).shape,
            (std::vector<int64_t>{2, 3}));
  const char* hostile[] = {
      "{'descr': '<f8', 'fortran_order': False, 'shape': (2, 3), }",
      "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 3), }",
      "{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3), }",
      "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 4), }",
      "{'descr': '<f4', 'fortran_order': False, 'shape': (-2, -3), }",
      "{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296), }",
      "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999, 3), }",
      "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3",
      "{'descr': '<f4', 'fortran_order': False, 'shape': (x), }",
      "{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,2,3), }",
      "{'descr': '<f4', 'fortran_order': False, }",
      "",
  };
  for (const char* header : hostile) EXPECT_THROW(parse(npy(header)), Error) << header;
  const std::string good = npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }");
  for (size_t size = 0; size < good.size(); ++size) EXPECT_THROW(parse(good.substr(0, size)), Error) << size;
}

}  // namespace
}  // namespace udi
