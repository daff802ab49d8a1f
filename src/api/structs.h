// Structs that cross the boundary: an older caller's are shorter, a newer one's longer than ours.
#pragma once

#include <cstring>

#include "base/error.h"

namespace udi {

constexpr uint32_t kSmallestStruct = 8;       // struct_size and one field
constexpr uint32_t kLargestGrowth = 1 << 12;  // beyond ours: struct_size is not a size

template <class T>
T* require(T* pointer, const char* name) {
  check(pointer != nullptr, UDI_E_INVALID, name, " is NULL");
  return pointer;
}

template <class Value, class Low, class High>
void in_range(const char* name, Value value, Low low, High high) {
  check(value >= Value(low) && value <= Value(high), UDI_E_INVALID, name, " is ", value, ", must be ", low, " to ",
        high);
}

inline void check_role(udi_role role) {
  check(role == UDI_STUDENT || role == UDI_TEACHER, UDI_E_INVALID, "role is ", role,
        ", must be UDI_STUDENT (1) or UDI_TEACHER (2)");
}

inline void check_struct_size(uint32_t size, size_t known, const char* name) {
  check(size >= kSmallestStruct, UDI_E_INVALID, name, ".struct_size is ", size,
        ": set it to sizeof, or call the struct's _init function");
  check(size <= known + kLargestGrowth, UDI_E_VERSION, name, ".struct_size is ", size, ", this libudi knows ", known);
}

// The caller's struct over the defaults of what it lacks.
template <class T>
T read_struct(const T* given, const char* name, const T& defaults) {
  const uint32_t size = require(given, name)->struct_size;
  check_struct_size(size, sizeof(T), name);
  const auto* bytes = reinterpret_cast<const unsigned char*>(given);
  for (size_t i = sizeof(T); i < size; ++i) {
    check(bytes[i] == 0, UDI_E_VERSION, name, " of ", size, " bytes uses fields that this libudi (", sizeof(T),
          " bytes) does not know");
  }
  T value = defaults;
  std::memcpy(&value, given, size < sizeof(T) ? size : sizeof(T));
  value.struct_size = sizeof(T);
  return value;
}

// Every configuration has an _init function for its defaults.
template <class T>
T read_config(const T* given, const char* name, void (*init)(T*, size_t)) {
  T defaults;
  init(&defaults, sizeof defaults);
  return read_struct(given, name, defaults);
}

// The same where NULL stands for the defaults.
template <class T>
T read_config_or_default(const T* given, const char* name, void (*init)(T*, size_t)) {
  T defaults;
  init(&defaults, sizeof defaults);
  return given ? read_struct(given, name, defaults) : defaults;
}

// Before the work, so that a wrong struct_size cannot fail it when it is done.
template <class T>
void check_out_struct(const T* out, const char* name) {
  check_struct_size(require(out, name)->struct_size, sizeof(T), name);
}

template <class T>
void write_struct(T* out, const T& value) {
  const uint32_t size = out->struct_size;
  std::memset(static_cast<void*>(out), 0, size);
  std::memcpy(static_cast<void*>(out), &value, size < sizeof(T) ? size : sizeof(T));
  out->struct_size = size;
}

}  // namespace udi
