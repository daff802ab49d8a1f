#include "data/gzip.h"

#include <zlib.h>

#include <algorithm>

#include "base/error.h"
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

}  // namespace

bool is_gzip(const std::string& path) {
  const FileBytes file(path);
  uint8_t begin[2] = {};
  if (file.size() < sizeof begin) return false;
  file.read(0, begin, sizeof begin);
  return begin[0] == 0x1f && begin[1] == 0x8b;
}

std::vector<uint8_t> unpack_gzip(const std::string& path, uint64_t memory_limit,
                                 const std::function<CacheFile&()>& cache, const Host& host) {
  GzipReader reader(path, host);
  std::vector<uint8_t> memory(kTarBlock);
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
      return memory;
    }
  }
  CacheFile& file = cache();
  const uint64_t begin = file.size();
  file.append(memory.data(), memory.size());
  memory.resize(4 * kPiece);
  while (const size_t got = reader.read(memory.data(), memory.size())) file.append(memory.data(), got);
  host.log(UDI_LOG_INFO, path, ": unpacked into ", file.folder(), ", ", file.size() - begin,
           " bytes, until this is done; once unpacked by gunzip it opens faster");
  return {};
}

}  // namespace udi
