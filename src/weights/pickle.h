// Python's pickles, protocols 2 to 4, read as plain values. Nothing is imported, built or called: a class or function
// is its name, and an object is the record of what Python would have called with which values. So no pickle can do
// anything here but be refused.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <unordered_map>
#include <vector>

namespace udi {

// One value. Values may be shared, and a hostile pickle may let one contain itself: whoever walks the tree keeps a
// limit on depth and on the number of visits.
struct Value {
  enum class Kind : uint8_t {
    kNone,
    kBool,
    kInt,
    kBigInt,  // past 64 bits: text holds its bytes in hexadecimal
    kFloat,
    kString,  // UTF-8
    kBytes,   // bytes, and strings that are no UTF-8
    kList,
    kTuple,
    kSet,
    kDict,        // dict and collections.OrderedDict
    kGlobal,      // text: "module name", "torch FloatStorage"
    kPersistent,  // what stands outside of the pickle; items[0] names it
    kObject       // callable(*arguments), then state set and entries put in
  };

  Kind kind = Kind::kNone;
  int64_t integer = 0;  // kBool, kInt
  double number = 0;    // kFloat
  std::string text;
  std::vector<const Value*> items;  // elements; for kDict and kObject the entries: key, value, key, value, ...
  const Value* callable = nullptr;  // kObject
  const Value* arguments = nullptr;
  const Value* state = nullptr;  // nullptr if none was set

  bool is(Kind wanted) const { return kind == wanted; }
  // Whether this is the global "module name", and whether this is an object made by calling it.
  bool is_global(const char* name) const { return kind == Kind::kGlobal && text == name; }
  bool is_call_of(const char* name) const { return kind == Kind::kObject && callable->is_global(name); }
};

class Pickle {
 public:
  struct Limits {
    uint64_t bytes = 32u << 20;
    uint64_t values = 1u << 20;  // and of memo entries
    uint64_t depth = 1000;       // of open marks: tuples within tuples that are being written
  };

  // Reads all of the `size` bytes; they need not outlive this. UDI_E_FORMAT: what is wrong and at which byte.
  Pickle(const std::string& path, const uint8_t* data, uint64_t size, Limits limits);

  const Value& root() const { return *root_; }  // lives as long as the Pickle

 private:
  friend class PickleReader;
  std::deque<Value> values_;  // owns every value; nothing is freed before all are, so no cycle and no depth can hurt
  const Value* root_ = nullptr;
};

}  // namespace udi
