#include "data/tar.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstring>
#include <optional>
#include <string_view>
#include <unordered_map>

#include "base/error.h"

namespace udi {
namespace {

using Block = std::array<uint8_t, kTarBlock>;

constexpr uint64_t kNameBytes = 4096;  // unless the caller has limits of their own
constexpr uint64_t kHeaderBytes = 1 << 20;

// Fields of a header: offset and length.
struct Field {
  size_t offset, length;
};
constexpr Field kName{0, 100}, kSize{124, 12}, kChecksum{148, 8}, kMagic{257, 6}, kPrefix{345, 155};
constexpr size_t kType = 156;

std::string string_field(const uint8_t* block, Field field) {
  const auto* begin = reinterpret_cast<const char*>(block) + field.offset;
  return std::string(begin, ::strnlen(begin, field.length));
}

// Octal digits, or GNU's big-endian number when the first bit is set. Nothing when it is neither, negative, or over 63
// bits.
std::optional<uint64_t> number_field(const uint8_t* block, Field field) {
  const uint8_t* at = block + field.offset;
  const uint8_t* end = at + field.length;
  uint64_t value = 0;
  if (*at & 0x80) {
    if (*at & 0x40) return std::nullopt;
    value = *at++ & 0x3f;
    for (; at < end; ++at) {
      if (value >> 55) return std::nullopt;
      value = value << 8 | *at;
    }
    return value;
  }
  while (at < end && *at == ' ') ++at;
  for (; at < end && *at >= '0' && *at <= '7'; ++at) value = value << 3 | uint64_t(*at - '0');  // 12 digits: 36 bits
  if (at < end && *at != ' ' && *at != 0) return std::nullopt;
  return value;
}

bool all_zero(const uint8_t* block) {
  return std::all_of(block, block + kTarBlock, [](uint8_t byte) { return byte == 0; });
}

// The sum of all bytes, the checksum itself taken as spaces; some old programs summed signed bytes.
bool checksum_matches(const uint8_t* block) {
  const auto stored = number_field(block, kChecksum);
  if (!stored) return false;
  int64_t plain = 0, with_sign = 0;
  for (size_t i = 0; i < kTarBlock; ++i) {
    const bool own = i >= kChecksum.offset && i < kChecksum.offset + kChecksum.length;
    const uint8_t byte = own ? ' ' : block[i];
    plain += byte;
    with_sign += int8_t(byte);
  }
  return int64_t(*stored) == plain || int64_t(*stored) == with_sign;
}

// Why a name may not be used, or nullptr. Strips "./" first.
const char* clean_name(std::string& name) {
  size_t begin = 0;
  while (name.compare(begin, 2, "./") == 0) {
    begin += 2;
    while (begin < name.size() && name[begin] == '/') ++begin;
  }
  name.erase(0, begin);
  if (name.empty()) return "an empty name";
  if (name[0] == '/') return "an absolute name";
  if (std::any_of(name.begin(), name.end(), [](char c) { return uint8_t(c) < 32 || c == 127; })) {
    return "control characters in the name";
  }
  for (size_t at = 0; at <= name.size();) {
    const size_t end = std::min(name.find('/', at), name.size());
    if (name.compare(at, end - at, "..") == 0) return "a name with \"..\"";
    at = end + 1;
  }
  return nullptr;
}

// A name as it may be shown.
std::string printable(std::string name) {
  for (char& c : name) {
    if (uint8_t(c) < 32 || c == 127) c = '?';
  }
  return name.substr(0, 200);
}

class Indexer {
 public:
  Indexer(const Bytes& bytes, const std::string& archive, Skips& skips, const FormatLimits& limits)
      : bytes_(bytes),
        archive_(archive),
        skips_(skips),
        max_header_bytes_(limit_or(limits.header_bytes, kHeaderBytes)),
        max_name_bytes_(limit_or(limits.name_bytes, kNameBytes)) {}

  std::vector<TarEntry> run(const Host& host) {
    check(bytes_.size() > 0, UDI_E_FORMAT, archive_, ": an empty file, not a tar archive");
    for (int64_t header = 0; read_header(); ++header) {
      if (header % 4096 == 0) host.check_cancel();
      take();
    }
    return without_duplicates();
  }

 private:
  template <class... Parts>
  [[noreturn]] void damaged(const Parts&... parts) const {
    fail(UDI_E_FORMAT, archive_, ": damaged at byte ", header_at_, ": ", parts...);
  }

  // The next header goes to block_; false at the end of the archive.
  bool read_header() {
    header_at_ = next_;
    if (header_at_ == bytes_.size()) return false;
    if (bytes_.size() - header_at_ < kTarBlock) damaged("the archive is cut off inside a header");
    bytes_.read(header_at_, block_.data(), kTarBlock);
    if (all_zero(block_.data())) return false;
    if (!checksum_matches(block_.data())) {
      if (header_at_ == 0) fail(UDI_E_FORMAT, archive_, ": not a tar archive");
      damaged("the header's checksum is wrong");
    }
    return true;
  }

  void take() {
    const char type = char(block_[kType]);
    const bool regular = type == '0' || type == 0 || type == '7';
    const bool has_data = regular || type < '1' || type > '6';  // links, folders and devices have none
    uint64_t size = 0;
    if (has_data) {
      const auto stored = number_field(block_.data(), kSize);
      if (!stored) damaged("the size is no number");
      size = *stored;
      if (pax_size_ && type != 'x' && type != 'g') size = *pax_size_;
    }
    const uint64_t data = header_at_ + kTarBlock;
    if (size > bytes_.size() - data) {
      damaged("an entry of ", size, " bytes reaches beyond the end of the archive at ", bytes_.size());
    }
    next_ = std::min(bytes_.size(), data + (size + kTarBlock - 1) / kTarBlock * kTarBlock);

    if (type == 'x') return read_pax(data, size);
    if (type == 'L') return read_long_name(data, size);
    if (type == 'K' || type == 'g' || type == 'V') return;
    add_entry(type, regular, data, size);
    long_name_.reset();
    pax_name_.reset();
    pax_size_.reset();
    pax_sparse_ = false;
  }

  void add_entry(char type, bool regular, uint64_t data, uint64_t size) {
    std::string name = pax_name_ ? *pax_name_ : long_name_ ? *long_name_ : header_name();
    if (type == '5' || name.empty() || name.back() == '/') return;  // a folder
    check_name(name.size());
    const char* reason = clean_name(name);
    if (!reason && type >= '1' && type <= '6') reason = "a link or device inside an archive";
    if (!reason && (type == 'S' || pax_sparse_)) reason = "a sparse file";
    if (!reason && !regular) reason = "an entry of unknown type";
    if (type == 'S' && block_[482]) damaged("a sparse file with an extended map, which is not supported");
    if (reason) return skips_.add(archive_ + "/" + printable(std::move(name)), reason);
    entries_.push_back({std::move(name), data, size});
  }

  std::string header_name() const {
    const std::string name = string_field(block_.data(), kName);
    const bool ustar = string_field(block_.data(), kMagic) == "ustar";  // GNU writes "ustar  " and has no prefix there
    const std::string prefix = ustar ? string_field(block_.data(), kPrefix) : std::string();
    return prefix.empty() ? name : prefix + "/" + name;
  }

  std::string read_text(uint64_t data, uint64_t size) const {
    std::string content(size, '\0');
    bytes_.read(data, content.data(), size);
    return content;
  }

  void read_long_name(uint64_t data, uint64_t size) {
    check_name(size - std::min<uint64_t>(size, 1));  // without the NUL at its end
    const std::string name = read_text(data, size);
    long_name_ = name.substr(0, name.find('\0'));
  }

  void check_name(uint64_t size) const {
    if (size > max_name_bytes_) damaged("a name of ", size, " bytes, more than max_name_bytes ", max_name_bytes_);
  }

  // Records "LENGTH KEY=VALUE\n", where LENGTH counts the whole record.
  void read_pax(uint64_t data, uint64_t size) {
    if (size > max_header_bytes_) {
      damaged("a pax header of ", size, " bytes, more than max_header_bytes ", max_header_bytes_);
    }
    const std::string records = read_text(data, size);
    size_t at = 0;
    while (at < records.size() && records[at] != '\0') {
      size_t length = 0, digits = 0;
      while (digits < 8 && at + digits < records.size() && std::isdigit(uint8_t(records[at + digits]))) {
        length = length * 10 + size_t(records[at + digits++] - '0');
      }
      if (digits == 0 || length < digits + 3 || length > records.size() - at || records[at + digits] != ' ' ||
          records[at + length - 1] != '\n') {
        damaged("a pax record without its length");
      }
      const std::string record = records.substr(at + digits + 1, length - digits - 2);
      const size_t equals = record.find('=');
      if (equals == std::string::npos) damaged("a pax record without \"=\"");
      take_pax_record(record.substr(0, equals), record.substr(equals + 1));
      at += length;
    }
  }

  void take_pax_record(const std::string& key, const std::string& value) {
    if (key == "path") {
      check_name(value.size());
      pax_name_ = value;
    } else if (key == "size") {
      const bool number = !value.empty() && value.size() <= 18 &&
                          std::all_of(value.begin(), value.end(), [](char c) { return c >= '0' && c <= '9'; });
      if (!number) damaged("a pax size that is no number");
      pax_size_ = std::stoull(value);
    } else if (key.compare(0, 11, "GNU.sparse.") == 0) {
      pax_sparse_ = true;
    }
  }

  std::vector<TarEntry> without_duplicates() {
    std::unordered_map<std::string_view, size_t> last;
    for (size_t i = 0; i < entries_.size(); ++i) last[entries_[i].name] = i;
    if (last.size() == entries_.size()) return std::move(entries_);
    std::vector<TarEntry> kept;
    for (size_t i = 0; i < entries_.size(); ++i) {
      if (last[entries_[i].name] == i) {
        kept.push_back(entries_[i]);
      } else {
        skips_.add(archive_ + "/" + entries_[i].name, "the archive holds a later file of this name");
      }
    }
    return kept;
  }

  const Bytes& bytes_;
  const std::string& archive_;
  Skips& skips_;
  const uint64_t max_header_bytes_, max_name_bytes_;
  Block block_{};
  uint64_t header_at_ = 0, next_ = 0;
  std::optional<std::string> long_name_, pax_name_;  // for the next entry
  std::optional<uint64_t> pax_size_;
  bool pax_sparse_ = false;
  std::vector<TarEntry> entries_;
};

}  // namespace

bool is_tar_header(const uint8_t block[kTarBlock]) { return all_zero(block) || checksum_matches(block); }

std::vector<TarEntry> index_tar(const Bytes& bytes, const std::string& name, Skips& skips, const Host& host,
                                const FormatLimits& limits) {
  return Indexer(bytes, name, skips, limits).run(host);
}

}  // namespace udi
