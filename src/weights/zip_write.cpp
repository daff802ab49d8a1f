#include "weights/zip_write.h"

#include <zlib.h>

#include <algorithm>

namespace udi {
namespace {

constexpr uint64_t kAlignment = 64;
constexpr uint16_t kVersion = 45;  // the first with zip64
constexpr uint16_t kUtf8Names = 1 << 11;

// Little-endian numbers one after the other.
class Record {
 public:
  Record& u16(uint64_t value) { return number(value, 2); }
  Record& u32(uint64_t value) { return number(value, 4); }
  Record& u64(uint64_t value) { return number(value, 8); }
  Record& text(const std::string& value) {
    bytes += value;
    return *this;
  }
  std::string bytes;

 private:
  Record& number(uint64_t value, int size) {
    for (int i = 0; i < size; ++i) bytes += char(value >> 8 * i);
    return *this;
  }
};

}  // namespace

ZipWriter::ZipWriter(const Append& append, uint64_t zip64_from) : append_(append), zip64_from_(zip64_from) {}

void ZipWriter::put(const std::string& bytes) {
  append_(bytes.data(), bytes.size());
  at_ += bytes.size();
}

void ZipWriter::add(const std::string& name, const void* data, uint64_t size) {
  const bool wide_size = size >= zip64_from_, wide_offset = at_ >= zip64_from_;
  const uint64_t crc = crc32_z(0, static_cast<const Bytef*>(data), size);
  const uint64_t offset = at_, size32 = wide_size ? UINT32_MAX : size;

  Record extra;
  if (wide_size) extra.u16(1).u16(16).u64(size).u64(size);
  const uint64_t unpadded = at_ + 30 + name.size() + extra.bytes.size() + 4;
  const uint64_t padding = (kAlignment - unpadded % kAlignment) % kAlignment;
  extra.u16('F' | 'B' << 8).u16(padding).text(std::string(padding, 'Z'));  // as torch marks its padding
  put(Record()
          .u32(0x04034b50)
          .u16(kVersion)
          .u16(kUtf8Names)
          .u16(0)  // stored
          .u32(0)  // no time: the same tensors give the same file
          .u32(crc)
          .u32(size32)
          .u32(size32)
          .u16(name.size())
          .u16(extra.bytes.size())
          .text(name)
          .text(extra.bytes)
          .bytes);
  if (size > 0) append_(data, size);
  at_ += size;

  Record wide;
  if (wide_size) wide.u64(size).u64(size);
  if (wide_offset) wide.u64(offset);
  if (!wide.bytes.empty()) wide.bytes = Record().u16(1).u16(wide.bytes.size()).text(wide.bytes).bytes;
  directory_ += Record()
                    .u32(0x02014b50)
                    .u16(kVersion)
                    .u16(kVersion)
                    .u16(kUtf8Names)
                    .u16(0)
                    .u32(0)
                    .u32(crc)
                    .u32(size32)
                    .u32(size32)
                    .u16(name.size())
                    .u16(wide.bytes.size())
                    .u16(0)  // comment
                    .u16(0)  // disk
                    .u16(0)
                    .u32(0)  // attributes
                    .u32(wide_offset ? UINT32_MAX : offset)
                    .text(name)
                    .text(wide.bytes)
                    .bytes;
  ++entries_;
}

// Both end records, as torch writes them whether or not the wide one is needed.
void ZipWriter::finish() {
  const uint64_t offset = at_, size = directory_.size();
  put(directory_);
  const uint64_t end64 = at_;
  put(Record()
          .u32(0x06064b50)
          .u64(44)
          .u16(kVersion)
          .u16(kVersion)
          .u32(0)
          .u32(0)
          .u64(entries_)
          .u64(entries_)
          .u64(size)
          .u64(offset)
          .bytes);
  put(Record().u32(0x07064b50).u32(0).u64(end64).u32(1).bytes);
  const uint64_t entries16 = std::min<uint64_t>(entries_, UINT16_MAX);
  put(Record()
          .u32(0x06054b50)
          .u16(0)
          .u16(0)
          .u16(entries16)
          .u16(entries16)
          .u32(size >= zip64_from_ ? UINT32_MAX : size)
          .u32(offset >= zip64_from_ ? UINT32_MAX : offset)
          .u16(0)
          .bytes);
}

}  // namespace udi
