// What torch.save writes since torch 1.6: a zip archive of one pickle and the bytes of its tensors. The pickle is read
// as plain values (weights/pickle.h), so a file can hold anything and do nothing.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/files.h"
#include "base/limits.h"
#include "base/safetensors.h"
#include "weights/pickle.h"
#include "weights/zip.h"

namespace udi {

class PthFile {
 public:
  struct Limits {
    ZipFile::Limits zip;
    Pickle::Limits pickle;
    uint64_t depth = 64;              // of containers within containers
    uint64_t visits = 1u << 20;       // values, counted each time they are met
    uint64_t text_bytes = 64u << 20;  // names and strings, counted each time
    uint64_t name_bytes = 1024;       // of a tensor
    uint64_t dimensions = 64;
  };
  static Limits limits_of(const FormatLimits& given);

  // Maps the file. UDI_E_FORMAT: damaged, or not such a file; UDI_E_UNSUPPORTED: of a kind that is not read, with the
  // way to save it anew.
  explicit PthFile(const std::string& path) : PthFile(path, Limits()) {}
  PthFile(const std::string& path, Limits limits);
  // Reads from memory that outlives this object; `name` is for messages.
  PthFile(const std::string& name, const uint8_t* data, uint64_t size, Limits limits);

  // Every tensor, named by the keys that lead to it: "student.module.head.0.mlp.0.weight". In the order of the pickle;
  // row-major; tensors that share a storage share memory here, unless one had strides and was copied. Views live as
  // long as this object.
  const std::vector<TensorView>& tensors() const { return tensors_; }
  const TensorView* find(const std::string& name) const;  // nullptr if absent

  // Everything else, nested as in the file: {"epoch": 6, "args": {"arch": "vit_small"}}. An object is its attributes,
  // one without any a string "<module.name>". Containers that hold tensors alone are left out.
  const nlohmann::json& scalars() const { return scalars_; }

 private:
  friend class PthReader;
  void parse(const std::string& name, const uint8_t* data, uint64_t size, Limits limits);

  std::unique_ptr<MappedFile> file_;
  std::vector<TensorView> tensors_;
  std::map<std::string, size_t> index_;
  std::deque<std::vector<uint8_t>> copies_;  // of tensors that had strides
  nlohmann::json scalars_;
};

}  // namespace udi
