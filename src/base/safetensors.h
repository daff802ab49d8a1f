// The safetensors format (huggingface/safetensors): an 8-byte length, a JSON header, then the tensors' bytes. Knows no
// torch. Every file is hostile until checked: header length, duplicate keys, gaps, overlaps, shape against range.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/files.h"
#include "udi.h"

namespace udi {

// Bytes of one element; fails for a dtype that is none of udi.h's.
size_t dtype_size(udi_dtype dtype);
const char* dtype_name(udi_dtype dtype);  // "F32", as safetensors spells it

struct TensorView {
  std::string name;
  udi_dtype dtype = 0;
  std::vector<int64_t> shape;
  const void* data = nullptr;  // row-major; borrowed
  uint64_t bytes = 0;

  int64_t elements() const;
};

using Metadata = std::map<std::string, std::string>;

class SafetensorsFile {
 public:
  struct Limits {
    uint64_t header_bytes = 100u << 20;
    uint64_t name_bytes = 1024;
  };

  // Maps the file. UDI_E_FORMAT names the file and what is wrong with it.
  explicit SafetensorsFile(const std::string& path) : SafetensorsFile(path, Limits()) {}
  SafetensorsFile(const std::string& path, Limits limits);
  // Reads from memory that outlives this object; `name` is for messages.
  SafetensorsFile(const std::string& name, const uint8_t* data, uint64_t size, Limits limits);

  const std::vector<TensorView>& tensors() const { return tensors_; }  // in file order
  const Metadata& metadata() const { return metadata_; }
  const TensorView* find(const std::string& name) const;       // nullptr if absent
  const TensorView& at(const std::string& name) const;         // UDI_E_NOT_FOUND if absent
  const std::string& path() const { return path_; }

 private:
  void parse(const uint8_t* data, uint64_t size, Limits limits);

  std::string path_;
  std::unique_ptr<MappedFile> file_;
  std::vector<TensorView> tensors_;
  std::map<std::string, size_t> index_;
  Metadata metadata_;
};

// Atomic; tensors are written in the order given, each 64-byte aligned... as far as the format allows (by header padding).
void write_safetensors(const std::string& path, const std::vector<TensorView>& tensors, const Metadata& metadata);

}  // namespace udi
