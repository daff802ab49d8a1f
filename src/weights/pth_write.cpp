#include "weights/pth_write.h"

#include <cstring>

#include "base/error.h"
#include "weights/storage_types.h"
#include "weights/zip_write.h"

namespace udi {

// Opcodes of protocol 2, named as in Python's pickletools.
PthWriter::PthWriter() : pickle_("\x80\x02") {}

void PthWriter::begin_dict() {
  pickle_ += "}(";  // EMPTY_DICT MARK ... SETITEMS
  closers_ += 'u';
}

void PthWriter::begin_ordered_dict() {
  global("collections\nOrderedDict\n");
  pickle_ += ")R(";  // EMPTY_TUPLE REDUCE MARK ... SETITEMS
  closers_ += 'u';
}

void PthWriter::begin_list() {
  pickle_ += "](";  // EMPTY_LIST MARK ... APPENDS
  closers_ += 'e';
}

void PthWriter::begin_tuple() {
  pickle_ += '(';  // MARK ... TUPLE
  closers_ += 't';
}

void PthWriter::end() {
  check(!closers_.empty(), UDI_E_INTERNAL, "a pickle ends what was not begun");
  pickle_ += closers_.back();
  closers_.pop_back();
}

void PthWriter::raw(uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) byte(uint8_t(value >> 8 * i));
}

void PthWriter::none() { byte('N'); }

void PthWriter::boolean(bool value) { byte(value ? 0x88 : 0x89); }

void PthWriter::integer(int64_t value) {
  if (value >= INT32_MIN && value <= INT32_MAX) {
    byte('J');  // BININT
    raw(uint64_t(value), 4);
  } else {
    byte(0x8a);  // LONG1
    byte(8);
    raw(uint64_t(value), 8);
  }
}

void PthWriter::number(double value) {
  uint64_t bits;
  std::memcpy(&bits, &value, 8);
  byte('G');  // BINFLOAT, big-endian
  raw(__builtin_bswap64(bits), 8);
}

void PthWriter::string(const std::string& value) {
  byte('X');  // BINUNICODE
  raw(value.size(), 4);
  pickle_ += value;
}

void PthWriter::global(const char* name) {
  byte('c');
  pickle_ += name;
}

// torch._utils._rebuild_tensor_v2(storage, offset, size, stride, requires_grad, backward_hooks)
void PthWriter::tensor(const TensorView& tensor) {
  const StorageType* type = nullptr;
  for (const StorageType& candidate : kStorageTypes) {
    if (candidate.dtype == tensor.dtype) type = &candidate;
  }
  check(type, UDI_E_UNSUPPORTED, "tensor '", tensor.name, "': torch files hold no ", dtype_name(tensor.dtype));
  const auto [known, added] = keys_.try_emplace({tensor.data, tensor.dtype, tensor.bytes}, storages_.size());
  if (added) storages_.push_back({tensor.data, tensor.bytes});

  std::string type_name = std::string(type->name) + '\n';
  type_name[type_name.find(' ')] = '\n';
  global("torch._utils\n_rebuild_tensor_v2\n");
  begin_tuple();
  begin_tuple();  // the storage's persistent id
  string("storage");
  global(type_name.c_str());
  string(std::to_string(known->second));
  string("cpu");
  integer(int64_t(tensor.bytes / dtype_size(tensor.dtype)));
  end();
  byte('Q');  // BINPERSID
  integer(0);
  begin_tuple();
  for (const int64_t size : tensor.shape) integer(size);
  end();
  begin_tuple();
  int64_t stride = tensor.elements();
  for (const int64_t size : tensor.shape) integer(stride = size > 0 ? stride / size : 1);
  end();
  boolean(false);
  begin_ordered_dict();
  end();
  end();
  byte('R');  // REDUCE
}

void PthWriter::scalar_tensor(float value) {
  scalars_.push_back(value);
  tensor({"", UDI_F32, {}, &scalars_.back(), sizeof(float)});
}

void PthWriter::json(const nlohmann::json& value) {
  if (value.is_object()) {
    begin_dict();
    for (const auto& [key, item] : value.items()) string(key), json(item);
    end();
  } else if (value.is_array()) {
    begin_list();
    for (const auto& item : value) json(item);
    end();
  } else if (value.is_string()) {
    string(value.get<std::string>());
  } else if (value.is_boolean()) {
    boolean(value.get<bool>());
  } else if (value.is_number_float()) {
    number(value.get<double>());
  } else if (value.is_number()) {
    integer(value.get<int64_t>());
  } else {
    none();
  }
}

void PthWriter::save(const std::string& path) const {
  check(closers_.empty(), UDI_E_INTERNAL, "a pickle is saved before its end");
  write_atomically(path, [&](const Append& append) {
    ZipWriter zip(append);
    const std::string pickle = pickle_ + '.';
    zip.add("archive/data.pkl", pickle.data(), pickle.size());
    zip.add("archive/byteorder", "little", 6);
    for (size_t i = 0; i < storages_.size(); ++i) {
      zip.add("archive/data/" + std::to_string(i), storages_[i].data, storages_[i].bytes);
    }
    zip.add("archive/version", "3\n", 2);
    zip.finish();
  });
}

namespace {

constexpr char kHead[] = "head.0.";

// The official model has one head a level and shares its weights between them.
int64_t count_heads(const std::vector<TensorView>& tensors) {
  int64_t heads = 0;
  for (const TensorView& tensor : tensors) {
    if (tensor.name == "backbone.backbone.cls_token" && tensor.shape.size() == 3) heads += tensor.shape[1];
    if (tensor.name == "backbone.attn.qkv.weight") ++heads;
  }
  return heads;
}

void write_state(PthWriter& out, const char* key, const char* prefix, const std::vector<TensorView>& tensors) {
  if (tensors.empty()) return;
  const auto put = [&](const std::string& name, const TensorView& tensor) {
    out.string(prefix + name);
    out.tensor(tensor);
  };
  out.string(key);
  out.begin_ordered_dict();
  for (const TensorView& tensor : tensors) put(tensor.name, tensor);
  const int64_t heads = count_heads(tensors);
  for (int64_t head = 1; head < heads; ++head) {
    for (const TensorView& tensor : tensors) {
      if (tensor.name.rfind(kHead, 0) == 0) put(text("head.", head, '.', tensor.name.substr(sizeof kHead - 1)), tensor);
    }
  }
  out.end();
}

// torch.optim.AdamW's state_dict: two groups, the decayed weights first; numbers count through both.
void write_optimizer(PthWriter& out, const OfficialCheckpoint::Optimizer& optimizer) {
  std::vector<const OfficialCheckpoint::Moments*> groups[2];
  for (const auto& moments : optimizer.moments) groups[moments.decayed ? 0 : 1].push_back(&moments);

  out.string("optimizer");
  out.begin_dict();
  out.string("state");
  out.begin_dict();
  int64_t id = 0;
  for (const auto& group : groups) {
    for (const auto* moments : group) {
      const int64_t own = id++;
      if (!moments->exp_avg.data) continue;
      out.integer(own);
      out.begin_dict();
      out.string("step");
      out.scalar_tensor(float(moments->step));
      out.string("exp_avg");
      out.tensor(moments->exp_avg);
      out.string("exp_avg_sq");
      out.tensor(moments->exp_avg_sq);
      out.end();
    }
  }
  out.end();
  out.string("param_groups");
  out.begin_list();
  id = 0;
  for (int group = 0; group < 2; ++group) {
    out.begin_dict();
    out.string("lr");
    out.number(optimizer.lr);
    out.string("betas");
    out.begin_tuple();
    out.number(optimizer.beta1);
    out.number(optimizer.beta2);
    out.end();
    out.string("eps");
    out.number(optimizer.epsilon);
    out.string("weight_decay");
    out.number(group == 0 ? optimizer.weight_decay : 0.0);
    for (const char* flag : {"amsgrad", "maximize", "capturable", "differentiable"}) {
      out.string(flag);
      out.boolean(false);
    }
    for (const char* choice : {"foreach", "fused"}) {
      out.string(choice);
      out.none();
    }
    out.string("params");
    out.begin_list();
    for (size_t i = 0; i < groups[group].size(); ++i) out.integer(id++);
    out.end();
    out.end();
  }
  out.end();
  out.end();
}

}  // namespace

void write_official_pth(const std::string& path, const OfficialCheckpoint& checkpoint) {
  PthWriter out;
  std::vector<float> counts;
  out.begin_dict();
  write_state(out, "student", "module.", checkpoint.student);
  write_state(out, "teacher", "", checkpoint.teacher);
  if (checkpoint.optimizer) write_optimizer(out, *checkpoint.optimizer);
  out.string("epoch");
  out.integer(checkpoint.epoch);
  if (!checkpoint.args.is_null()) {
    out.string("args");
    out.json(checkpoint.args);
  }
  if (checkpoint.center.data) {
    check(checkpoint.center.shape.size() == 2, UDI_E_INVALID, "the center must be [levels, out_dim]");
    counts.assign(size_t(checkpoint.center.shape[0]), 0.0f);
    out.string("udi_loss");
    out.begin_ordered_dict();
    out.string("centering.center");
    out.tensor(checkpoint.center);
    out.string("centering.count");
    out.tensor({"count", UDI_F32, {checkpoint.center.shape[0], 1}, counts.data(), counts.size() * sizeof(float)});
    out.end();
  }
  out.end();
  out.save(path);
}

}  // namespace udi
