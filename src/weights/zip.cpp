#include "weights/zip.h"

#include <zlib.h>

#include <algorithm>
#include <cstring>

#include "base/error.h"

namespace udi {
namespace {

constexpr uint32_t kLocalSignature = 0x04034b50, kDirectorySignature = 0x02014b50, kEndSignature = 0x06054b50,
                   kEnd64Signature = 0x06064b50, kLocatorSignature = 0x07064b50;
constexpr uint64_t kLocalSize = 30, kDirectorySize = 46, kEndSize = 22, kEnd64Size = 56, kLocatorSize = 20;
constexpr uint16_t kEncrypted = 1 << 0, kSizesFollow = 1 << 3, kStrongEncryption = 1 << 6, kMaskedHeaders = 1 << 13;

// Little-endian fields one after the other; whoever makes one has checked that they lie in the file.
struct Fields {
  const uint8_t* at;

  template <class T>
  T take() {
    T value;
    std::memcpy(&value, at, sizeof value);
    at += sizeof value;
    return value;
  }
  uint16_t u16() { return take<uint16_t>(); }
  uint32_t u32() { return take<uint32_t>(); }
  uint64_t u64() { return take<uint64_t>(); }
};

struct Sizes {
  uint64_t unpacked, packed, offset;
};

struct Directory {
  uint64_t offset, size, entries;
};

class Reader {
 public:
  Reader(const std::string& path, const uint8_t* data, uint64_t size) : path_(path), data_(data), size_(size) {}

  Directory find_directory() const;
  std::vector<ZipEntry> read_entries(const Directory& directory, ZipFile::Limits limits);

 private:
  template <class... Parts>
  [[noreturn]] void bad(const Parts&... parts) const {
    fail(UDI_E_FORMAT, path_, ": damaged zip archive: ", parts...);
  }
  template <class... Parts>
  void need(bool good, const Parts&... parts) const {
    if (!good) bad(parts...);
  }

  void read_zip64(Fields fields, uint64_t length, const std::string& name, Sizes* sizes) const;
  uint64_t check_local(const std::string& name, uint16_t flags, uint32_t crc, const Sizes& sizes, uint64_t end) const;

  const std::string& path_;
  const uint8_t* data_;
  uint64_t size_;
};

// The end record stands at the very end: torch writes no comment, and with one a file could hold two end records.
Directory Reader::find_directory() const {
  need(size_ >= kEndSize, size_, " bytes are too few");
  uint64_t end = size_ - kEndSize;
  Fields fields{data_ + end};
  need(fields.u32() == kEndSignature, "no end record in the last ", kEndSize, " bytes (a truncated file?)");
  const uint16_t disk = fields.u16(), directory_disk = fields.u16();
  const uint16_t entries_here = fields.u16(), entries = fields.u16();
  Directory directory{};
  const uint32_t size = fields.u32(), offset = fields.u32();
  need(fields.u16() == 0, "bytes follow the end record");
  check(disk == 0 && directory_disk == 0, UDI_E_UNSUPPORTED, path_, ": a zip archive in several parts");
  need(entries_here == entries, "the end record contradicts itself");
  directory = {offset, size, entries};

  if (end >= kLocatorSize && Fields{data_ + end - kLocatorSize}.u32() == kLocatorSignature) {
    Fields locator{data_ + end - kLocatorSize + 4};
    const uint32_t record_disk = locator.u32();
    const uint64_t record = locator.u64();
    need(record_disk == 0 && locator.u32() == 1, "the zip64 locator names other parts");
    need(end >= kLocatorSize + kEnd64Size && record == end - kLocatorSize - kEnd64Size,
         "the zip64 locator points to byte ", record, ", where no end record is");
    Fields wide{data_ + record};
    need(wide.u32() == kEnd64Signature && wide.u64() == kEnd64Size - 12, "no zip64 end record at byte ", record);
    wide.u32();  // versions
    const uint32_t wide_disk = wide.u32(), wide_directory_disk = wide.u32();
    const uint64_t wide_here = wide.u64();
    directory.entries = wide.u64();
    directory.size = wide.u64();
    directory.offset = wide.u64();
    need(wide_disk == 0 && wide_directory_disk == 0 && wide_here == directory.entries,
         "the zip64 end record contradicts itself");
    need((entries == UINT16_MAX || entries == directory.entries) && (size == UINT32_MAX || size == directory.size) &&
             (offset == UINT32_MAX || offset == directory.offset),
         "its two end records differ");
    end = record;
  }
  need(directory.offset <= end && directory.size == end - directory.offset, "the directory of ", directory.size,
       " bytes at ", directory.offset, " does not end at the end record at ", end);
  return directory;
}

// The extra fields of a header: takes from the zip64 one those of the sizes that the header marks as too large for
// itself.
void Reader::read_zip64(Fields fields, uint64_t length, const std::string& name, Sizes* sizes) const {
  bool seen = false;
  while (length > 0) {
    need(length >= 4, "entry '", name, "': its extra fields are cut off");
    const uint16_t id = fields.u16(), bytes = fields.u16();
    length -= 4;
    need(bytes <= length, "entry '", name, "': its extra fields are cut off");
    Fields field{fields.at};
    fields.at += bytes;
    length -= bytes;
    if (id != 1) continue;
    need(!seen, "entry '", name, "': two zip64 fields");
    seen = true;
    uint64_t left = bytes;
    for (uint64_t* value : {&sizes->unpacked, &sizes->packed, &sizes->offset}) {
      if (*value != UINT32_MAX) continue;
      need(left >= 8, "entry '", name, "': its zip64 field is too short");
      *value = field.u64();
      left -= 8;
    }
  }
}

// The entry's own header, which must say what the directory says. Returns where its data start.
uint64_t Reader::check_local(const std::string& name, uint16_t flags, uint32_t crc, const Sizes& sizes,
                             uint64_t end) const {
  need(sizes.offset <= end && end - sizes.offset >= kLocalSize, "entry '", name, "' is said to start at byte ",
       sizes.offset);
  Fields fields{data_ + sizes.offset};
  need(fields.u32() == kLocalSignature, "entry '", name, "': no entry at byte ", sizes.offset);
  fields.u16();  // version
  const uint16_t local_flags = fields.u16(), method = fields.u16();
  fields.u32();  // time
  const uint32_t local_crc = fields.u32();
  Sizes local{};
  local.packed = fields.u32();
  local.unpacked = fields.u32();
  local.offset = 0;
  const uint16_t name_size = fields.u16(), extra_size = fields.u16();
  const uint64_t header = kLocalSize + name_size + extra_size;
  need(header <= end - sizes.offset && sizes.packed <= end - sizes.offset - header, "entry '", name,
       "' reaches past byte ", end, ", where the directory starts");
  need(name_size == name.size() && std::memcmp(fields.at, name.data(), name.size()) == 0, "entry '", name,
       "' is called otherwise where it starts");
  read_zip64({fields.at + name_size}, extra_size, name, &local);
  const bool sizes_agree = local.packed == sizes.packed && local.unpacked == sizes.unpacked && local_crc == crc;
  const bool sizes_follow = (flags & kSizesFollow) && local.packed == 0 && local.unpacked == 0 && local_crc == 0;
  need(local_flags == flags && method == 0 && (sizes_agree || sizes_follow), "entry '", name,
       "' and its line in the directory differ");
  return sizes.offset + header;
}

std::vector<ZipEntry> Reader::read_entries(const Directory& directory, ZipFile::Limits limits) {
  check(directory.entries <= limits.entries, UDI_E_FORMAT, path_, ": ", directory.entries,
        " entries are more than the limit of ", limits.entries);
  std::vector<ZipEntry> entries;
  std::vector<std::pair<uint64_t, uint64_t>> ranges;
  uint64_t at = directory.offset;
  const uint64_t end = directory.offset + directory.size;
  for (uint64_t i = 0; i < directory.entries; ++i) {
    need(end - at >= kDirectorySize, "the directory ends within entry ", i);
    Fields fields{data_ + at};
    need(fields.u32() == kDirectorySignature, "no directory entry at byte ", at);
    fields.u32();  // versions
    const uint16_t flags = fields.u16(), method = fields.u16();
    fields.u32();  // time
    const uint32_t crc = fields.u32();
    Sizes sizes{};
    sizes.packed = fields.u32();
    sizes.unpacked = fields.u32();
    const uint64_t name_size = fields.u16(), extra_size = fields.u16(), comment_size = fields.u16();
    const uint16_t disk = fields.u16();
    fields.u16(), fields.u32();  // attributes
    sizes.offset = fields.u32();
    need(name_size + extra_size + comment_size <= end - at - kDirectorySize, "the directory ends within entry ", i);
    need(name_size <= limits.name_bytes, "a name of ", name_size, " bytes is longer than the limit of ",
         limits.name_bytes, " (max_name_bytes)");
    const std::string name(reinterpret_cast<const char*>(fields.at), name_size);
    need(name.find('\0') == std::string::npos, "a name holds a NUL byte");
    check(!(flags & (kEncrypted | kStrongEncryption | kMaskedHeaders)), UDI_E_UNSUPPORTED, path_, ": entry '", name,
          "' is encrypted");
    check(method == 0, UDI_E_UNSUPPORTED, path_, ": entry '", name, "' is compressed (method ", method,
          "): torch.save stores entries as they are, save it again with torch");
    check(disk == 0, UDI_E_UNSUPPORTED, path_, ": a zip archive in several parts");
    read_zip64({fields.at + name_size}, extra_size, name, &sizes);
    need(sizes.packed == sizes.unpacked, "entry '", name, "' is stored, and has two sizes");
    const uint64_t start = check_local(name, flags, crc, sizes, directory.offset);
    entries.push_back({name, data_ + start, sizes.packed, crc});
    ranges.emplace_back(sizes.offset, start + sizes.packed);
    at += kDirectorySize + name_size + extra_size + comment_size;
  }
  need(at == end, end - at, " bytes of the directory are no entry");
  std::sort(ranges.begin(), ranges.end());
  for (size_t i = 1; i < ranges.size(); ++i) {
    need(ranges[i].first >= ranges[i - 1].second, "two entries share byte ", ranges[i].first);
  }
  need(ranges.empty() || ranges[0].first == 0, "bytes stand before the first entry");
  return entries;
}

// Entries are never written to disk by name. Such a name is a trap set for programs that do.
bool leaves_the_archive(const std::string& name) {
  if (name.empty() || name[0] == '/' || name.find('\\') != std::string::npos) return true;
  return ("/" + name + "/").find("/../") != std::string::npos;
}

}  // namespace

ZipFile::ZipFile(const std::string& path, const uint8_t* data, uint64_t size, Limits limits) : path_(path) {
  Reader reader(path_, data, size);
  entries_ = reader.read_entries(reader.find_directory(), limits);
  for (size_t i = 0; i < entries_.size(); ++i) {
    const std::string& name = entries_[i].name;
    check(!leaves_the_archive(name), UDI_E_FORMAT, path_, ": an entry is named '", name, "'");
    check(index_.emplace(name, i).second, UDI_E_FORMAT, path_, ": two entries are named '", name, "'");
  }
}

const ZipEntry* ZipFile::find(const std::string& name) const {
  const auto found = index_.find(name);
  return found == index_.end() ? nullptr : &entries_[found->second];
}

void ZipFile::verify(const ZipEntry& entry) const {
#ifdef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
  (void)entry;  // a fuzzer would not get past it
#else
  if (entry.crc == 0) return;
  const uLong crc = crc32_z(0, entry.data, entry.size);
  check(crc == entry.crc, UDI_E_FORMAT, path_, ": entry '", entry.name, "' is damaged: its checksum is wrong");
#endif
}

}  // namespace udi
