#include "data/bytes.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"

namespace udi {

FileBytes::FileBytes(const std::string& path) : path_(path) {
  fd_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd_ < 0) {
    if (errno == ENOENT || errno == ENOTDIR) fail(UDI_E_NOT_FOUND, path, ": no such file");
    const int code = errno;
    if (code == EMFILE || code == ENFILE) {
      throw Error(UDI_E_MEMORY, text(path, ": cannot be opened: ", std::strerror(code)), code);
    }
    fail_errno(path, ": cannot be opened");
  }
  struct stat info {};
  if (::fstat(fd_, &info) != 0 || !S_ISREG(info.st_mode)) {
    ::close(fd_);
    fail(UDI_E_IO, path, ": not a regular file");
  }
  size_ = uint64_t(info.st_size);
}

FileBytes::~FileBytes() { ::close(fd_); }

void FileBytes::read(uint64_t offset, void* to, size_t size) const { read_at(fd_, path_, offset, to, size); }

void read_at(int fd, const std::string& what, uint64_t offset, void* to, size_t size) {
  auto* at = static_cast<char*>(to);
  while (size > 0) {
    const ssize_t got = ::pread(fd, at, size, off_t(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail_errno(what, ": cannot be read");
    if (got == 0) fail(UDI_E_FORMAT, what, ": ends at byte ", offset, ", ", size, " bytes too early");
    at += got;
    offset += uint64_t(got);
    size -= size_t(got);
  }
}

namespace {

void check_range(uint64_t offset, size_t size, uint64_t there) {
  check(offset <= there && size <= there - offset, UDI_E_FORMAT, "bytes ", offset, " to ", offset + size,
        " are asked for, there are ", there);
}

}  // namespace

void MemoryBytes::read(uint64_t offset, void* to, size_t size) const {
  check_range(offset, size, size_);
  if (size > 0) std::memcpy(to, data_ + offset, size);
}

void PartOfBytes::read(uint64_t offset, void* to, size_t size) const {
  check_range(offset, size, size_);
  whole_.read(begin_ + offset, to, size);
}

}  // namespace udi
