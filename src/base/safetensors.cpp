#include "base/safetensors.h"

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <set>

#include "base/error.h"

namespace udi {
namespace {

struct Dtype {
  udi_dtype dtype;
  const char* name;
  size_t size;
};

constexpr Dtype kDtypes[] = {{UDI_U8, "U8", 1},   {UDI_U16, "U16", 2},   {UDI_I32, "I32", 4}, {UDI_I64, "I64", 8},
                             {UDI_F16, "F16", 2}, {UDI_BF16, "BF16", 2}, {UDI_F32, "F32", 4}, {UDI_F64, "F64", 8},
                             {kBool, "BOOL", 1},  {kI8, "I8", 1},        {kI16, "I16", 2},    {kU32, "U32", 4},
                             {kU64, "U64", 8}};

const Dtype& known(udi_dtype dtype) {
  for (const Dtype& entry : kDtypes) {
    if (entry.dtype == dtype) return entry;
  }
  fail(UDI_E_INVALID, "dtype ", dtype, " is none of udi.h's");
}

// False when the product does not fit. A dimension of 0 does not hide others that overflow: strides use them too.
bool element_count(const std::vector<int64_t>& shape, int64_t* count) {
  int64_t product = 1, nonzero = 1;
  for (const int64_t size : shape) {
    if (size < 0 || __builtin_mul_overflow(nonzero, std::max<int64_t>(size, 1), &nonzero)) return false;
    product *= size;  // cannot overflow: at most nonzero
  }
  *count = product;
  return true;
}

constexpr char kMetadataKey[] = "__metadata__";

// Takes the header's JSON as a stream of events, so that a key given twice is seen and nothing is built that the format
// does not have: {"name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, "__metadata__": {"k": "v"}}.
class HeaderReader : public nlohmann::json_sax<nlohmann::json> {
 public:
  struct Entry {
    std::string name, dtype;
    std::vector<uint64_t> shape, offsets;
  };

  explicit HeaderReader(SafetensorsFile::Limits limits) : limits_(limits) {}

  std::vector<Entry> entries;
  Metadata metadata;
  std::string error;

  bool start_object(size_t) override {
    if (place_ == Place::kStart) return go(Place::kTop);
    if (place_ == Place::kTop && name_ == kMetadataKey) return go(Place::kMetadata);
    if (place_ == Place::kTop) {
      entries.push_back({});
      entries.back().name = name_;
      fields_.clear();
      return go(Place::kTensor);
    }
    return bad("an object stands where none belongs");
  }

  bool end_object() override {
    if (place_ == Place::kTop) return go(Place::kEnd);
    if (place_ == Place::kTensor && fields_.size() != 3) return bad("dtype, shape or data_offsets is missing");
    return go(Place::kTop);
  }

  bool start_array(size_t) override {
    if (place_ != Place::kTensor || field_ == "dtype") return bad("an array stands where none belongs");
    return go(field_ == "shape" ? Place::kShape : Place::kOffsets);
  }

  bool end_array() override {
    if (place_ == Place::kOffsets && entries.back().offsets.size() != 2) return bad("data_offsets are not two numbers");
    return go(Place::kTensor);
  }

  bool key(string_t& text) override {
    if (place_ == Place::kTensor) {
      if (text != "dtype" && text != "shape" && text != "data_offsets") return bad("unknown field '", text, "'");
      field_ = text;
      return fields_.insert(text).second || bad(text, " is given twice");
    }
    if (text.size() > limits_.name_bytes) {
      return bad("a name of ", text.size(), " bytes is longer than the limit of ", limits_.name_bytes,
                 " (max_name_bytes)");
    }
    if (text.find('\0') != std::string::npos) return bad("a name holds a NUL character");
    auto& names = place_ == Place::kMetadata ? metadata_keys_ : names_;
    if (!names.insert(text).second) return bad("the name '", text, "' is given twice");
    (place_ == Place::kMetadata ? metadata_key_ : name_) = text;
    return true;
  }

  bool string(string_t& text) override {
    if (place_ == Place::kMetadata) {
      metadata[metadata_key_] = text;
      return true;
    }
    if (place_ != Place::kTensor || field_ != "dtype") return bad("a string stands where none belongs");
    entries.back().dtype = text;
    return true;
  }

  bool number_unsigned(number_unsigned_t value) override {
    if (place_ != Place::kShape && place_ != Place::kOffsets) return bad("a number stands where none belongs");
    auto& list = place_ == Place::kShape ? entries.back().shape : entries.back().offsets;
    if (list.size() >= (place_ == Place::kShape ? limits_.dimensions : 2)) return bad("too many numbers in ", field_);
    list.push_back(value);
    return true;
  }

  bool number_integer(number_integer_t value) override { return bad("the number ", value, " is negative"); }
  bool number_float(number_float_t, const string_t& text) override {
    return bad("the number ", text.substr(0, 40), " is no whole number below 2^64");
  }
  bool null() override { return bad("null stands where none belongs"); }
  bool boolean(bool) override { return bad("a boolean stands where none belongs"); }
  bool binary(binary_t&) override { return bad("binary data stand where none belong"); }
  bool parse_error(size_t position, const std::string&, const nlohmann::json::exception&) override {
    return bad("no valid JSON in UTF-8 at byte ", 8 + position);
  }

 private:
  enum class Place { kStart, kTop, kMetadata, kTensor, kShape, kOffsets, kEnd };

  bool go(Place place) {
    place_ = place;
    return true;
  }

  template <class... Parts>
  bool bad(const Parts&... parts) {
    const bool inside = place_ == Place::kTensor || place_ == Place::kShape || place_ == Place::kOffsets;
    error = inside ? text("tensor '", entries.back().name, "': ", parts...) : text(parts...);
    return false;
  }

  SafetensorsFile::Limits limits_;
  Place place_ = Place::kStart;
  std::string name_, field_, metadata_key_;
  std::set<std::string> names_, metadata_keys_, fields_;
};

// The tensor of a header entry, whose bytes are `begin` to `end` of the data.
TensorView make_view(const std::string& path, HeaderReader::Entry& entry, const uint8_t* data, uint64_t size) {
  TensorView view;
  view.name = std::move(entry.name);
  view.dtype = dtype_of_name(entry.dtype);
  check(view.dtype != 0, UDI_E_FORMAT, path, ": tensor '", view.name, "': dtype '", entry.dtype.substr(0, 40),
        "' is not one that libudi reads");
  for (const uint64_t dimension : entry.shape) {
    check(dimension <= INT64_MAX, UDI_E_FORMAT, path, ": tensor '", view.name, "': a dimension of ", dimension);
    view.shape.push_back(int64_t(dimension));
  }
  int64_t elements = 0;
  uint64_t bytes = 0;
  check(element_count(view.shape, &elements) &&
            !__builtin_mul_overflow(uint64_t(elements), dtype_size(view.dtype), &bytes),
        UDI_E_FORMAT, path, ": tensor '", view.name, "': its shape has more elements than 64 bits count");
  const uint64_t begin = entry.offsets[0], end = entry.offsets[1];
  check(begin <= end && end <= size, UDI_E_FORMAT, path, ": tensor '", view.name, "': bytes ", begin, " to ", end,
        " are not within the ", size, " bytes of data");
  check(end - begin == bytes, UDI_E_FORMAT, path, ": tensor '", view.name, "': shape and dtype need ", bytes,
        " bytes, data_offsets give ", end - begin);
  view.data = data + begin;
  view.bytes = bytes;
  return view;
}

// The header as JSON text, in the order of tensors.
std::string header_text(const std::string& path, const std::vector<TensorView>& tensors, const Metadata& metadata) {
  std::string header = "{";
  const auto quoted = [&](const std::string& name) {
    check(name.find('\0') == std::string::npos, UDI_E_INVALID, path, ": a name holds a NUL character");
    try {
      return nlohmann::json(name).dump();
    } catch (const nlohmann::json::exception&) {
      fail(UDI_E_INVALID, path, ": a name or metadata value is not UTF-8");
    }
  };
  if (!metadata.empty()) {
    header += text('"', kMetadataKey, "\":{");
    for (const auto& [key, value] : metadata)
      header += text(header.back() == '{' ? "" : ",", quoted(key), ':', quoted(value));
    header += '}';
  }
  std::set<std::string> names = {kMetadataKey};
  uint64_t at = 0;
  for (const TensorView& tensor : tensors) {
    check(names.insert(tensor.name).second, UDI_E_INVALID, path, ": two tensors of the name '", tensor.name, "'");
    const size_t element = dtype_size(tensor.dtype);
    check(tensor.bytes % element == 0 && tensor.bytes / element == uint64_t(tensor.elements()), UDI_E_INVALID, path,
          ": tensor '", tensor.name, "' has ", tensor.bytes, " bytes, its shape and dtype another number");
    header += text(header.size() == 1 ? "" : ",", quoted(tensor.name), ":{\"dtype\":\"", dtype_name(tensor.dtype),
                   "\",\"shape\":", nlohmann::json(tensor.shape).dump(), ",\"data_offsets\":[", at, ',',
                   at + tensor.bytes, "]}");
    at += tensor.bytes;
  }
  header += '}';
  header.append((64 - (8 + header.size()) % 64) % 64, ' ');
  return header;
}

}  // namespace

size_t dtype_size(udi_dtype dtype) { return known(dtype).size; }

const char* dtype_name(udi_dtype dtype) { return known(dtype).name; }

udi_dtype dtype_of_name(const std::string& name) {
  for (const Dtype& entry : kDtypes) {
    if (name == entry.name) return entry.dtype;
  }
  return 0;
}

int64_t TensorView::elements() const {
  int64_t count = 0;
  check(element_count(shape, &count), UDI_E_SHAPE, "tensor '", name, "': its shape has no count of elements");
  return count;
}

SafetensorsFile::Limits SafetensorsFile::limits_of(const FormatLimits& given) {
  Limits limits;
  limits.header_bytes = limit_or(given.header_bytes, limits.header_bytes);
  limits.name_bytes = limit_or(given.name_bytes, limits.name_bytes);
  return limits;
}

SafetensorsFile::SafetensorsFile(const std::string& path, Limits limits)
    : path_(path), file_(std::make_unique<MappedFile>(path)) {
  parse(file_->data(), file_->size(), limits);
}

SafetensorsFile::SafetensorsFile(const std::string& name, const uint8_t* data, uint64_t size, Limits limits)
    : path_(name) {
  parse(data, size, limits);
}

void SafetensorsFile::parse(const uint8_t* data, uint64_t size, Limits limits) {
  check(size >= 8, UDI_E_FORMAT, path_, ": ", size, " bytes are too few for a safetensors file");
  uint64_t header_size = 0;
  std::memcpy(&header_size, data, 8);  // little-endian, as every processor libudi is built for
  check(header_size <= limits.header_bytes, UDI_E_FORMAT, path_, ": a header of ", header_size,
        " bytes is larger than the limit of ", limits.header_bytes, " (max_header_bytes)");
  check(header_size <= size - 8, UDI_E_FORMAT, path_, ": ends within its header of ", header_size, " bytes");
  const char* header = reinterpret_cast<const char*>(data) + 8;
  check(header_size >= 2 && header[0] == '{', UDI_E_FORMAT, path_, ": the header does not start with '{'");
  // The JSON reader takes a NUL for the end of the text: what follows it would go unread.
  check(!std::memchr(header, 0, header_size), UDI_E_FORMAT, path_, ": the header holds a NUL byte");

  HeaderReader reader(limits);
  const bool good = nlohmann::json::sax_parse(header, header + header_size, &reader);
  check(good, UDI_E_FORMAT, path_, ": header: ", reader.error);
  metadata_ = std::move(reader.metadata);

  std::stable_sort(reader.entries.begin(), reader.entries.end(),
                   [](const auto& a, const auto& b) { return a.offsets < b.offsets; });
  const uint64_t data_size = size - 8 - header_size;
  uint64_t covered = 0;
  for (auto& entry : reader.entries) {
    const uint64_t begin = entry.offsets[0];
    tensors_.push_back(make_view(path_, entry, data + 8 + header_size, data_size));
    check(begin == covered, UDI_E_FORMAT, path_, ": tensor '", tensors_.back().name, "' starts at byte ", begin,
          " of the data, where ", covered, " was due: tensors ", begin < covered ? "overlap" : "leave a gap");
    covered = entry.offsets[1];
  }
  check(covered == data_size, UDI_E_FORMAT, path_, ": ", data_size - covered, " bytes after the last tensor");
  for (size_t i = 0; i < tensors_.size(); ++i) index_[tensors_[i].name] = i;
}

const TensorView* SafetensorsFile::find(const std::string& name) const {
  const auto found = index_.find(name);
  return found == index_.end() ? nullptr : &tensors_[found->second];
}

const TensorView& SafetensorsFile::at(const std::string& name) const {
  const TensorView* tensor = find(name);
  check(tensor, UDI_E_NOT_FOUND, path_, ": holds no tensor '", name, "'");
  return *tensor;
}

void write_safetensors(const std::string& path, const std::vector<TensorView>& tensors, const Metadata& metadata) {
  const std::string header = header_text(path, tensors, metadata);
  const uint64_t header_size = header.size();
  write_atomically(path, [&](const Append& append) {
    append(&header_size, 8);
    append(header.data(), header.size());
    for (const TensorView& tensor : tensors) append(tensor.data, tensor.bytes);
  });
}

}  // namespace udi
