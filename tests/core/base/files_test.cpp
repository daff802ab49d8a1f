#include "base/files.h"

#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>
#include <stdexcept>

#include "base/support.h"

namespace udi {
namespace {

using udi_test::expect_error;
using udi_test::TempFolder;

TEST(Files, ReadsWhatWasWritten) {
  TempFolder folder;
  const std::string path = folder / "a";
  std::string content(3u << 20, 'x');
  for (size_t i = 0; i < content.size(); ++i) content[i] = char(i * 2654435761u >> 13);
  write_atomically(path, [&](const Append& append) {
    append(content.data(), 5);
    append(content.data() + 5, 2u << 20);
    append(content.data() + 5 + (2u << 20), content.size() - 5 - (2u << 20));
  });
  EXPECT_EQ(read_text(path), content);
  const MappedFile mapped(path);
  EXPECT_EQ(std::string(mapped.data(), mapped.data() + mapped.size()), content);
  write_text(path, "short");
  EXPECT_EQ(read_text(path), "short");
  EXPECT_EQ(folder.names(), std::vector<std::string>{"a"});
}

TEST(Files, AnEmptyFileIsEmpty) {
  TempFolder folder;
  write_text(folder / "empty", "");
  EXPECT_TRUE(read_file(folder / "empty", 0).empty());
  EXPECT_EQ(MappedFile(folder / "empty").size(), 0u);
}

TEST(Files, RefusesWhatIsNoReadableFile) {
  TempFolder folder;
  expect_error(UDI_E_NOT_FOUND, "no such file", [&] { read_file(folder / "absent", 10); });
  expect_error(UDI_E_NOT_FOUND, "no such file", [&] { MappedFile file(folder / "absent"); });
  expect_error(UDI_E_IO, "not a regular file", [&] { read_file("/", 10); });
  expect_error(UDI_E_IO, "not a regular file", [&] { MappedFile file("/dev/full"); });
  write_text(folder / "ten", "0123456789");
  expect_error(UDI_E_FORMAT, "10 bytes are more than the limit of 9", [&] { read_file(folder / "ten", 9); });
  EXPECT_EQ(read_file(folder / "ten", 10).size(), 10u);
}

TEST(Files, AWriterThatThrowsLeavesTheOldFile) {
  TempFolder folder;
  write_text(folder / "a", "old");
  EXPECT_THROW(write_atomically(folder / "a",
                                [](const Append& append) {
                                  append("new", 3);
                                  const std::string large(2u << 20, 'n');
                                  append(large.data(), large.size());
                                  throw std::runtime_error("half way");
                                }),
               std::runtime_error);
  EXPECT_EQ(read_text(folder / "a"), "old");
  EXPECT_EQ(folder.names(), std::vector<std::string>{"a"});
}

// The process may write files of `bytes` at most while this lives: what a full disk does, at a chosen byte.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    ::getrlimit(RLIMIT_FSIZE, &old_);
    rlimit limit = old_;
    limit.rlim_cur = bytes;
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &old_);
    std::signal(SIGXFSZ, handler_);
  }

 private:
  void (*handler_)(int);
  rlimit old_{};
};

TEST(Files, AFullDiskLeavesTheOldFile) {
  TempFolder folder;
  write_text(folder / "a", "old");
  const std::string large(3u << 20, 'n');
  for (const rlim_t room : {rlim_t(0), rlim_t(1), rlim_t(1u << 20), rlim_t((3u << 20) - 1)}) {
    const FileSizeLimit limit(room);
    try {
      write_text(folder / "a", large);
      ADD_FAILURE() << "no error with room for " << room;
    } catch (const Error& error) {
      EXPECT_EQ(error.status, UDI_E_IO);
      EXPECT_EQ(error.native_code, EFBIG);
    }
    EXPECT_EQ(folder.names(), std::vector<std::string>{"a"});
  }
  EXPECT_EQ(read_text(folder / "a"), "old");
}

TEST(Files, AFolderThatIsNotThereIsSaid) {
  TempFolder folder;
  expect_error(UDI_E_IO, "cannot be created", [&] { write_text(folder / "absent/a", "x"); });
}

TEST(Files, AFolderInTheWayIsSaid) {
  TempFolder folder;
  std::filesystem::create_directory(folder / "a");
  expect_error(UDI_E_IO, "cannot be replaced", [&] { write_text(folder / "a", "x"); });
  EXPECT_EQ(folder.names(), std::vector<std::string>{"a"});
}

}  // namespace
}  // namespace udi
