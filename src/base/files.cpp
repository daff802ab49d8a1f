#include "base/files.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "base/error.h"

namespace udi {
namespace {

struct Descriptor {
  int fd;
  explicit Descriptor(int fd) : fd(fd) {}
  ~Descriptor() {
    if (fd >= 0) ::close(fd);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
};

int open_for_reading(const std::string& path, uint64_t* size) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    if (errno == ENOENT || errno == ENOTDIR) fail(UDI_E_NOT_FOUND, path, ": no such file");
    fail_errno(path, ": cannot be opened");
  }
  struct stat info{};
  if (::fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
    ::close(fd);
    fail(UDI_E_IO, path, ": not a regular file");
  }
  *size = uint64_t(info.st_size);
  return fd;
}

void write_all(int fd, const std::string& path, const void* data, size_t size) {
  const char* at = static_cast<const char*>(data);
  while (size > 0) {
    const ssize_t written = ::write(fd, at, size);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail_errno(path, ": cannot be written");
    at += written;
    size -= size_t(written);
  }
}

}  // namespace

std::vector<uint8_t> read_file(const std::string& path, uint64_t limit) {
  uint64_t size = 0;
  Descriptor file(open_for_reading(path, &size));
  check(size <= limit, UDI_E_FORMAT, path, ": ", size, " bytes are more than the limit of ", limit);
  std::vector<uint8_t> bytes(size);
  uint64_t done = 0;
  while (done < size) {
    const ssize_t got = ::read(file.fd, bytes.data() + done, size - done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail_errno(path, ": cannot be read");
    if (got == 0) fail(UDI_E_IO, path, ": ends after ", done, " of ", size, " bytes");
    done += uint64_t(got);
  }
  return bytes;
}

std::string read_text(const std::string& path, uint64_t limit) {
  const auto bytes = read_file(path, limit);
  return std::string(bytes.begin(), bytes.end());
}

void write_atomically(const std::string& path, const std::function<void(const Append&)>& write) {
  const std::string temporary = text(path, ".tmp", ::getpid());
  try {
    Descriptor file(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
    if (file.fd < 0) fail_errno(temporary, ": cannot be created");
    // Small pieces are gathered: a header and hundreds of tensors should not be as many system calls.
    std::vector<char> pending;
    const auto flush = [&] {
      write_all(file.fd, temporary, pending.data(), pending.size());
      pending.clear();
    };
    write([&](const void* data, size_t size) {
      if (size >= (1u << 20)) {
        flush();
        write_all(file.fd, temporary, data, size);
        return;
      }
      const char* bytes = static_cast<const char*>(data);
      pending.insert(pending.end(), bytes, bytes + size);
      if (pending.size() >= (1u << 20)) flush();
    });
    flush();
    if (::fsync(file.fd) != 0) fail_errno(temporary, ": cannot be synced");
  } catch (...) {
    ::unlink(temporary.c_str());
    throw;
  }
  if (::rename(temporary.c_str(), path.c_str()) != 0) {
    const int code = errno;
    ::unlink(temporary.c_str());
    errno = code;
    fail_errno(path, ": cannot be replaced");
  }
  sync_folder_of(path);
}

void sync_folder_of(const std::string& path) {
  auto folder = std::filesystem::path(path).parent_path();
  if (folder.empty()) folder = ".";
  Descriptor directory(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory.fd >= 0) ::fsync(directory.fd);  // some file systems refuse; the rename itself stands
}

void write_text(const std::string& path, const std::string& content) {
  write_atomically(path, [&](const Append& append) { append(content.data(), content.size()); });
}

MappedFile::MappedFile(const std::string& path) {
  Descriptor file(open_for_reading(path, &size_));
  if (size_ == 0) return;
  void* mapped = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, file.fd, 0);
  if (mapped == MAP_FAILED) fail_errno(path, ": cannot be mapped");
  data_ = static_cast<const uint8_t*>(mapped);
}

MappedFile::~MappedFile() {
  if (data_) ::munmap(const_cast<uint8_t*>(data_), size_);
}

}  // namespace udi
