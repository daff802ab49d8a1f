// Protocol buffers, as far as writing goes: a field is (number << 3 | wire type), then a varint (0), 8 bytes (1), 4
// bytes (5) or a length and so many bytes (2). Numbers are little-endian, as is every machine that this runs on.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>

namespace udi::protobuf {

enum Wire { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

inline void put_varint(std::string* out, uint64_t value) {
  while (value >= 0x80) {
    out->push_back(char(value | 0x80));
    value >>= 7;
  }
  out->push_back(char(value));
}

inline void put_tag(std::string* out, int field, Wire wire) { put_varint(out, uint64_t(field) << 3 | wire); }

template <class T>
void put_raw(std::string* out, T value) {
  char bytes[sizeof(T)];
  std::memcpy(bytes, &value, sizeof(T));
  out->append(bytes, sizeof(T));
}

inline void put_integer(std::string* out, int field, int64_t value) {
  put_tag(out, field, kVarint);
  put_varint(out, uint64_t(value));
}

inline void put_float(std::string* out, int field, float value) {
  put_tag(out, field, kFixed32);
  put_raw(out, value);
}

// A string, or a message that is encoded already.
inline void put_bytes(std::string* out, int field, const std::string& bytes) {
  put_tag(out, field, kBytes);
  put_varint(out, bytes.size());
  out->append(bytes);
}

}  // namespace udi::protobuf
