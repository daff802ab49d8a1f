#include "data/cache.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>

#include "base/error.h"

namespace udi {

CacheFile::CacheFile(const std::string& folder) : folder_(folder) {
  std::string name = folder + "/udi-XXXXXX";
  fd_ = ::mkostemp(name.data(), O_CLOEXEC);
  if (fd_ < 0) fail_errno(folder, ": cannot take the cache file");
  ::unlink(name.c_str());
}

CacheFile::~CacheFile() { ::close(fd_); }

void CacheFile::read(uint64_t offset, void* to, size_t size) const { read_at(fd_, folder_, offset, to, size); }

void CacheFile::append(const void* data, size_t size) {
  const auto* at = static_cast<const char*>(data);
  while (size > 0) {
    const ssize_t written = ::pwrite(fd_, at, size, off_t(size_));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail_errno(folder_, ": the cache file cannot be written");
    at += written;
    size_ += uint64_t(written);
    size -= size_t(written);
  }
}

}  // namespace udi
