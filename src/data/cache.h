// What is too large for memory, on disk for as long as it is used.
#pragma once

#include <string>

#include "data/bytes.h"

namespace udi {

// One file without a name: the disk has its room back when the object goes, or the process, however it ends.
class CacheFile : public Bytes {
 public:
  // folder: must exist. UDI_E_IO: no file can be made there.
  explicit CacheFile(const std::string& folder);
  ~CacheFile() override;
  CacheFile(const CacheFile&) = delete;
  CacheFile& operator=(const CacheFile&) = delete;

  const std::string& folder() const { return folder_; }
  uint64_t size() const override { return size_; }
  void read(uint64_t offset, void* to, size_t size) const override;

  // UDI_E_IO: the disk is full, say.
  void append(const void* data, size_t size);

 private:
  const std::string folder_;
  int fd_ = -1;
  uint64_t size_ = 0;
};

}  // namespace udi
