// Writes zip archives as torch.save does: entries stored, their data at multiples of 64 bytes, zip64 where sizes need
// it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/files.h"

namespace udi {

class ZipWriter {
 public:
  // append takes the bytes in order. Sizes and places from zip64_from up are written in their 64-bit form.
  explicit ZipWriter(const Append& append, uint64_t zip64_from = UINT32_MAX);

  // data may be NULL if size is 0. Reads it twice: the checksum stands before it.
  void add(const std::string& name, const void* data, uint64_t size);
  void finish();  // the directory; nothing may be added after it

 private:
  void put(const std::string& bytes);

  const Append& append_;
  uint64_t zip64_from_, at_ = 0, entries_ = 0;
  std::string directory_;
};

}  // namespace udi
