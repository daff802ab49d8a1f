#include "weights/onnx_graph.h"

#include <algorithm>

#include "base/error.h"
#include "base/files.h"
#include "base/protobuf.h"

namespace udi {
namespace {

using namespace protobuf;

enum DataType { kFloat = 1, kInt64 = 7 };

// ValueInfoProto: name = 1, type = 2; TypeProto: tensor_type = 1; Tensor: elem_type = 1, shape = 2; dim = 1; dim_value
// = 1, dim_param = 2.
std::string value_info(const std::string& name, const std::vector<std::string>& shape) {
  std::string dims;
  for (const std::string& extent : shape) {
    std::string dim;
    if (extent.find_first_not_of("0123456789") == std::string::npos) {
      put_integer(&dim, 1, std::stoll(extent));
    } else {
      put_bytes(&dim, 2, extent);
    }
    put_bytes(&dims, 1, dim);
  }
  std::string tensor, type, info;
  put_integer(&tensor, 1, kFloat);
  put_bytes(&tensor, 2, dims);
  put_bytes(&type, 1, tensor);
  put_bytes(&info, 1, name);
  put_bytes(&info, 2, type);
  return info;
}

// AttributeProto: name = 1, f = 2, i = 3, s = 4, ints = 8, type = 20 (FLOAT 1, INT 2, STRING 3, INTS 7).
std::string attribute_proto(const OnnxGraph::Attribute& attribute) {
  std::string proto;
  put_bytes(&proto, 1, attribute.first);
  if (const auto* integer = std::get_if<int64_t>(&attribute.second)) {
    put_integer(&proto, 3, *integer);
    put_integer(&proto, 20, 2);
  } else if (const auto* number = std::get_if<float>(&attribute.second)) {
    put_float(&proto, 2, *number);
    put_integer(&proto, 20, 1);
  } else if (const auto* word = std::get_if<const char*>(&attribute.second)) {
    put_bytes(&proto, 4, *word);
    put_integer(&proto, 20, 3);
  } else {
    for (const int64_t item : std::get<std::vector<int64_t>>(attribute.second)) put_integer(&proto, 8, item);
    put_integer(&proto, 20, 7);
  }
  return proto;
}

// A block of columns at a time, so that memory does not grow with the matrix.
void append_transposed(const float* data, int64_t rows, int64_t columns, const Append& append) {
  constexpr int64_t kColumns = 64;
  std::vector<float> block;
  for (int64_t first = 0; first < columns; first += kColumns) {
    const int64_t count = std::min(kColumns, columns - first);
    block.resize(size_t(count * rows));
    for (int64_t row = 0; row < rows; ++row) {
      for (int64_t i = 0; i < count; ++i) block[size_t(i * rows + row)] = data[row * columns + first + i];
    }
    append(block.data(), block.size() * sizeof(float));
  }
}

}  // namespace

void OnnxGraph::input(const std::string& name, const std::vector<std::string>& shape) {
  put_bytes(&inputs_, 11, value_info(name, shape));
}

void OnnxGraph::output(const std::string& name, const std::vector<std::string>& shape) {
  put_bytes(&outputs_, 12, value_info(name, shape));
}

// TensorProto: dims = 1, data_type = 2, name = 8, raw_data = 9.
std::string OnnxGraph::add(const std::string& name, const std::vector<int64_t>& shape, int type, Constant constant) {
  for (const int64_t extent : shape) put_integer(&constant.header, 1, extent);
  put_integer(&constant.header, 2, type);
  put_bytes(&constant.header, 8, name);
  put_tag(&constant.header, 9, kBytes);
  put_varint(&constant.header, constant.bytes);
  constants_.push_back(std::move(constant));
  return name;
}

std::string OnnxGraph::constant(const std::string& name, const std::vector<int64_t>& shape, const float* borrowed) {
  uint64_t elements = 1;
  for (const int64_t extent : shape) elements *= uint64_t(extent);
  Constant constant;
  constant.data = borrowed;
  constant.bytes = elements * sizeof(float);
  return add(name, shape, kFloat, std::move(constant));
}

std::string OnnxGraph::constant(const std::string& name, const std::vector<int64_t>& shape, std::vector<float> values) {
  Constant constant;
  constant.bytes = values.size() * sizeof(float);
  constant.own = std::move(values);
  constant.data = constant.own.data();  // moving a vector leaves its memory where it is
  return add(name, shape, kFloat, std::move(constant));
}

std::string OnnxGraph::integers(const std::vector<int64_t>& values) {
  Constant constant;
  constant.bytes = values.size() * sizeof(int64_t);
  constant.own.resize(values.size() * 2);
  std::memcpy(constant.own.data(), values.data(), constant.bytes);
  constant.data = constant.own.data();
  return add(fresh("integers"), {int64_t(values.size())}, kInt64, std::move(constant));
}

std::string OnnxGraph::transposed(const std::string& name, int64_t rows, int64_t columns, const float* borrowed) {
  Constant constant;
  constant.data = borrowed;
  constant.bytes = uint64_t(rows) * uint64_t(columns) * sizeof(float);
  constant.rows = rows;
  constant.columns = columns;
  return add(name, {columns, rows}, kFloat, std::move(constant));
}

std::string OnnxGraph::fresh(const char* stem) { return text(stem, '_', ++made_up_); }

// NodeProto: input = 1, output = 2, name = 3, op_type = 4, attribute = 5.
void OnnxGraph::add_node(const char* op, const std::vector<std::string>& inputs,
                         const std::vector<std::string>& outputs, const std::vector<Attribute>& attributes) {
  std::string proto;
  for (const std::string& input : inputs) put_bytes(&proto, 1, input);
  for (const std::string& output : outputs) put_bytes(&proto, 2, output);
  put_bytes(&proto, 3, "make_" + outputs[0]);
  put_bytes(&proto, 4, op);
  for (const Attribute& attribute : attributes) put_bytes(&proto, 5, attribute_proto(attribute));
  put_bytes(&nodes_, 1, proto);
}

std::string OnnxGraph::node(const char* op, const std::vector<std::string>& inputs,
                            const std::vector<Attribute>& attributes, std::string name) {
  if (name.empty()) name = fresh(op);
  add_node(op, inputs, {name}, attributes);
  return name;
}

std::vector<std::string> OnnxGraph::nodes(const char* op, const std::vector<std::string>& inputs, int64_t outputs,
                                          const std::vector<Attribute>& attributes) {
  std::vector<std::string> names;
  for (int64_t i = 0; i < outputs; ++i) names.push_back(fresh(op));
  add_node(op, inputs, names, attributes);
  return names;
}

// GraphProto: node = 1, name = 2, initializer = 5, input = 11, output = 12. ModelProto: ir_version = 1, producer_name =
// 2, producer_version = 3, doc_string = 6, graph = 7, opset_import = 8 (version = 2), metadata_props = 14 (key = 1,
// value = 2).
void OnnxGraph::save(const std::string& path, const std::string& graph_name, const std::string& doc,
                     const Metadata& metadata) const {
  std::string model, opset;
  put_integer(&model, 1, kOnnxIrVersion);
  put_bytes(&model, 2, "libudi");
  put_bytes(&model, 3, text(UDI_VERSION_MAJOR, '.', UDI_VERSION_MINOR, '.', UDI_VERSION_PATCH));
  put_bytes(&model, 6, doc);
  put_integer(&opset, 2, kOnnxOpset);
  put_bytes(&model, 8, opset);
  for (const auto& [key, value] : metadata) {
    std::string entry;
    put_bytes(&entry, 1, key);
    put_bytes(&entry, 2, value);
    put_bytes(&model, 14, entry);
  }

  std::string graph = nodes_;
  put_bytes(&graph, 2, graph_name);
  graph += inputs_ + outputs_;
  uint64_t size = graph.size();
  std::vector<std::string> heads;  // of the constants: tag, length, header
  for (const Constant& constant : constants_) {
    std::string& head = heads.emplace_back();
    put_tag(&head, 5, kBytes);
    put_varint(&head, constant.header.size() + constant.bytes);
    head += constant.header;
    size += head.size() + constant.bytes;
  }
  put_tag(&model, 7, kBytes);
  put_varint(&model, size);
  check(model.size() + size <= INT32_MAX, UDI_E_UNSUPPORTED, path, ": would have ", model.size() + size,
        " bytes, an ONNX file cannot have more than ", INT32_MAX);
  write_atomically(path, [&](const Append& append) {
    append(model.data(), model.size());
    append(graph.data(), graph.size());
    for (size_t i = 0; i < constants_.size(); ++i) {
      const Constant& constant = constants_[i];
      append(heads[i].data(), heads[i].size());
      if (constant.rows == 0) {
        append(constant.data, constant.bytes);
      } else {
        append_transposed(static_cast<const float*>(constant.data), constant.rows, constant.columns, append);
      }
    }
  });
}

}  // namespace udi
