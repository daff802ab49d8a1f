// Builds .pth files byte by byte, right ones and ones that lie.
#pragma once

#include <zlib.h>

#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include "base/support.h"
#include "weights/pth.h"

namespace udi_test {

inline std::string number(uint64_t value, int bytes) {
  std::string text;
  for (int i = 0; i < bytes; ++i) text += char(value >> 8 * i);
  return text;
}

// A zip archive of stored entries in which every field may be set to something else.
struct ZipLine {
  std::string name, data;
  uint32_t crc = 0;  // 0: not given, so that contents can be changed at will
  uint16_t flags = 0, method = 0;
  std::string local_name;                // empty: name
  int64_t packed = -1, unpacked = -1;    // -1: size of the data
  int64_t local_size = -1, offset = -1;  // -1: the true ones
  std::string local_extra, extra;
};

struct Zip {
  std::vector<ZipLine> lines;
  std::string before, between;  // bytes before the first entry, and between entries and directory
  std::string after;
  int64_t entries = -1, directory_size = -1, directory_offset = -1;
  std::string zip64;  // put before the end record

  std::string bytes() const {
    std::string file = before, directory;
    for (const ZipLine& line : lines) {
      const auto told = [&](int64_t value) { return value < 0 ? line.data.size() : uint64_t(value); };
      const uint64_t offset = line.offset < 0 ? file.size() : uint64_t(line.offset);
      const std::string& local_name = line.local_name.empty() ? line.name : line.local_name;
      const std::string kind = number(line.flags, 2) + number(line.method, 2) + number(0, 4) + number(line.crc, 4);
      const uint64_t local = line.local_size < 0 ? told(line.packed) : uint64_t(line.local_size);
      file += "PK\3\4" + number(20, 2) + kind + number(local, 4) +
              number(line.local_size < 0 ? told(line.unpacked) : local, 4) + number(local_name.size(), 2) +
              number(line.local_extra.size(), 2) + local_name + line.local_extra + line.data;
      directory += "PK\1\2" + number(20, 2) + number(20, 2) + kind + number(told(line.packed), 4) +
                   number(told(line.unpacked), 4) + number(line.name.size(), 2) + number(line.extra.size(), 2) +
                   number(0, 10) + number(offset, 4) + line.name + line.extra;
    }
    file += between;
    const uint64_t start = directory_offset < 0 ? file.size() : uint64_t(directory_offset);
    const uint64_t size = directory_size < 0 ? directory.size() : uint64_t(directory_size);
    const uint64_t count = entries < 0 ? lines.size() : uint64_t(entries);
    return file + directory + zip64 + "PK\5\6" + number(0, 4) + number(count, 2) + number(count, 2) + number(size, 4) +
           number(start, 4) + number(0, 2) + after;
  }
};

// ---- Pieces of a pickle --------------------------------------------------------------------------------------------

inline std::string str(const std::string& text) { return "X" + number(text.size(), 4) + text; }

inline std::string num(int64_t value) { return "\x8a\x08" + number(uint64_t(value), 8); }

inline std::string nums(const std::vector<int64_t>& values) {
  std::string tuple = "(";
  for (const int64_t value : values) tuple += num(value);
  return tuple + "t";
}

inline std::string global(const std::string& module, const std::string& name) {
  return "c" + module + "\n" + name + "\n";
}

inline std::string dict(const std::vector<std::pair<std::string, std::string>>& entries) {
  std::string result = "}(";
  for (const auto& [key, value] : entries) result += str(key) + value;
  return result + "u";
}

struct TensorText {
  std::string type = "FloatStorage", key = "0";
  int64_t elements = 6, offset = 0;
  std::vector<int64_t> sizes = {2, 3}, strides = {3, 1};

  std::string text() const {
    return global("torch._utils", "_rebuild_tensor_v2") + "((" + str("storage") + global("torch", type) + str(key) +
           str("cpu") + num(elements) + "tQ" + num(offset) + nums(sizes) + nums(strides) + "\x89}tR";
  }
};

inline std::string pickle(const std::string& body) { return "\x80\x02" + body + "."; }

// A .pth of this pickle and of one storage "0": the floats 0, 1, 2, 3, 4, 5.
inline Zip torch_zip(const std::string& body) {
  std::string floats;
  for (int i = 0; i < 6; ++i) {
    const float value = float(i);
    floats.append(reinterpret_cast<const char*>(&value), 4);
  }
  Zip zip;
  zip.lines.resize(2);
  zip.lines[0].name = "archive/data.pkl";
  zip.lines[0].data = pickle(body);
  zip.lines[1].name = "archive/data/0";
  zip.lines[1].data = floats;
  return zip;
}

inline const uint8_t* bytes_of(const std::string& text) { return reinterpret_cast<const uint8_t*>(text.data()); }

// Reads from a heap block of exactly this size, so that a sanitizer sees a byte too many. The file's text must live as
// long as the result is used for its tensors' bytes.
inline void read_pth(const std::string& file, udi::PthFile::Limits limits = {}) {
  const std::vector<uint8_t> exact(bytes_of(file), bytes_of(file) + file.size());
  udi::PthFile("test", exact.data(), exact.size(), limits);
}

inline void expect_bad_pth(const std::string& words, const std::string& body, udi_status status = UDI_E_FORMAT) {
  expect_error(status, words, [&] { read_pth(torch_zip(body).bytes()); });
}

}  // namespace udi_test
