// The safetensors format (huggingface/safetensors): an 8-byte length, a JSON header, then the tensors' bytes. Knows no
// torch. Every file is hostile until checked: header length, duplicate keys, gaps, overlaps, shape against range. What
// one reader would take and another read differently is refused, so a file means one thing only.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/files.h"
#include "base/limits.h"
#include "udi.h"

namespace udi {

// Element types that files hold and udi.h does not offer: such tensors are read, listed and copied, never computed
// with.
enum : udi_dtype { kBool = 101, kI8 = 102, kI16 = 103, kU32 = 104, kU64 = 105 };

// Bytes of one element; UDI_E_INVALID for a dtype that is neither udi.h's nor one of those above.
size_t dtype_size(udi_dtype dtype);
const char* dtype_name(udi_dtype dtype);           // "F32", as safetensors spells it
udi_dtype dtype_of_name(const std::string& name);  // 0 if there is none of that name

struct TensorView {
  std::string name;
  udi_dtype dtype = 0;
  std::vector<int64_t> shape;
  const void* data = nullptr;  // row-major; borrowed; need not be aligned for the dtype when it comes from a file
  uint64_t bytes = 0;

  int64_t elements() const;  // product of shape, 1 for a scalar; UDI_E_SHAPE if negative or past 2^63 - 1
};

using Metadata = std::map<std::string, std::string>;

class SafetensorsFile {
 public:
  struct Limits {
    uint64_t header_bytes = 100u << 20;  // of the JSON text; the format's own limit
    uint64_t name_bytes = 1024;          // of a tensor's name or a metadata key
    uint64_t dimensions = 64;
  };
  static Limits limits_of(const FormatLimits& given);

  // Maps the file. UDI_E_FORMAT names the file and what is wrong with it.
  explicit SafetensorsFile(const std::string& path) : SafetensorsFile(path, Limits()) {}
  SafetensorsFile(const std::string& path, Limits limits);
  // Reads from memory that outlives this object; `name` is for messages.
  SafetensorsFile(const std::string& name, const uint8_t* data, uint64_t size, Limits limits);

  // In the order of their bytes in the file. Views live as long as this object.
  const std::vector<TensorView>& tensors() const { return tensors_; }
  const Metadata& metadata() const { return metadata_; }
  const TensorView* find(const std::string& name) const;  // nullptr if absent
  const TensorView& at(const std::string& name) const;    // UDI_E_NOT_FOUND if absent
  const std::string& path() const { return path_; }

 private:
  void parse(const uint8_t* data, uint64_t size, Limits limits);

  std::string path_;
  std::unique_ptr<MappedFile> file_;
  std::vector<TensorView> tensors_;
  std::map<std::string, size_t> index_;
  Metadata metadata_;
};

// Writes the tensors in the order given, atomically (base/files.h). The header is padded so that the first tensor
// starts at a multiple of 64 bytes; the format allows no gap between tensors. UDI_E_INVALID: a name twice, not UTF-8,
// with NUL,
// "__metadata__", or bytes that are not those of shape and dtype.
void write_safetensors(const std::string& path, const std::vector<TensorView>& tensors, const Metadata& metadata);

}  // namespace udi
