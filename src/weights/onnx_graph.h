// An ONNX model as it is written: nodes, constants, inputs and outputs, in the order in which they are added. Only what
// libudi's own graph needs; float32 and int64.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/safetensors.h"

namespace udi {

constexpr int64_t kOnnxOpset = 17;     // the first with LayerNormalization: ONNX 1.12, ONNX Runtime 1.12 and later
constexpr int64_t kOnnxIrVersion = 8;  // that came with it

class OnnxGraph {
 public:
  using Attribute = std::pair<const char*, std::variant<int64_t, float, const char*, std::vector<int64_t>>>;

  // Dimensions are numbers, or names for what may be anything: "batch".
  void input(const std::string& name, const std::vector<std::string>& shape);
  void output(const std::string& name, const std::vector<std::string>& shape);

  // Constants; each gives back its name. Borrowed data must outlive save().
  std::string constant(const std::string& name, const std::vector<int64_t>& shape, const float* borrowed);
  std::string constant(const std::string& name, const std::vector<int64_t>& shape, std::vector<float> values);
  std::string integers(const std::vector<int64_t>& values);  // [values.size()]
  // [rows, columns] turned into [columns, rows], which is done when it is written.
  std::string transposed(const std::string& name, int64_t rows, int64_t columns, const float* borrowed);

  // Adds a node with one output and gives back that output's name: `name`, or one that is made up.
  std::string node(const char* op, const std::vector<std::string>& inputs,
                   const std::vector<Attribute>& attributes = {}, std::string name = "");
  // The same with several outputs.
  std::vector<std::string> nodes(const char* op, const std::vector<std::string>& inputs, int64_t outputs,
                                 const std::vector<Attribute>& attributes);

  // Atomically. UDI_E_UNSUPPORTED: more than the 2 GiB that a protocol buffer can be.
  void save(const std::string& path, const std::string& graph_name, const std::string& doc,
            const Metadata& metadata) const;

 private:
  struct Constant {
    std::string header;  // the message up to its raw bytes
    const void* data = nullptr;
    uint64_t bytes = 0;
    int64_t rows = 0, columns = 0;  // not 0: transposed when it is written
    std::vector<float> own;
  };
  std::string add(const std::string& name, const std::vector<int64_t>& shape, int type, Constant constant);
  void add_node(const char* op, const std::vector<std::string>& inputs, const std::vector<std::string>& outputs,
                const std::vector<Attribute>& attributes);
  std::string fresh(const char* stem);

  std::string nodes_, inputs_, outputs_;  // fields of GraphProto
  std::vector<Constant> constants_;
  int64_t made_up_ = 0;
};

}  // namespace udi
