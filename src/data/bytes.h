// Bytes that can be read at any place: a file, or memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace udi {

class Bytes {
 public:
  virtual ~Bytes() = default;
  virtual uint64_t size() const = 0;
  // Safe from several threads. UDI_E_FORMAT: [offset, offset + size) is not all there; UDI_E_IO.
  virtual void read(uint64_t offset, void* to, size_t size) const = 0;
};

class FileBytes : public Bytes {
 public:
  // UDI_E_NOT_FOUND; UDI_E_IO: it cannot be opened or is no regular file (a pipe does not block us);
  // UDI_E_MEMORY with errno: no file descriptor is left.
  explicit FileBytes(const std::string& path);
  ~FileBytes() override;
  FileBytes(const FileBytes&) = delete;
  FileBytes& operator=(const FileBytes&) = delete;

  uint64_t size() const override { return size_; }
  void read(uint64_t offset, void* to, size_t size) const override;

 private:
  std::string path_;
  int fd_ = -1;
  uint64_t size_ = 0;
};

// All of [offset, offset + size) of an open file; what: its name in messages. UDI_E_FORMAT: it ends before; UDI_E_IO.
void read_at(int fd, const std::string& what, uint64_t offset, void* to, size_t size);

// Borrows the memory.
class MemoryBytes : public Bytes {
 public:
  MemoryBytes(const uint8_t* data, uint64_t size) : data_(data), size_(size) {}
  uint64_t size() const override { return size_; }
  void read(uint64_t offset, void* to, size_t size) const override;

 private:
  const uint8_t* data_;
  uint64_t size_;
};

// Bytes [begin, begin + size) of others, which it borrows.
class PartOfBytes : public Bytes {
 public:
  PartOfBytes(const Bytes& whole, uint64_t begin, uint64_t size) : whole_(whole), begin_(begin), size_(size) {}
  uint64_t size() const override { return size_; }
  void read(uint64_t offset, void* to, size_t size) const override;

 private:
  const Bytes& whole_;
  const uint64_t begin_, size_;
};

}  // namespace udi
