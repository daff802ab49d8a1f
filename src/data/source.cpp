#include "data/source.h"

#include <sys/stat.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <filesystem>
#include <map>
#include <optional>
#include <string_view>
#include <unordered_map>

#include "base/error.h"
#include "base/files.h"
#include "data/bytes.h"
#include "data/cache.h"
#include "data/folder.h"
#include "data/gzip.h"
#include "data/tar.h"

namespace udi {
namespace {

bool has_list_ending(const std::string& path) {
  std::string ending = std::filesystem::path(path).extension().string();
  std::transform(ending.begin(), ending.end(), ending.begin(), [](unsigned char c) { return char(std::tolower(c)); });
  return ending == ".txt" || ending == ".lst";
}

// A whole number from 0 to 2^31 - 1, spaces around it allowed.
std::optional<int64_t> parse_label(const char* begin, const char* end) {
  while (begin < end && std::isspace(uint8_t(*begin))) ++begin;
  while (begin < end && std::isspace(uint8_t(end[-1]))) --end;
  int32_t value = 0;
  const auto [stop, status] = std::from_chars(begin, end, value);
  if (status != std::errc() || stop != end || value < 0) return std::nullopt;
  return value;
}

// WebDataset: files of one sample agree up to the first dot of the last part of the path.
std::string sample_key(const std::string& name) {
  const size_t slash = name.rfind('/');
  return name.substr(0, name.find('.', slash == std::string::npos ? 0 : slash));
}

bool is_hidden(const std::string& name) { return name[0] == '.' || name.find("/.") != std::string::npos; }

// The longest folder, '/' included, that both names begin with.
size_t common_folder(std::string_view a, std::string_view b) {
  const size_t length = std::min(a.size(), b.size());
  const size_t same = size_t(std::mismatch(a.begin(), a.begin() + length, b.begin()).first - a.begin());
  return a.substr(0, same).rfind('/') + 1;  // npos + 1 is 0
}

std::string cache_folder(const std::string& named) {
  if (!named.empty()) return named;
  std::error_code error;
  const std::filesystem::path folder = std::filesystem::temp_directory_path(error);
  check(!error, UDI_E_IO, "TMPDIR: names no folder to unpack archives into: ", error.message());
  return folder.string();
}

}  // namespace

ImageSource ImageSource::open(const std::string& path, const Options& options, const Host& host) {
  ImageSource source;
  source.path_ = path;
  source.options_ = options;
  source.memory_left_ = options.max_cache_bytes;
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) {
    if (errno == ENOENT || errno == ENOTDIR) fail(UDI_E_NOT_FOUND, path, ": no such file or folder");
    fail_errno(path, ": cannot be examined");
  }
  if (S_ISDIR(info.st_mode)) {
    source.add_folder(host);
  } else if (has_list_ending(path)) {
    source.add_list();
  } else if (has_tar_ending(path)) {
    source.add_shard(path, "", host);
    source.label_by_folder();
  } else if (has_image_ending(path)) {
    source.entries_.push_back({path});
  } else {
    fail(UDI_E_UNSUPPORTED, path, ": not a folder, a list (.txt, .lst), an archive (.tar, .tar.gz, .tgz) or an image");
  }
  source.finish(host);
  return source;
}

void ImageSource::add_folder(const Host& host) {
  folder_ = path_ + "/";
  FolderContent content = scan_folder(path_, skips_, host);
  if (!content.images.empty()) {
    if (!content.tars.empty()) {
      host.log(UDI_LOG_WARN, path_, ": holds image files, so its ", content.tars.size(), " archives are passed over");
    }
    for (std::string& name : content.images) entries_.push_back({std::move(name)});
  } else {
    for (const std::string& tar : content.tars) add_shard(folder_ + tar, tar + "/", host);
  }
  label_by_folder();
}

void ImageSource::add_list() {
  const std::filesystem::path parent = std::filesystem::path(path_).parent_path();
  folder_ = parent.empty() ? "" : parent.string() + "/";
  const std::string content = read_text(path_, 1ull << 32);
  int64_t line_number = 0;
  for (size_t at = 0; at < content.size();) {
    const size_t end = std::min(content.find('\n', at), content.size());
    std::string line = content.substr(at, end - at);
    at = end + 1;
    ++line_number;
    if (!line.empty() && line.back() == '\r') line.pop_back();
    if (line.empty()) continue;
    check(line.find('\0') == std::string::npos, UDI_E_FORMAT, path_, ": line ", line_number, " is not text");
    Entry entry;
    const size_t tab = line.find('\t');
    entry.name = line.substr(0, tab);
    check(!entry.name.empty(), UDI_E_FORMAT, path_, ": line ", line_number, " has no path");
    if (tab != std::string::npos) {
      const auto label = parse_label(line.data() + tab + 1, line.data() + line.size());
      check(label.has_value(), UDI_E_FORMAT, path_, ": line ", line_number,
            ": the label after the tab is no whole number from 0 to 2147483647");
      entry.label = *label;
    }
    entries_.push_back(std::move(entry));
  }
}

void ImageSource::add_shard(const std::string& path, const std::string& prefix, const Host& host) {
  Shard shard;
  shard.path = path;
  if (is_gzip(path)) {
    const auto cache = [&]() -> CacheFile& {
      if (!cache_) cache_ = std::make_shared<CacheFile>(cache_folder(options_.cache_dir));
      shard.cached_at = int64_t(cache_->size());
      return *cache_;
    };
    shard.memory = unpack_gzip(path, memory_left_, cache, host);
    memory_left_ -= shard.memory.size();
  }
  shards_.push_back(std::move(shard));
  Shard& kept = shards_.back();
  if (!kept.memory.empty()) {
    kept.size = kept.memory.size();
    add_shard_entries(MemoryBytes(kept.memory.data(), kept.memory.size()), path, prefix, host);
  } else if (kept.cached_at >= 0) {
    kept.size = cache_->size() - uint64_t(kept.cached_at);
    add_shard_entries(PartOfBytes(*cache_, uint64_t(kept.cached_at), kept.size), path, prefix, host);
  } else {
    const FileBytes file(kept.path);
    kept.size = file.size();
    add_shard_entries(file, path, prefix, host);
  }
}

void ImageSource::add_shard_entries(const Bytes& bytes, const std::string& path, const std::string& prefix,
                                    const Host& host) {
  const std::vector<TarEntry> files = index_tar(bytes, path, skips_, host, options_.formats);
  std::unordered_map<std::string, int64_t> labels;  // by sample, from .cls files
  for (const TarEntry& file : files) {
    if (file.name.size() < 4 || file.name.compare(file.name.size() - 4, 4, ".cls") != 0 || is_hidden(file.name))
      continue;
    char content[32];
    const size_t size = size_t(std::min<uint64_t>(file.size, sizeof content));
    bytes.read(file.offset, content, size);
    const auto label = parse_label(content, content + size);
    if (label && file.size <= sizeof content) {
      labels[sample_key(file.name)] = *label;
    } else {
      skips_.add(path + "/" + file.name, "the label is no whole number from 0 to 2147483647");
    }
  }
  numbered_labels_ |= !labels.empty();
  for (const TarEntry& file : files) {
    if (!has_image_ending(file.name) || is_hidden(file.name)) continue;
    const auto label = labels.empty() ? labels.end() : labels.find(sample_key(file.name));
    entries_.push_back({prefix + file.name, label == labels.end() ? -1 : label->second, int32_t(shards_.size()) - 1,
                        uint32_t(prefix.size()), file.offset, file.size});
  }
}

// Gives every image the class of its first folder: below the root, or for archives below what all names have in common.
void ImageSource::label_by_folder() {
  if (numbered_labels_ || entries_.empty()) return;
  const auto inner_name = [](const Entry& entry) { return std::string_view(entry.name).substr(entry.inner); };
  size_t common = 0;
  if (!shards_.empty()) {
    common = std::string_view::npos;
    for (const Entry& entry : entries_) {
      common = std::min(common, common_folder(inner_name(entries_[0]), inner_name(entry)));
    }
  }
  const auto class_of = [&](const Entry& entry) {
    const std::string_view name = inner_name(entry).substr(common);
    const size_t slash = name.find('/');
    return name.substr(0, slash == std::string_view::npos ? 0 : slash);
  };
  std::map<std::string, int64_t, std::less<>> labels;
  for (const Entry& entry : entries_) {
    const std::string_view name = class_of(entry);
    if (!name.empty() && labels.find(name) == labels.end()) labels.emplace(name, 0);
  }
  for (auto& [name, label] : labels) {
    label = int64_t(classes_.size());
    classes_.push_back(name);
  }
  for (Entry& entry : entries_) {
    const auto found = labels.find(class_of(entry));
    if (found != labels.end()) entry.label = found->second;
  }
}

void ImageSource::finish(const Host& host) {
  std::stable_sort(entries_.begin(), entries_.end(), [](const Entry& a, const Entry& b) { return a.name < b.name; });
  skips_.log(host);
  check(!entries_.empty(), UDI_E_NOT_FOUND, path_, ": no .jpg, .jpeg, .png or .npy image there",
        skips_.count > 0 ? text(" (", skips_.count, " files were left out, the first: ", skips_.first[0], ")") : "");
}

void ImageSource::read(int64_t i, std::vector<uint8_t>& out) const {
  const Entry& entry = entries_[size_t(i)];
  const auto check_size = [&](uint64_t size) {
    check(size <= options_.max_file_bytes, UDI_E_MEMORY, entry.name, ": ", size, " bytes are more than max_file_bytes ",
          options_.max_file_bytes);
    out.resize(size);
  };
  if (entry.shard < 0) {
    const FileBytes file(entry.name[0] == '/' ? entry.name : folder_ + entry.name);
    check_size(file.size());
    return file.read(0, out.data(), out.size());
  }
  check_size(entry.size);
  const Shard& shard = shards_[size_t(entry.shard)];
  if (!shard.memory.empty()) {
    return MemoryBytes(shard.memory.data(), shard.memory.size()).read(entry.offset, out.data(), out.size());
  }
  if (shard.cached_at >= 0) return cache_->read(uint64_t(shard.cached_at) + entry.offset, out.data(), out.size());
  const FileBytes file(shard.path);  // opened each time: there may be more shards than file descriptors
  check(file.size() == shard.size, UDI_E_FORMAT, shard.path, ": has changed from ", shard.size, " to ", file.size(),
        " bytes since it was opened");
  file.read(entry.offset, out.data(), out.size());
}

}  // namespace udi
