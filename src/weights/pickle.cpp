#include "weights/pickle.h"

#include <algorithm>
#include <cstring>
#include <iterator>

#include "base/error.h"
#include "weights/utf8.h"

namespace udi {

using Kind = Value::Kind;

namespace {
constexpr size_t kMaxName = 1024;  // of a module, and of a class or function in it
}

// The pickle machine: a stack, marks on it, and a memo of numbered values.
class PickleReader {
 public:
  PickleReader(Pickle& out, const std::string& path, const uint8_t* data, uint64_t size, Pickle::Limits limits)
      : out_(out), path_(path), data_(data), size_(size), limits_(limits) {}

  const Value* read();

 private:
  template <class... Parts>
  [[noreturn]] void bad(const Parts&... parts) const {
    fail(UDI_E_FORMAT, path_, ": pickle: ", parts..., " at byte ", start_);
  }
  template <class... Parts>
  void need(bool good, const Parts&... parts) const {
    if (!good) bad(parts...);
  }

  // The bytes that follow an opcode.
  const uint8_t* take(uint64_t count) {
    need(count <= size_ - at_, "ends within an operand");
    at_ += count;
    return data_ + at_ - count;
  }
  template <class T>
  T take_number() {
    T value;
    std::memcpy(&value, take(sizeof value), sizeof value);
    return value;
  }
  std::string take_text(uint64_t count) {
    const char* text = reinterpret_cast<const char*>(take(count));
    return std::string(text, count);
  }
  template <class Count>
  std::string take_counted() {
    return take_text(take_number<Count>());
  }
  std::string take_line();

  // The stack, down to the innermost mark.
  uint64_t available() const { return stack_.size() - (marks_.empty() ? 0 : marks_.back()); }
  Value* top() const {
    need(available() > 0, "nothing on the stack");
    return stack_.back();
  }
  Value* pop() {
    Value* value = top();
    stack_.pop_back();
    return value;
  }
  std::vector<const Value*> pop_items(uint64_t count);
  std::vector<const Value*> pop_to_mark();

  Value* make(Kind kind) {
    need(out_.values_.size() < limits_.values, "more than ", limits_.values, " values");
    out_.values_.emplace_back();
    out_.values_.back().kind = kind;
    return &out_.values_.back();
  }
  void push(Value* value) { stack_.push_back(value); }
  void push_integer(Kind kind, int64_t integer) {
    push(make(kind));
    top()->integer = integer;
  }
  void push_text(Kind kind, std::string text) {
    push(make(kind == Kind::kString && !valid_utf8(text) ? Kind::kBytes : kind));
    top()->text = std::move(text);
  }
  void push_items(Kind kind, std::vector<const Value*> items) {
    push(make(kind));
    top()->items = std::move(items);
  }

  struct Opcode;
  static const Opcode kOpcodes[];
  void check_protocol();
  void check_frame();
  void mark();
  void drop();
  void push_long();
  void push_float();
  void push_name(const std::string& module, const std::string& name);
  void push_global();
  void push_stack_global();
  void append(const std::vector<const Value*>& items, Kind kind);
  void set_items(const std::vector<const Value*>& items);
  void memoize(uint32_t index);
  void recall(uint32_t index);
  void call();
  void set_state();

  Pickle& out_;
  const std::string& path_;
  const uint8_t* data_;
  uint64_t size_, at_ = 0, start_ = 0;  // start_: of the current opcode
  Pickle::Limits limits_;
  std::vector<Value*> stack_;
  std::vector<uint64_t> marks_;  // sizes of the stack
  std::unordered_map<uint32_t, Value*> memo_;
};

// What each opcode does, of those that protocols 2 to 4 write for plain data and objects (names as in Python's
// pickletools).
struct PickleReader::Opcode {
  uint8_t code;
  void (*run)(PickleReader&);
};

const PickleReader::Opcode PickleReader::kOpcodes[] = {
    {0x80, [](PickleReader& r) { r.check_protocol(); }},                                      // PROTO
    {0x95, [](PickleReader& r) { r.check_frame(); }},                                         // FRAME
    {'(', [](PickleReader& r) { r.mark(); }},                                                 // MARK
    {'0', [](PickleReader& r) { r.drop(); }},                                                 // POP
    {'1', [](PickleReader& r) { r.pop_to_mark(); }},                                          // POP_MARK
    {'N', [](PickleReader& r) { r.push(r.make(Kind::kNone)); }},                              // NONE
    {0x88, [](PickleReader& r) { r.push_integer(Kind::kBool, 1); }},                          // NEWTRUE
    {0x89, [](PickleReader& r) { r.push_integer(Kind::kBool, 0); }},                          // NEWFALSE
    {'J', [](PickleReader& r) { r.push_integer(Kind::kInt, r.take_number<int32_t>()); }},     // BININT
    {'K', [](PickleReader& r) { r.push_integer(Kind::kInt, r.take_number<uint8_t>()); }},     // BININT1
    {'M', [](PickleReader& r) { r.push_integer(Kind::kInt, r.take_number<uint16_t>()); }},    // BININT2
    {0x8a, [](PickleReader& r) { r.push_long(); }},                                           // LONG1
    {'G', [](PickleReader& r) { r.push_float(); }},                                           // BINFLOAT
    {'X', [](PickleReader& r) { r.push_text(Kind::kString, r.take_counted<uint32_t>()); }},   // BINUNICODE
    {0x8c, [](PickleReader& r) { r.push_text(Kind::kString, r.take_counted<uint8_t>()); }},   // SHORT_BINUNICODE
    {0x8d, [](PickleReader& r) { r.push_text(Kind::kString, r.take_counted<uint64_t>()); }},  // BINUNICODE8
    {'B', [](PickleReader& r) { r.push_text(Kind::kBytes, r.take_counted<uint32_t>()); }},    // BINBYTES
    {'C', [](PickleReader& r) { r.push_text(Kind::kBytes, r.take_counted<uint8_t>()); }},     // SHORT_BINBYTES
    {0x8e, [](PickleReader& r) { r.push_text(Kind::kBytes, r.take_counted<uint64_t>()); }},   // BINBYTES8
    {')', [](PickleReader& r) { r.push(r.make(Kind::kTuple)); }},                             // EMPTY_TUPLE
    {'t', [](PickleReader& r) { r.push_items(Kind::kTuple, r.pop_to_mark()); }},              // TUPLE
    {0x85, [](PickleReader& r) { r.push_items(Kind::kTuple, r.pop_items(1)); }},              // TUPLE1
    {0x86, [](PickleReader& r) { r.push_items(Kind::kTuple, r.pop_items(2)); }},              // TUPLE2
    {0x87, [](PickleReader& r) { r.push_items(Kind::kTuple, r.pop_items(3)); }},              // TUPLE3
    {']', [](PickleReader& r) { r.push(r.make(Kind::kList)); }},                              // EMPTY_LIST
    {'a', [](PickleReader& r) { r.append(r.pop_items(1), Kind::kList); }},                    // APPEND
    {'e', [](PickleReader& r) { r.append(r.pop_to_mark(), Kind::kList); }},                   // APPENDS
    {'}', [](PickleReader& r) { r.push(r.make(Kind::kDict)); }},                              // EMPTY_DICT
    {'s', [](PickleReader& r) { r.set_items(r.pop_items(2)); }},                              // SETITEM
    {'u', [](PickleReader& r) { r.set_items(r.pop_to_mark()); }},                             // SETITEMS
    {0x8f, [](PickleReader& r) { r.push(r.make(Kind::kSet)); }},                              // EMPTY_SET
    {0x90, [](PickleReader& r) { r.append(r.pop_to_mark(), Kind::kSet); }},                   // ADDITEMS
    {0x91, [](PickleReader& r) { r.push_items(Kind::kSet, r.pop_to_mark()); }},               // FROZENSET
    {'q', [](PickleReader& r) { r.memoize(r.take_number<uint8_t>()); }},                      // BINPUT
    {'r', [](PickleReader& r) { r.memoize(r.take_number<uint32_t>()); }},                     // LONG_BINPUT
    {0x94, [](PickleReader& r) { r.memoize(uint32_t(r.memo_.size())); }},                     // MEMOIZE
    {'h', [](PickleReader& r) { r.recall(r.take_number<uint8_t>()); }},                       // BINGET
    {'j', [](PickleReader& r) { r.recall(r.take_number<uint32_t>()); }},                      // LONG_BINGET
    {'c', [](PickleReader& r) { r.push_global(); }},                                          // GLOBAL
    {0x93, [](PickleReader& r) { r.push_stack_global(); }},                                   // STACK_GLOBAL
    {'R', [](PickleReader& r) { r.call(); }},                                                 // REDUCE
    {0x81, [](PickleReader& r) { r.call(); }},                                                // NEWOBJ
    {'b', [](PickleReader& r) { r.set_state(); }},                                            // BUILD
    {'Q', [](PickleReader& r) { r.push_items(Kind::kPersistent, r.pop_items(1)); }},          // BINPERSID
};

const Value* PickleReader::read() {
  check(size_ <= limits_.bytes, UDI_E_FORMAT, path_, ": a pickle of ", size_, " bytes is larger than the limit of ",
        limits_.bytes, " (max_header_bytes)");
  for (;;) {
    start_ = at_;
    const uint8_t opcode = *take(1);
    if (opcode == '.') break;
    const Opcode* found = std::find_if(std::begin(kOpcodes), std::end(kOpcodes),
                                       [&](const Opcode& entry) { return entry.code == opcode; });
    need(found != std::end(kOpcodes), "opcode ", int(opcode), " is not one that is read,");
    found->run(*this);
  }
  need(marks_.empty() && stack_.size() == 1, "stops with ", stack_.size(), " values where one was due");
  need(at_ == size_, "bytes follow its end");
  return stack_[0];
}

void PickleReader::check_protocol() {
  const int protocol = *take(1);
  need(start_ == 0 && protocol >= 2 && protocol <= 4, "protocol ", protocol, " (2 to 4 are read, named once)");
}

void PickleReader::check_frame() { need(take_number<uint64_t>() <= size_ - at_, "a frame is longer than the pickle"); }

void PickleReader::mark() {
  need(marks_.size() < limits_.depth, "more than ", limits_.depth, " open marks");
  marks_.push_back(stack_.size());
}

// Python's writer uses this opcode for a mark, too.
void PickleReader::drop() {
  if (available() == 0 && !marks_.empty()) {
    marks_.pop_back();
  } else {
    pop();
  }
}

// The module and the name of a global end with a newline each.
std::string PickleReader::take_line() {
  const void* end = std::memchr(data_ + at_, '\n', size_ - at_);
  need(end, "a line without an end");
  std::string line = take_text(uint64_t(static_cast<const uint8_t*>(end) - (data_ + at_)));
  take(1);
  need(valid_utf8(line), "a global whose name is no UTF-8");
  return line;
}

std::vector<const Value*> PickleReader::pop_to_mark() {
  need(!marks_.empty(), "no mark on the stack");
  const auto first = stack_.begin() + ptrdiff_t(marks_.back());
  std::vector<const Value*> items(first, stack_.end());
  stack_.erase(first, stack_.end());
  marks_.pop_back();
  return items;
}

std::vector<const Value*> PickleReader::pop_items(uint64_t count) {
  need(available() >= count, "too few values on the stack");
  const auto first = stack_.end() - ptrdiff_t(count);
  std::vector<const Value*> items(first, stack_.end());
  stack_.erase(first, stack_.end());
  return items;
}

// A whole number in two's complement, of as many bytes as it needs.
void PickleReader::push_long() {
  const uint8_t count = *take(1);
  const uint8_t* bytes = take(count);
  if (count <= 8) {
    uint64_t number = count > 0 && (bytes[count - 1] & 0x80) ? UINT64_MAX : 0;
    std::memcpy(&number, bytes, count);
    push_integer(Kind::kInt, int64_t(number));
    return;
  }
  std::string digits;
  for (int i = count; i-- > 0;) {
    digits += "0123456789abcdef"[bytes[i] >> 4];
    digits += "0123456789abcdef"[bytes[i] & 15];
  }
  push_text(Kind::kBigInt, digits);
}

void PickleReader::push_float() {
  const uint64_t bits = __builtin_bswap64(take_number<uint64_t>());
  push(make(Kind::kFloat));
  std::memcpy(&top()->number, &bits, 8);
}

// Long names would multiply: two bytes can ask for a name of the memo's strings again and again.
void PickleReader::push_name(const std::string& module, const std::string& name) {
  need(module.size() <= kMaxName && name.size() <= kMaxName, "a global whose name is longer than ", kMaxName, " bytes");
  push_text(Kind::kGlobal, module + ' ' + name);
}

void PickleReader::push_global() {
  const std::string module = take_line();
  push_name(module, take_line());
}

void PickleReader::push_stack_global() {
  const auto names = pop_items(2);
  need(names[0]->is(Kind::kString) && names[1]->is(Kind::kString), "a global whose name is no string");
  push_name(names[0]->text, names[1]->text);
}

void PickleReader::append(const std::vector<const Value*>& items, Kind kind) {
  Value* list = top();
  need(list->is(kind) || list->is(Kind::kObject), "elements for what is no list or set");
  if (list->is(Kind::kObject)) return;  // an opaque list type: its elements are as opaque
  list->items.insert(list->items.end(), items.begin(), items.end());
}

void PickleReader::set_items(const std::vector<const Value*>& items) {
  Value* dict = top();
  need(dict->is(Kind::kDict) || dict->is(Kind::kObject), "entries for what is no dict");
  need(items.size() % 2 == 0, "a key without a value");
  dict->items.insert(dict->items.end(), items.begin(), items.end());
}

void PickleReader::memoize(uint32_t index) {
  need(memo_.size() < limits_.values, "more than ", limits_.values, " values in the memo");
  memo_[index] = top();
}

void PickleReader::recall(uint32_t index) {
  const auto found = memo_.find(index);
  need(found != memo_.end(), "memo ", index, " was never filled");
  push(found->second);
}

// Python would call here. We write down what it would have called, but for the one call that only makes an empty dict.
void PickleReader::call() {
  const auto operands = pop_items(2);
  const Value *callable = operands[0], *arguments = operands[1];
  need(arguments->is(Kind::kTuple), "a call without a tuple of arguments");
  if (callable->is_global("collections OrderedDict") && arguments->items.empty()) {
    push(make(Kind::kDict));
    return;
  }
  Value* object = make(Kind::kObject);
  object->callable = callable;
  object->arguments = arguments;
  push(object);
}

void PickleReader::set_state() {
  const Value* state = pop();
  Value* object = top();
  need(object->is(Kind::kObject) || object->is(Kind::kDict), "a state for what has none");
  if (object->is(Kind::kObject)) object->state = state;  // attributes of an OrderedDict mean nothing here
}

Pickle::Pickle(const std::string& path, const uint8_t* data, uint64_t size, Limits limits) {
  root_ = PickleReader(*this, path, data, size, limits).read();
}

}  // namespace udi
