// The zip archives that torch.save writes: entries stored as they are, none compressed. Read in memory, never unpacked
// to disk. A file that two readers could understand differently (overlaps, names twice, a directory that disagrees with
// the entries, bytes before or behind) is refused.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace udi {

struct ZipEntry {
  std::string name;
  const uint8_t* data = nullptr;  // borrowed from the archive's memory
  uint64_t size = 0;
  uint32_t crc = 0;
};

class ZipFile {
 public:
  struct Limits {
    uint64_t entries = 1u << 20;
    uint64_t name_bytes = 1024;
  };

  // Reads the directory of `size` bytes at `data`, which outlive this object; `path` is for messages. UDI_E_FORMAT: not
  // such an archive; UDI_E_UNSUPPORTED: compressed, encrypted or in several parts.
  ZipFile(const std::string& path, const uint8_t* data, uint64_t size, Limits limits);

  const std::vector<ZipEntry>& entries() const { return entries_; }  // in the order of the directory
  const ZipEntry* find(const std::string& name) const;               // nullptr if absent

  // UDI_E_FORMAT when the entry's bytes do not have its checksum. A checksum of 0 counts as not given.
  void verify(const ZipEntry& entry) const;

 private:
  std::string path_;
  std::vector<ZipEntry> entries_;
  std::map<std::string, size_t> index_;
};

}  // namespace udi
