// Files, read within limits and written so that a crash leaves the old or the new one, never half of one.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace udi {

// The whole file. UDI_E_NOT_FOUND, UDI_E_IO, or UDI_E_FORMAT when it is larger than limit bytes.
std::vector<uint8_t> read_file(const std::string& path, uint64_t limit);
std::string read_text(const std::string& path, uint64_t limit = 64u << 20);

// write() fills the temporary file by append(); then fsync, rename over path, fsync of the folder. On any failure the
// temporary file is removed and path is as it was.
using Append = std::function<void(const void* data, size_t size)>;
void write_atomically(const std::string& path, const std::function<void(const Append&)>& write);
void write_text(const std::string& path, const std::string& content);
// Makes the names in path's folder last, as far as the file system can.
void sync_folder_of(const std::string& path);

// A file mapped for reading.
class MappedFile {
 public:
  explicit MappedFile(const std::string& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  const uint8_t* data() const { return data_; }
  uint64_t size() const { return size_; }

 private:
  const uint8_t* data_ = nullptr;
  uint64_t size_ = 0;
};

}  // namespace udi
