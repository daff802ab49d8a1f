#include "data/gzip.h"

#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <functional>

#include "base/error.h"
#include "base/files.h"
#include "data/bytes.h"
#include "data/tar.h"

namespace udi {
namespace {

constexpr size_t kPiece = 1 << 18;

// Gives the unpacked bytes of a gzip file piece by piece.
class GzipReader {
 public:
  GzipReader(const std::string& path, const Host& host) : path_(path), host_(host), file_(path), input_(kPiece) {
    check(inflateInit2(&stream_, 15 + 16) == Z_OK, UDI_E_MEMORY, path, ": no memory to unpack it");
  }
  ~GzipReader() { inflateEnd(&stream_); }
  GzipReader(const GzipReader&) = delete;
  GzipReader& operator=(const GzipReader&) = delete;

  // Up to `size` bytes; fewer, or 0, only at the end.
  size_t read(uint8_t* to, size_t size) {
    host_.check_cancel();
    stream_.next_out = to;
    stream_.avail_out = uInt(size);
    while (stream_.avail_out > 0 && !ended_) {
      if (stream_.avail_in == 0) refill();
      const int status = inflate(&stream_, Z_NO_FLUSH);
      if (status == Z_STREAM_END) {
        begin_next_member();
      } else if (status != Z_OK) {
        fail(UDI_E_FORMAT, path_, ": damaged gzip data", stream_.msg ? std::string(": ") + stream_.msg : "");
      }
    }
    return size - stream_.avail_out;
  }

 private:
  void refill() {
    const size_t size = size_t(std::min<uint64_t>(kPiece, file_.size() - at_));
    check(size > 0, UDI_E_FORMAT, path_, ": the gzip data is cut off");
    file_.read(at_, input_.data(), size);
    at_ += size;
    stream_.next_in = input_.data();
    stream_.avail_in = uInt(size);
  }

  // gzip files may be joined; what follows the last one and is no gzip data is padding.
  void begin_next_member() {
    if (stream_.avail_in == 0 && at_ < file_.size()) refill();
    ended_ = stream_.avail_in == 0 || *stream_.next_in != 0x1f;
    if (!ended_) inflateReset(&stream_);
  }

  const std::string path_;
  const Host& host_;
  FileBytes file_;
  std::vector<uint8_t> input_;
  uint64_t at_ = 0;
  z_stream stream_{};
  bool ended_ = false;
};

// The name of the unpacked archive changes with the packed one's place, size and time, so that a stale copy is never
// used.
std::string cache_name(const std::string& path, const std::string& cache_folder) {
  std::error_code ignored;
  const std::filesystem::path full = std::filesystem::weakly_canonical(path, ignored);
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) fail_errno(path, ": cannot be examined");
  const std::string identity =
      text(full.string(), '\n', info.st_size, '\n', info.st_mtim.tv_sec, '\n', info.st_mtim.tv_nsec);
  uint64_t hash = 0xcbf29ce484222325;  // FNV-1a
  for (const char c : identity) hash = (hash ^ uint8_t(c)) * 0x100000001b3;
  char digits[17];
  std::snprintf(digits, sizeof digits, "%016llx", static_cast<unsigned long long>(hash));
  return (std::filesystem::path(cache_folder) / (full.stem().stem().string() + "-" + digits + ".tar")).string();
}

// A copy that another user left there is not ours to trust.
bool is_own_file(const std::string& path) {
  struct stat info {};
  return ::lstat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode) && info.st_uid == ::geteuid();
}

void write_cache(const std::string& cache, const std::vector<uint8_t>& begun, GzipReader& reader) {
  std::error_code error;
  std::filesystem::create_directories(std::filesystem::path(cache).parent_path(), error);
  check(!error, UDI_E_IO, cache, ": its folder cannot be made: ", error.message());
  const std::string mine = text(cache, ".", ::gettid());  // several processes or threads may unpack the same archive
  write_atomically(mine, [&](const Append& append) {
    append(begun.data(), begun.size());
    std::vector<uint8_t> piece(4 * kPiece);
    while (const size_t got = reader.read(piece.data(), piece.size())) append(piece.data(), got);
  });
  if (::rename(mine.c_str(), cache.c_str()) != 0) {
    const int code = errno;
    ::unlink(mine.c_str());
    errno = code;
    fail_errno(cache, ": cannot be written");
  }
}

}  // namespace

bool is_gzip(const std::string& path) {
  const FileBytes file(path);
  uint8_t begin[2] = {};
  if (file.size() < sizeof begin) return false;
  file.read(0, begin, sizeof begin);
  return begin[0] == 0x1f && begin[1] == 0x8b;
}

Unpacked unpack_gzip(const std::string& path, uint64_t memory_limit, const std::string& cache_folder,
                     const Host& host) {
  Unpacked unpacked;
  const std::string cache = cache_name(path, cache_folder);
  if (is_own_file(cache)) {
    host.log(UDI_LOG_INFO, path, ": unpacked before as ", cache);
    unpacked.file = cache;
    return unpacked;
  }
  GzipReader reader(path, host);
  std::vector<uint8_t>& memory = unpacked.memory;
  memory.resize(kTarBlock);
  memory.resize(reader.read(memory.data(), memory.size()));
  // Seen before the rest is unpacked: a file of zeros packs a thousand to one.
  check(memory.size() == kTarBlock && is_tar_header(memory.data()), UDI_E_FORMAT, path, ": holds no tar archive");
  while (memory.size() <= memory_limit) {
    const size_t before = memory.size();
    if (memory.capacity() < before + kPiece) memory.reserve(before + std::max(before / 2, kPiece));
    memory.resize(before + kPiece);
    const size_t got = reader.read(memory.data() + before, kPiece);
    memory.resize(before + got);
    if (got == 0 && memory.size() <= memory_limit) {
      host.log(UDI_LOG_INFO, path, ": unpacked into memory, ", memory.size(), " bytes");
      return unpacked;
    }
  }
  write_cache(cache, memory, reader);
  memory = {};
  host.log(UDI_LOG_INFO, path, ": more than ", memory_limit, " bytes, unpacked as ", cache);
  unpacked.file = cache;
  return unpacked;
}

}  // namespace udi
