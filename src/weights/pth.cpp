#include "weights/pth.h"

#include <cstring>
#include <optional>

#include "base/error.h"
#include "weights/storage_types.h"

namespace udi {
namespace {

using Kind = Value::Kind;

// The storages of other types (complex, quantized) are not read: 0.
udi_dtype storage_dtype(const Value& global) {
  for (const StorageType& type : kStorageTypes) {
    if (global.is_global(type.name)) return type.dtype;
  }
  return 0;
}

// "module name" as Python writes it: "module.name".
std::string global_name(const Value& global) {
  std::string name = global.text;
  const size_t space = name.find(' ');
  if (space != std::string::npos) name[space] = '.';
  return name;
}

}  // namespace

// One walk over the values of data.pkl. A value may be met many times, and may contain itself: visits, depth and the
// bytes of text that are made are counted.
class PthReader {
 public:
  PthReader(PthFile& out, const std::string& path, const uint8_t* data, uint64_t size, PthFile::Limits limits)
      : out_(out), path_(path), zip_(path, data, size, limits.zip), file_size_(size), limits_(limits) {}

  void read();

 private:
  using Json = nlohmann::json;

  struct Storage {
    const uint8_t* data;
    uint64_t elements;
    udi_dtype dtype;
  };

  // Fails with the place that is being read.
  template <class... Parts>
  void need(bool good, const Parts&... parts) const {
    if (!good) fail(UDI_E_FORMAT, path_, ": ", place_.empty() ? "the pickle" : place_, ": ", parts...);
  }

  std::string find_folder() const;
  void count_text(uint64_t bytes);
  std::string key_text(const Value& key);

  // What JSON can say of a value; nothing for a tensor and what holds tensors alone.
  std::optional<Json> visit(const Value& value, uint64_t depth);
  std::optional<Json> visit_object(const Value& object, uint64_t depth);
  std::optional<Json> visit_entries(const std::vector<const Value*>& entries, uint64_t depth);
  std::optional<Json> visit_elements(const Value& list, uint64_t depth);
  // Goes on below `key`, so that place_ names it.
  std::optional<Json> visit_below(const std::string& key, const Value& value, uint64_t depth);

  bool read_tensor(const Value& call);
  bool read_storage(const Value& persistent, Storage* storage);
  std::vector<int64_t> read_sizes(const Value& value, const char* what) const;
  void check_extent(const TensorView& tensor, const std::vector<int64_t>& strides, int64_t offset,
                    uint64_t elements) const;
  void copy_strided(TensorView* tensor, const std::vector<int64_t>& strides, const uint8_t* first);

  PthFile& out_;
  const std::string& path_;
  ZipFile zip_;
  uint64_t file_size_;
  PthFile::Limits limits_;
  std::string folder_;  // of the archive that everything lies in, with its slash
  std::string place_;   // the name of what is being visited
  uint64_t visits_ = 0, text_bytes_ = 0, copied_bytes_ = 0;
  std::map<std::string, bool> verified_;             // storages whose checksum was looked at
  std::map<const Value*, TensorView> read_tensors_;  // a tensor met twice is copied once
};

// The entries lie in one folder of any name, among them data.pkl.
std::string PthReader::find_folder() const {
  const auto& entries = zip_.entries();
  need(!entries.empty(), "an empty archive");
  const std::string folder = entries[0].name.substr(0, entries[0].name.find('/') + 1);
  need(!folder.empty() && zip_.find(folder + "data.pkl"), "a zip archive, but not one of torch.save (no data.pkl)");
  for (const ZipEntry& entry : entries) {
    need(entry.name.compare(0, folder.size(), folder) == 0, "entry '", entry.name, "' lies outside of '", folder, "'");
  }
  return folder;
}

void PthReader::read() {
  folder_ = find_folder();
  check(!zip_.find(folder_ + "constants.pkl"), UDI_E_UNSUPPORTED, path_,
        ": a TorchScript program; save the state_dict of the model with torch.save instead");
  if (const ZipEntry* order = zip_.find(folder_ + "byteorder")) {
    check(order->size == 6 && std::memcmp(order->data, "little", 6) == 0, UDI_E_UNSUPPORTED, path_,
          ": written on a big-endian machine; save it anew on a little-endian one");
  }
  const ZipEntry& entry = *zip_.find(folder_ + "data.pkl");
  zip_.verify(entry);
  const Pickle pickle(path_, entry.data, entry.size, limits_.pickle);
  out_.scalars_ = visit(pickle.root(), 0).value_or(Json::object());
}

void PthReader::count_text(uint64_t bytes) {
  text_bytes_ += bytes;
  need(text_bytes_ <= limits_.text_bytes, "more than ", limits_.text_bytes, " bytes of text");
}

std::string PthReader::key_text(const Value& key) {
  switch (key.kind) {
    case Kind::kString:
      return key.text;
    case Kind::kInt:
      return std::to_string(key.integer);
    case Kind::kBool:
      return key.integer ? "True" : "False";
    case Kind::kFloat:
      return Json(key.number).dump();
    case Kind::kNone:
      return "None";
    default:
      return "<key>";
  }
}

std::optional<nlohmann::json> PthReader::visit(const Value& value, uint64_t depth) {
  need(++visits_ <= limits_.visits, "more than ", limits_.visits, " values");
  need(depth <= limits_.depth, "more than ", limits_.depth, " containers within each other");
  switch (value.kind) {
    case Kind::kNone:
      return Json(nullptr);
    case Kind::kBool:
      return Json(value.integer != 0);
    case Kind::kInt:
      return Json(value.integer);
    case Kind::kFloat:
      return Json(value.number);
    case Kind::kBigInt:
      count_text(value.text.size());
      return Json("0x" + value.text);
    case Kind::kString:
      count_text(value.text.size());
      return Json(value.text);
    case Kind::kBytes:
      return Json("<bytes>");
    case Kind::kGlobal:
      count_text(value.text.size());
      return Json("<" + global_name(value) + ">");
    case Kind::kPersistent:
      return Json("<storage>");
    case Kind::kDict:
      return visit_entries(value.items, depth);
    case Kind::kList:
    case Kind::kTuple:
    case Kind::kSet:
      return visit_elements(value, depth);
    case Kind::kObject:
      return visit_object(value, depth);
  }
  return std::nullopt;
}

std::optional<nlohmann::json> PthReader::visit_object(const Value& object, uint64_t depth) {
  const auto& arguments = object.arguments->items;
  if (object.is_call_of("torch._utils _rebuild_tensor_v2") && read_tensor(object)) return std::nullopt;
  if (object.is_call_of("torch._utils _rebuild_parameter") && !arguments.empty())
    return visit(*arguments[0], depth + 1);
  std::vector<const Value*> entries = object.items;
  if (object.state && object.state->is(Kind::kDict)) {
    entries.insert(entries.end(), object.state->items.begin(), object.state->items.end());
  }
  if (!entries.empty()) return visit_entries(entries, depth);
  if (!object.callable->is(Kind::kGlobal)) return Json("<object>");
  return visit(*object.callable, depth + 1);
}

std::optional<nlohmann::json> PthReader::visit_entries(const std::vector<const Value*>& entries, uint64_t depth) {
  Json found = Json::object();
  bool tensors_alone = !entries.empty();
  for (size_t i = 0; i < entries.size(); i += 2) {
    const std::string key = key_text(*entries[i]);
    auto value = visit_below(key, *entries[i + 1], depth);
    if (!value) continue;
    tensors_alone = false;
    found[key] = std::move(*value);
  }
  if (tensors_alone) return std::nullopt;
  return found;
}

std::optional<nlohmann::json> PthReader::visit_elements(const Value& list, uint64_t depth) {
  Json found = Json::array();
  for (size_t i = 0; i < list.items.size(); ++i) {
    auto value = visit_below(std::to_string(i), *list.items[i], depth);
    if (value) found.push_back(std::move(*value));
  }
  if (found.empty() && !list.items.empty()) return std::nullopt;
  return found;
}

std::optional<nlohmann::json> PthReader::visit_below(const std::string& key, const Value& value, uint64_t depth) {
  const size_t size = place_.size();
  count_text(size + key.size());
  place_ += (place_.empty() ? "" : ".") + key;
  auto found = visit(value, depth + 1);
  place_.resize(size);
  return found;
}

// _rebuild_tensor_v2(storage, offset, size, stride, requires_grad, backward_hooks[, metadata]). False for a storage of
// a type that is not read; the tensor is then an object like any other.
bool PthReader::read_tensor(const Value& call) {
  const auto known = read_tensors_.find(&call);
  TensorView tensor;
  if (known != read_tensors_.end()) {
    tensor = known->second;
  } else {
    const auto& arguments = call.arguments->items;
    need(arguments.size() >= 4 && arguments[0]->is(Kind::kPersistent) && arguments[1]->is(Kind::kInt),
         "no storage, offset, size and stride for the tensor");
    Storage storage{};
    if (!read_storage(*arguments[0], &storage)) return false;
    const int64_t offset = arguments[1]->integer;
    tensor.dtype = storage.dtype;
    tensor.shape = read_sizes(*arguments[2], "size");
    const std::vector<int64_t> strides = read_sizes(*arguments[3], "stride");
    check_extent(tensor, strides, offset, storage.elements);
    const uint64_t elements = uint64_t(tensor.elements());
    tensor.bytes = elements * dtype_size(tensor.dtype);
    tensor.data = storage.data;
    if (elements > 0) copy_strided(&tensor, strides, storage.data + uint64_t(offset) * dtype_size(tensor.dtype));
    read_tensors_[&call] = tensor;
  }
  tensor.name = place_;
  check(place_.size() <= limits_.name_bytes, UDI_E_FORMAT, path_, ": the tensor '", place_.substr(0, 60),
        "...': a name of ", place_.size(), " bytes is longer than the limit of ", limits_.name_bytes,
        " (max_name_bytes)");
  need(out_.index_.emplace(place_, out_.tensors_.size()).second, "two tensors of this name");
  out_.tensors_.push_back(std::move(tensor));
  return true;
}

// The persistent id of a storage: ("storage", type, key, device, elements); its bytes are the entry data/KEY.
bool PthReader::read_storage(const Value& persistent, Storage* storage) {
  const auto& id = persistent.items[0]->items;
  need(persistent.items[0]->is(Kind::kTuple) && id.size() == 5 && id[0]->is(Kind::kString) &&
           id[0]->text == "storage" && id[1]->is(Kind::kGlobal) && id[2]->is(Kind::kString) && id[4]->is(Kind::kInt),
       "not the id of a storage");
  storage->dtype = storage_dtype(*id[1]);
  if (storage->dtype == 0) return false;
  const ZipEntry* entry = zip_.find(folder_ + "data/" + id[2]->text);
  need(entry, "its storage '", id[2]->text, "' is not in the file");
  const uint64_t size = dtype_size(storage->dtype);
  need(id[4]->integer >= 0 && entry->size % size == 0 && entry->size / size == uint64_t(id[4]->integer),
       "its storage has ", entry->size, " bytes, which are not ", id[4]->integer, " elements of ",
       dtype_name(storage->dtype));
  if (verified_.emplace(entry->name, true).second) zip_.verify(*entry);
  storage->data = entry->data;
  storage->elements = uint64_t(id[4]->integer);
  return true;
}

std::vector<int64_t> PthReader::read_sizes(const Value& value, const char* what) const {
  need(value.is(Kind::kTuple) || value.is(Kind::kList), "its ", what, " is no tuple");
  need(value.items.size() <= limits_.dimensions, "more than ", limits_.dimensions, " dimensions");
  std::vector<int64_t> sizes;
  for (const Value* item : value.items) {
    need(item->is(Kind::kInt) && item->integer >= 0, "its ", what, " holds what is no number from 0 up");
    sizes.push_back(item->integer);
  }
  return sizes;
}

// The tensor's last element must lie in its storage of `elements`.
void PthReader::check_extent(const TensorView& tensor, const std::vector<int64_t>& strides, int64_t offset,
                             uint64_t elements) const {
  need(strides.size() == tensor.shape.size(), "as many strides as sizes are due");
  need(offset >= 0 && uint64_t(offset) <= elements, "its offset ", offset, " is past the ", elements,
       " elements of its storage");
  int64_t last = offset, count = 0, bytes = 0;
  try {
    count = tensor.elements();
  } catch (const Error&) {
    need(false, "its size overflows");
  }
  need(!__builtin_mul_overflow(count, int64_t(dtype_size(tensor.dtype)), &bytes), "its size overflows");
  if (count == 0) return;
  for (size_t i = 0; i < strides.size(); ++i) {
    int64_t step = 0;
    need(!__builtin_mul_overflow(tensor.shape[i] - 1, strides[i], &step) && !__builtin_add_overflow(last, step, &last),
         "its strides overflow");
  }
  need(uint64_t(last) < elements, "its elements reach to ", last, " in a storage of ", elements);
  // Otherwise a few bytes could ask for any amount of memory.
  need(uint64_t(count) <= elements, "an expanded tensor of ", count, " elements over a storage of ", elements,
       "; save it with .contiguous()");
}

// Leaves a tensor that is row-major where it is, and makes a row-major copy of any other.
void PthReader::copy_strided(TensorView* tensor, const std::vector<int64_t>& strides, const uint8_t* first) {
  const size_t dimensions = strides.size(), size = dtype_size(tensor->dtype);
  bool contiguous = true;
  int64_t expected = 1;
  for (size_t i = dimensions; i-- > 0;) {
    contiguous = contiguous && (tensor->shape[i] == 1 || strides[i] == expected);
    expected *= tensor->shape[i];
  }
  tensor->data = first;
  if (contiguous) return;

  copied_bytes_ += tensor->bytes;
  need(copied_bytes_ <= 4 * file_size_, "tensors with strides over shared storages are larger than the file itself");
  out_.copies_.emplace_back(tensor->bytes);
  uint8_t* to = out_.copies_.back().data();
  tensor->data = to;
  std::vector<int64_t> place(dimensions, 0);
  int64_t at = 0;
  for (const uint8_t* end = to + tensor->bytes; to != end; to += size) {
    std::memcpy(to, first + uint64_t(at) * size, size);
    for (size_t i = dimensions; i-- > 0;) {
      if (place[i] + 1 < tensor->shape[i]) {
        ++place[i];
        at += strides[i];
        break;
      }
      at -= strides[i] * place[i];
      place[i] = 0;
    }
  }
}

PthFile::Limits PthFile::limits_of(const FormatLimits& given) {
  Limits limits;
  limits.pickle.bytes = limit_or(given.header_bytes, limits.pickle.bytes);
  limits.name_bytes = limit_or(given.name_bytes, limits.name_bytes);
  limits.zip.name_bytes = limit_or(given.name_bytes, limits.zip.name_bytes);
  return limits;
}

PthFile::PthFile(const std::string& path, Limits limits) : file_(std::make_unique<MappedFile>(path)) {
  parse(path, file_->data(), file_->size(), limits);
}

PthFile::PthFile(const std::string& name, const uint8_t* data, uint64_t size, Limits limits) {
  parse(name, data, size, limits);
}

void PthFile::parse(const std::string& name, const uint8_t* data, uint64_t size, Limits limits) {
  // Before torch 1.6 a file was one pickle, or a tar archive.
  const bool pickle = size > 1 && data[0] == 0x80 && data[1] <= 5;
  const bool tar = size > 262 && std::memcmp(data + 257, "ustar", 5) == 0;
  check(!pickle && !tar, UDI_E_UNSUPPORTED, name,
        ": in the old format of torch.save; load it in Python and save it again with torch 1.6 or later");
  PthReader(*this, name, data, size, limits).read();
}

const TensorView* PthFile::find(const std::string& name) const {
  const auto found = index_.find(name);
  return found == index_.end() ? nullptr : &tensors_[found->second];
}

}  // namespace udi
