// Writes what torch.load reads (also with weights_only=True): a pickle of dicts, lists, numbers, strings and tensors,
// and the tensors' bytes, in a zip archive.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "base/safetensors.h"

namespace udi {

// One value is written after the other; a dict takes keys and values in turn. Tensors are borrowed until save().
// Tensors of the same bytes in memory, dtype and size share one storage in the file, as aliases do in torch.
class PthWriter {
 public:
  PthWriter();

  void begin_dict();
  void begin_ordered_dict();  // collections.OrderedDict: what a state_dict is
  void begin_list();
  void begin_tuple();
  void end();  // of the innermost of these

  void none();
  void boolean(bool value);
  void integer(int64_t value);
  void number(double value);
  void string(const std::string& value);
  // UDI_E_UNSUPPORTED for a dtype that torch has no storage of (U16, U32, U64).
  void tensor(const TensorView& tensor);
  void scalar_tensor(float value);         // of no dimension
  void json(const nlohmann::json& value);  // as dicts, lists, numbers, strings

  // Atomic (base/files.h). The value that was begun must have ended.
  void save(const std::string& path) const;

 private:
  void global(const char* name);
  void byte(uint8_t value) { pickle_ += char(value); }
  void raw(uint64_t value, int bytes);

  struct Storage {
    const void* data;
    uint64_t bytes;
  };

  std::string pickle_;
  std::string closers_;  // the opcodes that end what is open
  std::vector<Storage> storages_;
  std::map<std::tuple<const void*, udi_dtype, uint64_t>, size_t> keys_;
  std::deque<float> scalars_;
};

// A checkpoint as the official code (main_udi.py) saves and resumes it.
struct OfficialCheckpoint {
  // AdamW's state of one weight of the student; exp_avg.data NULL: none yet.
  struct Moments {
    std::string name;
    bool decayed = false;
    int64_t step = 0;
    TensorView exp_avg, exp_avg_sq;
  };
  struct Optimizer {
    std::vector<Moments> moments;  // in the order of the official named_parameters(), trained weights only
    double lr = 0, weight_decay = 0, beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;
  };

  std::vector<TensorView> student, teacher;  // official names; either may be empty: left out
  TensorView center;                         // [levels, out_dim]; data NULL: left out
  int64_t epoch = 0;                         // epochs that are done
  std::optional<Optimizer> optimizer;
  nlohmann::json args;  // an object; what shapes do not tell a reader, by the official arguments' names; null: left out
};

// student gets "module." before each name, head.0 is written under its aliases too (one a level of the loss), and
// udi_loss gets its zero counts. Atomic.
void write_official_pth(const std::string& path, const OfficialCheckpoint& checkpoint);

}  // namespace udi
