#include "data/source.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <thread>

#include "data/support.h"
#include "data/tarball.h"

namespace udi {
namespace {

using udi_test::expect_error;
using udi_test::LogHost;
using udi_test::TarBuilder;
using udi_test::TempFolder;

void write(const std::string& path, const std::string& content) {
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  write_text(path, content);
}

ImageSource open_source(const std::string& path, const Host& host = Host()) {
  return ImageSource::open(path, ImageSource::Options(), host);
}

std::vector<std::string> names(const ImageSource& source) {
  std::vector<std::string> names;
  for (int64_t i = 0; i < source.size(); ++i) names.push_back(source.name(i));
  return names;
}
std::vector<int64_t> labels(const ImageSource& source) {
  std::vector<int64_t> labels;
  for (int64_t i = 0; i < source.size(); ++i) labels.push_back(source.label(i));
  return labels;
}
std::string content(const ImageSource& source, int64_t i) {
  std::vector<uint8_t> bytes;
  source.read(i, bytes);
  return std::string(bytes.begin(), bytes.end());
}

using Names = std::vector<std::string>;
using Labels = std::vector<int64_t>;

TEST(FolderSource, TakesClassesFromItsFirstFolders) {
  TempFolder folder;
  for (const char* name : {"dog/b.JPG", "dog/a.jpeg", "cat-2/x.png", "cat/deep/er/y.Png", "cat/z.npy", "root.jpg",
                           "dog/notes.txt", ".hidden.jpg", ".git/c.jpg", "dog/.d.jpg", "empty/readme"}) {
    write(folder / name, name);
  }
  const ImageSource source = open_source(folder / "");
  EXPECT_EQ(names(source),
            (Names{"cat-2/x.png", "cat/deep/er/y.Png", "cat/z.npy", "dog/a.jpeg", "dog/b.JPG", "root.jpg"}));
  EXPECT_EQ(source.classes(), (Names{"cat", "cat-2", "dog"}));
  EXPECT_EQ(labels(source), (Labels{1, 0, 0, 2, 2, -1}));
  EXPECT_EQ(content(source, 3), "dog/a.jpeg");
  EXPECT_EQ(source.skips().count, 0);
}

TEST(FolderSource, SurvivesCirclesOfLinks) {
  TempFolder folder;
  write(folder / "a/1.jpg", "1");
  write(folder / "elsewhere/2.jpg", "2");
  std::filesystem::create_directory_symlink("..", folder / "a/up");
  std::filesystem::create_directory_symlink(".", folder / "a/self");
  std::filesystem::create_directory_symlink("loop", folder / "loop");
  std::filesystem::create_directory_symlink(folder / "elsewhere", folder / "a/there");
  std::filesystem::create_symlink("1.jpg", folder / "a/link.jpg");
  std::filesystem::create_symlink("nowhere", folder / "a/broken.jpg");
  ASSERT_EQ(::mkfifo((folder / "a/pipe.jpg").c_str(), 0600), 0);
  const ImageSource source = open_source(folder / "");
  EXPECT_EQ(names(source), (Names{"a/1.jpg", "a/link.jpg", "a/there/2.jpg"}));
  EXPECT_EQ(source.skips().count, 2);  // the broken link and the pipe
}

TEST(FolderSource, SaysWhatIsWrong) {
  TempFolder folder;
  write(folder / "notes.txt", "");
  write(folder / "file.bin", "");
  expect_error(UDI_E_NOT_FOUND, "no such file or folder", [&] { open_source(folder / "absent"); });
  expect_error(UDI_E_NOT_FOUND, "no .jpg, .jpeg, .png or .npy image there", [&] { open_source(folder / ""); });
  expect_error(UDI_E_UNSUPPORTED, "not a folder, a list", [&] { open_source(folder / "file.bin"); });
}

TEST(FolderSource, ReadsWithinItsLimits) {
  TempFolder folder;
  write(folder / "a.jpg", "12345");
  ImageSource::Options options;
  options.max_file_bytes = 4;
  const ImageSource small = ImageSource::open(folder / "", options, Host());
  std::vector<uint8_t> bytes;
  expect_error(UDI_E_MEMORY, "5 bytes are more than max_file_bytes 4", [&] { small.read(0, bytes); });
  const ImageSource source = open_source(folder / "");
  std::filesystem::remove(folder / "a.jpg");
  expect_error(UDI_E_NOT_FOUND, "a.jpg: no such file", [&] { source.read(0, bytes); });
  ASSERT_EQ(::mkfifo((folder / "a.jpg").c_str(), 0600), 0);
  expect_error(UDI_E_IO, "not a regular file", [&] { source.read(0, bytes); });  // and does not wait for a writer
}

TEST(ListSource, IsRelativeToItsFolder) {
  TempFolder folder, other;
  write(folder / "img/a.jpg", "A");
  write(other / "b.jpg", "B");
  write(folder / "set.txt", "img/b missing.png\t3\r\nimg/a.jpg\t7\n\n" + (other / "b.jpg") + "\nimg/a.jpg\t 7 ");
  const ImageSource source = open_source(folder / "set.txt");
  EXPECT_EQ(names(source), (Names{other / "b.jpg", "img/a.jpg", "img/a.jpg", "img/b missing.png"}));
  EXPECT_EQ(labels(source), (Labels{-1, 7, 7, 3}));
  EXPECT_TRUE(source.classes().empty());
  EXPECT_EQ(content(source, 0), "B");
  EXPECT_EQ(content(source, 1), "A");
  std::vector<uint8_t> bytes;
  expect_error(UDI_E_NOT_FOUND, "missing.png", [&] { source.read(3, bytes); });
}

TEST(ListSource, RefusesBadLines) {
  TempFolder folder;
  const auto open_list = [&](const std::string& lines) {
    write(folder / "set.lst", lines);
    open_source(folder / "set.lst");
  };
  expect_error(UDI_E_FORMAT, "line 2: the label after the tab", [&] { open_list("a.jpg\nb.jpg\tcat\n"); });
  expect_error(UDI_E_FORMAT, "line 1: the label after the tab", [&] { open_list("b.jpg\t-1\n"); });
  expect_error(UDI_E_FORMAT, "line 1: the label after the tab", [&] { open_list("b.jpg\t2147483648\n"); });
  expect_error(UDI_E_FORMAT, "line 1 has no path", [&] { open_list("\t1\n"); });
  expect_error(UDI_E_FORMAT, "line 1 is not text", [&] { open_list(std::string("a\0b\n", 4)); });
  expect_error(UDI_E_NOT_FOUND, "no .jpg", [&] { open_list("\n\n"); });
}

std::string plain_tar() {
  return TarBuilder()
      .raw_header("set/train", 0, '5')
      .file("set/train/dog/2.jpg", "dog 2")
      .file("set/train/cat/1.jpg", "cat 1")
      .file("set/train/cat/notes.md", "notes")
      .file("set/train/cat/._1.jpg", "resource fork")
      .finish();
}

TEST(TarSource, TakesClassesBelowTheCommonFolder) {
  TempFolder folder;
  write(folder / "a.tar", plain_tar());
  const ImageSource source = open_source(folder / "a.tar");
  EXPECT_EQ(names(source), (Names{"set/train/cat/1.jpg", "set/train/dog/2.jpg"}));
  EXPECT_EQ(source.classes(), (Names{"cat", "dog"}));
  EXPECT_EQ(labels(source), (Labels{0, 1}));
  EXPECT_EQ(content(source, 1), "dog 2");
}

TEST(TarSource, TakesWebDatasetLabels) {
  TempFolder folder;
  write(folder / "a.tar", TarBuilder()
                              .file("s/000.jpg", "zero")
                              .file("s/000.cls", "12\n")
                              .file("s/000.json", "{}")
                              .file("s/001.left.png", "one")
                              .file("s/001.cls", " 3")
                              .file("s/002.npy", "two")
                              .file("s/003.jpg", "three")
                              .file("s/003.cls", "cat")
                              .finish());
  const ImageSource source = open_source(folder / "a.tar");
  EXPECT_EQ(names(source), (Names{"s/000.jpg", "s/001.left.png", "s/002.npy", "s/003.jpg"}));
  EXPECT_EQ(labels(source), (Labels{12, 3, -1, -1}));
  EXPECT_TRUE(source.classes().empty());
  EXPECT_EQ(source.skips().count, 1);  // the label that is no number
}

TEST(TarSource, JoinsTheShardsOfAFolder) {
  TempFolder folder;
  write(folder / "b.tar", TarBuilder().file("x/dog/1.jpg", "b dog").finish());
  write(folder / "a.tar", TarBuilder().file("x/dog/1.jpg", "a dog").file("x/cat/1.jpg", "a cat").finish());
  const ImageSource source = open_source(folder / "");
  EXPECT_EQ(names(source), (Names{"a.tar/x/cat/1.jpg", "a.tar/x/dog/1.jpg", "b.tar/x/dog/1.jpg"}));
  EXPECT_EQ(source.classes(), (Names{"cat", "dog"}));
  EXPECT_EQ(labels(source), (Labels{0, 1, 1}));
  EXPECT_EQ(content(source, 2), "b dog");
  write(folder / "loose.jpg", "loose");
  LogHost host;
  EXPECT_EQ(names(open_source(folder / "", host)), (Names{"loose.jpg"}));
  EXPECT_EQ(host.count("its 2 archives are passed over"), 1);
}

TEST(TarSource, NoticesAShardThatChanged) {
  TempFolder folder;
  write(folder / "a.tar", plain_tar());
  const ImageSource source = open_source(folder / "a.tar");
  std::filesystem::resize_file(folder / "a.tar", 600);
  std::vector<uint8_t> bytes;
  expect_error(UDI_E_FORMAT, "has changed from", [&] { source.read(0, bytes); });
  std::filesystem::remove(folder / "a.tar");
  expect_error(UDI_E_NOT_FOUND, "no such file", [&] { source.read(0, bytes); });
}

// Files of this process in a folder, those without a name among them.
int open_files_in(const std::string& folder) {
  int count = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code gone;  // the iterator's own
    const std::string target = std::filesystem::read_symlink(entry.path(), gone).string();
    count += target.compare(0, folder.size() + 1, folder + "/") == 0;
  }
  return count;
}

TEST(TarSource, UnpacksGzipIntoMemoryOrTheCacheFile) {
  TempFolder folder;
  write(folder / "a.tar", plain_tar());
  ASSERT_EQ(std::system(("gzip -k " + (folder / "a.tar")).c_str()), 0);
  ImageSource::Options options;
  options.cache_dir = folder / "cache";
  std::filesystem::create_directory(options.cache_dir);
  LogHost host;
  const ImageSource memory = ImageSource::open(folder / "a.tar.gz", options, host);
  EXPECT_EQ(host.count("unpacked into memory"), 1);
  EXPECT_EQ(open_files_in(options.cache_dir), 0);
  options.max_cache_bytes = 2000;
  {
    const ImageSource cached = ImageSource::open(folder / "a.tar.gz", options, host);
    EXPECT_EQ(host.count("unpacked into " + options.cache_dir), 1);
    EXPECT_EQ(open_files_in(options.cache_dir), 1);
    for (const ImageSource* source : {&memory, &cached}) {
      EXPECT_EQ(names(*source), (Names{"set/train/cat/1.jpg", "set/train/dog/2.jpg"}));
      EXPECT_EQ(content(*source, 1), "dog 2");
    }
    EXPECT_TRUE(std::filesystem::is_empty(options.cache_dir));  // nothing that a killed process could leave
  }
  write(folder / "shards/1.tar", plain_tar());
  write(folder / "shards/2.tar", TarBuilder().file("a.jpg", "first of two").file("b.jpg", "last").finish());
  ASSERT_EQ(std::system(("gzip " + (folder / "shards/*.tar")).c_str()), 0);
  {
    const ImageSource shards = ImageSource::open(folder / "shards", options, host);
    EXPECT_EQ(open_files_in(options.cache_dir), 1);
    EXPECT_EQ(content(shards, 1), "dog 2");
    EXPECT_EQ(content(shards, 2), "first of two");
    EXPECT_EQ(content(shards, 3), "last");
  }
  EXPECT_EQ(open_files_in(options.cache_dir), 0);
  // Joined gzip files are one archive; a gzip named .tar is known by its content.
  ASSERT_EQ(std::system(("cd " + (folder / "") +
                         " && head -c 1000 a.tar | gzip > j && tail -c +1001 a.tar | gzip >> j && "
                         "mv j joined.tar")
                            .c_str()),
            0);
  EXPECT_EQ(content(open_source(folder / "joined.tar"), 1), "dog 2");
}

TEST(TarSource, RefusesDamagedGzip) {
  TempFolder folder;
  write(folder / "a.tar", plain_tar());
  ASSERT_EQ(std::system(("gzip " + (folder / "a.tar")).c_str()), 0);
  const std::string good = read_text(folder / "a.tar.gz");
  const auto open_bytes = [&](const std::string& bytes) {
    write(folder / "b.tgz", bytes);
    open_source(folder / "b.tgz");
  };
  open_bytes(good + std::string(100, '\0'));  // padding
  expect_error(UDI_E_FORMAT, "cut off", [&] { open_bytes(good.substr(0, good.size() - 9)); });
  expect_error(UDI_E_FORMAT, "cut off", [&] { open_bytes(good.substr(0, 5)); });
  std::string flipped = good;
  flipped[good.size() - 6] ^= 1;  // of the checksum
  expect_error(UDI_E_FORMAT, "damaged gzip data", [&] { open_bytes(flipped); });
  write(folder / "text", std::string(5000, 'x'));
  ASSERT_EQ(std::system(("gzip " + (folder / "text")).c_str()), 0);
  expect_error(UDI_E_FORMAT, "holds no tar archive", [&] { open_bytes(read_text(folder / "text.gz")); });
}

TEST(TarSource, SaysWhenTheCacheCannotBeWritten) {
  TempFolder folder;
  write(folder / "a.tar", plain_tar());
  ASSERT_EQ(std::system(("gzip " + (folder / "a.tar")).c_str()), 0);
  ImageSource::Options options;
  options.max_cache_bytes = 0;
  options.cache_dir = folder / "nowhere";
  expect_error(UDI_E_IO, "nowhere: cannot take the cache file: No such file",
               [&] { ImageSource::open(folder / "a.tar.gz", options, Host()); });
}

TEST(ImageSource, TakesASingleImage) {
  TempFolder folder;
  write(folder / "one.jpg", "1");
  const ImageSource source = open_source(folder / "one.jpg");
  EXPECT_EQ(source.size(), 1);
  EXPECT_EQ(source.label(0), -1);
  EXPECT_EQ(content(source, 0), "1");
}

TEST(ImageSource, ReadsFromSeveralThreads) {
  TempFolder folder;
  TarBuilder builder;
  for (int i = 100; i < 200; ++i) builder.file(text(i, ".jpg"), text("content ", i));
  write(folder / "a.tar", builder.finish());
  const ImageSource source = open_source(folder / "a.tar");
  std::vector<std::thread> threads;
  std::vector<int> wrong(4, 0);
  for (size_t t = 0; t < wrong.size(); ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 100; ++i) wrong[t] += content(source, i) != text("content ", 100 + i);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, std::vector<int>(4, 0));
}

}  // namespace
}  // namespace udi
